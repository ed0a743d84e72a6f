"""Features of one timeline on the 2 Hz grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from tribetune.timing import FEATURE_HZ, box, n_steps


@dataclass(frozen=True)
class Features:
    """One timeline's features on the stimulus clock: step i covers 0.5 s from the first onset on.

    Parameters
    ----------
    arrays : mapping of str to array of shape (n_layers, dim, n_steps)
        Modality to features, float16 or float32. An absent modality has no key; a silent one is zeros.
    duration_s : float
        Of the stimulus; ``n_steps`` covers it.
    """

    arrays: Mapping[str, Float[np.ndarray, "layer dim time"]]
    duration_s: float

    @property
    def n_steps(self) -> int:
        """Steps that cover the duration."""
        return n_steps(self.duration_s, FEATURE_HZ)

    def steps(self, start: int, stop: int) -> dict[str, Float[np.ndarray, "layer dim time"]]:
        """Cut steps ``start`` to ``stop`` (excluded) as float32, zeros outside the stimulus (spec e.1)."""
        return {modality: _cut(array, start, stop) for modality, array in self.arrays.items()}


def _cut(array: Float[np.ndarray, "layer dim time"], start: int, stop: int) -> Float[np.ndarray, "layer dim step"]:
    cut = np.zeros((*array.shape[:2], stop - start), np.float32)
    first, last = max(start, 0), min(stop, array.shape[2])
    if last > first:
        cut[:, :, first - start : last - start] = array[:, :, first:last]
    return cut


def place_series(
    series: Sequence[tuple[float, float, Float[np.ndarray, "layer dim step"]]], duration_s: float
) -> Float[np.ndarray, "layer dim time"]:
    """Add series of features to the grid, each from its onset on.

    Parameters
    ----------
    series : sequence of (onset, duration, array of shape (n_layers, dim, n))
        Seconds on the stimulus clock; steps past the duration are left out.
    duration_s : float
        Length of the grid.

    Returns
    -------
    array of shape (n_layers, dim, n_steps)
        float16 where one series fills the grid (then it is not copied), else float32.
    """
    n = n_steps(duration_s, FEATURE_HZ)
    if len(series) == 1:
        onset_s, length_s, array = series[0]
        if box(onset_s, length_s) == slice(0, n) and array.shape[2] == n:
            return array
    grid = np.zeros((*series[0][2].shape[:2], n), np.float32)
    for onset_s, length_s, array in series:
        where = box(onset_s, length_s)
        stop = min(where.start + array.shape[2], where.stop, n)
        grid[:, :, where.start : stop] += array[:, :, : stop - where.start]
    return grid


def place_words(
    boxes: Sequence[tuple[float, float]], vectors: Float[np.ndarray, "word layer dim"], duration_s: float
) -> Float[np.ndarray, "layer dim time"]:
    """Add each word's vector to the steps nearest to its time; words in one step are summed (spec e.3).

    Parameters
    ----------
    boxes : sequence of (onset, duration)
        Seconds on the stimulus clock, one per word.
    vectors : array of shape (n_words, n_layers, dim)

    Returns
    -------
    array of shape (n_layers, dim, n_steps)
        float32.
    """
    grid = np.zeros((n_steps(duration_s, FEATURE_HZ), *vectors.shape[1:]), np.float32)
    for (onset_s, length_s), vector in zip(boxes, vectors, strict=True):
        where = box(onset_s, length_s)
        grid[min(where.start, len(grid) - 1) : where.stop] += vector  # a word at the very end keeps the last step
    return np.ascontiguousarray(np.moveaxis(grid, 0, -1))
