"""Find the runs of a subject in a BIDS dataset with fMRIPrep derivatives."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from tribetune.bold.bids_folders import bids_roots, bold_files, inherited, raw_roots
from tribetune.bold.bids_names import entities, kind_of, natural, side_of, space_said
from tribetune.bold.meshes import resampling
from tribetune.bold.run import run_label
from tribetune.bold.run_files import RunFiles, sidecar_t_r
from tribetune.errors import BoldError
from tribetune.spaces import FSAVERAGE5, FSLR

_LOG = logging.getLogger(__name__)

_LISTED = 8
"""Files that an error names before it stops."""

_VOLUMES = (("volume", "MNI152NLin2009cAsym"), ("volume", "MNI152NLin6Asym"))
_SOURCES = {
    FSAVERAGE5.name: (*(("surface", mesh) for mesh in ("fsaverage5", "fsaverage6", "fsaverage")), *_VOLUMES),
    FSLR.name: (("cifti", FSLR.name), ("surface", FSLR.name)),
    "subcortex": _VOLUMES,
    "fsaverage5+subcortex": _VOLUMES,
}
"""What an output space can be made from, best first."""

_CONFOUNDS = ("desc-confounds_timeseries.tsv", "desc-confounds_regressors.tsv")
"""Of fMRIPrep since 20.2, and before."""


def find_runs(
    bids: Path, subject: str, task: str, space: str, session: str = ""
) -> list[tuple[RunFiles, Callable[[], RunFiles]]]:
    """List a subject's runs of one task, by session and run, in the best files there are for an output space.

    Parameters
    ----------
    bids : Path
        A BIDS dataset with ``derivatives/*/sub-*``, or one such derivatives folder.
    subject, task : str
        BIDS labels, with or without their key.
    space : str
        ``fsaverage5`` takes surfaces of fsaverage5, else of fsaverage6, else of fsaverage, else volumes in MNI space;
        ``subcortex`` takes volumes, ``fsLR`` CIFTI. Any other is the space of the files, where need be with more of
        their entities, as fMRIPrep writes it: ``MNI152NLin2009cAsym:res-2``.
    session : str
        Only this session; all when empty.

    Returns
    -------
    list of (RunFiles, callable)
        What was found of each run, and what is to be called for its files, see `together`.

    Raises
    ------
    BoldError
        If nothing matches (the message lists what is there). A run, when called: if a hemisphere is missing, another
        set of files has its name, or two sidecars disagree on the repetition time.
    """
    bids, subject = Path(bids), _bare(subject, "sub")
    asked = {"task": _bare(task, "task"), **({"ses": _bare(session, "ses")} if session else {})}
    found = _files(bids, subject)
    of_task = [path for path in found if asked.items() <= entities(path).items()]
    wanted = _choices(_bare(space, "space"))
    chosen = next((runs for fits in wanted if (runs := [path for path in of_task if fits(path)])), [])
    if not chosen:
        raise _nothing(bids, subject, {**asked, "space": _bare(space, "space")}, found, of_task)
    runs = _grouped(chosen, bids)
    _tell_left_out(runs, [path for path in of_task if any(fits(path) for fits in wanted)])
    named = {label: [files for files in runs if files.label == label] for label in (files.label for files in runs)}
    return [(files, lambda files=files: _checked(files, named[files.label])) for files in runs]


def list_runs(bids: Path, subject: str = "", task: str = "", space: str = "") -> list[RunFiles]:
    """Every set of files that belongs together, whole or not: a survey, which refuses nothing but a missing dataset.

    Empty labels stand for all. ``bold`` holds the files that are there, ``t_r`` is not looked up, and two entries may
    have one name; `tribetune.bold.survey` says what is missing.

    Raises
    ------
    BoldError
        If there is no dataset.
    """
    bids = Path(bids)
    asked = {key: _bare(label, key) for key, label in (("sub", subject), ("task", task)) if label}
    folders = [path for root in bids_roots(bids) for path in root.glob("sub-*") if path.is_dir()]
    subjects = sorted({_bare(path.name, "sub") for path in folders})
    found = [path for name in subjects if asked.get("sub", name) == name for path in _files(bids, name)]
    matching = [path for path in found if asked.items() <= entities(path).items()]
    return _grouped([path for path in matching if _bare(space, "space") in ("", space_said(path))], bids)


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


def _bare(label: str, key: str) -> str:
    return str(label).removeprefix(f"{key}-")


def _files(bids: Path, subject: str) -> list[Path]:
    roots = bids_roots(bids)
    if any((root / f"sub-{subject}").is_dir() for root in roots):
        return [path for root in roots for path in bold_files(root, subject)]
    known = sorted({path.name for root in roots for path in root.glob("sub-*") if path.is_dir()})
    raise BoldError(
        f"{bids} has no sub-{subject}; it has {', '.join(known[:_LISTED]) or 'no sub-* folder'}",
        hint="set data.subject to one of them, or data.bids to the folder that holds derivatives/",
    )


def _choices(space: str) -> list[Callable[[Path], bool]]:
    """Tests of the files that a space can be made from, best first."""
    name, *more = space.split(":")
    also = {key: value for key, _, value in (part.partition("-") for part in more)}

    def of(kind: str, wanted: str) -> Callable[[Path], bool]:
        return lambda path: (
            (not kind or kind_of(path) == kind)
            and space_said(path) == wanted
            and also.items() <= entities(path).items()
        )

    return [of(kind, wanted) for kind, wanted in _SOURCES.get(name, (("", name),))]


def _grouped(paths: Iterable[Path], bids: Path) -> list[RunFiles]:
    """Files that differ in their hemisphere alone belong together."""
    groups: dict[tuple, list[Path]] = {}
    for path in paths:
        said = {key: value for key, value in entities(path).items() if key != "hemi"}
        key = (path.parent, frozenset(said.items()), kind_of(path), space_said(path))
        groups.setdefault(key, []).append(path)
    places = list(dict.fromkeys([*bids_roots(bids), *raw_roots(bids)]))
    runs = [_run_files(sorted(group, key=side_of), places) for group in groups.values()]
    return sorted(
        runs, key=lambda files: [natural(part) for part in (files.subject, files.session, files.task, files.run)]
    )


def _run_files(bold: Sequence[Path], roots: Sequence[Path]) -> RunFiles:
    said = entities(bold[0])
    # The pipeline's own folder comes before the raw dataset; another pipeline's has no say.
    places = sorted((root for root in roots if bold[0].is_relative_to(root)), key=lambda root: -len(root.parts))
    masks = {frozenset({**entities(path), "desc": ""}.items()): path for path in bold[0].parent.glob("*_mask.nii.gz")}
    kind = kind_of(bold[0])
    return RunFiles(
        *(said.get(key, "") for key in ("sub", "ses", "task", "run")),
        space_said(bold[0]),
        tuple(bold),
        events=next(inherited(bold[0], places, "events.tsv"), None),
        confounds=next((found for name in _CONFOUNDS for found in inherited(bold[0], places, name)), None),
        kind=kind,
        brain_mask=masks.get(frozenset({**said, "desc": ""}.items())) if kind == "volume" else None,
        sidecars=tuple(tuple(inherited(path, places, "bold.json")) for path in bold),
    )


def _checked(files: RunFiles, of_one_name: Sequence[RunFiles]) -> RunFiles:
    """With its repetition time; refuse two sets of files of one name, and a run without exactly its two hemispheres."""
    if len(of_one_name) > 1:
        named = ", ".join(str(other.bold[0]) for other in of_one_name[:_LISTED])
        raise BoldError(
            f"{files.label}: {len(of_one_name)} runs have this name: {named}",
            hint="set data.bids to the derivatives folder you mean, or name the files you mean in data.files",
        )
    for side in "LR" if files.kind == "surface" else ():
        mine = [path.name for path in files.bold if side_of(path) == side]
        if len(mine) != 1:
            raise BoldError(
                f"{files.label}: {len(mine)} files claim hemisphere {side}: {', '.join(mine)}"
                if mine
                else f"{files.label}: hemisphere {side} is missing beside {files.bold[0].name}",
                hint=f"expected the same name once with hemi-{side} in {files.bold[0].parent}",
            )
    return replace(files, t_r=sidecar_t_r(files))


def _tell_left_out(runs: Sequence[RunFiles], usable: Sequence[Path]) -> None:
    """Say which runs of the task are there in other usable files only."""
    taken = {(files.session, files.run) for files in runs}
    for path in usable:
        said = entities(path)
        run = (said.get("ses", ""), said.get("run", ""))
        if run not in taken:
            taken.add(run)
            label = run_label(said["sub"], run[0], said["task"], run[1])
            _LOG.warning("%s left out: it has %s, the others %s", label, space_said(path), runs[0].space)


def _nothing(
    bids: Path, subject: str, wanted: dict[str, str], there: Sequence[Path], of_task: Sequence[Path]
) -> BoldError:
    asked = ", ".join(f"{key}-{value}" for key, value in wanted.items())
    more = f" and {len(there) - _LISTED} more" if len(there) > _LISTED else ""
    names = ", ".join(path.name for path in there[:_LISTED])
    listing = f"its BOLD files are {names}{more}" if there else "it has no preprocessed BOLD files"
    hint = (
        "set data.task, data.space or data.session to one of these"
        if there
        else "run fMRIPrep with --output-spaces fsaverage5, or set data.bids to the dataset that holds derivatives/"
    )
    if other := next((path for path in of_task if space_said(path) == FSLR.name), None):
        hint = resampling(str(other), FSLR.name, wanted["space"])
    return BoldError(f"{bids}: sub-{subject} has no run with {asked}; {listing}", hint=hint)
