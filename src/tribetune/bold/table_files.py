"""Open files that hold tables of BOLD, and find them and their arrays by names with placeholders."""

import re
import zlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tribetune.bold.patterns import filled, matching, nearest, placeholders
from tribetune.errors import BoldError

_KEYS = {"sub": "subject", "ses": "session", "task": "task", "run": "run"}


def matching_files(pattern: str, subject: str = "") -> list[tuple[Path, dict[str, str]]]:
    """Files of a path with placeholders, and what the placeholders stand for."""
    path = filled(pattern, {"subject": subject}) if subject else pattern
    found = matching(path)
    if not found and not placeholders(path):
        raise BoldError(f"no table at {path}{nearest(path)}", hint="set data.tables.path")
    if not found:
        raise BoldError(f"no table matches {path}", hint="set data.tables.path; {subject} and {run} stand for names")
    return found


def read_entities(name: str) -> dict[str, str]:
    """BIDS entities of a name or of an array's path, by their full words: ``ses-001_task-s01e02a``."""
    pairs = (part.partition("-") for part in re.split(r"[/_]", name))
    return {_KEYS[key]: value for key, dash, value in pairs if dash and key in _KEYS}


@contextmanager
def opened(path: Path) -> Generator[Mapping[str, Any]]:
    """Arrays of a file by name; a text table is one array, ``bold``, with its header as ``regions``."""
    readers = {".npz": _npz, ".h5": _hdf5, ".hdf5": _hdf5, ".hf5": _hdf5, ".tsv": _text, ".csv": _text}
    if path.suffix not in readers:
        raise BoldError(f"{path}: {path.suffix or 'no suffix'} is not a table", hint=f"one of: {', '.join(readers)}")
    with readers[path.suffix](path) as arrays:
        yield arrays


@contextmanager
def _npz(path: Path) -> Generator[Mapping[str, Any]]:
    from zipfile import BadZipFile

    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file}
    except (OSError, ValueError, EOFError, TypeError, AttributeError, BadZipFile, zlib.error) as error:
        raise BoldError(
            f"{path}: cannot be read as NPZ ({error})", hint="save plain arrays by numpy.savez(path, bold=array)"
        ) from error
    yield arrays


@contextmanager
def _hdf5(path: Path) -> Generator[Mapping[str, Any]]:
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise BoldError(f"{path}: cannot be read as HDF5 ({error})", hint="export or copy the file again") from error
    with file:
        arrays: dict[str, Any] = {}
        file.visititems(lambda name, item: arrays.update({name: item}) if isinstance(item, h5py.Dataset) else None)
        yield arrays


@contextmanager
def _text(path: Path) -> Generator[Mapping[str, Any]]:
    import pandas

    try:
        table = pandas.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",", na_values=["n/a"])
        values = table.to_numpy(np.float32)
    except (OSError, ValueError) as error:
        raise BoldError(
            f"{path}: cannot be read as a table of numbers ({error})",
            hint="expected a header of region names, then one row per volume, numbers only",
        ) from error
    yield {"bold": values, "regions": np.asarray(table.columns, str)}
