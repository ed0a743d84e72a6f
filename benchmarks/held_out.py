"""What campaigns over many subjects share: held-out predictions of an adapter, and figures with their intervals."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from tribetune.adapt.adapter import Adapter
from tribetune.adapt.base import Base
from tribetune.evaluate.predict import Cut, predict_run
from tribetune.scores import pearson_r
from tribetune.splits import Part, windows_of

DRAWS = 10_000
"""Of the bootstrap over subjects."""


def predicted(base: Base, adapter: Adapter, part: Part, window_s: float) -> Float[np.ndarray, "time output"]:
    """An adapter's prediction for the valid samples of a part; the trunk is run again only where it was adapted."""
    model = adapter.apply(base.tribe)
    row = 0 if adapter.tensors else None
    if adapter.changes_trunk:
        whole = predict_run(model, part.aligned, row, Cut(window_s, span=part.span))
        return whole[part.mask[slice(*part.span)]]
    rows, parts = None if row is None else torch.tensor([row]), []
    for window in windows_of([part], window_s, window_s):
        with torch.inference_mode():
            values = model.readout(base.trunk_output(window)[None], rows)[0]
        parts.append(values.cpu().numpy()[window.mask])
    return np.concatenate(parts)


def measured(part: Part) -> Float[np.ndarray, "time output"]:
    """BOLD of a part's valid samples."""
    return part.aligned.bold[part.mask]


def scores(
    guessed: Float[np.ndarray, "time output"], bold: Float[np.ndarray, "time output"]
) -> Float[np.ndarray, " output"]:
    """Pearson's r per output."""
    x, y = (torch.from_numpy(np.ascontiguousarray(side)) for side in (guessed, bold))
    return pearson_r(x, y).numpy()


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean over subjects and its 95 % bootstrap interval over them."""
    return ratio_interval(values, [1.0] * len(values))


def ratio_interval(values: Sequence[float], over: Sequence[float]) -> tuple[float, float, float]:
    """Ratio of two means over the same subjects and its 95 % bootstrap interval, subjects drawn in pairs."""
    top, bottom = np.asarray(values, float), np.asarray(over, float)
    drawn = np.random.default_rng(0).integers(0, len(top), (DRAWS, len(top)))
    low, high = np.percentile(top[drawn].mean(1) / bottom[drawn].mean(1), [2.5, 97.5])
    return float(top.mean() / bottom.mean()), float(low), float(high)


def paired(one: Sequence[float], other: Sequence[float], names: str) -> str:
    """A paired difference with its bootstrap interval over subjects, in words."""
    apart = np.asarray(one) - np.asarray(other)
    mean, low, high = mean_interval(apart.tolist())
    return f"{names}: {mean:+.4f} [{low:+.4f}, {high:+.4f}], positive in {int((apart > 0).sum())} of {len(apart)}."


def shown(found: tuple[float, float, float], digits: int = 2, sign: str = "") -> str:
    """``mean [low, high]``."""
    mean, low, high = (f"{value:{sign}.{digits}f}" for value in found)
    return f"{mean} [{low}, {high}]"
