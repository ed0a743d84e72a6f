"""Read the cortex of a CIFTI time series: fsLR, both hemispheres with their medial wall."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from tribetune.bold.headers import Header, Step
from tribetune.bold.images import open_image, read_block
from tribetune.errors import BoldError, SpaceError
from tribetune.spaces import FSLR

_HEMISPHERES = ("CIFTI_STRUCTURE_CORTEX_LEFT", "CIFTI_STRUCTURE_CORTEX_RIGHT")


def cifti_header(path: Path) -> Header:
    """What a dense time series says of itself, its data unread.

    Raises
    ------
    BoldError
        If it is no dense time series in seconds, or is cut short.
    """
    series, models = _axes(path, open_image(path))
    return Header(len(series), len(models), _step(path, series))


def read_cifti(path: Path) -> tuple[Header, Float[np.ndarray, "time vertex"]]:
    """Read the cortex of a dense time series.

    Returns
    -------
    header : Header
    values : array of shape (n_trs, 64984)
        float32, left first, NaN where the file has no grayordinate for a vertex (medial wall).

    Raises
    ------
    BoldError
        If it is no dense time series in seconds, or is cut short.
    SpaceError
        If its cortex is not both hemispheres of the 32k mesh.
    """
    image = open_image(path)
    series, models = _axes(path, image)
    n_hemisphere = FSLR.n_outputs // 2
    values = np.full((len(series), FSLR.n_outputs), np.nan, np.float32)
    found = {name: (places, model) for name, places, model in models.iter_structures() if name in _HEMISPHERES}
    for k, name in enumerate(_HEMISPHERES):
        size = models.nvertices.get(name, 0)
        if size != n_hemisphere:
            raise SpaceError(
                f"{path}: {size:,} vertices in {name.removeprefix('CIFTI_STRUCTURE_')}, expected {n_hemisphere:,}",
                hint="use the 91k grayordinates (--cifti-output 91k in fMRIPrep)",
            )
        places, model = found[name]
        values[:, k * n_hemisphere + model.vertex] = read_block(path, image.dataobj, (slice(None), places))
    return Header(len(series), len(models), _step(path, series)), values


def _axes(path: Path, image: Any) -> tuple[Any, Any]:
    from nibabel.cifti2 import BrainModelAxis, Cifti2Image, SeriesAxis

    axes = [image.header.get_axis(k) for k in range(image.ndim)] if isinstance(image, Cifti2Image) else []
    if [type(axis) for axis in axes] != [SeriesAxis, BrainModelAxis]:
        raise BoldError(f"{path}: no dense time series", hint="choose a *_bold.dtseries.nii file")
    return axes[0], axes[1]


def _step(path: Path, series: Any) -> Step | None:
    if series.unit != "SECOND":
        raise BoldError(f"{path}: its series is in {series.unit}, expected seconds", hint="export it again")
    return Step(round(float(series.step), 6), "SeriesStep") if series.step > 0 else None
