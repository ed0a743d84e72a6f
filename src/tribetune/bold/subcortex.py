"""Volumes in MNI space to the voxels of subcortical structures, as TRIBE's targets were sampled (spec e.8)."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from tribetune.bold.label_files import read_names
from tribetune.bold.run import Run
from tribetune.bold.volumes import Box, name_of, volume_blocks
from tribetune.errors import BoldError, SpaceError
from tribetune.spaces import FSAVERAGE5, SUBCORTEX, Space, join_spaces

if TYPE_CHECKING:
    from nibabel.spatialimages import SpatialImage

ATLAS = "sub-maxprob-thr50-2mm"
"""The Harvard-Oxford atlas of the reference, by its name in nilearn and FSL."""

SMOOTHING_MM = 6.0
"""Full width at half maximum of the reference's smoothing."""

_LEFT_OUT = ("cortex", "white", "stem", "background")
_FSL_LABELS = Path("..", "HarvardOxford-Subcortical.xml")
_SPLINE_VOXELS = 12
"""A cubic spline forgets what lies beyond this many voxels (0.27 per voxel: 1e-7); scipy pads as much itself."""


@dataclass(frozen=True)
class Atlas:
    """Voxels of the structures that are kept, in row-major order of the atlas grid.

    Attributes
    ----------
    voxels : array of shape (n_voxels, 3)
        Indices into the grid.
    affine : array of shape (4, 4)
        From the grid's voxels to mm.
    structures : tuple of str
        Structure of every voxel, such as ``Left Thalamus``.
    """

    voxels: Int[np.ndarray, "voxel 3"]
    affine: Float[np.ndarray, "4 4"]
    structures: tuple[str, ...]

    @cached_property
    def space(self) -> Space:
        """The space of its voxels; lateral ventricles are outside of every mean."""
        return Space(SUBCORTEX.name, len(self.voxels), self.structures)


def read_atlas(path: Path | None = None, labels: Path | None = None, folder: Path | None = None) -> Atlas:
    """Read the Harvard-Oxford subcortical atlas, or any label image, and keep what is neither cortex nor stem.

    Parameters
    ----------
    path : Path, optional
        A label image. Without it nilearn's copy, which is downloaded on first use.
    labels : Path, optional
        Its names: FSL's XML, or a TSV or CSV with columns ``index`` and ``name``. Without it FSL's place, or the file
        beside the image with the suffix ``.tsv``, ``.csv`` or ``.xml``.
    folder : Path, optional
        Where nilearn keeps its data.

    Raises
    ------
    SpaceError
        If the atlas cannot be fetched or read, has values without a name, or no structure is left.
    """
    image, names = _fetch(folder) if path is None else _open(path, labels)
    where = str(path or ATLAS)
    values = np.asarray(image.dataobj)
    if values.ndim != 3 or not np.array_equal(values, np.round(values)):
        raise SpaceError(f"{where}: expected a 3-D image of whole numbers", hint="use a maxprob atlas, not a prob one")
    unnamed = sorted({int(value) for value in np.unique(values)} - {0, *names})
    if unnamed:
        raise SpaceError(
            f"{where}: values {unnamed} have no name", hint="name the label file that belongs to the atlas"
        )
    kept = {value: name for value, name in names.items() if value and not any(w in name.lower() for w in _LEFT_OUT)}
    inside = np.isin(values, list(kept))
    if not inside.any():
        raise SpaceError(f"{where}: no voxel of a subcortical structure", hint=f"use Harvard-Oxford {ATLAS}")
    structures = tuple(kept[int(value)] for value in values[inside])
    return Atlas(np.argwhere(inside), np.asarray(image.affine, np.float64), structures)


def project_to_subcortex(
    image: "SpatialImage",
    atlas: Atlas,
    smoothing_mm: float = SMOOTHING_MM,
    brain_mask: "SpatialImage | None" = None,
) -> Float[np.ndarray, "time voxel"]:
    """Smooth every volume, and interpolate it at the atlas's voxels.

    Parameters
    ----------
    image : nibabel image of shape (x, y, z, n_trs)
        In register with the atlas, such as fMRIPrep's MNI152NLin2009cAsym output.
    atlas : Atlas
        As `read_atlas` gives it.
    smoothing_mm : float
        Full width at half maximum of a Gaussian; 0 for none.
    brain_mask : nibabel image of shape (x, y, z), optional
        Voxels where it is 0 become 0 first, as in the reference.

    Returns
    -------
    array of shape (n_trs, n_voxels)
        float32; NaN for voxels outside the field of view.

    Raises
    ------
    BoldError
        If the image is not 4-D, cannot be read, or is not finite here and there.
    SpaceError
        If the mask is on another grid, or no voxel of the atlas lies in the field of view.

    Notes
    -----
    Same as ``nilearn.image.smooth_img`` and ``nilearn.image.resample_to_img(interpolation="continuous")`` (cubic
    splines), but only the part of the brain is smoothed that the structures see. Voxels without data count as 0.
    """
    from scipy.ndimage import map_coordinates, spline_filter

    to_voxels = np.linalg.inv(np.asarray(image.affine, np.float64)) @ atlas.affine
    places = atlas.voxels @ to_voxels[:3, :3].T + to_voxels[:3, 3]
    inside = ((places >= 0) & (places <= np.array(image.shape[:3]) - 1)).all(1)
    if not inside.any():
        raise SpaceError(
            f"{name_of(image)}: no voxel of the atlas lies in its field of view",
            hint="choose fMRIPrep's space-MNI152NLin2009cAsym output",
        )
    box = _box(image, places[inside], smoothing_mm)
    corner = np.array([side.start for side in box])
    values = np.full((image.shape[3], len(places)), np.nan, np.float32)
    number = 0
    for block in volume_blocks(image, brain_mask, box):
        part = np.nan_to_num(block)
        if smoothing_mm:
            part = _smoothed(part, image.affine, smoothing_mm)
        for volume in np.moveaxis(part, 3, 0):
            spline = spline_filter(volume, order=3, output=np.float64)
            values[number, inside] = map_coordinates(spline, (places[inside] - corner).T, order=3, prefilter=False)
            number += 1
    return values


