"""At which lag a linear model predicts BOLD best: a cross-validated sweep over calibration data."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from tribetune.errors import BoldError
from tribetune.evaluate.bootstrap import Bootstrap, Estimate, HeldOut, bootstrap_scores
from tribetune.evaluate.lag_data import LagData, lag_data
from tribetune.evaluate.null import shift_null
from tribetune.splits import Part
from tribetune.timing import FEATURE_HZ

_PENALTY = 1.0
"""Of the ridge, in mean variances of a component: outputs whose r is about .2 want about this much."""

_SHARE, _FEWEST = 0.1, 20
"""Outputs that are scored: the best tenth on other folds, at least twenty where there are as many."""

_BLOCK = 30
_NULL_DRAWS = 200
_HALF_DRAWS = 200
_SHORTEST_HALF = 150


@dataclass(frozen=True)
class LagRange:
    """Which lags to look at: the recipe's, and every step from it that lies between two ends, in seconds."""

    from_s: float = -2.0
    to_s: float = 12.0
    step_s: float = 0.5

    def moves(self, lag_s: float) -> list[int]:
        """Half seconds from a lag to each of those that are looked at.

        Raises
        ------
        BoldError
            If a step is not in half seconds, or fewer than three lags lie between the ends.
        """
        by = self.step_s * FEATURE_HZ
        if by < 1 or by != round(by):
            raise BoldError(
                f"a step of {self.step_s:g} s, expected a multiple of {1 / FEATURE_HZ:g} s, the features' own",
                hint="--step 0.5",
            )
        first = math.ceil(round((self.from_s - lag_s) / self.step_s, 6))
        last = math.floor(round((self.to_s - lag_s) / self.step_s, 6))
        if last - first < 2:
            raise BoldError(
                f"{max(0, last - first + 1)} lags between {self.from_s:g} and {self.to_s:g} s, expected at least 3",
                hint="--from -2 --to 12",
            )
        return [round(k * by) for k in range(first, last + 1)]


@dataclass(frozen=True)
class LagCurve:
    """How well one set of outputs is predicted at every lag.

    Attributes
    ----------
    r, low, high : array of shape (n_lags,)
        Mean r over the outputs, and its 95 % interval.
    best_s : float
        Lag of the highest r, by a parabola through it and its neighbours.
    interval_s : (float, float)
        95 % interval of the best lag.
    at_edge : bool
        Whether the highest r is the sweep's first or last.
    null_95 : float
        What the highest r stays under in 95 % of sweeps with predictions at a wrong time; NaN where runs are too
        short to tell, or it was not asked for.
    n_outputs : int
        Outputs of the mean.
    """

    r: Float[np.ndarray, " lag"]
    low: Float[np.ndarray, " lag"]
    high: Float[np.ndarray, " lag"]
    best_s: float
    interval_s: tuple[float, float]
    at_edge: bool
    null_95: float
    n_outputs: int

    @property
    def above_null(self) -> bool:
        """Whether some lag predicts better than chance."""
        return bool(self.r.max() > self.null_95)


@dataclass(frozen=True)
class LagSweep:
    """What a sweep found.

    Attributes
    ----------
    lags_s : array of shape (n_lags,)
    recipe_lag_s : float
        At which the data were aligned.
    curves : mapping of str to LagCurve
        ``all`` (outputs that follow the stimulus, chosen on other folds), and each set that was asked for and is there.
    gain : Estimate or None
        r at the best lag minus r at the recipe's, of ``all``; None where the recipe's was not looked at.
    halves : tuple of LagCurve
        ``all`` in the first and the second half of every part; empty where these are short.
    minutes : float
        Calibration data that every lag could use.
    """

    lags_s: Float[np.ndarray, " lag"]
    recipe_lag_s: float
    curves: Mapping[str, LagCurve]
    gain: Estimate | None
    halves: tuple[LagCurve, ...]
    minutes: float


