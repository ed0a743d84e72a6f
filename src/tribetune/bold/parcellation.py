"""Which parcel every vertex or voxel belongs to, from the files that parcellations come in."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from tribetune.bold.label_files import Labels, read_csv, read_hemisphere
from tribetune.errors import SpaceError
from tribetune.spaces import Space

if TYPE_CHECKING:
    from nibabel.spatialimages import SpatialImage

_LOG = logging.getLogger(__name__)

_NO_PARCEL = re.compile(r"\W*|0|none|.*unknown|.*medial[ _-]?wall|corpus[ _-]?callosum|background.*", re.IGNORECASE)
_NOT_ITS_NAME = re.compile(r"^lh\.|\.(annot|label\.gii|csv|tsv|txt)$")
_SAYS = {
    "L": re.compile(r"(?<![A-Za-z0-9])(L|LH|lh|Left|left)(?![A-Za-z0-9])"),
    "R": re.compile(r"(?<![A-Za-z0-9])(R|RH|rh|Right|right)(?![A-Za-z0-9])"),
}


@dataclass(frozen=True)
class Parcellation:
    """Which parcel every place belongs to.

    Attributes
    ----------
    name : str
        Name of the space of its parcels, such as ``schaefer400``.
    names : tuple of str
        Parcels in the order of their files, the left one's first; medial wall and unknown are none.
    labels : array of shape (n_places,)
        Index into ``names``, -1 for no parcel. Places are the vertices of fsaverage5, left first, or the voxels of a
        grid in column-major order.
    """

    name: str
    names: tuple[str, ...]
    labels: Int[np.ndarray, " place"]

    @property
    def space(self) -> Space:
        """The space of its parcels."""
        return Space(self.name, len(self.names), self.names)


@dataclass
class _Half:
    """A hemisphere's parcels by name: of every vertex ("" for none), and all that its file lists, in order."""

    words: np.ndarray
    table: list[str]

    @property
    def used(self) -> set[str]:
        return set(np.unique(self.words).tolist()) - {""}

    def prefixed(self, prefix: str) -> "_Half":
        words = np.array([prefix + word if word else "" for word in self.words])
        return _Half(words, [prefix + word for word in self.table])

    def without(self, strays: set[str]) -> "_Half":
        return _Half(np.where(np.isin(self.words, list(strays)), "", self.words), self.table)


def read_parcellation(files: Path | tuple[Path, Path], name: str = "", names: Path | None = None) -> Parcellation:
    """Read a parcellation of fsaverage5.

    Parameters
    ----------
    files : Path or pair of Path
        Left and right ``.annot`` or ``.label.gii`` (fsaverage6 and fsaverage too), or a CSV of 20,484 lines.
    name : str
        Name of the space of its parcels; that of the file when empty.
    names : Path, optional
        For a CSV of numbers: a TSV or CSV with columns ``index`` and ``name``. Without it numbers are names.

    Returns
    -------
    Parcellation
        A name that both hemispheres use becomes two parcels, ``L_`` and ``R_``. Where numbers run on from left to
        right, a stray vertex that carries a label of the other hemisphere belongs to none.

    Raises
    ------
    SpaceError
        If a file cannot be read, has another size, is of the other hemisphere, or there is no parcel.
    """
    if isinstance(files, Path):
        if files.suffix not in (".csv", ".tsv", ".txt"):
            raise SpaceError(f"{files}: one file of a pair", hint="name the left and the right file")
        halves, where = read_csv(files, names), files
    else:
        halves, where = (read_hemisphere(files[0], "L"), read_hemisphere(files[1], "R")), files[0]
    left, right = (_half(labels) for labels in halves)
    _check_names(left.used, "L", where)
    _check_names(right.used, "R", where)
    left, right = _apart(left, right, where)
    return _joined(left, right, name or _NOT_ITS_NAME.sub("", where.name), where)


def parcels_of_image(
    labels: "SpatialImage", names: dict[int, str], image: "SpatialImage", name: str = "parcels"
) -> Parcellation:
    """Bring a label image to the grid of a BOLD image, each voxel to its nearest label.

    Parameters
    ----------
    labels : nibabel image of shape (x, y, z)
        Whole numbers, 0 for none, in register with ``image``.
    names : dict of int to str
        Parcels in order, as `tribetune.bold.label_files.read_names` reads them.
    image : nibabel image of shape (x, y, z, n_trs)
        The run.
    name : str
        Name of the space of its parcels.
    """
    from nilearn.image import resample_to_img

    grid = image.slicer[..., 0] if len(image.shape) == 4 else image
    moved = resample_to_img(labels, grid, interpolation="nearest", force_resample=True, copy_header=True)
    kept = {value: word for value, word in names.items() if value and not _NO_PARCEL.fullmatch(word)}
    values = np.asarray(moved.dataobj).reshape(-1, order="F").round().astype(int)
    known, place = np.unique(values, return_inverse=True)
    index = {value: k for k, value in enumerate(kept)}
    return Parcellation(name, tuple(kept.values()), np.array([index.get(int(value), -1) for value in known])[place])


def _half(labels: Labels) -> _Half:
    """Values as names, without medial wall and the like."""
    values, names = labels
    kept = {value: name for value, name in names.items() if not _NO_PARCEL.fullmatch(name)}
    known, place = np.unique(values, return_inverse=True)
    return _Half(np.array([kept.get(int(value), "") for value in known])[place], list(dict.fromkeys(kept.values())))


def _check_names(names: set[str], side: str, where: Path) -> None:
    """Refuse a hemisphere most of whose parcels say that they are in the other."""
    other = "R" if side == "L" else "L"
    wrong = sorted(name for name in names if _SAYS[other].search(name) and not _SAYS[side].search(name))
    if 2 * len(wrong) > len(names):
        raise SpaceError(
            f"{where}: {len(wrong)} parcels of hemisphere {side} have names such as {wrong[0]!r}",
            hint="give the left hemisphere first",
        )


def _apart(left: _Half, right: _Half, where: Path) -> tuple[_Half, _Half]:
    """No name in both hemispheres: of a pair of the same name both are renamed, of a few strays one side loses."""
    shared = left.used & right.used
    if 2 * len(shared) > min(len(left.used), len(right.used)):
        return left.prefixed("L_"), right.prefixed("R_")
    counts = {name: (int((left.words == name).sum()), int((right.words == name).sum())) for name in sorted(shared)}
    for name, (on_left, on_right) in counts.items():
        _LOG.warning(
            "%s: parcel %s has %d vertices on the left, %d on the right; the fewer are left out",
            where, name, on_left, on_right,
        )  # fmt: skip
    strays = {name for name, (on_left, on_right) in counts.items() if on_left < on_right}
    return left.without(strays), right.without(shared - strays)


def _joined(left: _Half, right: _Half, name: str, where: Path) -> Parcellation:
    """Both hemispheres' parcels; one table of both keeps its order, of two the left one comes first."""
    names = tuple(dict.fromkeys([*left.table, *right.table]))
    known, place = np.unique(np.concatenate([left.words, right.words]), return_inverse=True)
    if not known.astype(bool).any():
        raise SpaceError(f"{where}: no vertex has a parcel", hint="choose another parcellation")
    index = {word: k for k, word in enumerate(names)}
    return Parcellation(name, names, np.array([index.get(str(word), -1) for word in known])[place])
