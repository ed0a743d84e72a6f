"""The nuisance baseline of a study: stimulus measures from the cache, head motion where every run has it."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from tribetune.baselines.fir import fit_fir
from tribetune.baselines.nuisance import nuisance_design
from tribetune.bold.cache import kept, key_of
from tribetune.bold.confounds import head_motion
from tribetune.splits import Part
from tribetune.stimulus.low_level import MEASURES, measure_picture, measure_sound, place_measures
from tribetune.stimulus.timeline import Timeline
from tribetune.study.baselines import fit_and_predict
from tribetune.study.prepare import Prepared
from tribetune.study.runs import StudyRun
from tribetune.timing import OUTPUT_HZ, STEPS_PER_OUTPUT, interpolate

FORMAT = 1
"""Goes up when a measure gives other numbers than before."""

_MEASURE = {"video": measure_picture, "audio": measure_sound}


def nuisance_baseline(study: Prepared) -> dict[str, np.ndarray]:
    """Fit the nuisance model on the calibration data and predict the test; returns what `fit_and_predict` does.

    Films and sounds are decoded once and their measures kept beside the features. Head motion is used where every run
    of the split has it; a note says so where it is not.
    """
    parts = (*study.split.training, *study.split.test)
    folder = study.recipe.features.store.parent / "low-level"
    measures = {part.aligned.label: _measures(study.runs[part.aligned.label].timeline, folder) for part in parts}
    names = list(dict.fromkeys(name for found in measures.values() for name in found))
    motion = _motion(study, parts)
    if motion is None:
        study.notes.append("The nuisance model knows no head motion: not every run has a table of it.")

    def designs(some: Sequence[Part]) -> list[Float[np.ndarray, "time feature"]]:
        return [_design(study, part, measures[part.aligned.label], names, motion) for part in some]

    return fit_and_predict(study, designs, partial(fit_fir, name="nuisance"))


def _design(
    study: Prepared, part: Part, measures: dict[str, np.ndarray], names: Sequence[str], motion: dict | None
) -> Float[np.ndarray, "time feature"]:
    first, last = part.span
    shown = {name: values[first * STEPS_PER_OUTPUT : last * STEPS_PER_OUTPUT] for name, values in measures.items()}
    moved = None if motion is None else motion[part.aligned.label][first:last]
    delays = study.recipe.evaluation.fir_delays_s
    return nuisance_design(shown, names, moved, delays, study.recipe.windows.hemodynamic_lag_s, last - first)


def _measures(timeline: Timeline, folder: Path) -> dict[str, Float[np.ndarray, " step"]]:
    shown = {(event.kind, event.file) for event in timeline.events if event.file is not None}
    measured = {}
    for kind, file in sorted(shown):
        key = key_of([file], {"measures": list(MEASURES[kind]), "version": FORMAT})
        arrays, _ = kept(folder, f"{file.stem}_{kind}", key, lambda kind=kind, file=file: (_MEASURE[kind](file), {}))
        measured[kind, file] = arrays
    return place_measures(timeline, measured)


def _motion(study: Prepared, parts: Sequence[Part]) -> dict[str, Float[np.ndarray, "time 6"]] | None:
    """Head motion at the times of every run's BOLD, or None where a run has none."""
    found = {}
    for part in parts:
        label = part.aligned.label
        moved = _motion_of(study.runs[label], len(part.aligned.mask), study.recipe.windows.hemodynamic_lag_s)
        if moved is None:
            return None
        found[label] = moved
    return found


def _motion_of(run: StudyRun, n_samples: int, lag_s: float) -> Float[np.ndarray, "time 6"] | None:
    if run.confounds is None:
        return None
    cleaned = run.cleaned()
    values = head_motion(run.confounds, len(cleaned.values))
    times = run.timeline.start_s + lag_s + np.arange(n_samples) / OUTPUT_HZ
    return None if values is None else interpolate(values, cleaned.t_r, times)