def with_subcortex(cortex: Run, subcortex: Run) -> Run:
    """One run of both, cortex first, valid where both are.

    Raises
    ------
    BoldError
        If they are not the same volumes.
    """
    if cortex.label != subcortex.label or cortex.values.shape[0] != subcortex.values.shape[0]:
        raise BoldError(
            f"{cortex.label} has {len(cortex.values)} volumes on the cortex, {subcortex.label} {len(subcortex.values)}"
            " below it",
            hint="export surfaces and volumes of the same run again",
        )
    if abs(cortex.t_r - subcortex.t_r) > 1e-3:
        raise BoldError(
            f"{cortex.label}: t_r is {cortex.t_r:g} s on the cortex, {subcortex.t_r:g} s below it",
            hint="mend the sidecar that is wrong",
        )
    FSAVERAGE5.check(cortex.values.shape[1], cortex.label)
    space = join_spaces(FSAVERAGE5, Space(SUBCORTEX.name, subcortex.values.shape[1], subcortex.outputs))
    return replace(
        cortex,
        values=np.concatenate([cortex.values, subcortex.values], axis=1),
        mask=cortex.mask & subcortex.mask,
        space=space.name,
        outputs=space.labels,
        sources=tuple(dict.fromkeys(cortex.sources + subcortex.sources)),
    )


def _box(image: "SpatialImage", places: Float[np.ndarray, "voxel 3"], smoothing_mm: float) -> Box:
    """The voxels that decide what is seen at some places."""
    size_mm = np.linalg.norm(np.asarray(image.affine)[:3, :3], axis=0)
    kernel = 4 * smoothing_mm / np.sqrt(8 * np.log(2)) / size_mm  # scipy cuts a Gaussian at four deviations
    margin = np.ceil(kernel).astype(int) + _SPLINE_VOXELS + 1
    low = np.maximum(np.floor(places.min(0)).astype(int) - margin, 0)
    high = np.minimum(np.ceil(places.max(0)).astype(int) + margin + 1, image.shape[:3])
    x, y, z = (slice(int(first), int(last)) for first, last in zip(low, high, strict=True))
    return x, y, z


def _smoothed(block: np.ndarray, affine: np.ndarray, smoothing_mm: float) -> np.ndarray:
    from nibabel import Nifti1Image
    from nilearn.image import smooth_img

    return np.asarray(smooth_img(Nifti1Image(block, affine), smoothing_mm).dataobj)


def _fetch(folder: Path | None) -> tuple["SpatialImage", dict[int, str]]:
    from nilearn.datasets import fetch_atlas_harvard_oxford

    try:
        atlas = fetch_atlas_harvard_oxford(ATLAS, data_dir=folder, verbose=0)
    except (OSError, ValueError) as error:
        raise SpaceError(
            f"Harvard-Oxford {ATLAS} is not on this machine and cannot be fetched ({type(error).__name__})",
            hint=f"set data.subcortex.atlas to FSL's HarvardOxford-{ATLAS}.nii.gz, or run where there is a network: "
            f"python -c \"from nilearn.datasets import fetch_atlas_harvard_oxford as f; f('{ATLAS}')\"",
        ) from error
    return atlas.maps, dict(enumerate(atlas.labels))


def _open(path: Path, labels: Path | None) -> tuple["SpatialImage", dict[int, str]]:
    """A label image turned to a positive diagonal, as nilearn turns its own: the order of voxels depends on it."""
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nilearn.image import reorder_img

    stem = path.name.removesuffix(".gz").removesuffix(".nii")
    beside = [path.with_name(stem + suffix) for suffix in (".tsv", ".csv", ".xml")]
    places = [labels] if labels else [path.parent / _FSL_LABELS, *beside]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise SpaceError(
            f"{path}: no names of its structures; looked for {', '.join(str(place) for place in places)}",
            hint="set data.subcortex.labels to FSL's HarvardOxford-Subcortical.xml, or a TSV of index and name",
        )
    try:
        image = reorder_img(nibabel.load(path), resample=None)
    except (OSError, EOFError, ValueError, ImageFileError) as error:
        raise SpaceError(f"{path}: cannot be read as a label image ({error})", hint="copy the file again") from error
    return image, read_names(found)
