"""Find the runs of a subject in a BIDS dataset with fMRIPrep derivatives."""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tribetune.bold.run import run_label
from tribetune.errors import BoldError

_LISTED = 8
"""Files that an error names before it stops."""


@dataclass(frozen=True)
class RunFiles:
    """The files of one run.

    Attributes
    ----------
    subject, session, task, run, space : str
        BIDS entities without their keys.
    bold : tuple of Path
        Left hemisphere, then right.
    events, confounds : Path or None
        The run's ``events.tsv`` and fMRIPrep confounds, where there are any.
    t_r : float or None
        Repetition time in seconds, where a sidecar says it.
    """

    subject: str
    session: str
    task: str
    run: str
    space: str
    bold: tuple[Path, ...]
    events: Path | None = None
    confounds: Path | None = None
    t_r: float | None = None

    @property
    def label(self) -> str:
        """The run's BIDS name, such as ``sub-01_task-movie_run-2``."""
        return run_label(self.subject, self.session, self.task, self.run)


def find_runs(bids: Path, subject: str, task: str, space: str, session: str = "") -> list[RunFiles]:
    """List a subject's surface runs of one task and space, by session and run.

    Parameters
    ----------
    bids : Path
        A BIDS dataset with ``derivatives/*/sub-*``, or one such derivatives folder.
    subject, task, space : str
        BIDS labels, with or without their key.
    session : str
        Only this session; all when empty.

    Raises
    ------
    BoldError
        If nothing matches (the message lists what is there), a hemisphere is missing, two files claim one
        hemisphere of one run, or two sidecars disagree on the repetition time.
    """
    wanted = {"task": task, "space": space, **({"ses": session} if session else {})}
    wanted = {key: _bare(value, key) for key, value in wanted.items()}
    subject = _bare(subject, "sub")
    roots = _derivatives(Path(bids), subject)
    surfaces = [path for root in roots for path in _surfaces(root, subject)]
    matching = [path for path in surfaces if wanted.items() <= entities(path).items()]
    if not matching:
        raise _nothing(Path(bids), subject, wanted, surfaces)
    groups: dict[tuple[str, str], list[Path]] = {}
    for path in matching:
        found = entities(path)
        groups.setdefault((found.get("ses", ""), found.get("run", "")), []).append(path)
    places = {*roots, *_raw_roots(Path(bids))}
    return [_run_files(groups[key], places) for key in sorted(groups, key=lambda key: [_natural(part) for part in key])]


def events_file(files: RunFiles) -> Path:
    """The run's ``events.tsv``.

    Raises
    ------
    BoldError
        If it has none: without onsets a stimulus cannot be placed on the run's clock.
    """
    if files.events is None:
        raise BoldError(
            f"{files.label}: no events.tsv, expected {files.label}_events.tsv in the raw dataset's func folder",
            hint="write one with the columns onset, duration, stim_file; onsets count from the first retained volume",
        )
    return files.events


def entities(path: Path) -> dict[str, str]:
    """BIDS entities of a file name, in the file's order: ``{"sub": "01", "task": "movie", ...}``."""
    pairs = (part.partition("-") for part in path.name.split(".")[0].split("_"))
    return {key: value for key, dash, value in pairs if dash}


def _bare(label: str, key: str) -> str:
    return str(label).removeprefix(f"{key}-")


def _natural(label: str) -> tuple[int, str]:
    """Sort run 2 before run 10."""
    digits = re.search(r"\d+", label)
    return (int(digits.group()) if digits else 0, label)


def _derivatives(bids: Path, subject: str) -> list[Path]:
    if not bids.is_dir():
        raise BoldError(f"no dataset at {bids}", hint="set data.bids to a BIDS folder")
    folders = sorted(path for path in (bids / "derivatives").glob("*") if path.is_dir())
    roots = [root for root in (bids, *folders) if (root / f"sub-{subject}").is_dir()]
    if roots:
        return roots
    known = sorted({path.name for root in (bids, *folders) for path in root.glob("sub-*") if path.is_dir()})
    raise BoldError(
        f"{bids} has no sub-{subject}; it has {', '.join(known[:_LISTED]) or 'no sub-* folder'}",
        hint="set data.subject to one of them, or data.bids to the folder that holds derivatives/",
    )


def _raw_roots(bids: Path) -> list[Path]:
    """Where raw sidecars and events may be: the dataset itself, or the one a derivatives folder lies in."""
    return [bids, bids.parent.parent] if bids.parent.name == "derivatives" else [bids]


