"""What the tests against the reference's own outputs have in common."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from tribetune.features.encoders import Encoder, Options, encoders
from tribetune.features.layers import SETTINGS, layer_groups

# Values reach 40; float32 sums in another order, other thread counts and instruction sets move them by up to 3e-5.
TOLERANCE = {"atol": 6e-5, "rtol": 0}

WINDOWS = {"w0": (0.0, 100.0), "w1": (3.3983, 20.0)}
"""Onset and duration in seconds."""


def read_golden(folder: Path, transformers: int = 5) -> dict[str, np.ndarray]:
    """Arrays that the reference gave with a version of transformers."""
    with np.load(folder / f"golden_tf{transformers}.npz") as arrays:
        return dict(arrays)


def grouped(states: np.ndarray, setting: str, modality: str) -> np.ndarray:
    """Layer groups of stacked states; the fixtures' released setting keeps 4 states where the real one keeps 20."""
    chosen = replace(SETTINGS[setting], subsample=4 if setting == "released" else None)
    return np.stack([states[list(group)].mean(0) for group in layer_groups(chosen, len(states), modality)])


def encoder(folder: Path, modality: str, setting: str = "all", **options: object) -> Encoder:
    """One of the fixtures' encoders."""
    chosen = Options(setting=setting, **options)  # ty: ignore[invalid-argument-type]
    return encoders(folder / "encoders", chosen)[modality]


def joined(blocks: Iterable[np.ndarray]) -> np.ndarray:
    """All blocks of an encoding, time first."""
    return np.concatenate(list(blocks))


def series(blocks: Iterable[np.ndarray]) -> np.ndarray:
    """All blocks of an encoding, time last."""
    return np.moveaxis(joined(blocks), 0, -1)
