"""Other subjects' BOLD of the test's stimulus: for the inter-subject ceiling, and as a baseline."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float

from tribetune.bold.clean import standardise
from tribetune.bold.find import list_runs
from tribetune.errors import BoldError, SpaceError, TribetuneError
from tribetune.evaluate.others import SubjectSum
from tribetune.splits import Part
from tribetune.stimulus.timeline import Timeline
from tribetune.study.prepare import Prepared, bold_cache
from tribetune.study.runs import StudyRun, aligned_run, study_runs
from tribetune.study.subjects import list_subjects


@dataclass(frozen=True)
class Others:
    """The mean of the other subjects.

    Attributes
    ----------
    mean : array of shape (n_samples, n_outputs)
        Of those who were measured, each z-scored per run, for every sample of the test parts in order; NaN where nobody
        was. None where there is no other subject with the test's stimulus.
    subjects : tuple of str
        Who is in it.
    left_out : dict of str to str
        Subjects whose data cannot be used, and why.
    """

    mean: Float[np.ndarray, "time output"] | None
    subjects: tuple[str, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)


def other_subjects(study: Prepared) -> Others:
    """Read the test's stimulus from every other subject of the dataset who had it, one at a time.

    What was read is kept as a sum beside the checkpoint, so that a cohort of N subjects with one test reads N, not N²:
    each one's own BOLD is taken out of the sum. A subject whose data are at fault is left out, with the reason: another
    person's broken file is no reason not to adapt.
    """
    names, own = _names(study), study.recipe.data.subject
    shared = study.trunk.kept(_key(study), lambda: _Shared(np.asarray(study.held_out()[2])))
    for subject in names:
        if subject not in shared.subjects and subject not in shared.left_out:
            try:
                shared.add(subject, _of_subject(study, subject))
            except TribetuneError as error:
                shared.left_out[subject] = str(error)
    mean = shared.mean(_own(study) if shared.subjects.get(own) else None)
    used = tuple(name for name in names if shared.subjects.get(name))
    return Others(mean, used, {name: shared.left_out[name] for name in names if name in shared.left_out})


@dataclass
class _Shared(SubjectSum):
    """As `SubjectSum`, with the reasons why some cannot be in it."""

    left_out: dict[str, str] = field(default_factory=dict)


def _key(study: Prepared) -> str:
    """Name of a test: what it shows, how it is cut, and in which outputs; equal for subjects who share all of it."""
    parts = study.split.test
    labels = list(dict.fromkeys(part.aligned.label for part in parts))
    shown = [(labels.index(part.aligned.label), _stimulus(study, part), part.span) for part in parts]
    return f"other subjects {parts[0].aligned.bold.shape[1]} {shown}"


def _own(study: Prepared) -> Float[np.ndarray, "time output"]:
    """The subject's own BOLD of the test as the others' is read; where he has a stimulus twice, it is the last."""
    stimuli = [shows(run.timeline) for run in study.runs.values()]
    if len(set(stimuli)) < len(stimuli):
        found = _of_subject(study, study.recipe.data.subject)
        assert found is not None  # he is in the sum
        return found
    mask, bold, _ = study.held_out()
    return np.where(mask[:, None], bold, np.nan)


def others_once(study: Prepared) -> Callable[[], Others]:
    """The other subjects, read when asked for the first time."""
    found: list[Others] = []

    def read() -> Others:
        if not found:
            found.append(other_subjects(study))
            study.notes.extend(
                f"sub-{name} is left out of the others: {why}" for name, why in found[0].left_out.items()
            )
        return found[0]

    return read


def others_baseline(study: Prepared, others: Others) -> dict[str, np.ndarray]:
    """The mean of the other subjects as a prediction of the test.

    Raises
    ------
    BoldError
        If there is no other subject with the test's stimulus.
    """
    if others.mean is None:
        raise BoldError(
            f"no other subject than {study.recipe.data.subject} had the test's stimulus",
            hint="take `others` out of evaluation.baselines",
        )
    # A sample that nobody has says nothing of an output that others have: their mean there, zero.
    known = np.isfinite(others.mean).any(0)
    return {"test": np.where(known & ~np.isfinite(others.mean), 0, others.mean).astype(np.float32)}


def shows(timeline: Timeline) -> tuple:
    """What is shown when, from its start: equal for runs with the same stimulus, whenever the scanner started."""
    return tuple(
        (e.kind, round(e.onset_s - timeline.start_s, 2), round(e.duration_s, 2), e.file and e.file.resolve(), e.text)
        for e in timeline.events
    )


def _stimulus(study: Prepared, part: Part) -> tuple:
    return shows(study.runs[part.aligned.label].timeline)


def _names(study: Prepared) -> list[str]:
    data = study.recipe.data
    if data.files is not None:
        return []
    if data.bids is not None:
        found = sorted({run.subject for run in list_runs(Path(data.bids), task=data.task)})
    else:
        found = list_subjects(data)
    return [name for name in found if name != data.subject]


def _of_subject(study: Prepared, subject: str) -> Float[np.ndarray, "time output"] | None:
    """BOLD of all test parts, NaN where the subject was not measured; None where he had none of their stimuli."""
    recipe = study.recipe
    data, cache = recipe.data.model_copy(update={"subject": subject}), bold_cache(recipe)
    runs = study_runs(data, cache)
    by_stimulus = {shows(run.timeline): run for run in runs}
    found = [_of_part(study, part, by_stimulus) for part in study.split.test]
    if all(values is None for values in found):
        return None
    n_outputs = study.split.test[0].aligned.bold.shape[1]
    blank = [np.full((part.span[1] - part.span[0], n_outputs), np.nan, np.float32) for part in study.split.test]
    return np.concatenate([empty if one is None else one for one, empty in zip(found, blank, strict=True)])


def _of_part(
    study: Prepared, part: Part, by_stimulus: dict[tuple, StudyRun]
) -> Float[np.ndarray, "time output"] | None:
    run = by_stimulus.get(_stimulus(study, part))
    if run is None:
        return None
    aligned = aligned_run(run, part.aligned.features, study.recipe.windows.hemodynamic_lag_s, bold_cache(study.recipe))
    n_outputs = part.aligned.bold.shape[1]
    if aligned.bold.shape[1] != n_outputs:
        raise SpaceError(f"{run.label}: {aligned.bold.shape[1]:,} outputs, expected {n_outputs:,}")
    rows = slice(*part.span)
    bold, mask = aligned.bold[rows], aligned.mask[rows]
    if len(bold) < len(aligned.mask):  # a block is cleaned on its own, as the test's is
        bold = standardise(bold, mask, f"{run.label}, {part.span[0]}-{part.span[1]} s")
    return np.where(mask[:, None], bold, np.nan).astype(np.float32)
