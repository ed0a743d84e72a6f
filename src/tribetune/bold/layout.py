"""The runs of a lab's own layout: patterns say where the files of every run lie."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tribetune.bold.patterns import filled, matching, nearest, placeholders
from tribetune.bold.run import run_label
from tribetune.bold.run_files import RunFiles, run_of_files
from tribetune.errors import BoldError, refusing, together

Values = Mapping[str, str]
"""What placeholders stand for in one run."""

LISTED = 8
"""Subjects that an error names before it stops."""

_ENTITIES = ("session", "task", "run")
_WHAT = {
    "bold": "BOLD",
    "media": "film or sound",
    "words": "words",
    "events": "events",
    "confounds": "confounds",
    "brain_mask": "brain mask",
}

BESIDE = tuple(name for name in _WHAT if name != "bold")
"""What a layout may say of a run beside its BOLD."""


@dataclass(frozen=True)
class Layout:
    """Where the files of a run lie: paths in which placeholders stand for what differs between runs.

    Attributes
    ----------
    bold : tuple of str
        One volume or CIFTI; or left and right hemisphere.
    media, words, events, confounds, brain_mask : str
        Empty where there is none.
    t_r : float or None
        Repetition time in seconds, where no header says it.
    in_order : int
        So many files match ``bold``, whose ``{scan}`` is a number of the scanner's: they are runs 1, 2, … in that
        order. 0: their names say their runs.
    """

    bold: tuple[str, ...]
    media: str = ""
    words: str = ""
    events: str = ""
    confounds: str = ""
    brain_mask: str = ""
    t_r: float | None = None
    in_order: int = 0


@dataclass(frozen=True)
class LaidOut:
    """The files of one run, all of them there.

    Attributes
    ----------
    files : RunFiles
    media, words : Path or None
    values : mapping of str to str
        What the placeholders stand for.
    """

    files: RunFiles
    media: Path | None
    words: Path | None
    values: Values


def find_laid_out(layout: Layout, subject: str, wanted: Sequence[Values] = ()) -> list[Callable[[], LaidOut]]:
    """The runs of a subject, in order, each to be called for its files, see `together`.

    Parameters
    ----------
    layout : Layout
    subject : str
    wanted : sequence of mapping
        For each run that must be there, what its placeholders stand for; every run that is there when left out.

    Raises
    ------
    BoldError
        If the subject has no file; each run, when called: naming every file of it that is not there, and every pattern
        that matches several.
    """
    pattern = filled(layout.bold[0], {"subject": subject})
    there, miscounted = [named for _, named in matching(pattern)], None
    known = list_laid_out_subjects(layout)
    if not there and (known or not wanted):
        more = f"; there are files of {', '.join(known[:LISTED])}" if known else ""
        raise BoldError(
            f"no file of sub-{subject} matches {pattern}{more}", hint="set data.subject, or mend data.layout"
        )
    if layout.in_order:
        numbered, miscounted = _in_order(layout.in_order, subject, pattern, there)
        unknown = [one.get("run", "") for one in wanted if one.get("run") not in numbered]
        if unknown:
            told = f"sub-{subject} has no run {', '.join(unknown)}; its runs are 1 to {layout.in_order}"
            raise BoldError(told, hint="mend data.runs")
        wanted = [{**numbered[one["run"]], **one} for one in wanted or numbered.values()]
    runs = [{"subject": subject, **one} for one in wanted or there]
    return [lambda one=one: _laid_out(layout, one, miscounted) for one in runs]


def list_laid_out_subjects(layout: Layout) -> list[str]:
    """Labels of every subject with BOLD."""
    return sorted({named["subject"] for _, named in matching(layout.bold[0]) if "subject" in named})


def _in_order(
    expected: int, subject: str, pattern: str, found: Sequence[Values]
) -> tuple[dict[str, Values], BoldError | None]:
    """Runs 1, 2, … with the scanner's numbers in their order; without these, and why, where one lacks."""
    runs: dict[str, Values] = {str(number): {"run": str(number)} for number in range(1, expected + 1)}
    if len(found) == expected:
        return {run: {**named, "run": run} for run, named in zip(runs, found, strict=True)}, None
    said = ", ".join(named.get("scan", "") for named in found) or "none"
    lacking = ", ".join(filled(pattern, {"scan": scan}) for scan in _lacking(found, expected))
    many = f"set data.layout.in_order to {len(found)}, or take the files away that are none of its runs"
    error = BoldError(
        f"sub-{subject}: {len(found)} runs, expected {expected}; the scans are {said}; "
        + (f"missing is {lacking}" if lacking else f"files are {pattern}"),
        hint=many if len(found) > expected else "fetch it, or set data.layout.in_order if these are the first runs",
    )
    return runs, error


def _lacking(found: Sequence[Values], expected: int) -> list[str]:
    """Scans between the first and the last, and if these are not enough the ones at the ends, where one may lack."""
    scans = [named.get("scan", "") for named in found]
    if not scans or not all(scan.isdecimal() for scan in scans) or len(scans) > expected:
        return []
    width, numbers = len(scans[0]), [int(scan) for scan in scans]
    inner = [number for number in range(numbers[0], numbers[-1]) if number not in numbers]
    few = expected - len(scans) - len(inner)
    ends = [*range(numbers[0] - few, numbers[0]), *range(numbers[-1] + 1, numbers[-1] + 1 + few)] if few > 0 else []
    return [f"{number:0{width}d}" for number in sorted({*inner, *ends}) if number >= 0]


def _laid_out(layout: Layout, values: Values, miscounted: BoldError | None) -> LaidOut:
    label = run_label(values["subject"], *(values.get(name, "") for name in _ENTITIES))

    def one(name: str, pattern: str) -> Callable[[], Path | None]:
        return lambda: _only(pattern, values, f"{label}: no {_WHAT[name]}") if pattern else None

    bold_jobs = [refusing(miscounted)] if miscounted else [one("bold", pattern) for pattern in layout.bold]
    jobs = bold_jobs + [one(name, getattr(layout, name)) for name in BESIDE]
    *bold, media, words, events, confounds, brain_mask = together(jobs)
    paths = [path for path in bold if path is not None]
    files = run_of_files(paths, label, layout.t_r, events, confounds, brain_mask)
    return LaidOut(files, media, words, values)


def _only(pattern: str, values: Values, none: str) -> Path:
    """The one file of a run."""
    path = filled(pattern, values)
    unknown = placeholders(path)
    if unknown:
        raise BoldError(
            f"{none} in {path}: nothing says what {', '.join(sorted(unknown))} stands for",
            hint="write it into data.runs, or a * where any will do",
        )
    found = [file for file, _ in matching(path)]
    if not found:
        raise BoldError(f"{none} at {path}{nearest(path)}", hint="fetch it, or mend data.layout or data.runs")
    if len(found) > 1:
        raise BoldError(
            f"{none.replace('no ', 'several ', 1)} at {path}: {', '.join(file.name for file in found)}",
            hint="write more of the name into data.layout",
        )
    return found[0]
