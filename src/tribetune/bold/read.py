"""Read a run's surfaces or CIFTI, checked for hemisphere, counts and timing."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Num

from tribetune.bold.bids_names import side_of
from tribetune.bold.cifti import read_cifti
from tribetune.bold.gifti import read_gifti
from tribetune.bold.headers import Header, agreed_t_r, check_length
from tribetune.bold.images import read_mgz
from tribetune.bold.meshes import MEDIAL_WALL, N_VERTICES, mesh_of, resampling, space_of
from tribetune.bold.run import Run, check_values
from tribetune.bold.run_files import RunFiles
from tribetune.errors import BoldError, SpaceError
from tribetune.spaces import FSAVERAGE5, FSLR

_LOG = logging.getLogger(__name__)


def read_run(files: RunFiles, space: str | None = None) -> Run:
    """Read a run, left hemisphere first.

    Parameters
    ----------
    files : RunFiles
        Left and right GIFTI (one array per volume, or one of shape (vertex, time)) or MGZ, or one CIFTI time series.
    space : {"fsaverage5", "fsLR"}, optional
        Wanted; else the one that the files are in.

    Returns
    -------
    Run
        Values of shape (n_trs, 20,484), of fsaverage6 and fsaverage those of the vertices that fsaverage5 has; or of
        shape (n_trs, 64,984) in fsLR. A vertex that is NaN or constant throughout is a column of NaN.

    Raises
    ------
    BoldError
        If a file cannot be read, hemispheres are swapped or of different length, values are not finite, nothing varies,
        or the repetition time or number of volumes is unknown, contradicted or in milliseconds.
    SpaceError
        If the vertices are not those of a known mesh, or of another than wanted.
    """
    if files.kind == "volume":
        raise BoldError(
            f"{files.label}: a volume in {files.space or 'an unnamed space'}, expected surfaces or CIFTI",
            hint="run fMRIPrep with --output-spaces fsaverage5, or have the volume projected",
        )
    if files.kind == "cifti":
        _check_wanted(files, FSLR.name, space)
        header, values = read_cifti(files.bold[0])
        headers, mesh = [header], FSLR.name
    else:
        headers, values, mesh = _read_hemispheres(files, space)
    t_r = agreed_t_r(files, {path: header.step for path, header in zip(files.bold, headers, strict=True)})
    check_length(files, len(values))
    check_values(values, files.label)
    if space_of(mesh) == FSAVERAGE5.name:
        _check_walls(files, values)
    mask = np.ones(len(values), bool)
    entities = (files.subject, files.session, files.task, files.run)
    return Run(*entities, values, t_r, space_of(mesh), mask, files.bold)


def _read_hemispheres(files: RunFiles, space: str | None) -> tuple[list[Header], Float[np.ndarray, "time vertex"], str]:
    """Headers, values and mesh of left and right."""
    if len(files.bold) != 2:
        raise BoldError(f"{files.label}: {len(files.bold)} BOLD files, expected left and right", hint="name both")
    values, headers, mesh = np.empty((0, 0), np.float32), [], files.space
    for side, path in zip("LR", files.bold, strict=True):
        header, volumes = _read_side(path)
        headers.append(header)
        _check_side(path, header, side)
        mesh = mesh_of(header.n_places, mesh if mesh in N_VERTICES else "", str(path))
        _check_wanted(files, mesh, space)
        n_vertices = len(volumes[0])
        if side == "L":
            values = np.empty((len(volumes), 2 * n_vertices), np.float32)
        if len(volumes) != len(values):
            raise BoldError(
                f"{files.label}: {len(values)} volumes on the left, {len(volumes)} on the right",
                hint="export both hemispheres of the same run again",
            )
        place = slice(0, n_vertices) if side == "L" else slice(n_vertices, None)
        for row, volume in zip(values, volumes, strict=True):
            row[place] = volume
    return headers, values, mesh


def _read_side(path: Path) -> tuple[Header, Sequence[Num[np.ndarray, " vertex"]]]:
    return read_gifti(path) if path.name.endswith((".gii", ".gii.gz")) else read_mgz(path)


def _check_wanted(files: RunFiles, mesh: str, wanted: str | None) -> None:
    if wanted is not None and space_of(mesh) != wanted:
        raise SpaceError(
            f"{files.label}: {files.bold[0].name} is in {mesh}, but {wanted} is asked for",
            hint=resampling(str(files.bold[0]), mesh, wanted),
        )


def _check_side(path: Path, header: Header, side: str) -> None:
    """Refuse a file whose name or header names the other hemisphere, or where neither names one."""
    said = {"file name": side_of(path), "AnatomicalStructurePrimary": header.side}
    wrong = [source for source, found in said.items() if found and found != side]
    if wrong or not any(said.values()):
        fault = f"{wrong[0]} says {said[wrong[0]]}" if wrong else "nothing says which hemisphere it is"
        raise BoldError(
            f"{path}: {fault}, expected hemisphere {side}", hint="left first, then right; name files hemi-L and hemi-R"
        )


def _check_walls(files: RunFiles, values: Float[np.ndarray, "time vertex"]) -> None:
    """Refuse hemispheres whose medial walls are each other's, and warn of two that are one and the same."""
    left, right = np.split(values, 2, axis=1)
    if np.array_equal(left[0], right[0], equal_nan=True) and np.array_equal(left, right, equal_nan=True):
        # Not refused: simulated datasets, such as nilearn's, have such hemispheres.
        names = " and ".join(path.name for path in files.bold)
        _LOG.warning("%s: %s hold the same numbers; if these are measured, export them again", files.label, names)
    walls = [int(np.isnan(half[0]).sum()) for half in (left, right)]
    if walls == [MEDIAL_WALL["R"], MEDIAL_WALL["L"]]:
        raise BoldError(
            f"{files.label}: the hemispheres are swapped: {walls[0]} vertices without data on the left and {walls[1]}"
            " on the right are the medial walls of fsaverage5's right and left",
            hint="give each file the other's name, or export them again",
        )
