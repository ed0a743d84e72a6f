"""Volumes in MNI space to the fsaverage5 surface, as TRIBE's targets were projected (spec e.7)."""

import itertools
import logging
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from xml.parsers.expat import ExpatError

import numpy as np
from jaxtyping import Bool, Float

from tribetune.bold.volumes import missing_voxels, name_of, volume_blocks
from tribetune.errors import SpaceError
from tribetune.spaces import FSAVERAGE5, N_HEMISPHERE

if TYPE_CHECKING:
    from nibabel.spatialimages import SpatialImage
    from scipy.sparse import csr_array

Depth = Literal["pial", "midthickness"] | float

RADIUS_MM = 3.0
N_POINTS = 20
"""Samples in the ball around each vertex."""

_DEPTHS = {"pial": 0.0, "midthickness": 0.5}
_SURFACE_NAMES = ("{side}.{layer}.fsaverage5.gii", "{side}.{layer}.surf.gii", "{side}.{layer}.gii")
_PROBES = 32
"""Probe images that nilearn samples at once."""

_LOG = logging.getLogger(__name__)


def project_to_surface(
    image: "SpatialImage",
    depth: Depth = "pial",
    surfaces: Path | None = None,
    brain_mask: "SpatialImage | None" = None,
) -> Float[np.ndarray, "time vertex"]:
    """Sample every volume in balls of 3 mm around the vertices of fsaverage5.

    Parameters
    ----------
    image : nibabel image of shape (x, y, z, n_trs)
        In register with the surfaces, such as fMRIPrep's MNI152NLin2009cAsym output.
    depth : {"pial", "midthickness"} or float
        Where the balls sit: the share of the way from the pial surface (0) to the white one (1).
    surfaces : Path, optional
        Folder with ``lh.pial.fsaverage5.gii``, ``rh.pial.fsaverage5.gii`` and, for other depths, the same of
        ``white``. Without it nilearn's fsaverage5.
    brain_mask : nibabel image of shape (x, y, z), optional
        Voxels where it is 0 become 0 before they are sampled, as in the reference.

    Returns
    -------
    array of shape (n_trs, 20484)
        float32, left hemisphere first; NaN for vertices without any sample in the field of view.

    Raises
    ------
    BoldError
        If the image is not 4-D, cannot be read, or is not finite here and there.
    SpaceError
        If depth or surfaces are wrong, the mask is on another grid, or the image covers no vertex.

    Notes
    -----
    Same as ``nilearn.surface.vol_to_surf(kind="ball", radius=3, n_samples=20, interpolation="linear")``, which takes
    the mean of the samples inside the image. What it does is linear in the image, so its weights are asked for once
    (`sampling_matrix`) and applied to all volumes: an hour takes seconds and not minutes.
    """
    grid = (tuple(image.shape[:3]), np.asarray(image.affine, np.float64).tobytes())
    missing = missing_voxels(image, brain_mask)
    weights = _weights(*grid, np.packbits(missing).tobytes(), _share(depth), surfaces)
    uncovered = weights.sum(1) == 0
    if uncovered.all():
        raise SpaceError(
            f"{name_of(image)}: no vertex of fsaverage5 lies in its field of view",
            hint="choose fMRIPrep's space-MNI152NLin2009cAsym output",
        )
    if uncovered.any():
        _LOG.warning("%s: %d vertices lie outside the field of view", name_of(image), uncovered.sum())
    used = np.unique(weights.indices)
    weights = weights[:, used]
    values = np.empty((image.shape[3], FSAVERAGE5.n_outputs), np.float32)
    first = 0
    for block in volume_blocks(image, brain_mask):
        flat = np.ascontiguousarray(block.reshape(-1, block.shape[3], order="F")[used])
        values[first : first + block.shape[3]] = (weights @ flat).T
        first += block.shape[3]
    values[:, uncovered] = np.nan
    return values


def surface_vertices(depth: Depth = "pial", surfaces: Path | None = None) -> Float[np.ndarray, "2 vertex 3"]:
    """Where the vertices of fsaverage5 are, in mm, left hemisphere first.

    Raises
    ------
    SpaceError
        If the depth is not between 0 and 1, or a surface is missing, unreadable, of another size or of the other side.
    """
    share = _share(depth)
    pial = _layer("pial", surfaces)
    return pial if share == 0 else (1 - share) * pial + share * _layer("white", surfaces)


