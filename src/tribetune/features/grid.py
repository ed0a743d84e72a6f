"""Features of one timeline on the 2 Hz grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from tribetune.timing import FEATURE_HZ, box, n_steps, to_step

Pieces = Sequence[Float[np.ndarray, "_ layer dim"]] | Float[np.ndarray, "piece _ layer dim"]


@dataclass(frozen=True)
class Laid:
    """Features that are put on the grid where they are looked at: hours of them take no memory of their own.

    NumPy takes it for an array, which then is made as a whole.

    Parameters
    ----------
    first, stop : array of shape (n_pieces,)
        Steps that each piece covers.
    pieces : sequence of arrays of shape (n_rows, n_layers, dim)
        As they lie on disk, mapped into memory: a row per step, or one row for all of the piece's steps.
    n_steps : int
        Length of the grid.
    """

    first: Int[np.ndarray, " piece"]
    stop: Int[np.ndarray, " piece"]
    pieces: Pieces
    n_steps: int

    dtype = np.dtype(np.float32)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Layers, dimensions, steps."""
        _, n_layers, n_dims = self.pieces[0].shape
        return n_layers, n_dims, self.n_steps

    def cut(self, start: int, stop: int) -> Float[np.ndarray, "layer dim step"]:
        """Steps ``start`` to ``stop`` (excluded), all of them on the grid; pieces that share a step are summed."""
        out = np.zeros((stop - start, *self.shape[:2]), np.float32)
        for k in np.flatnonzero((self.first < stop) & (self.stop > start)):
            origin, piece = self.first[k], self.pieces[k]
            low, high = max(origin, start), min(self.stop[k], stop)
            out[low - start : high - start] += piece if len(piece) == 1 else piece[low - origin : high - origin]
        return np.ascontiguousarray(np.moveaxis(out, 0, -1))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = self.cut(0, self.n_steps)
        return whole if dtype is None else whole.astype(dtype)


Grid = Float[np.ndarray, "layer dim time"] | Float[Laid, "layer dim time"]


@dataclass(frozen=True)
class Features:
    """One timeline's features on the stimulus clock: step i covers 0.5 s from the first onset on.

    Parameters
    ----------
    arrays : mapping of str to array of shape (n_layers, dim, n_steps)
        Modality to features, float16 or float32, in one piece or laid. An absent modality has no key; a silent one is
        zeros.
    duration_s : float
        Of the stimulus; ``n_steps`` covers it.
    """

    arrays: Mapping[str, Grid]
    duration_s: float

    @property
    def n_steps(self) -> int:
        """Steps that cover the duration."""
        return n_steps(self.duration_s, FEATURE_HZ)

    def steps(self, start: int, stop: int) -> dict[str, Float[np.ndarray, "layer dim time"]]:
        """Cut steps ``start`` to ``stop`` (excluded) as float32, zeros outside the stimulus (spec e.1)."""
        return {modality: _cut(array, start, stop) for modality, array in self.arrays.items()}


def _cut(array: Grid, start: int, stop: int) -> Float[np.ndarray, "layer dim step"]:
    cut = np.zeros((*array.shape[:2], stop - start), np.float32)
    first, last = max(start, 0), min(stop, array.shape[2])
    if last > first:
        inside = array.cut(first, last) if isinstance(array, Laid) else array[:, :, first:last]
        cut[:, :, first - start : last - start] = inside
    return cut


def lay_series(
    series: Sequence[tuple[float, float, Float[np.ndarray, "layer dim _"]]], duration_s: float, start_s: float = 0.0
) -> Grid:
    """Put series of features on the grid of a window, each from its onset on.

    Parameters
    ----------
    series : sequence of (onset, duration, array of shape (n_layers, dim, n))
        Seconds on the stimulus clock; steps past the duration are left out.
    duration_s : float
        Length of the window.
    start_s : float
        Onset of the window on the stimulus clock.

    Returns
    -------
    array of shape (n_layers, dim, n_steps)
        The series itself where one fills the grid.

    Notes
    -----
    Source: parity notes 6 and 15. A series is cut on its own steps, and the cut is then put on the window's, both to
    the nearest step and at least one: where a series ends within a quarter second after the window's start, its last
    step is added to the first of the window.
    """
    n = n_steps(duration_s, FEATURE_HZ)
    if len(series) == 1 and start_s == 0:
        onset_s, length_s, array = series[0]
        if box(onset_s, length_s) == slice(0, n) and array.shape[2] == n:
            return array
    targets, pieces = [], []
    for onset_s, length_s, array in series:
        there = min(array.shape[2], max(1, to_step(length_s)))
        source, target = _overlap(onset_s - start_s, there, n)
        targets.append(target)
        pieces.append(np.moveaxis(array, -1, 0)[source])
    return _laid(targets, pieces, n)


