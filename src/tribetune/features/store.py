"""Features on disk: one file per stimulus content, encoder and setting, with a sidecar that says what it is."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from tribetune.arrays import hash_plain, map_arrays, read_sidecar, write_arrays

log = logging.getLogger(__name__)

_FORMAT = 2
"""Layout of the files: 2 is time first."""

_KEY = "features"

UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, OSError)
"""What reading a damaged file or sidecar raises."""


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
        return f"{self.modality}/{self.content[:16]}-{hash_plain([_FORMAT, dict(self.identity)])[:16]}"

    def array_file(self, store: Path) -> Path:
        """Where its array is."""
        return store / f"{self.name}.safetensors"

    def sidecar(self, store: Path) -> Path:
        """Where its sidecar is; without one the array is not finished."""
        return store / f"{self.name}.json"

    def parts(self, store: Path) -> Path:
        """Folder of its finished rows while it is made."""
        return store / f"{self.name}.parts"


def write_entry(store: Path, entry: Entry, values: Float[np.ndarray, "..."], about: Mapping[str, Any]) -> None:
    """Write one array and then its sidecar, each whole or not at all.

    Parameters
    ----------
    store : Path
        Folder.
    entry : Entry
    values : array of shape (n_rows, n_layers, dim)
        A row is a step of 0.5 s of a film or sound, or a word; float16 or float32.
    about : mapping
        More plain values for the sidecar: where it came from.
    """
    told = {
        **about,
        "modality": entry.modality,
        "content": entry.content,
        "identity": dict(entry.identity),
        "shape": list(values.shape),
        "dtype": str(values.dtype),
    }
    write_arrays(entry.array_file(store), {_KEY: values}, told)


def read_entry(store: Path, entry: Entry, *, verify: bool = False) -> Float[np.ndarray, "..."] | None:
    """Map one array into memory; None where the store has none, or a damaged one, which the log then names.

    Parameters
    ----------
    store : Path
        Folder.
    entry : Entry
    verify : bool
        Whether to compare its content with the SHA-256 that the sidecar says, which reads all of it; its size and
        header are always looked at.

    Returns
    -------
    array of shape (n_rows, n_layers, dim) or None
    """
    if not (entry.array_file(store).is_file() and entry.sidecar(store).is_file()):
        return None
    try:
        return open_entry(store, entry, verify=verify)
    except UNREADABLE as error:
        log.warning("%s is damaged (%s): its features are made again", entry.array_file(store), error)
        return None


def open_entry(store: Path, entry: Entry, *, verify: bool = False) -> Float[np.ndarray, "..."]:
    """As `read_entry`, for an array that has to be there and whole.

    Raises
    ------
    ValueError, KeyError, TypeError, AttributeError, OSError
        If it is not.
    """
    path = entry.array_file(store)
    told = read_sidecar(path)
    if told["content"] != entry.content or told["identity"] != dict(entry.identity):
        raise ValueError("its sidecar tells of something else")
    values = map_arrays(path, verify=verify)[_KEY]
    if list(values.shape) != told["shape"]:
        raise ValueError(f"its shape is {values.shape}, its sidecar says {told['shape']}")
    return values


def is_kept(store: Path, entry: Entry) -> bool:
    """Whether the store has the finished array, as far as its size and header tell."""
    try:
        open_entry(store, entry)
    except UNREADABLE:
        return False
    return True
