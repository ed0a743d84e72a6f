"""A recorded probe: what an adapted model predicts for made-up features, predicted again by whoever fetched it."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from tribetune.adapt.adapter import Adapter
from tribetune.errors import AdaptationError
from tribetune.model.inputs import longest_window
from tribetune.model.tribe import Tribe

SEED = 7
N_TRS = 20
N_VALUES = 64

TOLERANCE = 1e-3
"""Largest difference of a value, in standard deviations of the probe. Processors and versions of torch differ by
rounding, about 1e-6 per layer of float32; a wrong weight differs by the order of 1."""


def record_probe(adapter: Adapter, tribe: Tribe, seed: int = SEED) -> dict[str, Any]:
    """Predict made-up features, and keep a hash of the prediction and some of its values.

    Parameters
    ----------
    adapter : Adapter
    tribe : Tribe
        The checkpoint that it was trained on.
    seed : int
        Of the features.

    Returns
    -------
    dict
        Plain values for ``tribetune.json``.
    """
    n_trs = min(N_TRS, longest_window(tribe.config) // 2)
    values = _predicted(adapter, tribe, seed, n_trs)
    places = np.stack(np.unravel_index(np.linspace(0, values.size - 1, N_VALUES).astype(int), values.shape), axis=1)
    told = {"seed": seed, "n_trs": n_trs, "sha256": _hash(values), "places": places.tolist()}
    return told | {"values": values[tuple(places.T)].tolist(), "spread": float(values.std())}


def check_probe(adapter: Adapter, tribe: Tribe, probe: Mapping[str, Any]) -> str:
    """Predict a recorded probe again.

    Parameters
    ----------
    adapter : Adapter
    tribe : Tribe
        The checkpoint that the adapter names.
    probe : mapping
        From `record_probe`.

    Returns
    -------
    str
        ``bitwise``, or the largest difference in words.

    Raises
    ------
    AdaptationError
        If a value differs by more than `TOLERANCE` standard deviations, or the probe cannot belong to this model.
    """
    if probe["n_trs"] > longest_window(tribe.config) // 2:
        raise AdaptationError(f"the probe has {probe['n_trs']} samples, more than the checkpoint takes", hint=_HINT)
    values = _predicted(adapter, tribe, probe["seed"], probe["n_trs"])
    if _hash(values) == probe["sha256"]:
        return "bitwise"
    places = probe["places"]
    if len(places) != len(probe["values"]) or len(places) < N_VALUES or any(len(place) != 2 for place in places):
        raise AdaptationError(f"the probe has {len(probe['values'])} values, expected {N_VALUES}", hint=_HINT)
    rows, columns = np.array(places).T
    if rows.max() >= len(values) or columns.max() >= values.shape[1]:
        raise AdaptationError("the probe has more outputs than the adapter", hint=_HINT)
    spread = float(values.std()) or 1.0
    difference = float(np.abs(values[rows, columns] - np.array(probe["values"])).max()) / spread
    if not difference <= TOLERANCE:
        raise AdaptationError(
            f"the probe's prediction differs by {difference:.2g} standard deviations, rounding by {TOLERANCE:g}",
            hint=_HINT,
        )
    return f"to {difference:.1g} standard deviations"


_HINT = "the adapter or the checkpoint is not the one that was shared; fetch both again"


def probe_features(tribe: Tribe, seed: int, n_steps: int) -> dict[str, Float[torch.Tensor, "1 layer dim time"]]:
    """Made-up features of unit variance; from SHAKE-256, so the same on every machine and in every version."""
    made = {}
    for name, size in tribe.config.modalities.items():
        if size is None:
            continue
        shape = (1, *size, n_steps)
        raw = hashlib.shake_256(f"tribetune probe {seed} {name}".encode()).digest(4 * int(np.prod(shape)))
        uniform = np.frombuffer(raw, "<u4").astype(np.float64) / 2**32
        made[name] = torch.from_numpy(((uniform - 0.5) * np.sqrt(12)).astype(np.float32).reshape(shape))
    return made


@torch.no_grad()
def _predicted(adapter: Adapter, tribe: Tribe, seed: int, n_trs: int) -> Float[np.ndarray, "time output"]:
    model = adapter.apply(tribe).cpu()  # whichever device fitted it, so that two machines can agree
    row = torch.tensor([0]) if adapter.tensors else None
    return model(probe_features(tribe, seed, 2 * n_trs), row, n_trs=n_trs)[0].numpy()


def _hash(values: Float[np.ndarray, "time output"]) -> str:
    return hashlib.sha256(np.ascontiguousarray(values, "<f4").tobytes()).hexdigest()
