"""Open MGZ, NIfTI and CIFTI without reading their data: header, length of the file, repetition time."""

import gzip
import math
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Num

from tribetune.bold.headers import Header, Step, agreed_t_r, check_length
from tribetune.bold.meshes import n_kept
from tribetune.bold.run_files import RunFiles
from tribetune.errors import BoldError, SpaceError

if TYPE_CHECKING:
    from nibabel.spatialimages import SpatialImage

_UNITS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6, "unknown": 1.0}
_FILLER_S = 1.0
"""What MGZ and NIfTI writers put for a repetition time that they do not know, if not 0."""

_MEND = {
    ".mgz": "mri_convert -tr {ms} {path} {path}",
    ".mgh": "mri_convert -tr {ms} {path} {path}",
    ".gz": "3drefit -TR {s} {path}",
    ".nii": "3drefit -TR {s} {path}",
}
_CHUNK = 2**22
_LONGEST_FOOTER = 2**20


def open_volume(files: RunFiles) -> "SpatialImage":
    """A run's 4-D volume, not read yet: mapped into memory where it is not compressed.

    Parameters
    ----------
    files : RunFiles
        Of kind ``volume``.

    Returns
    -------
    nibabel image of shape (x, y, z, n_trs)

    Raises
    ------
    BoldError
        If it is no 4-D NIfTI, is cut short or has no data, or if its sidecar, header and confounds disagree.
    """
    (path,) = files.bold
    if path.name.endswith(".dtseries.nii"):
        raise BoldError(f"{path}: CIFTI, expected a volume", hint="set data.space to fsLR")
    image = open_image(path)
    header = _header(path, image)
    if len(image.shape) != 4 or header.n_trs < 2:
        size = " × ".join(str(n) for n in image.shape)
        raise BoldError(f"{path}: {size}, expected x × y × z × time", hint="choose the *_bold.nii.gz time series")
    agreed_t_r(files, {path: header.step})
    check_length(files, header.n_trs)
    return image


def volume_t_r(files: RunFiles) -> float:
    """Repetition time in seconds of the run that `open_volume` opens, agreed on by sidecar and header."""
    (path,) = files.bold
    return agreed_t_r(files, {path: image_header(path).step})


def read_mgz(path: Path) -> tuple[Header, Sequence[Num[np.ndarray, " vertex"]]]:
    """Read every volume of one hemisphere.

    Returns
    -------
    header : Header
    volumes : sequence of arrays of shape (n_kept,)
        Of a mesh that fsaverage5 is nested in, only the first 10,242 vertices.

    Raises
    ------
    BoldError
        If it cannot be read.
    SpaceError
        If it is a volume.
    """
    image = open_image(path)
    header = _header(path, image)
    if len(image.shape) not in (3, 4) or image.shape[1:3] != (1, 1):
        size = " × ".join(str(n) for n in image.shape)
        raise SpaceError(f"{path}: {size}, expected vertices × 1 × 1 × time", hint="choose a surface file, lh and rh")
    data = read_block(path, image.dataobj, (slice(n_kept(header.n_places)), 0, 0))
    return header, list(data.reshape(-1, header.n_trs).T)


def image_header(path: Path) -> Header:
    """What the header of a file says.

    Raises
    ------
    BoldError
        If it cannot be opened, or is shorter than its header says.
    """
    return _header(path, open_image(path))


def open_image(path: Path) -> Any:
    """Open by nibabel, without its data.

    Raises
    ------
    BoldError
        If it cannot be opened, or is shorter than its header says.
    """
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        with warnings.catch_warnings():
            # nibabel 5.4 leaves it to Python to close an MGH file whose header it has read
            warnings.simplefilter("ignore", ResourceWarning)
            image: Any = nibabel.load(path)
        stored = image.dataobj
        wanted = int(stored.offset) + stored.dtype.itemsize * math.prod(map(int, stored.shape))
        there = _n_bytes(Path(image.file_map["image"].filename), wanted)
    except (OSError, EOFError, ImageFileError, HeaderDataError, zlib.error, ValueError, KeyError) as error:
        raise BoldError(f"{path}: cannot be opened ({error})", hint="copy or export the file again") from error
    if there < wanted:
        raise BoldError(
            f"{path}: cut short, {there:,} of the {wanted:,} bytes that its header announces",
            hint="copy or export the file again",
        )
    return image


def read_block(path: Path, data: Any, places: Any) -> np.ndarray:
    """Some of an image's data.

    Raises
    ------
    BoldError
        If it cannot be read.
    """
    try:
        return np.asarray(data[places])
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise BoldError(f"{path}: its data cannot be read ({error})", hint="copy or export the file again") from error


def _header(path: Path, image: Any) -> Header:
    n_trs = int(image.shape[3]) if len(image.shape) > 3 else 1
    return Header(n_trs, math.prod(map(int, image.shape[:3])), _step(path, image))


def _step(path: Path, image: Any) -> Step | None:
    """MGZ counts in milliseconds; NIfTI says its unit, or not."""
    zooms = image.header.get_zooms()
    if len(zooms) < 4:
        return None
    if path.suffix in (".mgz", ".mgh"):
        field, unit = "tr", 1e-3
    else:
        field, unit = "pixdim[4]", _UNITS.get(image.header.get_xyzt_units()[1], math.nan)
    value = round(float(zooms[3]) * unit, 6)  # headers are single precision
    return Step(value, field, value == _FILLER_S, _MEND[path.suffix]) if value > 0 else None


def _n_bytes(path: Path, wanted: int) -> int:
    """Bytes of a file once unpacked; gzip says so itself in its last four, modulo 2**32, if it is one piece."""
    if path.suffix not in (".gz", ".mgz"):
        return path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4))
        more = (int.from_bytes(file.read(), "little") - wanted) % 2**32
    # MGZ has a footer behind its data, which nibabel has looked for: it is whole, at least.
    if more == 0 or (path.suffix == ".mgz" and more < _LONGEST_FOOTER):
        return wanted
    there = 0
    with gzip.open(path) as file:
        try:
            while there < wanted and (chunk := file.read(_CHUNK)):
                there += len(chunk)
        except EOFError:  # the end is missing: what is there is counted
            return there
    return there
