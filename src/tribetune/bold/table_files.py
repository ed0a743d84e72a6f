"""Open files that hold tables of BOLD, and find them and their arrays by names with placeholders."""

import re
import zlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tribetune.errors import BoldError

_FIELDS = ("subject", "session", "task", "run")
"""What a placeholder may stand for: BIDS entities."""

_KEYS = dict(zip(("sub", "ses", "task", "run"), _FIELDS, strict=True))


def matching_files(pattern: str, subject: str = "") -> list[tuple[Path, dict[str, str]]]:
    """Files of a path with placeholders, and what the placeholders stand for."""
    path = Path(pattern.replace("{subject}", subject) if subject else pattern)
    parts = path.parts
    free = next((k for k, part in enumerate(parts) if "{" in part), len(parts))
    if free == len(parts):
        if not path.is_file():
            raise BoldError(f"no table at {path}", hint="set data.tables.path")
        return [(path, {})]
    base = Path(*parts[:free])
    inside = Path(*parts[free:]).as_posix()
    files = {file: file.relative_to(base).as_posix() for file in base.glob(_anything(inside))}
    found = [(file, named) for file, name in sorted(files.items()) if (named := read_names(inside, name)) is not None]
    if not found:
        raise BoldError(f"no table matches {path}", hint="set data.tables.path; {subject} and {run} stand for names")
    return found


def _anything(pattern: str) -> str:
    return re.sub(r"\{(" + "|".join(_FIELDS) + r")\}", "*", pattern)


def read_names(pattern: str, name: str) -> dict[str, str] | None:
    """What the placeholders of a pattern stand for in a name, or None where it does not fit."""
    seen: set[str] = set()
    expression = ""
    for part in re.split(r"(\{(?:" + "|".join(_FIELDS) + r")\})", pattern):
        field = part[1:-1]
        if part != f"{{{field}}}" or field not in _FIELDS:
            expression += re.escape(part)
        elif field in seen:
            expression += f"(?P={field})"
        else:
            seen.add(field)
            expression += rf"(?P<{field}>[^/]+?)"
    match = re.fullmatch(expression, name)
    return match.groupdict() if match else None


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
