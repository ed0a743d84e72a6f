"""The files of one run, and the ones that lie outside of any BIDS dataset."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tribetune.bold.bids_folders import number_in
from tribetune.bold.bids_names import entities, space_said
from tribetune.bold.run import run_label
from tribetune.errors import BoldError
from tribetune.spaces import FSLR


@dataclass(frozen=True)
class RunFiles:
    """The files of one run.

    Attributes
    ----------
    subject, session, task, run, space : str
        BIDS entities without their keys; the space is that of the files.
    bold : tuple of Path
        Left hemisphere, then right; one file of a volume or CIFTI.
    events, confounds : Path or None
        The run's ``events.tsv`` and fMRIPrep confounds, where there are any.
    t_r : float or None
        Repetition time in seconds, where a sidecar or the recipe says it.
    kind : {"surface", "volume", "cifti"}
    brain_mask : Path or None
        Of a volume.
    sidecars : tuple of tuple of Path
        For each of ``bold``, the JSON sidecars that apply to it, nearest first.
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
    kind: str = "surface"
    brain_mask: Path | None = None
    sidecars: tuple[tuple[Path, ...], ...] = ()

    @property
    def label(self) -> str:
        """The run's BIDS name, such as ``sub-01_task-movie_run-2``."""
        return run_label(self.subject, self.session, self.task, self.run)


def run_of_files(
    paths: Sequence[Path],
    label: str,
    t_r: float | None = None,
    events: Path | None = None,
    confounds: Path | None = None,
    brain_mask: Path | None = None,
) -> RunFiles:
    """A run of files that are named, outside of any BIDS dataset.

    Parameters
    ----------
    paths : sequence of Path
        Left and right hemisphere, or one volume, or one CIFTI time series.
    label : str
        The run's name: BIDS entities such as ``sub-01_task-movie_run-2``, or only its number.
    t_r : float, optional
        Repetition time in seconds; else that of a JSON beside the first file, else of the header.
    events, confounds, brain_mask : Path, optional
        As in `RunFiles`.

    Raises
    ------
    BoldError
        If there are not one or two files, one of them is not there, or their kind is unknown.
    """
    paths = [Path(path) for path in paths]
    for path in paths:
        if not path.is_file():
            raise BoldError(f"run {label}: no file {path}", hint="mend data.files")
    endings = (".nii", ".nii.gz") if len(paths) == 1 else (".gii", ".gii.gz", ".mgz", ".mgh")
    if len(paths) not in (1, 2) or not all(path.name.endswith(endings) for path in paths):
        raise BoldError(
            f"run {label}: its BOLD is {', '.join(path.name for path in paths) or 'no file'}",
            hint="give left and right hemisphere (.func.gii or .mgz), or one volume (.nii.gz), or one .dtseries.nii",
        )
    said = entities(Path(label)) or {"run": label}
    kind = "surface" if len(paths) == 2 else "cifti" if paths[0].name.endswith(".dtseries.nii") else "volume"
    beside = paths[0].with_name(paths[0].name.split(".")[0] + ".json")
    subject, session, task, run = (said.get(key, "") for key in ("sub", "ses", "task", "run"))
    files = RunFiles(
        subject,
        session,
        task,
        run,
        space_said(paths[0]) or (FSLR.name if kind == "cifti" else ""),
        tuple(paths),
        events,
        confounds,
        kind=kind,
        brain_mask=brain_mask,
        sidecars=((beside,),) if beside.is_file() and t_r is None else (),
    )
    return replace(files, t_r=t_r if t_r is not None else sidecar_t_r(files))


def sidecar_t_r(files: RunFiles) -> float | None:
    """Repetition time of the nearest sidecar that has one (BIDS inheritance).

    Raises
    ------
    BoldError
        If a sidecar is broken, or those of the two hemispheres disagree.
    """
    found = {}
    for applying in files.sidecars:
        said = ((sidecar, number_in(sidecar, "RepetitionTime")) for sidecar in applying)
        sidecar, t_r = next(((path, number) for path, number in said if number is not None), (None, None))
        if sidecar is not None:
            found[sidecar] = t_r
    if len(set(found.values())) > 1:
        told = ", ".join(f"{path.name} says {t_r:g} s" for path, t_r in found.items())
        raise BoldError(f"{files.label}: sidecars disagree on t_r: {told}", hint="mend RepetitionTime in one of them")
    return next(iter(found.values()), None)
