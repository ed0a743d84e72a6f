"""Whether two stretches hold the same material: series compared at every offset, words by runs of eight."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

GRAM = 8
"""Words in a row that two texts do not share by chance; two of our simulated stories share 2.5 % of their words so."""

_KEPT_EIGHTS = 16
_DIMS = 16
_STRETCH_S = 20.0
_BEYOND_CHANCE = 8.0
"""Height of the best offset over what other offsets reach; unrelated films stay below 6, half a step off gives 11."""

_PEAK_S, _PEAKS = 4.0, 3
"""Peaks nearly as high as the best, further apart than this, of which more mean a design that repeats itself."""

_QUIET, _NORMAL_97, _NORMAL_MAD = 0.03, 1.8808, 1.4826
_FLAT = 1e-9


@dataclass(frozen=True)
class Shared:
    """Material that two series have in common.

    Attributes
    ----------
    seconds : float
        Of the first series, in stretches of 20 s.
    offset_s : float
        Second t of the first series is second t + offset of the other.
    r : float
        Correlation of the changes from step to step, over all that overlaps at this offset.
    """

    seconds: float
    offset_s: float
    r: float


def compact(values: Shaped[np.ndarray, "layer dim time"]) -> Float[np.ndarray, "time few"]:
    """A modality's features in 16 seeded random projections, each dimension of equal weight; float32.

    The same stimulus gives the same projections up to scale, whoever compresses it, and they cost nothing to compare.
    """
    columns = np.asarray(values, np.float32).reshape(-1, values.shape[-1]).T
    columns = columns - columns.mean(0)
    spread = columns.std(0)
    columns /= np.where(spread > _FLAT, spread, 1)
    mixing = np.random.default_rng(0).standard_normal((columns.shape[1], _DIMS)) / np.sqrt(columns.shape[1])
    return (columns @ mixing.astype(np.float32)).astype(np.float32)


def shared_series(
    one: Float[np.ndarray, "time few"], other: Float[np.ndarray, "_ few"], step_s: float, least_r: float = 0.2
) -> Shared | None:
    """Find what one series has in common with another, wherever it lies in each.

    Changes from step to step are made white over dimensions, and correlated at every offset. The best offset counts
    when it stands out from the others, which tell what is usual for these series; a beat or a block design, of which
    many offsets are as good, does not. There, stretches of 20 s are counted that correlate by themselves.

    Parameters
    ----------
    one, other : array of shape (n_steps, n_dims)
        The same dimensions on one clock. A copy that was compressed again or begins between two steps is found.
    step_s : float
        Seconds from row to row.
    least_r : float
        Correlation above which a stretch is the same.

    Returns
    -------
    Shared or None
        None where nothing is shared, or either side is shorter than 20 s or does not vary.
    """
    stretch = round(_STRETCH_S / step_s)
    x, y = _white_changes(one, other)
    if min(len(x), len(y)) < stretch or not x.shape[1]:
        return None
    offsets, r, weight = _by_offset(x, y, stretch)
    height = r * weight
    usual = _usual(height)
    best = int(np.argmax(height))
    if not usual > 0 or height[best] < _BEYOND_CHANCE * usual or _repeats(height, best, round(_PEAK_S / step_s)):
        return None
    offset = int(offsets[best])
    begin, end = max(0, -offset), min(len(x), len(y) - offset)
    alike = _r_by_stretch(x[begin:end], y[begin + offset : end + offset], stretch)
    return Shared(float((alike >= least_r).sum() * _STRETCH_S), offset * step_s, float(r[best]))


def plain_words(texts: Sequence[str]) -> tuple[str, ...]:
    """Words in lower case without punctuation; what has neither letter nor digit is left out."""
    bare = (re.sub(r"[^\w]|_", "", text.lower()) for text in texts)
    return tuple(word for word in bare if word)


def shared_words(one: Sequence[str], other: Sequence[str]) -> int:
    """Count the words of one text that stand in eight in a row (all, where it has fewer) that the other has, too."""
    size = min(GRAM, len(one))
    if not size:
        return 0
    known = _grams(other, size)
    found = np.zeros(len(one), bool)
    for begin, gram in enumerate(zip(*(one[k:] for k in range(size)), strict=False)):
        if gram in known:
            found[begin : begin + size] = True
    return int(found.sum())


def word_sketch(words: Sequence[str]) -> tuple[int, ...]:
    """A sixteenth of a text's eights of words, as numbers: enough to recognise a text, or a part of it, without it.

    Whether an eight is kept depends on itself alone, so that a part of a text has a part of its sketch (sketches by
    fractions of the hash space: Irber et al. 2022, FracMinHash).
    """
    hashes = {_hash(gram) for gram in _grams(words, GRAM)}
    return tuple(sorted(number for number in hashes if number % _KEPT_EIGHTS == 0))


def _hash(gram: tuple[str, ...]) -> int:
    return int.from_bytes(hashlib.blake2b(" ".join(gram).encode(), digest_size=6).digest(), "big")


def _grams(words: Sequence[str], size: int) -> set[tuple[str, ...]]:
    return set(zip(*(words[k:] for k in range(size)), strict=False))


def _white_changes(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Changes from step to step of both, uncorrelated and of unit variance over the two together."""
    x, y = (np.diff(np.asarray(values, np.float64), axis=0) for values in (one, other))
    both = np.concatenate([x, y])
    if not len(both):
        return x, y
    mean = both.mean(0)
    variances, axes = np.linalg.eigh((both - mean).T @ (both - mean) / len(both))
    kept = variances > max(_FLAT, 1e-3 * variances[-1])
    turn = axes[:, kept] / np.sqrt(variances[kept])
    return (x - mean) @ turn, (y - mean) @ turn


