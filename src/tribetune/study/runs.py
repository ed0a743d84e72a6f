"""A subject's runs: each with its stimulus, read and cleaned when it is aligned, and then mapped from the cache."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tribetune.arrays import hash_plain
from tribetune.bold.cache import FORMAT, kept
from tribetune.bold.clean import clean
from tribetune.bold.find import events_file
from tribetune.bold.run import Run
from tribetune.bold.run_files import RunFiles
from tribetune.bold.tables import TableSpec, list_table_runs, list_table_subjects, read_table
from tribetune.errors import BoldError
from tribetune.features.extract import Features
from tribetune.recipe.data import Data
from tribetune.stimulus.events import check_on_run
from tribetune.stimulus.timeline import Timeline, timeline_of_events
from tribetune.study.bold import Reader, list_files, stimuli_of
from tribetune.study.stimuli import table_stimulus
from tribetune.windows import AlignedRun, align


@dataclass(frozen=True)
class StudyRun:
    """One run, not read yet where it is large.

    Attributes
    ----------
    label : str
        Its BIDS name.
    run : str
        Its run entity.
    timeline : Timeline
        On the clock of its first volume.
    inputs : tuple of Path
        Every file that decides its BOLD.
    key : str
        Name of the cleaned run in the cache; empty for tables, which are small and not kept.
    cleaned : callable
        Gives the cleaned run.
    check : callable or None
        Refuses events that do not fit a run of so many seconds.
    confounds : Path or None
        fMRIPrep's table, where there is one.
    """

    label: str
    run: str
    timeline: Timeline
    inputs: tuple[Path, ...]
    key: str
    cleaned: Callable[[], Run]
    check: Callable[[float], None] | None = None
    confounds: Path | None = None


def file_runs(data: Data, cache: Path) -> list[StudyRun]:
    """Every run of the recipe's subject with its timeline."""
    reader = Reader(data, cache)
    return [_file_run(reader, files) for files in list_files(data)]


def table_runs(data: Data, notes: list[str] | None = None) -> list[StudyRun]:
    """Every run of the recipe's subject in its tables, with the timeline on the clock of its first volume.

    ``notes`` are told how many subjects there are.
    """
    tables = data.tables
    if tables is None:
        raise BoldError("no tables in the recipe", hint="set data.tables.path")
    spec = TableSpec(**tables.model_dump(exclude={"media", "words"}))
    usable = [] if notes is None else list_table_subjects(spec)
    if notes is not None and len(usable) > 1:
        notes.append(f"{len(usable)} subjects have a usable table; this is sub-{data.subject}.")
    found = []
    for name in list_table_runs(spec, data.subject):
        run = read_table(spec, data.subject, name)
        timeline = table_stimulus(tables, data.subject, name).shifted(-run.first_volume_s)
        found.append(StudyRun(run.label, run.run, timeline, run.sources, "", lambda run=run: clean(run, data.cleaning)))
    return found


def aligned_run(run: StudyRun, features: Features, lag_s: float, cache: Path) -> AlignedRun:
    """A run's BOLD at 1 Hz on its stimulus clock: mapped from the cache where it is kept there.

    Parameters
    ----------
    run : StudyRun
    features : Features
        Of its timeline.
    lag_s : float
        Seconds from stimulus to BOLD.
    cache : Path

    Raises
    ------
    FeatureError, BoldError
        See `tribetune.windows.align`.
    """
    if not run.key:
        return align(run.cleaned(), run.timeline, features, lag_s)
    clock = [run.timeline.start_s, run.timeline.duration_s, features.duration_s, lag_s]
    key = hash_plain({"format": FORMAT, "cleaned": run.key, "clock": clock})

    def make() -> tuple[dict[str, np.ndarray], dict[str, str]]:
        cleaned = run.cleaned()
        if run.check:
            run.check(len(cleaned.values) * cleaned.t_r)
        made = align(cleaned, run.timeline, features, lag_s)
        return {"bold": made.bold, "mask": made.mask}, {}

    arrays, _ = kept(cache, f"{run.label}_aligned", key, make)
    return AlignedRun(run.label, run.run, features, arrays["bold"], np.array(arrays["mask"]), lag_s)


def _file_run(reader: Reader, files: RunFiles) -> StudyRun:
    events, stimuli = events_file(files), stimuli_of(reader.data, files)
    key = reader.key(files)
    return StudyRun(
        files.label,
        files.run,
        timeline_of_events(events, stimuli),
        reader.inputs(files),
        key,
        lambda: reader.cleaned(files, key),
        lambda run_s: check_on_run(events, stimuli, run_s),
        files.confounds,
    )
