"""A subject's runs: each with its stimulus, read and cleaned when it is aligned, and then mapped from the cache."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache as once
from pathlib import Path
from typing import Any

import numpy as np

from tribetune.arrays import hash_plain
from tribetune.bold.cache import FORMAT, kept
from tribetune.bold.clean import clean
from tribetune.bold.find import events_file
from tribetune.bold.layout import LaidOut
from tribetune.bold.run import Run
from tribetune.bold.run_files import RunFiles
from tribetune.bold.showings import read_showings
from tribetune.bold.tables import list_table_subjects, read_table
from tribetune.errors import BoldError, TribetuneError, refusing, together
from tribetune.features.extract import Features
from tribetune.recipe.data import Data
from tribetune.stimulus.events import Shown, check_on_run, check_shown
from tribetune.stimulus.timeline import Timeline, timeline_of_events
from tribetune.study.bold import Reader, find_files, stimuli_of
from tribetune.study.layout import find_table_runs, laid_out, onset_s, others_in_tables, table_spec
from tribetune.study.stimuli import shown_timeline, table_stimulus
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
        Refuses events that do not fit a run of so many seconds, and warns once of what is odd.
    confounds : Path or None
        fMRIPrep's table, where there is one.
    showings : callable
        Gives each cleaned showing of a run that is the mean of several; nothing of any other.
    """

    label: str
    run: str
    timeline: Timeline
    inputs: tuple[Path, ...]
    key: str
    cleaned: Callable[[], Run]
    check: Callable[[float], None] | None = None
    confounds: Path | None = None
    showings: Callable[[], list[Run]] = list

    def read_through(self) -> Run:
        """The cleaned run, after its stimulus was held against its length.

        Raises
        ------
        TribetuneError
            If it cannot be read, or its stimulus is another run's.
        """
        run = self.cleaned()
        if self.check:
            self.check(len(run.values) * run.t_r)
        return run


def study_runs(data: Data, cache: Path, notes: list[str] | None = None) -> list[StudyRun]:
    """Every run of the recipe's subject with its timeline, wherever the recipe has them from.

    Parameters
    ----------
    data : Data
    cache : Path
        Folder where cleaned runs are kept.
    notes : list of str, optional
        Told how many subjects tables have.

    Raises
    ------
    TribetuneError
        With everything that is missing or cannot be read, all runs together.
    """
    if data.tables is not None:
        return _table_runs(data, notes)
    return _made_of(Reader(data, cache), _run_of)


def read_all(data: Data, cache: Path) -> list[StudyRun]:
    """As `study_runs`, and their BOLD is read, too; what is wrong with it is told together with all else.

    Raises
    ------
    TribetuneError
        With everything that is missing or cannot be read, or does not fit together.
    """
    if data.tables is None:
        return _made_of(Reader(data, cache), _read_run_of)
    runs = _table_runs(data, None)
    together([lambda run=run: len(run.showings()) for run in runs])
    return runs


def _made_of(reader: Reader, make: Callable[[Reader, LaidOut], StudyRun]) -> list[StudyRun]:
    data, found = reader.data, []
    if data.layout is not None:
        listed = laid_out(data, data.subject)
    else:
        listed = [lambda job=job: LaidOut(job(), None, None, {}) for job in find_files(data)]
    together([reader.places, *(lambda job=job: found.append(make(reader, job())) for job in listed)])
    return found


def _read_run_of(reader: Reader, one: LaidOut) -> StudyRun:
    try:
        run = _run_of(reader, one)
    except TribetuneError as error:
        together([refusing(error), lambda: reader.cleaned(one.files, reader.key(one.files))])
        raise
    run.read_through()
    return run


def _table_runs(data: Data, notes: list[str] | None) -> list[StudyRun]:
    names, lacking = find_table_runs(data, data.subject)
    listed = [] if notes is None or lacking else list_table_subjects(table_spec(data))
    if notes is not None and len(listed) > 1:
        notes.append(f"{len(listed)} subjects have a table; this is sub-{data.subject}.")
    runs: list[StudyRun] = []
    jobs: list[Callable] = [lambda name=name: runs.append(_table_run(data, name)) for name in names]
    if lacking:
        heading = f"sub-{data.subject}: {len(lacking)} of {len(data.runs)} runs are not there"
        heading += others_in_tables(data, data.subject)
        faults = tuple(dict.fromkeys(lacking.values()))
        jobs.append(refusing(BoldError(heading, hint="fetch them, or mend data.tables or data.runs", faults=faults)))
        jobs += [lambda asked=asked: table_stimulus(data, asked) for asked in lacking]
    together(jobs)
    return runs


def _table_run(data: Data, name: str) -> StudyRun:
    """On the clock of its first volume."""
    found: dict[str, Any] = {}
    jobs = {
        "run": lambda: read_table(table_spec(data), data.subject, name),
        "shown": lambda: table_stimulus(data, name),
    }
    together([lambda key=key, job=job: found.update({key: job()}) for key, job in jobs.items()])
    run: Run = found["run"]
    timeline = found["shown"].shifted(onset_s(data, run.label) - run.first_volume_s)
    again = data.tables.repeats if data.tables else ""

    def showings() -> list[Run]:
        read = read_showings(table_spec(data), again, data.subject, name) if again else []
        return [clean(one, data.cleaning) for one in read]

    return StudyRun(run.label, run.run, timeline, run.sources, "", lambda: clean(run, data.cleaning), showings=showings)


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
        cleaned = run.read_through()
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
        once(lambda run_s: check_on_run(events, stimuli, run_s)),
        files.confounds,
    )


def _run_of(reader: Reader, one: LaidOut) -> StudyRun:
    """A run whose events say what was shown when; or one of a lab's own layout, whose stimulus begins at one time."""
    if one.media is None and one.words is None:
        return _file_run(reader, one.files)
    label, key = one.files.label, reader.key(one.files)
    timeline = shown_timeline(one.media, one.words).shifted(onset_s(reader.data, label))
    names = " and ".join(path.name for path in (one.media, one.words) if path)
    shown = [Shown(f"{label}: {names}", timeline.events)]
    return StudyRun(
        label,
        one.files.run,
        timeline,
        reader.inputs(one.files),
        key,
        lambda: reader.cleaned(one.files, key),
        once(lambda run_s: check_shown(shown, run_s)),
        one.files.confounds,
    )