def sampling_matrix(
    vertices: Float[np.ndarray, "vertex 3"], affine: Float[np.ndarray, "4 4"], missing: Bool[np.ndarray, "x y z"]
) -> "csr_array":
    """Weights that nilearn gives to every voxel, from images that are 1 in few voxels.

    A vertex sees so few voxels that an image can be 1 in every p-th along each axis, and still no vertex sees two of
    them: p³ images show all weights.

    Parameters
    ----------
    vertices : array of shape (n_vertices, 3)
        In mm.
    affine : array of shape (4, 4)
        From voxels to mm.
    missing : array of shape (x, y, z)
        Voxels without data; samples that touch them are left out of the mean.

    Returns
    -------
    sparse array of shape (n_vertices, n_voxels)
        Voxels in column-major order; no weights where no sample is left.
    """
    from scipy.sparse import csr_array

    shape = np.array(missing.shape)
    reach = RADIUS_MM * np.linalg.norm(np.linalg.inv(affine)[:3, :3], axis=1)
    period = np.minimum(np.ceil(2 * reach).astype(int) + 2, shape)
    centres = (vertices - affine[:3, 3]) @ np.linalg.inv(affine)[:3, :3].T
    lowest = np.clip(np.floor(centres - reach).astype(int), 0, shape - period)
    rows, columns, weights = [], [], []
    phases = np.array(list(itertools.product(*map(range, period))))
    for some in np.array_split(phases, -(-len(phases) // _PROBES)):
        for phase, seen in zip(some, _probe(vertices, affine, missing, some, period), strict=True):
            row = np.flatnonzero(np.nan_to_num(seen))
            voxel = lowest[row] + (phase - lowest[row]) % period
            rows.append(row)
            columns.append(np.ravel_multi_index(tuple(voxel.T), missing.shape, order="F"))
            weights.append(seen[row])
    entries = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
    return csr_array(entries, shape=(len(vertices), missing.size))


def _probe(
    vertices: np.ndarray, affine: np.ndarray, missing: np.ndarray, phases: np.ndarray, period: np.ndarray
) -> Float[np.ndarray, "phase vertex"]:
    """What nilearn sees at the vertices in images that are 1 in every p-th voxel."""
    from nibabel import Nifti1Image
    from nilearn.surface import InMemoryMesh, vol_to_surf

    images = np.zeros((*missing.shape, len(phases)), np.float32)
    for number, (i, j, k) in enumerate(phases):
        images[i :: period[0], j :: period[1], k :: period[2], number] = 1
    images[missing] = np.nan
    mesh = InMemoryMesh(vertices, np.array([[0, 1, 2]]))  # a ball needs no faces, but a mesh has some
    with warnings.catch_warnings():
        # Vertices without any sample: nilearn's NaN is what is wanted.
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        return vol_to_surf(
            Nifti1Image(images, affine), mesh, radius=RADIUS_MM, kind="ball", n_samples=N_POINTS, interpolation="linear"
        ).T


@lru_cache(maxsize=4)
def _weights(shape: tuple[int, ...], affine: bytes, missing: bytes, share: float, surfaces: Path | None) -> "csr_array":
    """The weights of both hemispheres; kept, because the runs of a study have one grid."""
    from scipy.sparse import vstack

    lost = np.unpackbits(np.frombuffer(missing, np.uint8), count=int(np.prod(shape))).astype(bool).reshape(shape)
    to_mm = np.frombuffer(affine, np.float64).reshape(4, 4)
    halves = [sampling_matrix(half, to_mm, lost) for half in surface_vertices(share, surfaces)]
    return vstack(halves, format="csr")


def _share(depth: Depth) -> float:
    share = _DEPTHS.get(depth) if isinstance(depth, str) else float(depth)
    if share is None or not 0 <= share <= 1:
        raise SpaceError(
            f"projection depth {depth!r}, expected pial, midthickness or a number from 0 (pial) to 1 (white)",
            hint="set data.volume.depth",
        )
    return share


def _layer(layer: str, surfaces: Path | None) -> Float[np.ndarray, "2 vertex 3"]:
    """One surface of both hemispheres, from files or as nilearn carries it."""
    if surfaces is None:
        from nilearn.datasets import load_fsaverage

        parts = load_fsaverage("fsaverage5")["white_matter" if layer == "white" else layer].parts
        halves = [np.asarray(parts[side].coordinates, np.float64) for side in ("left", "right")]
    else:
        halves = list(_surface_files(layer, surfaces))
    if not halves[0][:, 0].mean() < halves[1][:, 0].mean():
        raise SpaceError(f"{surfaces}: lh.{layer} lies to the right of rh.{layer}", hint="swap the two files")
    return np.stack(halves)


def _surface_files(layer: str, folder: Path) -> Iterator[Float[np.ndarray, "vertex 3"]]:
    for side in ("lh", "rh"):
        names = [name.format(side=side, layer=layer) for name in _SURFACE_NAMES]
        path = next((folder / name for name in names if (folder / name).is_file()), None)
        if path is None:
            raise SpaceError(
                f"{folder}: no {' or '.join(names)}", hint="set data.volume.meshes to the folder of surfaces"
            )
        points = _points(path)
        if len(points) != N_HEMISPHERE:
            raise SpaceError(
                f"{path}: {len(points):,} vertices, expected {N_HEMISPHERE:,}", hint="use surfaces of fsaverage5"
            )
        yield points


def _points(path: Path) -> Float[np.ndarray, "vertex 3"]:
    from nilearn.surface import load_surf_mesh

    try:
        return np.asarray(load_surf_mesh(path).coordinates, np.float64)
    except (OSError, ValueError, TypeError, KeyError, IndexError, ExpatError) as error:
        raise SpaceError(f"{path}: cannot be read as a surface ({error})", hint="copy the file again") from error
