"""What a lag sweep says about a study, in words, and the note of an adaptation whose lag is contradicted."""

from tribetune.digits import rounded, signed
from tribetune.evaluate.lag import LagCurve, LagRange, LagSweep, sweep_lags
from tribetune.splits import Split

_APART_S = 2.0
"""A recipe's lag this far outside the interval of the best is contradicted. Nearer, it may be right: responses differ
by this much between people and areas (Handwerker et al. 2004); one lag follows their middle, not their peak."""

_SENSES_APART_S = 2.0
_HALVES_APART_S = 1.0
_WIDE_S = 4.0
"""Any lag that a hemodynamic response allows would fit."""

_NOTE_DRAWS = 200
_NOTE_MINUTES = 4.0
"""With less calibration data nothing is noted: the interval would be as wide as the sweep."""


def lag_note(split: Split, recipe_lag_s: float) -> str | None:
    """One sentence where calibration data contradict the recipe's lag, with the command to look; None otherwise.

    Parameters
    ----------
    split : Split
        Only its training parts are looked at.
    recipe_lag_s : float
        At which they were aligned.
    """
    if split.calibration_minutes < _NOTE_MINUTES:
        return None
    within = LagRange(min(-2.0, recipe_lag_s - 2), max(12.0, recipe_lag_s + 2))
    sweep = sweep_lags(split.training, within, draws=_NOTE_DRAWS, chance=False)
    if sweep is None or not _is_far(sweep):
        return None
    sweep = sweep_lags(split.training, within, draws=_NOTE_DRAWS)
    if sweep is None or not is_contradicted(sweep):
        return None
    return f"{_contradiction(sweep)} Look: tribetune bold lag RECIPE --picture lag.png"


def is_contradicted(sweep: LagSweep) -> bool:
    """Whether the recipe's lag lies more than two seconds outside the best one's interval, and predicts worse."""
    return sweep.curves["all"].above_null and _is_far(sweep)


def _is_far(sweep: LagSweep) -> bool:
    low, high = sweep.curves["all"].interval_s
    outside = max(low - sweep.recipe_lag_s, sweep.recipe_lag_s - high)
    return outside > _APART_S and sweep.gain is not None and bool(sweep.gain.interval[0] > 0)


def sentences(sweep: LagSweep) -> list[str]:
    """What a reader should take from a sweep, the best lag first."""
    best = sweep.curves["all"]
    lines = [
        f"Best lag: {best.best_s:.1f} s, 95 % interval {_interval(best)}, on {sweep.minutes:.1f} min of calibration"
        f" data; the recipe says {sweep.recipe_lag_s:g} s."
    ]
    if not best.above_null:
        return [*lines, _nothing(best)]
    if best.interval_s[1] - best.interval_s[0] > _WIDE_S:
        lines.append("The interval is wide: these data say little about the lag; more calibration data would.")
    if best.at_edge:
        lines.append(
            "It is at the edge of the sweep: the true one may lie beyond. Widen --from and --to, and check the onsets."
        )
    if is_contradicted(sweep):
        lines.append(_contradiction(sweep))
    return lines + _senses(sweep) + _moving(sweep)


def _contradiction(sweep: LagSweep) -> str:
    best, gain = sweep.curves["all"], sweep.gain
    assert gain is not None
    return (
        f"The recipe's lag of {sweep.recipe_lag_s:g} s is contradicted: on calibration data a linear model predicts"
        f" best at {best.best_s:.1f} s {_interval(best)}, by r {signed(gain.mean)} [{signed(gain.interval[0])},"
        f" {signed(gain.interval[1])}]: check onsets, volumes left out at the start and t_r, or set"
        f" windows.hemodynamic_lag_s."
    )


def _nothing(best: LagCurve) -> str:
    if best.null_95 != best.null_95:
        return "The stretches are too short for a null: this lag may be chance."
    return (
        f"No lag predicts better than chance (r {rounded(best.r.max())}, chance stays under {rounded(best.null_95)}):"
        " the stimulus does not show in these runs. Are they the right runs, and their hemispheres and onsets right?"
    )


def _senses(sweep: LagSweep) -> list[str]:
    curves = [sweep.curves.get(name) for name in ("auditory", "visual")]
    seen = [curve for curve in curves if curve is not None and curve.above_null]
    if len(seen) < len(curves) or not _are_apart(*seen, _SENSES_APART_S):
        return []
    return [
        f"Auditory cortex follows best at {seen[0].best_s:.1f} s, visual cortex at {seen[1].best_s:.1f} s: sound and"
        " picture are apart in the stimulus file or the events, or one of them was not presented."
    ]


def _moving(sweep: LagSweep) -> list[str]:
    if not sweep.halves:
        return []
    early, late = sweep.halves
    if not _are_apart(early, late, _HALVES_APART_S):
        return []
    return [
        f"The best lag moves from {early.best_s:.1f} s in the first half of the runs to {late.best_s:.1f} s in the"
        " second: the clocks of stimulus and scanner run apart. Check t_r."
    ]


def _are_apart(one: LagCurve, other: LagCurve, by_s: float) -> bool:
    """Whether two best lags differ by more than so many seconds, and their intervals do not overlap."""
    overlap = one.interval_s[0] <= other.interval_s[1] and other.interval_s[0] <= one.interval_s[1]
    return not overlap and abs(one.best_s - other.best_s) > by_s


def _interval(curve: LagCurve) -> str:
    return f"[{curve.interval_s[0]:.1f}, {curve.interval_s[1]:.1f}]"