def sweep_lags(
    parts: Sequence[Part],
    within: LagRange | None = None,
    sets: Mapping[str, Bool[np.ndarray, " output"]] | None = None,
    *,
    draws: int = 500,
    seed: int = 33,
) -> LagSweep | None:
    """Predict BOLD from the features at one lag after another.

    Parameters
    ----------
    parts : sequence of Part
        Calibration data of one lag; only their own samples are looked at.
    within : LagRange, optional
        From -2 to 12 s by default.
    sets : mapping of str to array of shape (n_outputs,)
        More sets of outputs, such as auditory cortex; they are not chosen by their score.
    draws, seed : int
        Bootstrap resamplings of 30 s blocks, and what makes them repeatable.

    Returns
    -------
    LagSweep or None
        None where there are too few samples, or no output that varies.

    Raises
    ------
    BoldError
        If the range holds fewer than three lags.

    Notes
    -----
    A lag is meant as in a recipe: BOLD at ``t + lag`` goes with the two feature steps of second ``t``. All lags are
    scored on the same samples, folds and outputs, so that their differences are paired. The outputs that are scored
    on a fold were chosen on the other folds, by models that saw neither: the best of any lag, so that none is favoured.
    """
    lag_s, wanted = parts[0].aligned.lag_s, dict(sets or {})
    moves = (within or LagRange()).moves(lag_s)
    data = lag_data(parts, min(moves), max(moves), wanted)
    if data is None:
        return None
    lags_s = lag_s + np.array(moves) / FEATURE_HZ
    designs = [data.design(move) for move in moves]
    chosen = _chosen(data, designs[::2])
    slots = _slots(data, chosen)
    predicted = {f"{k}": values for k, values in enumerate(_predictions(data, designs, slots))}
    held_out = HeldOut(_picked(data.bold, data.folds, slots), tuple(map(str, data.stretches)))
    masks = {name: mask for name, mask in _sets(data, chosen.shape[1], wanted).items() if mask.any()}
    found = bootstrap_scores(predicted, held_out, np.stack([*masks.values()]), block=_BLOCK, draws=draws, seed=seed)
    curves = {
        name: _curve(found, k, lags_s, _null(predicted, held_out, found.sets[k], seed)) for k, name in enumerate(masks)
    }
    best = str(int(curves["all"].r.argmax()))
    gain = found.difference(best, str(moves.index(0)), 0) if 0 in moves else None
    halves = _halves(data, predicted, held_out, masks["all"], lags_s)
    return LagSweep(lags_s, lag_s, curves, gain, halves, len(data.first) / 60)


def _solved(gram: np.ndarray, cross: np.ndarray) -> np.ndarray:
    """Ridge weights of sums of products."""
    size = len(gram)
    return np.linalg.solve(gram + np.eye(size) * (_PENALTY * np.trace(gram) / size + 1e-9), cross)


def _chosen(data: LagData, designs: Sequence[np.ndarray]) -> Int[np.ndarray, "fold chosen"]:
    """Per fold, the outputs that models without this fold predict best on each other fold, at whatever lag."""
    n_folds, y = int(data.folds.max()) + 1, data.bold[:, : data.n_even]
    best = np.full((n_folds, data.n_even), -np.inf)
    rows = [data.folds == fold for fold in range(n_folds)]
    power = np.stack([(y[mine] ** 2).sum(0) for mine in rows])
    for x in designs:
        gram = np.stack([x[mine].T @ x[mine] for mine in rows])
        cross = np.stack([x[mine].T @ y[mine] for mine in rows])
        best = np.maximum(best, _scores_elsewhere(gram, cross, power))
    wanted = min(data.n_even, max(_FEWEST, round(_SHARE * data.n_even)))
    return np.argsort(-best, axis=1, kind="stable")[:, :wanted]


def _scores_elsewhere(gram: np.ndarray, cross: np.ndarray, power: np.ndarray) -> np.ndarray:
    """Per fold, the mean r on the other folds of models that saw neither, (n_folds, n_outputs)."""
    n_folds = len(gram)
    scores = np.zeros((n_folds, cross.shape[2]))
    for one in range(n_folds):
        for other in range(one):
            weights = _solved(gram.sum(0) - gram[one] - gram[other], cross.sum(0) - cross[one] - cross[other])
            for fold, judged in ((one, other), (other, one)):
                scatter = (weights * (gram[judged] @ weights)).sum(0) * power[judged]
                r = (weights * cross[judged]).sum(0) / np.sqrt(np.maximum(scatter, 1e-30))
                scores[fold] += r / (n_folds - 1)
    return scores


