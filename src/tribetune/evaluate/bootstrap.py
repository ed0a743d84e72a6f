"""Mean encoding scores and their paired differences, with block-bootstrap intervals over time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from tribetune.gaps import places

FEWEST_BLOCKS = 4
"""Below that a bootstrap over blocks says nothing about spread."""

_FLAT = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval.

    Attributes
    ----------
    mean : float
        NaN where undefined.
    interval : (float, float)
        See `block_interval`; NaN where there are fewer than 4 blocks.
    n_outputs : int
        Outputs with a defined score that entered the mean.
    """

    mean: float
    interval: tuple[float, float]
    n_outputs: int


@dataclass(frozen=True)
class Bootstrap:
    """Draws of every method's mean score from the same resampled blocks, so that differences are paired.

    Attributes
    ----------
    scores : mapping of method to array of shape (n_outputs,)
        Pearson's r on all samples.
    draws : mapping of method to array of shape (n_draws, n_sets)
        Mean r over each output set, per draw; NaN where there are fewer than 4 blocks: one block would give every draw
        the same mean, and an interval without width.
    sets : array of shape (n_sets, n_outputs)
    n_blocks : int
        That were resampled.
    """

    scores: Mapping[str, np.ndarray]
    draws: Mapping[str, np.ndarray]
    sets: np.ndarray
    n_blocks: int

    def score(self, method: str, of: int) -> Estimate:
        """Mean r of a method over output set ``of``."""
        return self._estimate(self.scores[method][self.sets[of]], self.draws[method][:, of])

    def difference(self, method: str, other: str, of: int) -> Estimate:
        """Mean of r(method) − r(other) over output set ``of``, paired by block and output."""
        apart = (self.scores[method] - self.scores[other])[self.sets[of]]
        return self._estimate(apart, self.draws[method][:, of] - self.draws[other][:, of])

    def _estimate(self, values: np.ndarray, draws: np.ndarray) -> Estimate:
        if not len(values) or not np.isfinite(values).any():
            return Estimate(float("nan"), (float("nan"), float("nan")), 0)
        mean = float(values.mean())
        return Estimate(mean, block_interval(mean, draws, self.n_blocks), len(values))


@dataclass(frozen=True)
class HeldOut:
    """The samples on which every method is scored.

    Attributes
    ----------
    bold : array of shape (n_samples, n_outputs)
        Measured BOLD, valid samples only; NaN throughout where an output is undefined.
    runs : tuple of str
        The run of each sample.
    at : array of shape (n_samples,), optional
        When in its run each was measured, in samples: some between them may not be valid. One after the other when left
        out. Blocks are of so many samples, so that one with a gap only lasts longer.
    """

    bold: Float[np.ndarray, "time output"]
    runs: tuple[str, ...]
    at: Int[np.ndarray, " time"] | None = None

    def places(self, rows: np.ndarray) -> Int[np.ndarray, " time"]:
        """Places in time of a run's rows, from 0 on; see `tribetune.gaps`."""
        return places(None if self.at is None else self.at[rows], len(self.bold[rows]))


def bootstrap_scores(
    predicted: Mapping[str, Float[np.ndarray, "time output"]],
    held_out: HeldOut,
    sets: Bool[np.ndarray, "set output"],
    *,
    block: int,
    draws: int,
    seed: int,
) -> Bootstrap:
    """Score every method on the same samples and resample blocks of time.

    Both sides are z-scored within each run before runs are pooled, so that pooled r is the sample-weighted mean of the
    runs' r. Blocks never cross runs. Only outputs that every method and the BOLD define enter the means.

    Parameters
    ----------
    predicted : mapping of method to array of shape (n_samples, n_outputs)
    held_out : HeldOut
        What was measured.
    sets : array of shape (n_sets, n_outputs)
        Output sets over which means are taken.
    block : int
        Samples per block; at least the autocorrelation of BOLD (about 20 s or more).
    draws, seed : int
        Bootstrap resamplings, and what makes them repeatable.
    """
    labels = np.asarray(held_out.runs)
    standard = zscore_by_run(held_out.bold, labels)
    members = block_members(labels, block)
    moments = {
        name: block_moments(zscore_by_run(values, labels), standard, members) for name, values in predicted.items()
    }
    return bootstrap_moments(moments, sets, draws=draws, seed=seed)