def _surfaces(root: Path, subject: str) -> list[Path]:
    folder = root / f"sub-{subject}"
    return sorted([*folder.glob("func/*_bold.func.gii"), *folder.glob("ses-*/func/*_bold.func.gii")])


def _nothing(bids: Path, subject: str, wanted: dict[str, str], surfaces: Sequence[Path]) -> BoldError:
    asked = ", ".join(f"{key}-{value}" for key, value in wanted.items())
    there = [path.name for path in surfaces]
    more = f" and {len(there) - _LISTED} more" if len(there) > _LISTED else ""
    listing = f"its surface files are {', '.join(there[:_LISTED])}{more}" if there else "it has no *_bold.func.gii"
    hint = (
        "set data.task, data.space or data.session to one of these"
        if there
        else ("run fMRIPrep with --output-spaces fsaverage5, or set data.bids to the dataset that holds derivatives/")
    )
    return BoldError(f"{bids}: sub-{subject} has no surface run with {asked}; {listing}", hint=hint)


def _run_files(paths: Sequence[Path], roots: Collection[Path]) -> RunFiles:
    """One run of its two hemispheres' files."""
    of_left = entities(paths[0])
    subject, session, task, run = (of_left.get(key, "") for key in ("sub", "ses", "task", "run"))
    label = run_label(subject, session, task, run)
    bold = tuple(_hemisphere(paths, side, label) for side in "LR")
    # The pipeline's own folder comes before the raw dataset; another pipeline's has no say.
    places = sorted((root for root in roots if bold[0].is_relative_to(root)), key=lambda root: -len(root.parts))
    tables = {name: next(_inherited(bold[0], places, name), None) for name in _TABLES}
    return RunFiles(
        subject, session, task, run, of_left["space"], bold, *tables.values(), t_r=_t_r(bold, places, label)
    )


_TABLES = ("events.tsv", "desc-confounds_timeseries.tsv")


def _hemisphere(paths: Sequence[Path], side: str, label: str) -> Path:
    mine = [path for path in paths if entities(path).get("hemi", "").upper() == side]
    if not mine:
        raise BoldError(
            f"{label}: hemisphere {side} is missing beside {paths[0].name}",
            hint=f"expected the same name with hemi-{side} in {paths[0].parent}",
        )
    if len(mine) > 1:
        raise BoldError(
            f"{label}: {len(mine)} files claim hemisphere {side}: {', '.join(str(path) for path in mine[:_LISTED])}",
            hint="set data.bids to the derivatives folder you mean, or move the other file away",
        )
    return mine[0]


def _t_r(bold: Sequence[Path], places: Sequence[Path], label: str) -> float | None:
    """Repetition time of the nearest sidecar that has one (BIDS inheritance); both hemispheres must agree."""
    found = {}
    for path in bold:
        for sidecar in _inherited(path, places, "bold.json"):
            t_r = _repetition_time(sidecar)
            if t_r is not None:
                found[sidecar] = t_r
                break
    if len(set(found.values())) > 1:
        said = ", ".join(f"{path.name} says {t_r:g} s" for path, t_r in found.items())
        raise BoldError(f"{label}: sidecars disagree on t_r: {said}", hint="mend RepetitionTime in one of them")
    return next(iter(found.values()), None)


def _repetition_time(sidecar: Path) -> float | None:
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
        value = content.get("RepetitionTime")
        return None if value is None else float(value)
    except (ValueError, TypeError, AttributeError, OSError) as error:
        raise BoldError(
            f"{sidecar}: not a BIDS sidecar ({error})", hint="expected JSON with RepetitionTime in seconds"
        ) from error


def _inherited(path: Path, places: Sequence[Path], ending: str) -> Iterator[Path]:
    """Files that apply to ``path`` by BIDS inheritance, nearest and most specific first.

    A file applies when it lies in the subject's folders or above, and each of its entities is also one of ``path``.
    """
    mine = entities(path)
    subject, session = f"sub-{mine['sub']}", f"ses-{mine['ses']}" if "ses" in mine else ""
    for root in places:
        inner = root / subject / session
        for folder in dict.fromkeys((inner / "func", inner, root / subject, root)):
            applying = [
                other
                for other in folder.glob(f"*{ending}")
                if other.name == ending or other.name.endswith(f"_{ending}")
                if entities(other.with_name(other.name.removesuffix(ending))).items() <= mine.items()
            ]
            yield from sorted(applying, key=lambda other: (-len(entities(other)), other.name))