def place_series(
    series: Sequence[tuple[float, float, Float[np.ndarray, "layer dim _"]]], duration_s: float, start_s: float = 0.0
) -> Float[np.ndarray, "layer dim time"]:
    """As `lay_series`, all of it in memory: float16 where one series fills the grid, else float32."""
    return np.asarray(lay_series(series, duration_s, start_s))


def lay_words(
    boxes: Sequence[tuple[float, float]],
    vectors: Float[np.ndarray, "word layer dim"],
    duration_s: float,
    start_s: float = 0.0,
) -> Laid:
    """Put each word's vector on the steps nearest to its time; words in one step are summed (spec e.3).

    Parameters
    ----------
    boxes : sequence of (onset, duration)
        Seconds on the stimulus clock, one per word.
    vectors : array of shape (n_words, n_layers, dim)
    duration_s : float
        Length of the window.
    start_s : float
        Onset of the window on the stimulus clock. A word on either edge is cut there, and belongs to both sides.

    """
    n = n_steps(duration_s, FEATURE_HZ)
    targets = [_window_box(onset_s - start_s, length_s, n) for onset_s, length_s in boxes]
    return _laid(targets, vectors[:, None], n)


def place_words(
    boxes: Sequence[tuple[float, float]],
    vectors: Float[np.ndarray, "word layer dim"],
    duration_s: float,
    start_s: float = 0.0,
) -> Float[np.ndarray, "layer dim time"]:
    """As `lay_words`, all of it in memory, float32."""
    return np.asarray(lay_words(boxes, vectors, duration_s, start_s))


def _laid(targets: Sequence[slice], pieces: Pieces, n: int) -> Laid:
    if len(targets) != len(pieces):
        raise ValueError(f"{len(pieces)} features for {len(targets)} boxes")
    first, stop = (np.array([getattr(target, end) for target in targets], int) for end in ("start", "stop"))
    return Laid(first, np.minimum(stop, n), pieces, n)


def _window_box(onset_s: float, length_s: float, n: int) -> slice:
    """Steps of a window of n steps that a word covers; ``onset_s`` is counted from the window's start."""
    end_s = n / FEATURE_HZ
    first_s, stop_s = max(onset_s, 0.0), min(onset_s + length_s, end_s)
    if stop_s < first_s or (stop_s == first_s and length_s > 0):
        return slice(0, 0)
    is_whole = first_s == onset_s and stop_s < end_s
    where = box(first_s, length_s if is_whole else stop_s - first_s)
    return slice(min(where.start, n - 1), where.stop)  # a word at the very end keeps the last step


def _overlap(onset_s: float, n_there: int, n: int) -> tuple[slice, slice]:
    """Steps of a series, and steps of the window that they go to; none where the two do not meet.

    Parameters
    ----------
    onset_s : float
        Of the series, seconds from the window's start.
    n_there, n : int
        Steps of the series and of the window.
    """
    stop_s = onset_s + n_there / FEATURE_HZ
    if max(onset_s, 0.0) >= min(stop_s, n / FEATURE_HZ):
        return slice(0, 0), slice(0, 0)
    cut = to_step(max(-onset_s, 0.0))  # the cut begins on a step of the series, before or after the window does
    begin_s = max(onset_s + cut / FEATURE_HZ, 0.0)
    first, target = min(cut, n_there - 1), min(to_step(begin_s), n - 1)
    width = min(n_there - first, max(1, to_step(stop_s - begin_s)), n - target)
    return slice(first, first + width), slice(target, target + width)
