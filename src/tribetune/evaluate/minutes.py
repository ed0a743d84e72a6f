"""Score against calibration minutes: curves with paired intervals, minutes saved, and where a curve leads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from tribetune.evaluate.bootstrap import FEWEST_BLOCKS, Bootstrap, Estimate, block_interval, widening

_TAILS = (0.025, 0.975)

_OF_MANY = 1.96
"""Standard deviations from the middle to the tails of draws."""


@dataclass(frozen=True)
class Curve:
    """A method's mean r over one set of outputs, against the minutes that it was fitted on.

    Attributes
    ----------
    minutes : array of shape (n_lengths,)
        Ascending.
    r : array of shape (n_lengths,)
        Mean over orders of the runs.
    draws : array of shape (n_draws, n_lengths)
        The same by the bootstrap, which resamples blocks of the test and orders of the runs; draw k of two curves is
        of the same blocks and orders, so that their differences are paired.
    by_order : array of shape (n_orders, n_lengths)
        The chronological order first.
    n_outputs : int
        Outputs in the mean.
    n_blocks : int
        Blocks of the test.
    """

    minutes: Float[np.ndarray, " length"]
    r: Float[np.ndarray, " length"]
    draws: Float[np.ndarray, "draw length"]
    by_order: Float[np.ndarray, "order length"]
    n_outputs: int
    n_blocks: int

    def at(self, length: int) -> Estimate:
        """Mean r at one length."""
        return estimate(float(self.r[length]), self.draws[:, length], self.n_outputs, self.n_blocks)

    def beyond(self, other: "Curve", length: int) -> Estimate:
        """By how much it is above another curve at one length, paired."""
        apart = float(self.r[length] - other.r[length])
        return estimate(apart, self.draws[:, length] - other.draws[:, length], self.n_outputs, self.n_blocks)


@dataclass(frozen=True)
class Saved:
    """Minutes that a method saves at one length, held against the FIR's curve.

    Attributes
    ----------
    spent : float
        The method's own minutes; 0 for zero-shot.
    needed : float
        The FIR's minutes for the same score; infinite where it never reaches it, NaN where the method is no better
        than the FIR on the same data.
    interval : (float, float)
        95 % interval of the minutes saved; 0 where nothing is, infinite where the FIR never gets there.
    longest : float
        Up to which the FIR was measured.
    shortest : float
        From which the FIR was measured: it may need less than this.
    """

    spent: float
    needed: float
    interval: tuple[float, float]
    longest: float
    shortest: float

    @property
    def minutes(self) -> float:
        """Minutes saved: infinite, or NaN for none, as ``needed``."""
        return self.needed - self.spent


@dataclass(frozen=True)
class LogLine:
    """``r = a + b log(minutes)``, fitted to a curve, and each bootstrap draw of it.

    Attributes
    ----------
    a, b : float
    draws : array of shape (n_draws, 2)
        a and b of every draw.
    n_lengths, n_outputs, n_blocks : int
    """

    a: float
    b: float
    draws: Float[np.ndarray, "draw 2"]
    n_lengths: int
    n_outputs: int
    n_blocks: int

    @property
    def per_doubling(self) -> Estimate:
        """Gain in r when the minutes double."""
        return estimate(self.b * np.log(2), self.draws[:, 1] * np.log(2), self.n_outputs, self.n_blocks)

    def at(self, minutes: float) -> Estimate:
        """Where the line is at so many minutes."""
        place = np.array([1.0, np.log(minutes)])
        return estimate(float(place @ (self.a, self.b)), self.draws @ place, self.n_outputs, self.n_blocks)

    def gain(self, minutes: float, more: float) -> Estimate:
        """What ``more`` minutes add to ``minutes``, if the line goes on."""
        step = float(np.log((minutes + more) / minutes))
        return estimate(self.b * step, self.draws[:, 1] * step, self.n_outputs, self.n_blocks)


def curve_of(
    bootstrap: Bootstrap, names: Sequence[Sequence[str]], minutes: Sequence[float], of: int, *, seed: int
) -> Curve:
    """A method's curve from the scores of its fits.

    Parameters
    ----------
    bootstrap : Bootstrap
        Of all fits of all methods.
    names : sequence of sequence of str
        ``names[order][length]``: the fit's name in the bootstrap.
    minutes : sequence of float
        Of every length.
    of : int
        The set of outputs.
    seed : int
        Of the orders drawn; the same for all curves.
    """
    by_order = np.array([[bootstrap.score(name, of).mean for name in row] for row in names])
    draws = np.stack([np.stack([bootstrap.draws[name][:, of] for name in row], 1) for row in names])
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), draws.shape[1])
    mixed = np.einsum("do,odl->dl", drawn / len(names), draws)
    n_outputs = bootstrap.score(names[0][0], of).n_outputs
    return Curve(np.asarray(minutes, float), by_order.mean(0), mixed, by_order, n_outputs, bootstrap.n_blocks)


def minutes_saved(curve: Curve, fir: Curve, length: int, *, spent: float | None = None) -> Saved:
    """The FIR's minutes for a method's score at one length, less the method's own.

    The FIR's curve is taken as straight in log(minutes) between its lengths, and never beyond them. From the method's
    own length on, the first place where the FIR reaches the score counts. Draws are spread as far from their curve as
    `block_interval` asks for so many blocks, and their percentiles taken.

    Parameters
    ----------
    curve, fir : Curve
        At the same lengths.
    length : int
        Where on the method's curve.
    spent : float, optional
        The method's own minutes where they are none of the lengths: 0 for zero-shot.
    """
    first = length if spent is None else 0
    own = float(curve.minutes[length]) if spent is None else spent
    minutes = fir.minutes[first:]
    needed = _reached(curve.r[None, length], fir.r[None, first:], minutes)[0]
    drawn = np.sort(_reached(_spread(curve)[:, length], _spread(fir)[:, first:], minutes) - own)
    low, high = (float(drawn[round(tail * (len(drawn) - 1))]) for tail in _TAILS)
    none = curve.r[length] <= fir.r[first] if spent is None else False
    return Saved(own, float("nan") if none else float(needed), (low, high), float(minutes[-1]), float(minutes[0]))


def log_line(curve: Curve) -> LogLine | None:
    """Least squares of r on log(minutes), all lengths alike; None where fewer than two have a score."""
    defined = np.isfinite(curve.r)
    if defined.sum() < 2:
        return None
    design = np.stack([np.ones(int(defined.sum())), np.log(curve.minutes[defined])], 1)
    solve = np.linalg.pinv(design)
    a, b = solve @ curve.r[defined]
    draws, n_lengths = curve.draws[:, defined] @ solve.T, int(defined.sum())
    return LogLine(float(a), float(b), draws, n_lengths, curve.n_outputs, curve.n_blocks)


def estimate(value: float, draws: Float[np.ndarray, " draw"], n_outputs: int, n_blocks: int) -> Estimate:
    """A figure with the 95 % interval of draws of so many blocks; NaN where it is undefined."""
    if not np.isfinite(value):
        return Estimate(float("nan"), (float("nan"), float("nan")), 0)
    return Estimate(value, block_interval(value, draws, n_blocks), n_outputs)


def plain(found: Estimate) -> Mapping[str, float | list[float] | int]:
    """An estimate as plain values."""
    return {"mean": found.mean, "interval": list(found.interval), "n_outputs": found.n_outputs}


def _spread(curve: Curve) -> Float[np.ndarray, "draw length"]:
    """Draws whose percentiles are ends of the interval of a mean of so few blocks."""
    wider = widening(curve.n_blocks) / _OF_MANY if curve.n_blocks >= FEWEST_BLOCKS else 1.0
    return curve.r + wider * (curve.draws - curve.r)


def _reached(
    score: Float[np.ndarray, " draw"], r: Float[np.ndarray, "draw length"], minutes: Float[np.ndarray, " length"]
) -> Float[np.ndarray, " draw"]:
    """Minutes at which each draw's curve first reaches its score; infinite where it never does, NaN without a score."""
    found = np.where(r[:, 0] >= score, minutes[0], np.inf)
    for k in range(len(minutes) - 1):
        rises = (r[:, k] < score) & (r[:, k + 1] >= score)
        share = np.where(rises, (score - r[:, k]) / np.where(rises, r[:, k + 1] - r[:, k], 1.0), 0.0)
        crossing = minutes[k] * (minutes[k + 1] / minutes[k]) ** share
        found = np.where(rises & np.isinf(found), crossing, found)
    return np.where(np.isnan(score), np.nan, found)
