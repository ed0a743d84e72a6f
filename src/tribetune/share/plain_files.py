"""Files from strangers, read within bounds: plain JSON, plain tensors, no links, nothing that could run."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from tribetune.errors import AdaptationError

MAX_TEXT_BYTES = 1_000_000
"""Longest JSON or card that is read at all."""

MAX_HEADER_BYTES = 1_000_000
"""Longest safetensors header; an adapter of all 16 sublayers of TRIBE v2 needs about 20,000."""

MAX_BYTES = 4 * 2**30
"""Largest file that is fetched; a readout of TRIBE v2 is 168 MB."""

_RUNNABLE = (
    *(".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin", ".joblib", ".dill", ".npy", ".npz"),
    *(".py", ".pyc", ".so", ".dll", ".whl", ".sh"),
)
_ARCHIVES = (".zip", ".tar", ".gz", ".xz", ".bz2", ".7z", ".zst")
_OTHER_FORMATS = (b"PK", b"\x1f\x8b", *(bytes([0x80, protocol]) for protocol in range(2, 6)))
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_AGAIN = "fetch the adapter again, from a place that you trust"


def check_names(sizes: Mapping[str, int | None]) -> None:
    """Refuse a listing of files that leads out of its folder, could run, would unfold, or is too large.

    Parameters
    ----------
    sizes : mapping of str to int or None
        Names as the other side gives them, relative to the bundle, and their bytes where it says them.

    Raises
    ------
    AdaptationError
        Naming the first such file.
    """
    for name, size in sizes.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in name or not name:
            raise AdaptationError(f"file name {name!r} leads out of the adapter's folder", hint=_AGAIN)
        if name.lower().endswith(_RUNNABLE):
            raise AdaptationError(f"{name} could run code when opened; adapters are safetensors and JSON", hint=_AGAIN)
        if name.lower().endswith(_ARCHIVES):
            raise AdaptationError(f"{name} is an archive; adapters are safetensors and JSON", hint=_AGAIN)
        if size is not None and size > MAX_BYTES:
            raise AdaptationError(f"{name} has {size:,} bytes, at most {MAX_BYTES:,} are fetched", hint=_AGAIN)


def check_folder(folder: Path) -> None:
    """Refuse a folder with links to elsewhere, or whose files `check_names` refuses.

    The hub's own cache is made of links, from ``snapshots/COMMIT`` into ``blobs`` beside it: these are followed.

    Raises
    ------
    AdaptationError
        Naming the first such file.
    """
    blobs = (folder.parent.parent / "blobs").resolve()
    for entry in sorted(folder.iterdir()):
        if entry.is_symlink() and not (folder.parent.name == "snapshots" and entry.resolve().parent == blobs):
            raise AdaptationError(f"{entry} is a link to elsewhere", hint="replace it by the file itself")
    check_names({entry.name: entry.stat().st_size for entry in sorted(folder.iterdir())})


def read_plain_text(path: Path) -> str:
    """A text file of bounded length.

    Raises
    ------
    AdaptationError
        If it is missing, too long or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_TEXT_BYTES + 1)
        if len(raw) > MAX_TEXT_BYTES:
            raise AdaptationError(f"{path}: longer than {MAX_TEXT_BYTES:,} bytes", hint=_AGAIN)
        return raw.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AdaptationError(f"{path} cannot be read: {error}", hint=_AGAIN) from error


def read_plain_json(path: Path) -> dict[str, Any]:
    """A JSON object in which every key is there once and every number is finite.

    Raises
    ------
    AdaptationError
        If it is anything else.
    """
    return _parsed(read_plain_text(path), path)


def check_tensor_file(path: Path) -> None:
    """Hold a safetensors header against its file before any tensor is made.

    Raises
    ------
    AdaptationError
        If it is a pickle or an archive, its header is too long or no plain JSON, or it declares other bytes than are
        there.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            first = file.read(8)
            length = int.from_bytes(first, "little")
            raw = file.read(length) if len(first) == 8 and length <= MAX_HEADER_BYTES else b""
    except OSError as error:
        raise AdaptationError(f"{path} cannot be read: {error}", hint=_AGAIN) from error
    if length > MAX_HEADER_BYTES:  # also what the first bytes of a pickle or an archive come to as a number
        known = any(first.startswith(sign) for sign in _OTHER_FORMATS)
        found = "a pickle or an archive" if known else f"its header declares {length:,} bytes"
        raise AdaptationError(
            f"{path} cannot be read: {found}, expected safetensors with a header of at most {MAX_HEADER_BYTES:,} bytes",
            hint=_AGAIN,
        )
    if size < 8 + length:
        raise AdaptationError(f"{path} cannot be read: cut off within its header", hint=_AGAIN)
    try:
        header = _parsed(raw.decode("utf-8"), path)
    except UnicodeDecodeError as error:
        raise AdaptationError(f"{path} cannot be read: {error}", hint=_AGAIN) from error
    _check_layout(header, size - 8 - length, path)


def _check_layout(header: Mapping[str, Any], size: int, path: Path) -> None:
    """Tensors lie one after the other and fill the file exactly; so no sizes can be invented."""
    spans = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        try:
            shape, (begin, end), n_bytes = entry["shape"], entry["data_offsets"], _BYTES[entry["dtype"]]
            fits = all(type(value) is int and value >= 0 for value in (*shape, begin, end))
            fits = fits and end - begin == math.prod(shape) * n_bytes
        except (KeyError, TypeError, ValueError, IndexError):
            fits, begin, end = False, 0, 0
        if not fits:
            raise AdaptationError(f"{path} cannot be read: no float tensor is described by {name!r}", hint=_AGAIN)
        spans.append((begin, end))
    declared = max((end for _, end in spans), default=0)
    if declared != size or not _joined(sorted(spans)):
        raise AdaptationError(
            f"{path} cannot be read: its header declares {declared:,} bytes of tensors, the file holds {size:,}",
            hint=_AGAIN,
        )


def _joined(spans: Sequence[tuple[int, int]]) -> bool:
    ends = [0, *(end for _, end in spans)]
    return all(begin == before for (begin, _), before in zip(spans, ends, strict=False))


def _parsed(text: str, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise AdaptationError(f"{path} cannot be read: {error}", hint=_AGAIN) from error
    if not isinstance(value, dict):
        raise AdaptationError(f"{path} holds {type(value).__name__}, not keys and values", hint=_AGAIN)
    return value


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {next(name for name in names if names.count(name) > 1)!r} is there twice")
    return found


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)
