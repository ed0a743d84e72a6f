"""What the files of one run say of its timing and length, which must agree."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tribetune.bold.bids_folders import number_in, read_metadata
from tribetune.bold.bids_names import side_of
from tribetune.bold.run import check_t_r
from tribetune.bold.run_files import RunFiles
from tribetune.errors import BoldError

_SAME_T_R = 1e-3
"""Repetition times closer than this (s) are one; headers round to milliseconds."""

_COUNTS = "NumberOfVolumes"
_DISCARDED = "NumberOfVolumesDiscardedByUser"


@dataclass(frozen=True)
class Step:
    """What a header says of the repetition time.

    Attributes
    ----------
    value : float
        In seconds, or in milliseconds where the header does not say which.
    field : str
        Where it says so.
    filler : bool
        Whether writers put this value where they do not know: alone it is not believed.
    mend : str
        A command that writes the right one; ``{ms}``, ``{s}`` and ``{path}`` stand for it and the file.
    """

    value: float
    field: str
    filler: bool = False
    mend: str = ""


@dataclass(frozen=True)
class Header:
    """What a file says of itself before its data is looked at.

    Attributes
    ----------
    n_trs : int
        Volumes.
    n_places : int
        Vertices of a hemisphere, voxels of a volume, grayordinates.
    step : Step or None
        Repetition time, where the header has one.
    side : str
        ``L`` or ``R``, where the header names the hemisphere.
    """

    n_trs: int
    n_places: int
    step: Step | None = None
    side: str = ""


def agreed_t_r(files: RunFiles, steps: Mapping[Path, Step | None]) -> float:
    """Repetition time of the sidecar, confirmed by the headers, or of the headers alone.

    FreeSurfer writes GIFTI's TimeStep in milliseconds, others in seconds: beside a sidecar both confirm it; alone, only
    seconds are believed.

    Parameters
    ----------
    files : RunFiles
        The run; its ``t_r`` is what the sidecar or the recipe says.
    steps : mapping of Path to Step or None
        What each file's header says.

    Raises
    ------
    BoldError
        If nobody says it, it is no repetition time in seconds, or two disagree.
    """
    told = {path: step for path, step in steps.items() if step is not None}
    t_r = files.t_r if files.t_r is not None else next((s.value for s in told.values() if not s.filler), None)
    if t_r is None:
        raise _unknown(files, told)
    check_t_r(t_r, files.label)
    for path, step in told.items():
        if min(abs(step.value - t_r), abs(step.value / 1000 - t_r)) > _SAME_T_R:
            source = "by its sidecar" if files.sidecars else "as given" if files.t_r is not None else "by its left file"
            mend = step.mend.format(ms=f"{1000 * t_r:g}", s=f"{t_r:g}", path=path.name)
            raise BoldError(
                f"{files.label}: t_r is {t_r:g} s {source}, but {path.name} has {step.field} {step.value:g}",
                hint="mend the one that is wrong: a wrong t_r shifts every sample" + (f" ({mend})" if mend else ""),
            )
    return float(t_r)


def check_length(files: RunFiles, n_trs: int) -> None:
    """Refuse a run whose sidecar or confounds count other volumes: nobody knows which end is missing.

    Raises
    ------
    BoldError
        With both counts.
    """
    counts = {path.name: count for path, count in ((p, _volumes_said(p)) for p in sidecars_of(files)) if count}
    if files.confounds is not None:
        counts[files.confounds.name] = _rows(files.confounds)
    for name, count in counts.items():
        if count != n_trs:
            raise BoldError(
                f"{files.label}: {n_trs} volumes, but {name} has {count}",
                hint="export the run again: where a volume is missing, every onset may be off by it",
            )


def check_side(path: Path, header: Header, side: str) -> None:
    """Refuse a file whose name or header names the other hemisphere, or where neither names one.

    Raises
    ------
    BoldError
        With who says what.
    """
    said = {"file name": side_of(path), "AnatomicalStructurePrimary": header.side}
    wrong = [source for source, found in said.items() if found and found != side]
    if wrong or not any(said.values()):
        fault = f"{wrong[0]} says {said[wrong[0]]}" if wrong else "nothing says which hemisphere it is"
        raise BoldError(
            f"{path}: {fault}, expected hemisphere {side}", hint="left first, then right; name files hemi-L and hemi-R"
        )


def sidecars_of(files: RunFiles) -> list[Path]:
    """Each JSON sidecar of a run once, nearest first."""
    return list(dict.fromkeys(sidecar for applying in files.sidecars for sidecar in applying))


def sidecar_number(files: RunFiles, key: str) -> float | None:
    """A number that the nearest sidecar with this key says; None where none does."""
    said = (number_in(sidecar, key) for sidecar in sidecars_of(files))
    return next((number for number in said if number is not None), None)


def _volumes_said(sidecar: Path) -> int:
    """Volumes by a raw sidecar (dcmstack keeps the shape), without those that were taken off before BIDS; 0 unsaid."""
    shape = read_metadata(sidecar).get("dcmmeta_shape")
    if isinstance(shape, list) and len(shape) == 4:
        return int(shape[3]) - int(number_in(sidecar, _DISCARDED) or 0)
    return int(number_in(sidecar, _COUNTS) or 0)


def _rows(table: Path) -> int:
    """Rows below the header line."""
    try:
        text = table.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise BoldError(f"{table}: cannot be read as a table ({error})", hint="copy or export it again") from error
    return max(0, len(text.strip().splitlines()) - 1)


def _unknown(files: RunFiles, told: Mapping[Path, Step]) -> BoldError:
    name = files.bold[0].name
    stem = next(name.removesuffix(end) for end in (".func.gii", ".nii.gz", ".dtseries.nii", "") if name.endswith(end))
    filler = next(iter(told.values()), None)
    said = f"only a header says {filler.value:g} s, as writers do that do not know" if filler else "no header has it"
    return BoldError(
        f"{files.label}: t_r is unknown: no sidecar has RepetitionTime, {said}",
        hint=f"write {stem}.json with RepetitionTime in seconds",
    )
