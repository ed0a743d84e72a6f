"""Read a surface run: two GIFTI files, checked for hemisphere, counts and timing."""

import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import numpy as np
from jaxtyping import Float

from tribetune.bold.find import RunFiles
from tribetune.bold.run import Run, check_t_r, check_values
from tribetune.errors import BoldError, SpaceError
from tribetune.spaces import N_HEMISPHERE, space_named

_SAME_T_R = 1e-3
"""Repetition times closer than this (s) are one; headers round to milliseconds."""


def read_run(files: RunFiles) -> Run:
    """Read both hemispheres of a run, left first.

    Parameters
    ----------
    files : RunFiles
        Left and right GIFTI file, each with one array per volume or one array of shape (vertex, time).

    Returns
    -------
    Run
        Values of shape (n_trs, 20,484); a vertex that is NaN or constant throughout is a column of NaN.

    Raises
    ------
    BoldError
        If a file cannot be read, hemispheres are swapped or differ in length, values are not finite, nothing varies,
        or the repetition time is unknown, contradicted or in milliseconds.
    SpaceError
        If a hemisphere does not have 10,242 vertices.
    """
    space_named(files.space)
    if len(files.bold) != 2:
        raise BoldError(f"{files.label}: {len(files.bold)} BOLD files, expected left and right", hint="name both")
    values, steps = np.empty((0, 0), np.float32), {}
    for side, path in zip("LR", files.bold, strict=True):
        image = _load(path)
        _check_side(path, image, side)
        volumes = _volumes(path, image)
        if side == "L":
            values = np.empty((len(volumes), 2 * N_HEMISPHERE), np.float32)
        if len(volumes) != len(values):
            raise BoldError(
                f"{files.label}: {len(values)} volumes on the left, {len(volumes)} on the right",
                hint="export both hemispheres of the same run again",
            )
        place = slice(0, N_HEMISPHERE) if side == "L" else slice(N_HEMISPHERE, None)
        for row, volume in zip(values, volumes, strict=True):
            row[place] = volume
        steps[path] = _time_step(path, image)
    check_values(values, files.label)
    mask = np.ones(len(values), bool)
    t_r = _agreed_t_r(files, steps)
    return Run(files.subject, files.session, files.task, files.run, values, t_r, files.space, mask, files.bold)


def _load(path: Path) -> Any:
    import nibabel
    from nibabel.filebasedimages import ImageFileError

    try:
        image = nibabel.load(path)
    except (OSError, ImageFileError, ExpatError, zlib.error, ValueError, KeyError) as error:
        raise BoldError(f"{path}: cannot be read as GIFTI ({error})", hint="export or copy the file again") from error
    if not getattr(image, "darrays", None):
        raise BoldError(f"{path}: no data arrays, expected a GIFTI time series", hint="choose a *_bold.func.gii file")
    return image


def _metadata(image: Any) -> Mapping[str, str]:
    """Metadata of the file and of its first array, which writers use as they like."""
    return {**dict(image.darrays[0].meta or {}), **dict(image.meta or {})}


def _check_side(path: Path, image: Any, side: str) -> None:
    """Refuse a file whose name or header names the other hemisphere, or where neither names one."""
    named = re.search(r"(?:hemi-|(?:^|[._]))(L|R|lh|rh)(?=[._])", path.name)
    structure = _metadata(image).get("AnatomicalStructurePrimary", "").lower()
    said = {
        "file name": named.group(1)[0].upper() if named else "",
        "AnatomicalStructurePrimary": "L" if "left" in structure else "R" if "right" in structure else "",
    }
    wrong = [source for source, found in said.items() if found and found != side]
    if wrong or not any(said.values()):
        fault = f"{wrong[0]} says {said[wrong[0]]}" if wrong else "nothing says which hemisphere it is"
        raise BoldError(
            f"{path}: {fault}, expected hemisphere {side}", hint="left first, then right; name files hemi-L and hemi-R"
        )


def _volumes(path: Path, image: Any) -> list[Float[np.ndarray, " vertex"]]:
    """One array of 10,242 values per volume, from either layout."""
    arrays = [array.data for array in image.darrays]
    if len(arrays) == 1 and arrays[0].ndim == 2:
        whole = arrays[0]
        arrays = list(whole.T if whole.shape[0] == N_HEMISPHERE or whole.shape[1] != N_HEMISPHERE else whole)
    sizes = {array.shape for array in arrays}
    if sizes != {(N_HEMISPHERE,)}:
        got = " and ".join(sorted("×".join(f"{n:,}" for n in size) for size in sizes))
        raise SpaceError(
            f"{path}: {got} vertices, expected {N_HEMISPHERE:,} per hemisphere of fsaverage5",
            hint="use fMRIPrep's fsaverage5 output (fsaverage6 has 40,962 vertices, fsLR 32,492)",
        )
    return arrays


def _time_step(path: Path, image: Any) -> float | None:
    text = _metadata(image).get("TimeStep", "")
    try:
        return float(text) if text else None
    except ValueError as error:
        raise BoldError(f"{path}: TimeStep {text!r} is not a number", hint="write it in seconds") from error


def _agreed_t_r(files: RunFiles, steps: Mapping[Path, float | None]) -> float:
    """Repetition time of the sidecar, confirmed by the headers, or of the headers alone.

    FreeSurfer writes TimeStep in milliseconds, others in seconds: beside a sidecar both confirm it; alone, only
    seconds are believed.
    """
    t_r = files.t_r if files.t_r is not None else next((step for step in steps.values() if step), None)
    if t_r is None:
        raise BoldError(
            f"{files.label}: t_r is unknown: no sidecar has RepetitionTime, no GIFTI header has TimeStep",
            hint=f"write {files.bold[0].name.removesuffix('.func.gii')}.json with RepetitionTime in seconds",
        )
    check_t_r(t_r, files.label)
    for path, step in steps.items():
        if step and min(abs(step - t_r), abs(step / 1000 - t_r)) > _SAME_T_R:
            raise BoldError(
                f"{files.label}: t_r is {t_r:g} s by its sidecar, but {path.name} has TimeStep {step:g}",
                hint="mend the one that is wrong: a wrong t_r shifts every sample",
            )
    return float(t_r)
