"""Read a run's surfaces or CIFTI, checked for hemisphere, counts and timing."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Num

from tribetune.bold.cifti import read_cifti
from tribetune.bold.gifti import read_gifti
from tribetune.bold.headers import Header, agreed_t_r, check_length, check_side
from tribetune.bold.images import read_mgz
from tribetune.bold.meshes import N_VERTICES, mesh_of, resampling, space_of
from tribetune.bold.run import Run, check_values
from tribetune.bold.run_files import RunFiles
from tribetune.bold.walls import are_swapped
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
        check_side(path, header, side)
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


def _check_walls(files: RunFiles, values: Float[np.ndarray, "time vertex"]) -> None:
    """Refuse hemispheres that are empty or have each other's medial walls, and warn of two that are the same."""
    halves = left, right = np.split(values, 2, axis=1)
    for path, half in zip(files.bold, halves, strict=True):
        if np.isnan(half[0]).all():
            raise BoldError(
                f"{files.label}: {path.name}: no vertex varies over time", hint="export this hemisphere again"
            )
    if np.array_equal(left[0], right[0], equal_nan=True) and np.array_equal(left, right, equal_nan=True):
        # Not refused: simulated datasets, such as nilearn's, have such hemispheres.
        names = " and ".join(path.name for path in files.bold)
        _LOG.warning("%s: %s hold the same numbers; if these are measured, export them again", files.label, names)
    empty = np.isnan([left[0], right[0]])
    if are_swapped(empty):
        counts = " and ".join(f"{count:,}" for count in empty.sum(1))
        raise BoldError(
            f"{files.label}: the hemispheres are swapped: {counts} vertices have no data, on the left where"
            " fsaverage5's right medial wall is, and on the right where its left one is",
            hint="give each file the other's name, or export them again",
        )
