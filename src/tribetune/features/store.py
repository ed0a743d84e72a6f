"""Features on disk: one file per stimulus content, encoder and setting, with a sidecar that says what it is."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from tribetune.errors import FeatureError
from tribetune.files import whole, write_json

log = logging.getLogger(__name__)

_FORMAT = 2
"""Layout of the files: 2 is time first."""

_DTYPES = {"F16": np.float16, "F32": np.float32}


@dataclass(frozen=True)
class Entry:
    """One array of the store.

    Parameters
    ----------
    modality : str
    content : str
        SHA-256 of the media file, or of the words.
    identity : mapping
        Plain values that say which encoder, weights and setting make the array; they and the content are its name.
    """

    modality: str
    content: str
    identity: Mapping[str, Any]

    @property
    def name(self) -> str:
        """File name without suffix."""
        return f"{self.modality}/{self.content[:16]}-{hash_json([_FORMAT, dict(self.identity)])[:16]}"


def hash_json(value: Any) -> str:
    """SHA-256 of a plain value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def at_rest(values: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Features as the store keeps them: float16, or float32 where float16 would overflow.

    Raises
    ------
    FeatureError
        If a value is not finite.
    """
    if not np.isfinite(values).all():
        raise FeatureError(
            f"the encoder gave {np.count_nonzero(~np.isfinite(values))} values that are not finite",
            hint="try --device cpu, where nothing is computed in half precision",
        )
    if np.abs(values).max(initial=0) > np.finfo(np.float16).max:
        log.warning("features exceed the range of float16; they are kept in float32")
        return values.astype(np.float32)
    return values.astype(np.float16)


def write_entry(store: Path, entry: Entry, values: Float[np.ndarray, "..."], about: Mapping[str, Any]) -> None:
    """Write one array and then its sidecar, each whole or not at all.

    Parameters
    ----------
    store : Path
        Folder.
    entry : Entry
    values : array
        As `at_rest` gives them.
    about : mapping
        More plain values for the sidecar: where it came from.
    """
    from safetensors.numpy import save_file

    with whole(store / f"{entry.name}.safetensors") as part:
        save_file({"features": np.ascontiguousarray(values)}, part)
        size = part.stat().st_size
    sidecar = {
        "modality": entry.modality,
        "content": entry.content,
        "identity": dict(entry.identity),
        "shape": list(values.shape),
        "dtype": str(values.dtype),
        "bytes": size,
        **about,
    }
    write_json(store / f"{entry.name}.json", sidecar)


def read_entry(store: Path, entry: Entry) -> Float[np.ndarray, "..."] | None:
    """Map one array into memory; None where the store has none, or a damaged one."""
    path, sidecar = store / f"{entry.name}.safetensors", store / f"{entry.name}.json"
    if not (path.is_file() and sidecar.is_file()):
        return None
    try:
        told = json.loads(sidecar.read_text(encoding="utf-8"))
        if told["content"] != entry.content or told["identity"] != dict(entry.identity):
            raise ValueError("its sidecar tells of something else")
        if path.stat().st_size != told["bytes"]:
            raise ValueError(f"it has {path.stat().st_size} bytes, its sidecar says {told['bytes']}")
        return _map(path)
    except (ValueError, KeyError, TypeError, OSError) as error:
        log.warning("%s is damaged (%s): its features are made again", path, error)
        return None


def _map(path: Path) -> Float[np.ndarray, "..."]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > path.stat().st_size:
            raise ValueError("it is no safetensors file")
        told = json.loads(file.read(length))["features"]
    start = 8 + length + told["data_offsets"][0]
    return np.memmap(path, _DTYPES[told["dtype"]], mode="r", offset=start, shape=tuple(told["shape"]))
