"""The ladder: keep the last rung that beats the one kept before it, on data neither trained on nor reported."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from tribetune.adapt.adapter import Adapter
from tribetune.adapt.base import Base
from tribetune.adapt.left_out import predict_windows
from tribetune.adapt.methods import fit_method
from tribetune.adapt.rows import has_unseen
from tribetune.digits import signed
from tribetune.errors import AdaptationError
from tribetune.evaluate.bootstrap import Estimate, HeldOut, bootstrap_scores
from tribetune.progress import Progress
from tribetune.splits import windows_of
from tribetune.study.prepare import Prepared
from tribetune.timing import OUTPUT_HZ
from tribetune.windows import Window

GROUND = "zero-shot"
"""What every climb begins on, where the checkpoint has an unseen row for these outputs."""

NOTHING = "nothing"
"""What a climb begins on elsewhere: the first rung is kept whatever it scores, because no other prediction exists."""

_ROUNDING = 1e-5
"""A difference of mean r that float32 makes by itself."""

_HELD_SHARE = 1 / 3
"""Of the windows of a single run that are held out, at its end, after one window that is left out."""

_RUNS_SHARE = 1 / 4
"""Of the valid BOLD of several runs that the last of them must hold together to judge."""

_FEWEST_S = 120
"""Seconds of valid BOLD that judge at least, where there are as many: the fewest blocks that make an interval."""


@dataclass(frozen=True)
class Climb:
    """What a ladder climbs on.

    Attributes
    ----------
    fitted : sequence of Window
        Every rung is fitted on these.
    judged : sequence of Window
        Every rung is scored on these.
    all : sequence of Window
        What the rung that is kept is fitted on in the end.
    """

    fitted: Sequence[Window]
    judged: Sequence[Window]
    all: Sequence[Window]


@dataclass(frozen=True)
class Judging:
    """How rungs are compared.

    Attributes
    ----------
    block_s : float
        Seconds per block of the bootstrap.
    draws, seed : int
    """

    block_s: float
    draws: int
    seed: int


def climbed(study: Prepared, rungs: Sequence[str], progress: Progress) -> Adapter:
    """Climb a study's ladder, every rung with its defaults."""
    windows, choice = study.recipe.windows, study.recipe.evaluation
    validation = windows_of(study.split.validation, windows.duration_s, windows.stride_s)
    judging = Judging(choice.bootstrap_block_s, choice.bootstrap_draws, study.recipe.seed)
    on = stretches(study.calibration, validation)
    return climb(study.trunk, on, {rung: {} for rung in rungs}, judging, progress)


def stretches(training: Sequence[Window], validation: Sequence[Window]) -> Climb:
    """Judge on the validation windows where there are any, else on the last runs, else on the last third of windows.

    As many runs judge as hold a quarter of the data. No sample judges twice, and a window lies between what is fitted
    and what judges in one run, also where windows overlap.

    Raises
    ------
    AdaptationError
        If there are too few windows to hold some out.
    """
    if validation:
        return Climb(training, _apart(validation), training)
    runs = list(dict.fromkeys(window.run for window in training))
    needed = max(_FEWEST_S, _RUNS_SHARE * _samples(training) / OUTPUT_HZ)
    for first in range(len(runs) - 1, 0, -1):
        fitted, judged = (_of_runs(training, chosen) for chosen in (runs[:first], runs[first:]))
        if _samples(judged) / OUTPUT_HZ >= needed:
            return Climb(fitted, _apart(judged), training)
    held = max(1, round(_HELD_SHARE * len(training)))
    judged = training[-held:]
    fitted = [window for window in training[:-held] if _is_before(window, judged[0])]
    if fitted:
        return Climb(fitted, _apart(judged), training)
    if len(runs) > 1:
        return Climb(_of_runs(training, runs[:-1]), _apart(_of_runs(training, runs[-1:])), training)
    raise AdaptationError(
        f"{len(training)} windows of one run are too few for a ladder, which holds a third of them out",
        hint="give more calibration data, or set adaptation.method to ridge",
    )


