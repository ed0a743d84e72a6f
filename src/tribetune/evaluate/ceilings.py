"""Noise ceilings: the best attainable score, with its kind and interval, or in words why it cannot be estimated."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from tribetune.evaluate.bootstrap import FEWEST_BLOCKS, block_members, block_moments, r_of_moments, zscore_by_run
from tribetune.evaluate.resampling import DEFAULT, Resampling, bootstrapped, fisher

Kind = Literal["repeat", "split-half", "inter-subject", "none"]

_OF = {
    "repeat": "repeats of a test stimulus",
    "split-half": "repeats of a test stimulus",
    "inter-subject": "other subjects with the test stimulus",
}
"""What there must be two of at least."""


@dataclass(frozen=True)
class Ceiling:
    """What a perfect model would score, per output.

    Attributes
    ----------
    kind : str
        ``repeat``, ``split-half``, ``inter-subject``, or ``none`` where these data allow no estimate.
    r : array of shape (n_outputs,)
        In units of Pearson's r; negative where the estimate is that nothing is explainable, NaN where undefined.
    interval : array of shape (2, n_outputs)
        95 %, by blocks of time.
    n : int
        Repeats, or other subjects.
    reason : str
        Why there is none.
    """

    kind: Kind
    r: Float[np.ndarray, " output"]
    interval: Float[np.ndarray, "2 output"]
    n: int
    reason: str = ""

    @property
    def above_zero(self) -> Bool[np.ndarray, " output"]:
        """Where the ceiling is reliably above zero."""
        return self.interval[0] > 0

    def normalised(self, scores: Float[np.ndarray, " output"]) -> Float[np.ndarray, " output"]:
        """Scores as shares of the ceiling; NaN where the ceiling is not reliably above zero."""
        return np.where(self.above_zero, scores / np.where(self.above_zero, self.r, 1), np.nan)


def repeat_ceiling(
    repeats: Float[np.ndarray, "repeat time output"],
    runs: Sequence[str],
    averaged: int = 1,
    resampling: Resampling = DEFAULT,
) -> Ceiling:
    """Ceiling from BOLD of the same stimulus, measured several times: explainable variance.

    Parameters
    ----------
    repeats : array of shape (n_repeats, n_samples, n_outputs)
        In any unit; z-scored here per repeat and run.
    runs : sequence of str
        The stimulus of each sample: several films may each have been shown again.
    averaged : int
        Repeats whose mean the predictions are scored against; 1 where each is scored alone.
    resampling : Resampling, optional

    Notes
    -----
    ``ev = 1 - var(residual) / var(y)`` with the mean over n repeats as the signal, corrected for the noise that the
    mean still has: ``ev - (1 - ev) / (n - 1)`` (Sahani and Linden 2003; Schoppe et al. 2016). It is the share of a
    single measurement's variance that repeats, an intraclass correlation; a perfect model's r is its root. Interval:
    bootstrap over blocks on Fisher's scale of that correlation, Student's t for the number of blocks.
    """
    n, labels = len(repeats), np.asarray(runs)

    def statistic(part: slice, members: list[np.ndarray]) -> tuple[list[np.ndarray], Callable]:
        standard = np.stack([zscore_by_run(one[:, part], labels) for one in repeats])
        mean = standard.mean(0)
        sides = [block_moments(values, mean, members) for values in standard]
        count, squares = sides[0][0], [m for side in sides for m in (side[1], side[3])]
        moments = [count, sides[0][2], sides[0][4], *squares]
        return moments, lambda drawn: _icc_z(drawn, n)

    return _estimated(
        "repeat", n, repeats.shape[1:], (labels, resampling), statistic,
        lambda z: _root(_stepped(_share_of_z(z, n), averaged)),
    )  # fmt: skip


def split_half_ceiling(
    repeats: Float[np.ndarray, "repeat time output"],
    runs: Sequence[str],
    averaged: int = 1,
    resampling: Resampling = DEFAULT,
) -> Ceiling:
    """Ceiling from the correlation between the means of odd and of even repeats (or subjects), by Spearman-Brown.

    Parameters
    ----------
    repeats : array of shape (n_repeats, n_samples, n_outputs)
        The last one is left out where their number is odd.
    runs : sequence of str
    averaged : int
        Repeats whose mean the predictions are scored against.
    resampling : Resampling, optional

    Notes
    -----
    With h repeats per half that correlate by r, k repeats have the reliability ``(k / h) r / (1 + (k / h - 1) r)``
    (Spearman 1910, Brown 1910); a perfect model's r is its root.
    """
    labels, half_size = np.asarray(runs), len(repeats) // 2

    def statistic(part: slice, members: list[np.ndarray]) -> tuple[list[np.ndarray], Callable]:
        standard = [zscore_by_run(one[:, part], labels) for one in repeats[: 2 * half_size]]
        odd, even = (np.mean(standard[first::2], axis=0) for first in (0, 1))
        return block_moments(odd, even, members), lambda drawn: fisher(r_of_moments(drawn))

    return _estimated(
        "split-half", len(repeats), repeats.shape[1:], (labels, resampling), statistic,
        lambda z: _root(_stepped(np.tanh(z), averaged / half_size)),
    )  # fmt: skip


def inter_subject_ceiling(
    own: Float[np.ndarray, "time output"],
    mean_of_others: Float[np.ndarray, "time output"],
    n_others: int,
    runs: Sequence[str],
    resampling: Resampling = DEFAULT,
) -> Ceiling:
    """What the mean of the other subjects predicts of one subject's BOLD of the same stimulus: leave-one-out r.

    A ceiling of what is shared, not of what a personal model may reach: it may be exceeded, and it grows with the
    number of others.

    Parameters
    ----------
    own, mean_of_others : array of shape (n_samples, n_outputs)
        The second by `tribetune.evaluate.others.mean_of_subjects`.
    n_others : int
        Subjects in that mean.
    runs : sequence of str
    resampling : Resampling, optional
    """
    labels = np.asarray(runs)

    def statistic(part: slice, members: list[np.ndarray]) -> tuple[list[np.ndarray], Callable]:
        x, y = (zscore_by_run(values[:, part], labels) for values in (mean_of_others, own))
        return block_moments(x, y, members), lambda drawn: fisher(r_of_moments(drawn))

    return _estimated("inter-subject", n_others, own.shape, (labels, resampling), statistic, np.tanh)


def no_ceiling(n_outputs: int, reason: str) -> Ceiling:
    """The answer "not estimable from these data", with its reason."""
    return Ceiling("none", np.full(n_outputs, np.nan), np.full((2, n_outputs), np.nan), 0, reason)


def _estimated(
    kind: Kind,
    n: int,
    shape: Sequence[int],
    blocks: tuple[np.ndarray, Resampling],
    statistic: Callable[[slice, list[np.ndarray]], tuple[list[np.ndarray], Callable]],
    of_z: Callable[[np.ndarray], np.ndarray],
) -> Ceiling:
    """A ceiling and its interval from a statistic on Fisher's scale; none, and why, where data are too few.

    ``shape`` is samples and outputs; ``blocks`` the run of each sample, and how blocks are resampled; ``statistic`` as
    `bootstrapped` takes it, with the rows of every block; ``of_z`` what a z is as a ceiling.
    """
    (n_samples, n_outputs), (labels, resampling) = shape, blocks
    if n < 2:
        return no_ceiling(
            n_outputs, f"it needs at least two {_OF[kind]}, and there {'is one' if n == 1 else 'are none'}"
        )
    members = block_members(labels, resampling.block) if n_samples else []
    if len(members) < FEWEST_BLOCKS:
        few = f"{FEWEST_BLOCKS} blocks of {resampling.block}, too few for an interval"
        return no_ceiling(n_outputs, f"{n_samples} samples are fewer than {few}")
    z, half = bootstrapped(lambda part: statistic(part, members), n_outputs, len(members), resampling)
    value, low, high = (of_z(end) for end in (z, z - half, z + half))
    return Ceiling(kind, value, np.stack([low, high]), n)


def _icc_z(moments: Sequence[np.ndarray], n: int) -> np.ndarray:
    """Bias-corrected explainable variance on Fisher's scale of an intraclass correlation."""
    count, of_mean, of_mean_square, *of_repeats = (moment.astype(np.float64) for moment in moments)
    spread_mean = of_mean_square / count - (of_mean / count) ** 2
    spreads = [
        square / count - (total / count) ** 2 for total, square in zip(of_repeats[::2], of_repeats[1::2], strict=True)
    ]
    ev = spread_mean / np.mean(spreads, axis=0)  # 1 - var(residual) / var(y)
    share = ev - (1 - ev) / (n - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return 0.5 * np.log((1 + (n - 1) * share) / (1 - share))


def _share_of_z(z: np.ndarray, n: int) -> np.ndarray:
    grown = np.exp(2 * z)
    return (grown - 1) / (grown + n - 1)


def _stepped(reliability: np.ndarray, factor: float) -> np.ndarray:
    """Reliability of ``factor`` times as much data; NaN where that is not defined, far below zero."""
    below = 1 + (factor - 1) * reliability
    return np.where(below > 0, factor * reliability / np.where(below > 0, below, 1), np.nan)


def _root(share: np.ndarray) -> np.ndarray:
    """A perfect model's r from the share of variance that it explains; below zero it keeps its sign."""
    return np.sign(share) * np.sqrt(np.abs(share))
