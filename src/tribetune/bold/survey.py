"""Look at runs without reading their data: how long they are, and what is missing or wrong."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from tribetune.bold.bids_names import side_of
from tribetune.bold.cifti import cifti_header
from tribetune.bold.gifti import gifti_header
from tribetune.bold.headers import Header, agreed_t_r, check_length, check_side, sidecar_number
from tribetune.bold.images import image_header
from tribetune.bold.meshes import mesh_of
from tribetune.bold.run_files import RunFiles, sidecar_t_r
from tribetune.errors import BoldError, TribetuneError
from tribetune.stimulus.words import read_table

T = TypeVar("T")

WORDS = "words"
"""What a survey calls the words that stand in the events themselves."""


@dataclass(frozen=True)
class Survey:
    """What is known of a run by its names and headers.

    Attributes
    ----------
    files : RunFiles
    n_trs : int or None
        Volumes; None where no header can be read.
    t_r : float or None
        Repetition time in seconds; None where it is unknown or doubtful.
    stimuli : tuple of str
        Files that its events name, and `WORDS` where words stand in the events themselves.
    missing : tuple of str
        What a run could have and this one has not.
    faults : tuple of str
        Why it would be refused.
    notes : tuple of str
        What else its sidecar says about timing.
    """

    files: RunFiles
    n_trs: int | None
    t_r: float | None
    stimuli: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def minutes(self) -> float | None:
        """Length of the run; None where volumes or repetition time are unknown."""
        return None if self.n_trs is None or self.t_r is None else self.n_trs * self.t_r / 60


def survey(runs: Sequence[RunFiles], stimuli: Path | None = None) -> list[Survey]:
    """Look at every run; nothing is refused, faults are told.

    Parameters
    ----------
    runs : sequence of RunFiles
        As `tribetune.bold.find.list_runs` gives them.
    stimuli : Path, optional
        Folder of the stimulus files that the events name: those that are not there are missing.
    """
    named = Counter((files.label, files.space, files.kind) for files in runs)
    return [_look(files, named[files.label, files.space, files.kind], stimuli) for files in runs]


def n_volumes(files: RunFiles) -> int:
    """Volumes of a run by its headers.

    Raises
    ------
    BoldError
        If a header cannot be read, or hemispheres differ.
    """
    return _one_count(files, [read_header(path) for path in files.bold])


def read_header(path: Path) -> Header:
    """What any BOLD file says of itself, its data unread.

    Raises
    ------
    BoldError
        If it cannot be read, or is cut short.
    """
    if path.name.endswith((".gii", ".gii.gz")):
        return gifti_header(path)
    return cifti_header(path) if path.name.endswith(".dtseries.nii") else image_header(path)


def _one_count(files: RunFiles, headers: Iterable[Header]) -> int:
    counts = {header.n_trs for header in headers}
    if len(counts) != 1:
        numbers = " and ".join(str(count) for count in sorted(counts))
        raise BoldError(
            f"{files.label}: its files have {numbers} volumes", hint="export both hemispheres of the same run again"
        )
    return counts.pop()


def _t_r(files: RunFiles, headers: Mapping[Path, Header]) -> float:
    said = files.t_r if files.t_r is not None else sidecar_t_r(files)
    return agreed_t_r(replace(files, t_r=said), {path: header.step for path, header in headers.items()})


class _Trial:
    """Calls that may be refused; what was said is kept."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def __call__(self, check: Callable[..., T], *args: Any) -> T | None:
        try:
            return check(*args)
        except TribetuneError as error:
            self.faults.append(str(error))
            return None


def _look(files: RunFiles, n_of_one_name: int, folder: Path | None) -> Survey:
    tried = _Trial()
    faults = tried.faults
    if n_of_one_name > 1:
        faults.append(f"{files.label}: {n_of_one_name} runs have this name")
    headers = {path: header for path in files.bold if (header := tried(read_header, path)) is not None}
    n_trs = tried(_one_count, files, headers.values()) if len(headers) == len(files.bold) else None
    if files.kind == "surface":
        for path, header in headers.items():
            tried(mesh_of, header.n_places, files.space, str(path))
            tried(check_side, path, header, "LR"[files.bold.index(path)] if len(files.bold) == 2 else side_of(path))
    t_r = tried(_t_r, files, headers)
    if n_trs is not None:
        tried(check_length, files, n_trs)
    stimuli = tried(_stimuli, files) or ()
    missing = _missing(files, stimuli, folder)
    return Survey(files, n_trs, t_r, stimuli, missing, tuple(faults), tuple(tried(_notes, files) or ()))


def _stimuli(files: RunFiles) -> tuple[str, ...]:
    """Stimulus files that the events name, each once, and whether there are rows of words."""
    if files.events is None:
        return ()
    rows = read_table(files.events)
    names = dict.fromkeys(name for row in rows if (name := row.get("stim_file") or "n/a") != "n/a")
    return (*names, *([WORDS] if any(row.get("trial_type") == "word" for row in rows) else []))


def _missing(files: RunFiles, stimuli: Sequence[str], folder: Path | None) -> tuple[str, ...]:
    sides = [side_of(path) for path in files.bold]
    absent = [f"hemisphere {side}" for side in "LR" if files.kind == "surface" and side not in sides]
    absent += ["events.tsv"] if files.events is None else [] if stimuli else ["stim_file in events.tsv"]
    absent += [n for n in stimuli if n != WORDS and folder is not None and not (folder / n).is_file()]
    absent += ["confounds"] if files.confounds is None else []
    return (*absent, *(["brain mask"] if files.kind == "volume" and files.brain_mask is None else []))


def _notes(files: RunFiles) -> list[str]:
    found = [
        f"{count:g} volumes were discarded by the {who.lower()}; onsets count from the first kept one"
        for who in ("Scanner", "User")
        if (count := sidecar_number(files, f"NumberOfVolumesDiscardedBy{who}"))
    ]
    if start := sidecar_number(files, "StartTime"):
        found.append(f"slices are timed {start:g} s after each volume's start; onsets count from its start")
    return found