def _by_offset(x: np.ndarray, y: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Offsets with an overlap of at least so many steps, r at each, and the root of the number of values behind it."""
    from scipy.fft import irfft, next_fast_len, rfft

    size = next_fast_len(len(x) + len(y), real=True)
    products = irfft((rfft(y, size, axis=0) * np.conj(rfft(x, size, axis=0))).sum(1), size)
    offsets = np.arange(least - len(x), len(y) - least + 1)
    begin, end = np.maximum(0, -offsets), np.minimum(len(x), len(y) - offsets)
    energy = [np.concatenate([[0.0], np.cumsum((side**2).sum(1))]) for side in (x, y)]
    mine = energy[0][end] - energy[0][begin]
    others = energy[1][end + offsets] - energy[1][begin + offsets]
    length = np.sqrt(mine * others)
    # where next to nothing changes, what little does is rounding
    quiet = length < _QUIET * np.sqrt(np.median(mine) * np.median(others) + _FLAT)
    r = np.where(quiet, 0.0, products[offsets % size] / np.where(quiet, 1, length))
    return offsets, r, np.sqrt((end - begin) * x.shape[1])


def _usual(height: np.ndarray) -> float:
    """The spread of the offsets that are not the best: robust, and wide where many offsets are high."""
    middle = np.median(height)
    return max(_NORMAL_MAD * float(np.median(np.abs(height - middle))), float(np.quantile(height, 0.97)) / _NORMAL_97)


def _repeats(height: np.ndarray, best: int, apart: int) -> bool:
    """Whether many offsets are nearly as good as the best: a block design, not a copy."""
    high = np.flatnonzero(height > 0.6 * height[best])
    return 1 + int((np.diff(high) > apart).sum()) > _PEAKS


def _r_by_stretch(x: np.ndarray, y: np.ndarray, stretch: int) -> np.ndarray:
    whole = len(x) // stretch * stretch
    a, b = (side[:whole].reshape(-1, stretch * side.shape[1]) for side in (x, y))
    length = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    quiet = length < _QUIET * stretch * x.shape[1]  # white changes have unit variance
    return np.where(quiet, 0.0, (a * b).sum(1) / np.where(quiet, 1, length))
