"""Samples on the grid of time: scrubbed volumes leave gaps, across which neighbours in an array are none in time."""

import numpy as np
from jaxtyping import Float, Int

LONGEST = 20
"""Samples up to which a gap is kept; a longer one is closed up: beyond BOLD's autocorrelation its two sides are apart
however long it is, and there is nothing to fill it with."""


def places(at: Int[np.ndarray, " time"] | None, n_samples: int) -> Int[np.ndarray, " time"]:
    """Place of each sample of a run on a grid of time that begins with the first.

    Parameters
    ----------
    at : array of shape (n_samples,), optional
        When each was measured, in samples, in order; one after the other when left out.
    n_samples : int
    """
    if at is None or not n_samples:
        return np.arange(n_samples)
    steps = np.diff(at)
    return np.concatenate([[0], np.cumsum(np.where((steps < 1) | (steps > LONGEST), 1, steps))])


def filled(values: Float[np.ndarray, "time output"], where: Int[np.ndarray, " time"]) -> Float[np.ndarray, "_ output"]:
    """Values on the whole grid, straight across gaps: a prediction goes on where BOLD could not be measured."""
    if not gapped(where):
        return values
    grid = np.arange(where[-1] + 1)
    after = np.searchsorted(where, grid)
    before = np.maximum(after - (where[after] > grid), 0)
    share = (grid - where[before]) / np.maximum(where[after] - where[before], 1)
    return values[before] + share[:, None].astype(values.dtype) * (values[after] - values[before])


def spread(values: Float[np.ndarray, "time output"], where: Int[np.ndarray, " time"]) -> Float[np.ndarray, "_ output"]:
    """Values on the whole grid, zero in gaps."""
    if not gapped(where):
        return values
    whole = np.zeros((where[-1] + 1, values.shape[1]), values.dtype)
    whole[where] = values
    return whole


def gapped(where: Int[np.ndarray, " time"]) -> bool:
    """Whether samples are missing between the first and the last."""
    return len(where) > 0 and len(where) <= int(where[-1])