def _slots(data: LagData, chosen: Int[np.ndarray, "fold chosen"]) -> Int[np.ndarray, "fold slot"]:
    """Columns of BOLD that are scored on each fold: those chosen for it, then those of the sets."""
    asked = np.arange(data.n_even, data.bold.shape[1])
    return np.concatenate([chosen, np.tile(asked, (len(chosen), 1))], axis=1)


def _sets(data: LagData, n_chosen: int, sets: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Which slots belong to which set."""
    outputs = np.concatenate([np.full(n_chosen, -1), data.outputs[data.n_even :]])
    member = {name: (outputs >= 0) & mask[outputs] for name, mask in sets.items()}
    return {"all": outputs < 0, **member}


def _picked(bold: np.ndarray, folds: np.ndarray, slots: np.ndarray) -> np.ndarray:
    picked = np.empty((len(bold), slots.shape[1]), np.float32)
    for fold, columns in enumerate(slots):
        rows = folds == fold
        picked[rows] = bold[np.ix_(rows, columns)]
    return picked


def _predictions(data: LagData, designs: Sequence[np.ndarray], slots: np.ndarray) -> list[np.ndarray]:
    """Per lag, what models without a fold predict there for the fold's own slots."""
    out = [np.empty((len(data.first), slots.shape[1]), np.float32) for _ in designs]
    for fold, columns in enumerate(slots):
        mine = data.folds == fold
        measured = data.bold[np.ix_(~mine, columns)]
        for x, predicted in zip(designs, out, strict=True):
            weights = _solved(x[~mine].T @ x[~mine], x[~mine].T @ measured)
            predicted[mine] = x[mine] @ weights
    return out


def _curve(found: Bootstrap, of: int, lags_s: np.ndarray, null_95: float = math.nan) -> LagCurve:
    draws = np.stack([values[:, of] for values in found.draws.values()], axis=1)
    r = np.array([found.score(name, of).mean for name in found.scores])
    if np.isnan(r).any():  # too flat a prediction to be scored is no prediction
        r, draws = np.zeros(len(r)), np.zeros_like(draws)
    low, high = np.percentile(draws, [2.5, 97.5], axis=0)
    ends = np.percentile(_peaks(lags_s, draws), [2.5, 97.5])
    at_edge = int(r.argmax()) in (0, len(r) - 1)
    interval = (float(ends[0]), float(ends[1]))
    return LagCurve(
        r, low, high, float(_peaks(lags_s, r[None])[0]), interval, at_edge, null_95, int(found.sets[of].sum())
    )


def _peaks(lags_s: np.ndarray, r: Float[np.ndarray, "draw lag"]) -> Float[np.ndarray, " draw"]:
    """Where each curve is highest: the top of a parabola through three lags, or an end of the sweep."""
    top = r.argmax(1)
    middle = np.clip(top, 1, len(lags_s) - 2)
    before, at, after = (np.take_along_axis(r, (middle + k)[:, None], 1)[:, 0] for k in (-1, 0, 1))
    bend = before - 2 * at + after
    share = np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, -1), 0)
    return np.where(top == middle, lags_s[middle] + share * (lags_s[1] - lags_s[0]), lags_s[top])


def _null(predicted: Mapping[str, np.ndarray], held_out: HeldOut, outputs: np.ndarray, seed: int) -> float:
    """95th percentile of the highest r of a sweep, when every lag's prediction is moved by the same wrong times."""
    tops = [shift_null(values, held_out, outputs, draws=_NULL_DRAWS, seed=seed) for values in predicted.values()]
    return float(np.percentile(np.max(tops, axis=0), 95))


def _halves(
    data: LagData,
    predicted: Mapping[str, np.ndarray],
    held_out: HeldOut,
    slots: np.ndarray,
    lags_s: np.ndarray,
) -> tuple[LagCurve, ...]:
    """Early and late in the runs: two clocks that run apart show as a lag that moves."""
    labels, curves = np.array(held_out.runs), []
    for rows in (~data.late, data.late):
        if rows.sum() < _SHORTEST_HALF:
            return ()
        kept = {name: values[rows][:, slots] for name, values in predicted.items()}
        part = HeldOut(held_out.bold[rows][:, slots], tuple(labels[rows].tolist()))
        everything = np.ones((1, int(slots.sum())), bool)
        found = bootstrap_scores(kept, part, everything, block=_BLOCK, draws=_HALF_DRAWS, seed=0)
        curves.append(_curve(found, 0, lags_s))
    return tuple(curves)
