"""The runs of a cohort: read for every subject, and kept for those who saw the same."""

from collections import Counter

from tribetune.adapt.base import Base
from tribetune.arrays import hash_plain
from tribetune.errors import AdaptationError, BoldError
from tribetune.features.encoders import Encoders
from tribetune.progress import Progress
from tribetune.recipe.group import GroupRecipe
from tribetune.spaces import Space, places_within
from tribetune.stimulus.timeline import Timeline
from tribetune.study.fitting import check_window
from tribetune.study.prepare import bold_cache, encoders_of, features_of, open_trunk
from tribetune.study.runs import StudyRun, aligned_run, study_runs
from tribetune.study.stimuli import check_usable
from tribetune.study.subjects import ALL, chosen_subjects
from tribetune.windows import AlignedRun

Runs = dict[str, tuple[StudyRun, AlignedRun]]
"""A subject's runs under the name that they have for all subjects: the label without ``sub-``."""


def read_cohort(
    recipe: GroupRecipe, progress: Progress, trunk: Base | None = None
) -> tuple[dict[str, Runs], dict[str, str]]:
    """Read every subject's runs; the first to see a stimulus has its features made, the others find them.

    Parameters
    ----------
    recipe : GroupRecipe
    progress : Progress
    trunk : Base, optional
        The recipe's checkpoint where it is open already.

    Returns
    -------
    cohort : dict of subject to Runs
        Those who saw what most saw, run by run in one order.
    left_out : dict of subject to str
        Why a subject is not among them.

    Raises
    ------
    BoldError
        If fewer than two subjects can be used.
    AdaptationError
        If the checkpoint has no unseen row for their outputs.
    """
    trunk = trunk or open_trunk(recipe.of(ALL))
    check_window(trunk.tribe, recipe.windows.duration_s)
    names = ALL if recipe.data.subjects == ALL else ",".join(recipe.data.subjects)
    labels = chosen_subjects(recipe.data.of(ALL), names)
    runs: dict[str, Runs] = {}
    left_out: dict[str, str] = {}
    chosen = encoders_of(trunk.tribe, recipe.features.encoders)
    for place, label in enumerate(labels, 1):
        progress.step(f"Reading sub-{label}, {place} of {len(labels)}")
        try:
            runs[label] = _subject(recipe, label, trunk, chosen, progress)
        except BoldError as error:
            left_out[label] = str(error)
    return _of_one_stimulus(runs, left_out), left_out


def _subject(recipe: GroupRecipe, label: str, trunk: Base, chosen: Encoders, progress: Progress) -> Runs:
    one, found = recipe.of(label), {}
    cache = bold_cache(one)
    for run in study_runs(one.data, cache):
        key = "_".join(part for part in run.label.split("_") if not part.startswith("sub-")) or "run"
        check_usable(trunk.tribe, run.timeline, recipe.features.modalities, run.label)
        features = features_of(one, run, chosen, progress)
        aligned = aligned_run(run, features, recipe.windows.hemodynamic_lag_s, cache)
        _check_outputs(recipe, trunk, aligned)
        found[key] = (run, aligned)
    return found


def _check_outputs(recipe: GroupRecipe, trunk: Base, aligned: AlignedRun) -> None:
    config, n_outputs = trunk.tribe.config, aligned.bold.shape[1]
    places = places_within(Space(recipe.data.space, n_outputs), Space(config.space, config.n_outputs))
    if not config.unseen_row or (places < 0).any():
        row = f"one for {config.n_outputs:,} outputs of {config.space}" if config.unseen_row else "none"
        raise AdaptationError(
            f"{aligned.label} has {n_outputs:,} outputs of {recipe.data.space}; unseen rows of the checkpoint: {row}",
            hint="choose the data.space of the checkpoint or a part of it, or another checkpoint",
        )


def _of_one_stimulus(readable: dict[str, Runs], left_out: dict[str, str]) -> dict[str, Runs]:
    """Keep the subjects who saw what most saw; the others are left out, with the reason."""
    seen = {
        label: tuple(sorted((key, _stimulus(run.timeline)) for key, (run, _) in runs.items()))
        for label, runs in readable.items()
    }
    common = Counter(seen.values()).most_common(1)[0][0] if seen else ()
    for label, shown_runs in seen.items():
        if shown_runs != common:
            other = sorted({key for key, _ in set(shown_runs) ^ set(common)})
            left_out[label] = f"saw something else than most, or other runs: {', '.join(other)}"
    kept = {label: runs for label, runs in readable.items() if label not in left_out}
    if len(kept) < 2:
        raise BoldError(
            f"{len(kept)} of {len(kept) + len(left_out)} subjects can be used, expected at least two",
            hint="tribetune bold ls RECIPE, or name data.runs that all have",
            faults=[f"sub-{label}: {reason}" for label, reason in left_out.items()],
        )
    order = [key for key, _ in common]
    return {label: {key: runs[key] for key in order} for label, runs in kept.items()}


def _stimulus(timeline: Timeline) -> str:
    """What is shown and when, whenever the scanner began."""
    rows = [
        (e.kind, round(1000 * (e.onset_s - timeline.start_s)), e.text, e.file.name if e.file else "")
        for e in timeline.events
    ]
    return hash_plain(rows)
