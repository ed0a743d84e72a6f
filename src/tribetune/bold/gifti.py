"""Read a hemisphere's time series from GIFTI, one array per volume or one array of all, by no more than it takes."""

import warnings
import zlib
from collections.abc import Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError, ParserCreate

import numpy as np
from jaxtyping import Num

from tribetune.bold.headers import Header, Step
from tribetune.bold.meshes import N_VERTICES, n_kept
from tribetune.errors import BoldError, SpaceError

_CHUNK = 2**16
_END = b"</GIFTI>"


def read_gifti(path: Path) -> tuple[Header, Sequence[Num[np.ndarray, " vertex"]]]:
    """Read every volume of one hemisphere.

    Returns
    -------
    header : Header
    volumes : sequence of arrays of shape (n_kept,)
        Of a mesh that fsaverage5 is nested in, only the first 10,242 vertices of each: they are dropped while the file
        is parsed, so that an hour of fsaverage takes no more memory than one of fsaverage5.

    Raises
    ------
    BoldError
        If it is no GIFTI, is cut short, or holds fewer arrays than it says.
    SpaceError
        If its arrays differ in size.
    """
    with _readable(path), warnings.catch_warnings(), _opened(path) as file:
        # of the number of arrays, which is an error below
        warnings.filterwarnings("ignore", message="Actual # of data arrays", category=UserWarning)
        parser = _parser()()
        parser.parse(fptr=file)
    arrays = parser.img.darrays if parser.img is not None else []
    if not arrays or any(array.data is None for array in arrays):
        raise BoldError(f"{path}: no data arrays, expected a GIFTI time series", hint="choose a *_bold.func.gii file")
    promised = getattr(parser, "expected_numDA", len(arrays))
    if promised != len(arrays):
        raise BoldError(f"{path}: {len(arrays)} data arrays, but it says {promised}", hint="export it again")
    shape, volumes = _volumes(path, parser.shapes, [array.data for array in arrays])
    metadata = {**dict(arrays[0].meta or {}), **dict(parser.img.meta or {})}
    return Header(*shape, step=_step(path, metadata), side=_side(metadata)), volumes


def gifti_header(path: Path) -> Header:
    """What a file says of itself, read up to its first array.

    Raises
    ------
    BoldError
        If it is no GIFTI, or is cut short.
    """
    with _readable(path), _opened(path) as file:
        start = _Start()
        while not start.complete and (chunk := file.read(_CHUNK)):
            start.parser.Parse(chunk, False)
    if not start.complete:
        raise BoldError(f"{path}: no data arrays, expected a GIFTI time series", hint="choose a *_bold.func.gii file")
    if not path.name.endswith(".gz") and _END not in _tail(path):
        raise BoldError(f"{path}: cut short, it does not end in {_END.decode()}", hint="copy or export the file again")
    shape = _shape(path, {start.dims}, start.n_arrays)
    return Header(*shape, step=_step(path, start.metadata), side=_side(start.metadata))


class _Start:
    """A parser's notes on what comes before the first data: counts, sizes, metadata."""

    def __init__(self) -> None:
        self.parser = ParserCreate()
        self.parser.StartElementHandler = self._begin
        self.parser.CharacterDataHandler = self._text
        self.n_arrays = 0
        self.dims: tuple[int, ...] = ()
        self.metadata: dict[str, str] = {}
        self.complete = False
        self._pair = ["", ""]
        self._field: int | None = None

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        if self.complete:
            return
        self._field = {"Name": 0, "Value": 1}.get(name)
        if name == "MD":
            self._pair = ["", ""]
        elif name == "GIFTI":
            self.n_arrays = int(attributes.get("NumberOfDataArrays", 1))
        elif name == "DataArray":
            rank = int(attributes.get("Dimensionality", 0))
            self.dims = tuple(int(attributes.get(f"Dim{k}", 0)) for k in range(rank))
        self.complete = name == "Data"

    def _text(self, text: str) -> None:
        if self._field is None or self.complete:
            return
        self._pair[self._field] += text
        name, value = (part.strip() for part in self._pair)
        if name and value:
            self.metadata[name] = value


@cache
def _parser() -> Any:
    """The parser of nibabel, but one that keeps of every array no more than is wanted, and its shape."""
    from nibabel.gifti.parse_gifti_fast import GiftiImageParser

    class FirstVertices(GiftiImageParser):
        def __init__(self) -> None:
            super().__init__()
            self.shapes: set[tuple[int, ...]] = set()

        def EndElementHandler(self, name: str) -> None:  # noqa: N802
            super().EndElementHandler(name)
            array: Any = self.da
            if name == "Data" and array.data is not None:
                self.shapes.add(array.data.shape)
                if array.data.ndim == 1 and n_kept(len(array.data)) < len(array.data):
                    array.data = array.data[: n_kept(len(array.data))].copy()

    return FirstVertices


@contextmanager
def _readable(path: Path) -> Any:
    """Faults of a file as ours."""
    try:
        yield
    except (OSError, EOFError, ExpatError, zlib.error, ValueError, KeyError, AssertionError) as error:
        raise BoldError(f"{path}: cannot be read as GIFTI ({error})", hint="export or copy the file again") from error


def _opened(path: Path) -> Any:
    from nibabel.openers import ImageOpener

    return ImageOpener(str(path), "rb")


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 256))
        return file.read()


def _volumes(
    path: Path, shapes: set[tuple[int, ...]], arrays: list[np.ndarray]
) -> tuple[tuple[int, int], Sequence[np.ndarray]]:
    shape = _shape(path, shapes, len(arrays))
    if arrays[0].ndim == 2:
        whole = arrays[0] if arrays[0].shape == shape else arrays[0].T
        arrays = list(whole[:, : n_kept(shape[1])])
    return shape, arrays


def _shape(path: Path, shapes: set[tuple[int, ...]], n_arrays: int) -> tuple[int, int]:
    """Volumes and vertices, whichever layout it is."""
    if len(shapes) == 1:
        (shape,) = shapes
        if len(shape) == 1:
            return n_arrays, shape[0]
        if len(shape) == 2 and n_arrays == 1:
            vertices_last = shape[1] in N_VERTICES.values() and shape[0] not in N_VERTICES.values()
            return shape if vertices_last else shape[::-1]
    sizes = " and ".join(sorted("×".join(f"{n:,}" for n in shape) or "no" for shape in shapes))
    raise SpaceError(
        f"{path}: arrays of {sizes} values, expected one per volume, or one of vertices × volumes",
        hint="choose a *_bold.func.gii file",
    )


def _side(metadata: dict[str, str]) -> str:
    structure = metadata.get("AnatomicalStructurePrimary", "").lower()
    return "L" if "left" in structure else "R" if "right" in structure else ""


def _step(path: Path, metadata: dict[str, str]) -> Step | None:
    text = metadata.get("TimeStep", "")
    try:
        value = float(text or 0)
    except ValueError as error:
        raise BoldError(f"{path}: TimeStep {text!r} is not a number", hint="write it in seconds") from error
    return Step(value, "TimeStep") if value > 0 else None
