"""Vertices and voxels to parcels: the mean over what is defined in each."""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from tribetune.bold.parcellation import Parcellation
from tribetune.bold.run import Run
from tribetune.bold.volumes import name_of, volume_blocks
from tribetune.errors import SpaceError

if TYPE_CHECKING:
    from nibabel.spatialimages import SpatialImage

_LOG = logging.getLogger(__name__)

_ROWS = 256
"""Volumes averaged at once, in double precision."""


def parcel_means(
    values: Float[np.ndarray, "time place"],
    parcellation: Parcellation,
    defined: Bool[np.ndarray, " place"] | None = None,
) -> Float[np.ndarray, "time parcel"]:
    """Mean over the defined places of every parcel.

    Parameters
    ----------
    values : array of shape (n_trs, n_places)
        BOLD, scores or anything else; a place that is not finite anywhere along time is undefined.
    parcellation : Parcellation
        Of the same places.
    defined : array of shape (n_places,), optional
        Fewer places than those.

    Returns
    -------
    array of shape (n_trs, n_parcels)
        float32; NaN for a parcel without a defined place.

    Raises
    ------
    SpaceError
        If the parcellation is of another number of places.
    """
    from scipy.sparse import csr_array

    if values.shape[1] != len(parcellation.labels):
        raise SpaceError(
            f"{values.shape[1]:,} outputs, but {parcellation.name} is a parcellation of"
            f" {len(parcellation.labels):,} places",
            hint="use a parcellation of fsaverage5 for surfaces, a label image for volumes",
        )
    usable = np.isfinite(values).all(0) & (parcellation.labels >= 0)
    place = np.flatnonzero(usable if defined is None else usable & defined)
    parcel = parcellation.labels[place]
    shape = (len(place), len(parcellation.names))
    count = np.bincount(parcel, minlength=shape[1])
    weights = csr_array((1 / count[parcel], (np.arange(len(place)), parcel)), shape=shape)
    means = np.empty((len(values), shape[1]), np.float32)
    for first in range(0, len(values), _ROWS):
        means[first : first + _ROWS] = values[first : first + _ROWS, place] @ weights
    means[:, count == 0] = np.nan
    return means


def to_parcels(run: Run, parcellation: Parcellation) -> Run:
    """Average a run within parcels; vertices that are undefined or constant over its valid volumes do not count.

    Raises
    ------
    SpaceError
        If the parcellation is of another number of places, or no parcel has a defined one.
    """
    valid = run.values[run.mask] if not run.mask.all() else run.values
    varies = valid.min(0) != valid.max(0)
    means = parcel_means(run.values, parcellation, defined=varies)
    _check_empty(means, parcellation, run.label)
    return replace(run, values=means, space=parcellation.name, outputs=parcellation.names)


def volume_to_parcels(
    image: "SpatialImage", parcellation: Parcellation, brain_mask: "SpatialImage | None" = None
) -> Float[np.ndarray, "time parcel"]:
    """Average every volume within the parcels of a label image (`parcels_of_image`), in blocks.

    Voxels that are not finite do not count, nor do those outside the mask.

    Raises
    ------
    BoldError
        If the image is not 4-D, cannot be read, or is not finite here and there.
    SpaceError
        If the parcellation or the mask is of another grid, or no parcel has a voxel.
    """
    inside = None if brain_mask is None else np.asarray(brain_mask.dataobj).reshape(-1, order="F") != 0
    blocks = volume_blocks(image, brain_mask)
    flat = (block.reshape(-1, block.shape[3], order="F").T for block in blocks)
    means = np.concatenate([parcel_means(block, parcellation, defined=inside) for block in flat])
    _check_empty(means, parcellation, name_of(image))
    return means


def _check_empty(means: Float[np.ndarray, "time parcel"], parcellation: Parcellation, where: str) -> None:
    empty = np.flatnonzero(np.isnan(means[0]))
    if len(empty) == len(parcellation.names):
        raise SpaceError(
            f"{where}: no parcel of {parcellation.name} has a defined place", hint="use a parcellation of this space"
        )
    if len(empty):
        some = ", ".join(parcellation.names[k] for k in empty[:8])
        _LOG.warning("%s: %d of %d parcels are undefined: %s", where, len(empty), len(parcellation.names), some)
