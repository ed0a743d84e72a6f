"""Whether a score, or the gain that would fit best, moves from session to session."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from tribetune.digits import rounded
from tribetune.evaluate.bootstrap import FEWEST_BLOCKS, HeldOut, block_interval, block_members, bootstrap_scores
from tribetune.evaluate.resampling import DEFAULT, Resampling

LEVEL = 0.05 / 2
"""Of either test: score and gain share 5 %."""


@dataclass(frozen=True)
class Figure:
    """A figure of one session.

    Attributes
    ----------
    value : float
    interval : (float, float)
        95 %, by Student's t for the number of blocks; NaN where there are too few.
    error : float
        Standard error.
    """

    value: float
    interval: tuple[float, float]
    error: float


@dataclass(frozen=True)
class SessionFigures:
    """One session's score and gain.

    Attributes
    ----------
    session : str
    score : Figure
        Mean r over outputs.
    gain : Figure
        Least squares of BOLD on the prediction, over all outputs together: 1 where the prediction has the right size.
    n_samples, n_blocks, n_outputs : int
    """

    session: str
    score: Figure
    gain: Figure
    n_samples: int
    n_blocks: int
    n_outputs: int


@dataclass(frozen=True)
class Drift:
    """What moves between sessions.

    Attributes
    ----------
    sessions : tuple of SessionFigures
        In order of time.
    score_p, gain_p : float
        Of no difference between sessions; NaN where one is too short.
    """

    sessions: tuple[SessionFigures, ...]
    score_p: float
    gain_p: float

    @property
    def moves(self) -> tuple[bool, bool]:
        """Whether score and gain move reliably."""
        return self.score_p < LEVEL, self.gain_p < LEVEL


def session_drift(
    predicted: Float[np.ndarray, "time output"],
    held_out: HeldOut,
    sessions: Sequence[str],
    outputs: Bool[np.ndarray, " output"],
    resampling: Resampling = DEFAULT,
) -> Drift:
    """Score and best gain of every session, and whether they differ by more than their intervals.

    Parameters
    ----------
    predicted : array of shape (n_samples, n_outputs)
        By a fit that has not seen the sample it predicts.
    held_out : HeldOut
        What was measured.
    sessions : sequence of str
        The session of each sample.
    outputs : array of shape (n_outputs,)
        Outputs that count.
    resampling : Resampling, optional

    Notes
    -----
    Standard errors by blocks of time within each session; then Welch's test of equal means (Biometrika 38, 1951) with
    blocks as observations. What was shown differs between sessions, too, and moves a score by itself.
    """
    labels = np.asarray(sessions)
    found = []
    for name in dict.fromkeys(sessions):
        rows = labels == name
        part = HeldOut(held_out.bold[rows], tuple(np.asarray(held_out.runs)[rows].tolist()))
        found.append(_figures(name, predicted[rows], part, outputs, resampling))
    counts = [one.n_blocks for one in found]
    tests = [_welch([figure(one) for one in found], counts) for figure in (lambda o: o.score, lambda o: o.gain)]
    return Drift(tuple(found), *tests)


def drift_sentence(method: str, drift: Drift) -> str:
    """Whether a method's score or best gain moves from session to session, in words."""
    if not (np.isfinite(drift.score_p) and np.isfinite(drift.gain_p)):
        return f"Drift of {method} between {len(drift.sessions)} sessions: one is too short to tell."
    score, gain = (
        f"{what} {'moves' if moves else 'does not move reliably'} (p {p:.3f}:"
        f" {', '.join(f'{rounded(figure(one).value)} in ses-{one.session}' for one in drift.sessions)})"
        for what, moves, p, figure in (
            ("mean r", drift.moves[0], drift.score_p, lambda one: one.score),
            ("best gain", drift.moves[1], drift.gain_p, lambda one: one.gain),
        )
    )
    told = f"Between sessions {method}'s {score} and its {gain}"
    return f"{told}; what was shown differs between them, too." if any(drift.moves) else f"{told}."


def _figures(
    name: str, predicted: np.ndarray, held_out: HeldOut, outputs: np.ndarray, resampling: Resampling
) -> SessionFigures:
    block, draws, seed = resampling.block, resampling.draws, resampling.seed
    scored = bootstrap_scores({name: predicted}, held_out, outputs[None], block=block, draws=draws, seed=seed)
    estimate = scored.score(name, 0)
    members = block_members(np.asarray(held_out.runs), block)
    gain, gains = _gains(predicted[:, scored.sets[0]], held_out, outputs=scored.sets[0], resampling=resampling)
    n = len(members)
    return SessionFigures(
        name,
        _figure(estimate.mean, scored.draws[name][:, 0], n),
        _figure(gain, gains, n),
        len(predicted),
        n,
        estimate.n_outputs,
    )


def _gains(
    predicted: np.ndarray, held_out: HeldOut, *, outputs: np.ndarray, resampling: Resampling
) -> tuple[float, Float[np.ndarray, " draw"]]:
    """The best gain over all outputs together, and its draws; both sides less their mean in each run."""
    labels = np.asarray(held_out.runs)
    products, powers = np.zeros(len(labels)), np.zeros(len(labels))
    bold = held_out.bold[:, outputs]
    for label in dict.fromkeys(held_out.runs):
        rows = labels == label
        x, y = (side[rows] - side[rows].mean(0) for side in (predicted, bold))
        products[rows], powers[rows] = (x * y).sum(1), (x * x).sum(1)
    members = block_members(labels, resampling.block)
    n = len(members)
    sums = np.array([[products[rows].sum(), powers[rows].sum()] for rows in members])
    rng = np.random.default_rng(resampling.seed)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=resampling.draws) @ sums
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(products.sum() / powers.sum()), drawn[:, 0] / drawn[:, 1]


def _figure(value: float, draws: np.ndarray, n_blocks: int) -> Figure:
    if n_blocks < FEWEST_BLOCKS or not np.isfinite(draws).all():
        return Figure(value, (float("nan"), float("nan")), float("nan"))
    # a draw repeats blocks, so that its spread is that of n - 1 blocks in n
    error = float(np.std(draws, ddof=1) * np.sqrt(n_blocks / (n_blocks - 1)))
    return Figure(value, block_interval(value, draws, n_blocks), error)


def _welch(figures: Sequence[Figure], counts: Sequence[int]) -> float:
    """P-value of equal means where spreads differ."""
    from scipy.stats import f

    values, errors = np.array([one.value for one in figures]), np.array([one.error for one in figures])
    k, freedom = len(values), np.array(counts) - 1
    if k < 2 or not (np.isfinite(values).all() and (errors > 0).all()):
        return float("nan")
    weights = 1 / errors**2
    total = weights.sum()
    spread = (weights * (values - (weights * values).sum() / total) ** 2).sum() / (k - 1)
    lack = ((1 - weights / total) ** 2 / freedom).sum()
    statistic = spread / (1 + 2 * (k - 2) / (k**2 - 1) * lack)
    return float(f.sf(statistic, k - 1, (k**2 - 1) / (3 * lack)))
