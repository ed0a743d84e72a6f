"""Arrays on disk: a safetensors file and a sidecar that says what it is; whole or not at all, mapped when read."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from tribetune.files import hash_file, whole, write_json

_DTYPES = {"F16": np.float16, "F32": np.float32, "F64": np.float64, "I64": np.int64, "I32": np.int32, "BOOL": np.bool_}
_LONGEST_HEADER = 100_000_000


def write_arrays(path: Path, arrays: Mapping[str, Shaped[np.ndarray, "..."]], about: Mapping[str, Any]) -> None:
    """Write arrays, and then a sidecar with their size and SHA-256 beside what ``about`` says.

    Parameters
    ----------
    path : Path
        Ends in ``.safetensors``; the sidecar has the same name and ends in ``.json``.
    arrays : mapping of str to array
    about : mapping
        Plain values.
    """
    from safetensors.numpy import save_file

    with whole(path) as part:
        save_file({name: np.ascontiguousarray(values) for name, values in arrays.items()}, part)
        told = {**about, "bytes": part.stat().st_size, "sha256": hash_file(part)}
    write_json(path.with_suffix(".json"), told)


def read_sidecar(path: Path) -> dict[str, Any]:
    """What the sidecar of a file says.

    Raises
    ------
    ValueError
        If it is no JSON object.
    OSError
        If it cannot be read.
    """
    told = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    if not isinstance(told, dict):
        raise ValueError("its sidecar is no JSON object")
    return told


def check_arrays(path: Path, *, verify: bool = False) -> None:
    """Compare a file's size with what its sidecar says; where asked, read all of it and compare its SHA-256, too.

    Raises
    ------
    ValueError
        If the file is not the one that its sidecar tells of.
    OSError, KeyError
        If one of the two is missing or lacks what it should say.
    """
    told = read_sidecar(path)
    size = path.stat().st_size
    if size != told["bytes"]:
        raise ValueError(f"it has {size:,} bytes, its sidecar says {told['bytes']:,}")
    if verify and hash_file(path) != told["sha256"]:
        raise ValueError("its content has changed since it was written")


def map_arrays(path: Path, *, verify: bool = False) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Map a file's arrays into memory: what is not looked at is not read.

    Parameters
    ----------
    path : Path
        As `write_arrays` wrote it.
    verify : bool
        Whether to read all of it and compare it with the sidecar's SHA-256; its size is always compared.

    Returns
    -------
    dict of str to array
        Read-only.

    Raises
    ------
    ValueError
        If the file is not the one that its sidecar tells of, or no safetensors file.
    OSError, KeyError
        If one of the two is missing or lacks what it should say.
    """
    check_arrays(path, verify=verify)
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(path.stat().st_size - 8, _LONGEST_HEADER):
            raise ValueError("it is no safetensors file")
        header = json.loads(file.read(length))
    return {name: _mapped(path, 8 + length, entry) for name, entry in header.items() if name != "__metadata__"}


def hash_plain(value: Any) -> str:
    """SHA-256 of a plain value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def _mapped(path: Path, begin: int, entry: Mapping[str, Any]) -> Shaped[np.ndarray, "..."]:
    dtype, shape = _DTYPES[entry["dtype"]], tuple(entry["shape"])
    if 0 in shape:  # nothing cannot be mapped
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, mode="r", offset=begin + entry["data_offsets"][0], shape=shape)
