"""At which lag a linear model predicts BOLD best: a cross-validated sweep over calibration data."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from tribetune.errors import BoldError
from tribetune.evaluate.bootstrap import Bootstrap, Estimate, HeldOut, bootstrap_scores
from tribetune.evaluate.lag_choice import chosen_outputs, inverses, slots_of
from tribetune.evaluate.lag_data import LagData, lag_data
from tribetune.evaluate.lag_null import refitted_null
from tribetune.splits import Part
from tribetune.timing import FEATURE_HZ

_COARSE = 2
"""Outputs are chosen, and chance is told, on every second lag."""

_BLOCK = 30
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
        What the highest r of every second lag stays under in 95 % of sweeps with BOLD at a wrong time; NaN where runs
        are too short to tell, or it was not asked for.
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
        return bool(self.r[::_COARSE].max() > self.null_95)


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
    chance: bool = True,
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
    chance : bool
        Whether to find the level of chance, too, which takes most of the time.

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
    chosen = _chosen(data, designs[::_COARSE])
    slots = slots_of(chosen, data.n_even, data.bold.shape[1])
    predicted = {f"{k}": values for k, values in enumerate(_predictions(data, designs, slots))}
    held_out = HeldOut(_picked(data.bold, data.folds, slots), tuple(map(str, data.stretches)))
    masks = {name: mask for name, mask in _sets(data, chosen.shape[1], wanted).items() if mask.any()}
    found = bootstrap_scores(predicted, held_out, np.stack([*masks.values()]), block=_BLOCK, draws=draws, seed=seed)
    defined = {name: found.sets[k] for k, name in enumerate(masks)}
    nulls = refitted_null(data, designs[::_COARSE], defined, seed) if chance else {}
    levels = {name: float(np.percentile(tops, 95, method="higher")) for name, tops in nulls.items()}
    curves = {name: _curve(found, k, lags_s, levels.get(name, math.nan)) for k, name in enumerate(masks)}
    best = str(int(curves["all"].r.argmax()))
    gain = found.difference(best, str(moves.index(0)), 0) if 0 in moves else None
    halves = _halves(data, predicted, held_out, masks["all"], lags_s)
    return LagSweep(lags_s, lag_s, curves, gain, halves, len(data.first) / 60)


def _chosen(data: LagData, designs: Sequence[np.ndarray]) -> Int[np.ndarray, "fold chosen"]:
    y = data.bold[:, : data.n_even]
    folds = [data.folds == fold for fold in range(int(data.folds.max()) + 1)]
    gram = _grams(data, designs)
    cross = np.stack([[x[rows].T @ y[rows] for x in designs] for rows in folds])
    power = np.stack([(y[rows] ** 2).sum(0) for rows in folds])
    return chosen_outputs(gram, cross, power, inverses(gram))


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
    without = inverses(_grams(data, designs))
    for fold, columns in enumerate(slots):
        mine = data.folds == fold
        measured = data.bold[np.ix_(~mine, columns)]
        for x, inverse, predicted in zip(designs, without[frozenset((fold,))], out, strict=True):
            predicted[mine] = x[mine] @ (inverse @ (x[~mine].T @ measured))
    return out


def _grams(data: LagData, designs: Sequence[np.ndarray]) -> np.ndarray:
    """Products of the features with themselves, (n_folds, n_lags, n_components, n_components)."""
    folds = [data.folds == fold for fold in range(int(data.folds.max()) + 1)]
    return np.stack([[x[rows].T @ x[rows] for x in designs] for rows in folds])


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
