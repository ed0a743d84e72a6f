"""Read BOLD that is already a table, time × regions: NPZ, HDF5, TSV or CSV."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from tribetune.bold.patterns import read_names
from tribetune.bold.run import Run, check_t_r, check_values, run_label
from tribetune.bold.table_files import matching_files, opened, read_entities
from tribetune.errors import BoldError, SpaceError

_LOG = logging.getLogger(__name__)

_USUAL = {
    "subjects": ("subjects", "subject"),
    "regions": ("regions", "rois", "parcels"),
    "t_r": ("t_r", "tr", "TR", "RepetitionTime"),
    "first_volume_s": ("first_volume_s", "first_volume_time"),
}
"""Names under which files usually keep what a spec leaves out."""


_SAME_S = 1e-3
"""Times closer than this (s) are one."""


@dataclass(frozen=True)
class TableSpec:
    """Where tables of BOLD are and how to read them.

    Attributes
    ----------
    path : str
        An ``.npz``, ``.h5``, ``.tsv`` or ``.csv`` file; ``{subject}``, ``{session}``, ``{task}`` and ``{run}`` stand
        for one file each.
    bold : str
        Name of the array in an NPZ or HDF5 file, again with placeholders: (time, region), or (subject, time, region).
        May be left out where there is only one, or where the names of all are BIDS entities and so say their runs, as
        those of Algonauts 2025: ``ses-001_task-s01e02a``.
    subjects, regions : str
        Names of the arrays that label the first and the last axis; the usual names are tried.
    t_r : float or None
        Repetition time in seconds; looked for in the file when left out.
    first_volume_s : float or None
        Time of the first volume on the stimulus clock (that of the words), seconds; looked for in the file, else 0.
    """

    path: str
    bold: str = ""
    subjects: str = ""
    regions: str = ""
    t_r: float | None = None
    first_volume_s: float | None = None


def list_table_subjects(spec: TableSpec) -> list[str]:
    """Subjects that have a table; of an array of several, those of whom nothing varies are left out with a warning.

    Raises
    ------
    BoldError
        If there is no such file or array, or an array of several subjects has no labels.
    """
    found: dict[str, None] = {}
    for path, named in matching_files(spec.path):
        with opened(path) as arrays:
            for key, also in _keys(spec, path, arrays, named):
                found.update(dict.fromkeys(_subjects_of(spec, path, arrays, key, {**named, **also})))
    return sorted(found)


def list_table_runs(spec: TableSpec, subject: str) -> list[str]:
    """Runs of one subject, as the path or the names of the arrays say; one unnamed run where neither does.

    Returns
    -------
    list of str
        What stands for ``{run}``; where there are sessions or tasks, too, all of them: ``ses-001_task-s01e02a``.
    """
    found: dict[str, None] = {}
    for path, named in matching_files(spec.path, subject):
        with opened(path) as arrays:
            keys = _keys(spec, path, arrays, {"subject": subject, **named})
            found.update(dict.fromkeys(_run_name({**named, **also}) for _, also in keys))
    return sorted(found, key=lambda run: (len(run), run))


def read_table(spec: TableSpec, subject: str, run: str = "") -> Run:
    """Read one run of one subject.

    Parameters
    ----------
    spec : TableSpec
        Where the table is.
    subject, run : str
        Labels as `list_table_subjects` and `list_table_runs` give them.

    Returns
    -------
    Run
        Values of shape (n_trs, n_regions); a region that is NaN or constant throughout is a column of NaN. Its
        ``first_volume_s`` is what a timeline on the stimulus clock has to be shifted by, backwards.

    Raises
    ------
    BoldError
        If the subject or run is unknown, the table is all zeros or not finite, or its t_r is unknown or
        contradicted.
    SpaceError
        If there are more or fewer region names than columns.
    """
    path, key, said = find_table(spec, subject, run)
    with opened(path) as arrays:
        values = _values(spec, path, arrays, key, subject)
        regions = tuple(_labels(arrays, _usual(spec.regions, "regions", arrays)))
        t_r = _number(spec.t_r, "t_r", arrays, path)
        first_volume_s = _number(spec.first_volume_s, "first_volume_s", arrays, path)
    entities = {"subject": subject, **{field: said.get(field, "") for field in ("session", "task", "run")}}
    where = f"{run_label(**entities)} in {path.name}"
    if t_r is None:
        raise BoldError(f"{where}: t_r is unknown", hint="set data.tables.t_r to the repetition time in seconds")
    if regions and len(regions) != values.shape[1]:
        raise SpaceError(
            f"{where}: {len(regions)} region names, but an array of {values.shape[0]} × {values.shape[1]}",
            hint="the array must be time × regions; set data.tables.regions to the key of its region names",
        )
    check_values(values, where)
    return Run(
        **entities,
        values=values,
        t_r=check_t_r(t_r, where),
        space="table",
        mask=np.ones(len(values), bool),
        sources=(path,),
        outputs=regions,
        first_volume_s=first_volume_s or 0.0,
    )


def _keys(spec: TableSpec, path: Path, arrays: Mapping[str, Any], named: Mapping[str, str]) -> list[tuple[str, dict]]:
    """Arrays that hold BOLD, and what the placeholders in their names stand for."""
    pattern = spec.bold
    for field, value in named.items():
        pattern = pattern.replace("{" + field + "}", value)
    if not pattern:
        likely = [key for key in arrays if "bold" in key.lower() and arrays[key].ndim in (2, 3)]
        candidates = likely or [key for key in arrays if arrays[key].ndim in (2, 3)]
        runs = [(key, read_entities(key)) for key in candidates]
        found = [(key, {}) for key in candidates] if len(candidates) == 1 else runs if all(e for _, e in runs) else []
    else:
        found = [(key, also) for key in arrays if (also := read_names(pattern.strip("/"), key)) is not None]
    if not found:
        raise BoldError(
            f"{path}: no array {pattern or 'that is plainly the BOLD'!r}; it has {', '.join(sorted(arrays))}",
            hint="set data.tables.bold to the name of the array",
        )
    return found


def find_table(spec: TableSpec, subject: str, run: str) -> tuple[Path, str, dict[str, str]]:
    """The file and array of one subject and run, and the entities that they are named by.

    Raises
    ------
    BoldError
        If there is none; it lists the runs that there are.
    """
    runs: set[str] = set()
    for path, named in matching_files(spec.path, subject):
        whose = read_entities(path.name.split(".")[0]).get("subject", subject)
        if whose != subject:
            raise BoldError(f"{path}: the table of sub-{whose}, not of sub-{subject}", hint="set data.subject")
        with opened(path) as arrays:
            for key, also in _keys(spec, path, arrays, {"subject": subject, **named}):
                said = {**named, **also}
                if _run_name(said) == run:
                    return path, key, said
                runs.add(_run_name(said) or "unnamed")
    raise BoldError(
        f"sub-{subject} has no run {run or 'without a name'!r} in {spec.path}; its runs are {', '.join(sorted(runs))}",
        hint="choose one of them",
    )


def _run_name(said: Mapping[str, str]) -> str:
    """A run by its number where that is all there is, else by all entities but the subject."""
    session, task, run = (said.get(field, "") for field in ("session", "task", "run"))
    return run_label("", session, task, run) if session or task else run


def _subjects_of(
    spec: TableSpec, path: Path, arrays: Mapping[str, Any], key: str, named: Mapping[str, str]
) -> Sequence[str]:
    if arrays[key].ndim != 3:
        return [named.get("subject") or read_entities(path.name.split(".")[0]).get("subject", path.stem)]
    labels = _subject_labels(spec, path, arrays, key)
    measured = [label for label, values in zip(labels, arrays[key], strict=True) if _varies(values)]
    dropped = [label for label in labels if label not in measured]
    if dropped:
        _LOG.warning(
            "%s: %s left out, no output varies; %d of %d subjects are usable",
            path.name,
            ", ".join(f"sub-{label}" for label in dropped),
            len(measured),
            len(labels),
        )
    return measured


def _varies(values: np.ndarray) -> bool:
    """Whether any output changes from one volume to the next; NaN changes to nothing."""
    before, after = values[:-1], values[1:]
    return bool(((before < after) | (before > after)).any())


def _subject_labels(spec: TableSpec, path: Path, arrays: Mapping[str, Any], key: str) -> list[str]:
    labels = _labels(arrays, _usual(spec.subjects, "subjects", arrays))
    if len(labels) != arrays[key].shape[0]:
        raise BoldError(
            f"{path}: {key} has {arrays[key].shape[0]} subjects, but there are {len(labels)} subject labels",
            hint="set data.tables.subjects to the name of the array that labels its first axis",
        )
    return labels


def _values(
    spec: TableSpec, path: Path, arrays: Mapping[str, Any], key: str, subject: str
) -> Float[np.ndarray, "time region"]:
    """The run's own copy of its numbers, (time, region)."""
    array = arrays[key]
    if array.ndim not in (2, 3):
        raise BoldError(
            f"{path}: {key} has {array.ndim} axes, expected (time, region) or (subject, time, region)",
            hint="set data.tables.bold to another array",
        )
    if array.ndim == 3:
        labels = _subject_labels(spec, path, arrays, key)
        if subject not in labels:
            raise BoldError(f"{path}: no subject {subject!r}; it has {', '.join(labels)}", hint="set data.subject")
        array = array[labels.index(subject)]
    return np.array(array, np.float32)


def _usual(key: str, field: str, arrays: Mapping[str, Any]) -> str:
    return key or next((name for name in _USUAL[field] if name in arrays), "")


def _labels(arrays: Mapping[str, Any], key: str) -> list[str]:
    if not key:
        return []
    if key not in arrays:
        raise BoldError(f"no array {key!r} of labels; there are {', '.join(sorted(arrays))}", hint="mend data.tables")
    items: Iterable[Any] = np.asarray(arrays[key]).ravel()
    return [item.decode() if isinstance(item, bytes) else str(item) for item in items]


def _number(given: float | None, field: str, arrays: Mapping[str, Any], path: Path) -> float | None:
    """A setting as given, or as the file says it under a usual name; the two must not disagree."""
    key = _usual("", field, arrays)
    if not key:
        return given
    value = np.asarray(arrays[key])
    if value.size != 1:
        raise BoldError(f"{path}: {key} has {value.size} values, expected one", hint=f"set data.tables.{field}")
    said = float(value.ravel()[0])
    if given is not None and abs(given - said) > _SAME_S:
        raise BoldError(
            f"{path}: {key} says {said:g} s, but data.tables.{field} is {given:g} s",
            hint=f"set data.tables.{field} to {said:g}, or mend the file",
        )
    return said