def bootstrap_moments(
    moments: Mapping[str, Sequence[np.ndarray]], sets: Bool[np.ndarray, "set output"], *, draws: int, seed: int
) -> Bootstrap:
    """As `bootstrap_scores`, from each method's `block_moments` on the same blocks."""
    n_blocks = len(next(iter(moments.values()))[0])
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=draws).astype(np.float32)
    scores = {name: r_of_moments([moment.sum(0) for moment in parts]) for name, parts in moments.items()}
    common = np.all([np.isfinite(r) for r in scores.values()], axis=0)
    shared = sets & common
    found = {name: _draw_means(parts, weights, shared) for name, parts in moments.items()}
    if n_blocks < FEWEST_BLOCKS:
        found = {name: np.full_like(means, np.nan) for name, means in found.items()}
    return Bootstrap({name: np.where(common, r, np.nan) for name, r in scores.items()}, found, shared, n_blocks)


def block_interval(value: float, draws: Float[np.ndarray, " draw"], n_blocks: int) -> tuple[float, float]:
    """The 95 % interval of a mean from draws of resampled blocks; NaN where there are fewer than 4.

    Percentiles of few blocks are too narrow (of four, a tenth of true zeros lies outside of each end's 2.5 %): the
    spread of the draws, which is that of n - 1 blocks in n, is widened as Student's t asks.
    """
    if n_blocks < FEWEST_BLOCKS:
        return float("nan"), float("nan")
    half = widening(n_blocks) * float(np.std(draws, ddof=1))
    return value - half, value + half


def widening(n_blocks: int, below: float = 0.975) -> float:
    """By how much half of a 95 % interval is more than the standard deviation of draws of so many blocks.

    ``below`` is the probability of lying below its upper end; the blocks may be subjects.
    """
    from scipy.special import stdtrit

    return float(stdtrit(n_blocks - 1, below) * np.sqrt(n_blocks / (n_blocks - 1)))


def zscore_by_run(values: Float[np.ndarray, "time output"], labels: np.ndarray) -> Float[np.ndarray, "time output"]:
    """Z-score every column within each run; a column that does not vary is NaN."""
    out = np.full(values.shape, np.nan, np.float32)
    for label in dict.fromkeys(labels.tolist()):
        rows = labels == label
        part = values[rows].astype(np.float64)
        spread = part.std(0)
        # A column whose spread is rounding of its size does not vary: undefined, never 0.
        flat = ~(spread > _FLAT**0.5 * np.abs(part).max(0, initial=0))
        out[rows] = np.where(flat, np.nan, (part - part.mean(0)) / np.where(flat, 1, spread))
    return out


def block_members(labels: np.ndarray, block: int) -> list[np.ndarray]:
    """Rows of every block of about ``block`` samples, in order; none crosses runs."""
    members = []
    for label in dict.fromkeys(labels.tolist()):
        rows = np.flatnonzero(labels == label)
        members += np.array_split(rows, max(1, round(len(rows) / block)))
    return members


def block_moments(x: np.ndarray, y: np.ndarray, members: list[np.ndarray]) -> list[np.ndarray]:
    """Count, sums, sums of squares and products per block, each (n_blocks, n_outputs or 1)."""
    parts = [
        (np.full(1, len(rows)), x[rows].sum(0), y[rows].sum(0), (x[rows] ** 2).sum(0), (y[rows] ** 2).sum(0),
         (x[rows] * y[rows]).sum(0))
        for rows in members
    ]  # fmt: skip
    return [np.stack(column).astype(np.float32) for column in zip(*parts, strict=True)]


def r_of_moments(moments: Sequence[np.ndarray]) -> np.ndarray:
    """Pearson's r from count, sums, sums of squares and sum of products, in the order of `block_moments`."""
    n, x, y, xx, yy, xy = (moment.astype(np.float64) for moment in moments)
    scatter_x, scatter_y = xx - x * x / n, yy - y * y / n
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (xy - x * y / n) / np.sqrt(scatter_x * scatter_y)
    return np.where((scatter_x > 0) & (scatter_y > 0), r, np.nan)


def _draw_means(moments: Sequence[np.ndarray], weights: np.ndarray, sets: np.ndarray) -> np.ndarray:
    """Mean r per draw and output set, in chunks of outputs so that memory stays small."""
    total = np.zeros((len(weights), len(sets)))
    used = np.flatnonzero(sets.any(0))
    count = weights @ moments[0]
    for chunk in np.array_split(used, max(1, len(used) // 2048)) if len(used) else []:
        r = r_of_moments([count, *(weights @ moment[:, chunk] for moment in moments[1:])])
        total += np.nan_to_num(r) @ sets[:, chunk].T
    with np.errstate(invalid="ignore"):
        return total / sets.sum(1)