def climb(
    base: Base, on: Climb, rungs: Mapping[str, Mapping[str, Any]], judging: Judging, progress: Progress
) -> Adapter:
    """Fit rung by rung and keep the last whose mean r beats that of the rung kept before by more than its interval.

    Parameters
    ----------
    base : Base
    on : Climb
    rungs : mapping of method to its settings
        In the order of the climb.
    judging : Judging
    progress : Progress

    Returns
    -------
    Adapter
        Of the rung that was kept, fitted on ``on.all``; its ``chosen`` tells of the climb under ``ladder``.

    Raises
    ------
    AdaptationError
        If the checkpoint has no unseen row for these outputs, and no rung but a gain on it is given.
    """
    held = HeldOut(*_measured(on.judged))
    adapters: dict[str, Adapter] = {}
    predicted, kept, steps = {}, NOTHING, []
    if has_unseen(base.tribe, on.judged[0].bold.shape[1]):
        adapters[GROUND] = fit_method(GROUND, base, on.judged, {}, judging.seed)
        predicted, kept = {GROUND: predict_windows(base, adapters[GROUND], on.judged)}, GROUND
    else:
        rungs = _without_gain(rungs)
    for method, settings in rungs.items():
        progress.step(f"Ladder: {method}, after {kept}")
        adapters[method] = fit_method(method, base, on.fitted, settings, judging.seed)
        predicted[method] = predict_windows(base, adapters[method], on.judged)
        gain = _gain(predicted, method, kept, held, judging)
        beats = kept == NOTHING or gain.interval[0] > _ROUNDING
        step = {"rung": method, "against": kept, "gain": gain.mean, "interval": list(gain.interval)}
        steps.append({**step, "kept": beats, "n_outputs": gain.n_outputs})
        kept = method if beats else kept
    final = adapters[kept]
    if kept != GROUND and on.all is not on.fitted:
        final = fit_method(kept, base, on.all, rungs[kept], judging.seed)
    told = {"kept": kept, "judged_on": sorted({window.run for window in on.judged}), "steps": steps}
    return replace(final, chosen={**final.chosen, "ladder": told})


def climb_sentence(told: Mapping[str, Any]) -> str:
    """Where a ladder stopped, and why, in words."""
    steps = []
    for step in told["steps"]:
        gain, low, high = (_signed(value) for value in (step["gain"], *step["interval"]))
        steps.append(f"{step['rung']} {gain} [{low}, {high}] over {step['against']}")
    runs = ", ".join(told["judged_on"])
    return f"The ladder keeps {told['kept']}. Mean r on left-out data of {runs}: {'; '.join(steps)}."


def _samples(windows: Sequence[Window]) -> int:
    """Valid samples of some windows; one in two windows is two."""
    return sum(int(window.mask.sum()) for window in windows)


def _of_runs(windows: Sequence[Window], runs: Sequence[str]) -> list[Window]:
    return [window for window in windows if window.run in runs]


def _is_before(window: Window, judged: Window) -> bool:
    """Whether a window may be fitted on: of another run, or with a window's length up to the first that judges."""
    length_s = len(window.mask) / OUTPUT_HZ
    return window.run != judged.run or window.start_s + 2 * length_s <= judged.start_s


def _apart(windows: Sequence[Window]) -> list[Window]:
    """Those of some windows, in order, that share no sample: one that is counted twice makes an interval too narrow."""
    kept: list[Window] = []
    for window in windows:
        before = kept[-1] if kept else None
        if (
            before is None
            or before.run != window.run
            or before.start_s + len(before.mask) / OUTPUT_HZ <= window.start_s
        ):
            kept.append(window)
    return kept


def _without_gain(rungs: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """What can be climbed without an unseen row."""
    left = {method: settings for method, settings in rungs.items() if method != "gain"}
    if not left:
        raise AdaptationError(
            "the checkpoint has no unseen row for these outputs, and a gain is not defined without it",
            hint="put ridge, low-rank or readout into adaptation.rungs",
        )
    return left


def _signed(value: float | None) -> str:
    """A difference, as it was found or as JSON keeps it."""
    return "not known" if value is None or value != value else signed(value, 4)


def _measured(windows: Sequence[Window]) -> tuple[Float[np.ndarray, "time output"], tuple[str, ...]]:
    bold = np.concatenate([window.bold[window.mask] for window in windows])
    return bold, tuple(window.run for window in windows for _ in range(int(window.mask.sum())))


def _gain(predicted: Mapping[str, np.ndarray], method: str, kept: str, held: HeldOut, judging: Judging) -> Estimate:
    """By how much a rung beats the one that was kept; its own score where nothing could be kept yet.

    The interval is NaN, which nothing beats, where too few blocks make it.
    """
    pair = {name: predicted[name] for name in (kept, method) if name in predicted}
    sets = np.asarray(np.isfinite(held.bold).all(0))[None]
    block = max(1, round(judging.block_s * OUTPUT_HZ))
    scored = bootstrap_scores(pair, held, sets, block=block, draws=judging.draws, seed=judging.seed)
    return scored.difference(method, kept, 0) if kept in pair else scored.score(method, 0)
