"""A 4-D image in blocks of volumes, so that an hour of it never lies in memory at once."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from tribetune.errors import BoldError, SpaceError

if TYPE_CHECKING:
    from nibabel.spatialimages import SpatialImage

_BLOCK_VALUES = 2**24
"""Values in a block: 64 MB in single precision."""

_SAME_MM = 1e-3
"""Grids whose affines differ by less are one; headers keep them in single precision."""

Box = tuple[slice, slice, slice]
"""Voxels that are looked at: a range per axis."""

WHOLE: Box = (slice(None), slice(None), slice(None))


def volume_blocks(
    image: "SpatialImage", brain_mask: "SpatialImage | None" = None, box: Box = WHOLE
) -> Iterator[Float[np.ndarray, "x y z volume"]]:
    """Read a 4-D image front to back.

    Parameters
    ----------
    image : nibabel image of shape (x, y, z, n_trs)
        Read block by block where it lies in a file.
    brain_mask : nibabel image of shape (x, y, z), optional
        On the same grid; voxels where it is 0 become 0, as in the reference (spec e.6).
    box : tuple of three slices
        Only these voxels.

    Yields
    ------
    array of shape (x, y, z, n_volumes)
        float32, in column-major order; NaN for voxels that are not finite in any volume.

    Raises
    ------
    BoldError
        If the image is not 4-D, its data cannot be read, or voxels are not finite in some volumes only.
    SpaceError
        If the mask is on another grid.
    """
    n_trs = _check_4d(image)
    outside = None if brain_mask is None else ~_inside(image, brain_mask)[box]
    size = max(1, _BLOCK_VALUES // int(np.prod(image.shape[:3])))
    data: Any = _stream(image)
    lost: Any = None
    for first in range(0, n_trs, size):
        block = np.array(_read(image, data, box, first, size), np.float32, order="F")  # a copy, ours to change
        if outside is not None:
            block[outside] = 0
        finite = np.isfinite(block)
        lost = ~finite.all(3) if lost is None else lost
        if (finite.all(3) == lost).any() or (finite.any(3) == lost).any():
            raise BoldError(
                f"{name_of(image)}: voxels are not finite in some of volumes {first} to {first + block.shape[3] - 1},"
                " but measured in others",
                hint="export the run again; voxels without data must be 0 or NaN throughout",
            )
        block[lost] = np.nan
        yield block


def missing_voxels(image: "SpatialImage", brain_mask: "SpatialImage | None" = None) -> Bool[np.ndarray, "x y z"]:
    """Voxels that are not finite in the first volume, and so (`volume_blocks` makes sure) in none."""
    _check_4d(image)
    missing = ~np.isfinite(_read(image, image.dataobj, WHOLE, 0, 1)[..., 0])
    return missing if brain_mask is None else missing & _inside(image, brain_mask)


def name_of(image: "SpatialImage") -> str:
    """Name of an image's file, for messages."""
    return Path(image.get_filename() or "image in memory").name


def _check_4d(image: "SpatialImage") -> int:
    if len(image.shape) != 4:
        raise BoldError(
            f"{name_of(image)}: an image of {len(image.shape)} dimensions, expected 4 (x, y, z, time)",
            hint="choose the *_bold.nii.gz time series",
        )
    return int(image.shape[3])


def _inside(image: "SpatialImage", mask: "SpatialImage") -> Bool[np.ndarray, "x y z"]:
    same_grid = mask.shape == image.shape[:3] and np.allclose(_affine(mask), _affine(image), atol=_SAME_MM)
    if not same_grid:
        raise SpaceError(
            f"{name_of(mask)}: shape {mask.shape} or affine differ from {name_of(image)}, {image.shape[:3]}",
            hint="use the brain mask that fMRIPrep wrote beside the run, in the same space",
        )
    return np.asarray(mask.dataobj) != 0


def _affine(image: "SpatialImage") -> Float[np.ndarray, "4 4"]:
    if image.affine is None:
        raise SpaceError(f"{name_of(image)}: no affine, so nobody knows where its voxels are", hint="export it again")
    return np.asarray(image.affine, np.float64)


def _stream(image: "SpatialImage") -> Any:
    """The image's data; a compressed file stays open, because reopening it means decompressing from its start."""
    from nibabel import is_proxy

    path = image.get_filename()
    if path is None or not is_proxy(image.dataobj):
        return image.dataobj
    return type(image).from_filename(path, keep_file_open=True).dataobj


def _read(image: "SpatialImage", data: Any, box: Box, first: int, size: int) -> np.ndarray:
    try:
        return np.asarray(data[(*box, slice(first, first + size))])
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise BoldError(
            f"{name_of(image)}: volumes from {first} on cannot be read ({error})", hint="copy or export the file again"
        ) from error
