"""Cleaned and aligned BOLD on disk, under a hash of all that made it: mapped into memory, verified, or made again."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from tribetune.arrays import hash_plain, map_arrays, read_sidecar, write_arrays
from tribetune.bold.run import Run
from tribetune.files import hash_file

FORMAT = 2
"""Goes up when cleaning, projection or alignment give other numbers than before, or refuse what was kept before."""

_LOG = logging.getLogger(__name__)

_FACTS = ("subject", "session", "task", "run", "t_r", "space", "first_volume_s")

Arrays = Mapping[str, Shaped[np.ndarray, "..."]]


def key_of(files: Iterable[Path], choices: Mapping[str, Any]) -> str:
    """Name of what these files and choices make: a hash of the files' contents, wherever they lie.

    Parameters
    ----------
    files : iterable of Path
        In a fixed order; a folder stands for all of its files.
    choices : mapping
        Plain values.
    """
    contents = [hash_file(part) for path in files for part in _parts(path)]
    return hash_plain({"format": FORMAT, "files": contents, "choices": dict(choices)})


def kept(
    folder: Path, name: str, key: str, make: Callable[[], tuple[Arrays, Mapping[str, Any]]]
) -> tuple[dict[str, Shaped[np.ndarray, "..."]], dict[str, Any]]:
    """Arrays from the cache, or made and kept there.

    Several processes may share a folder: what they keep under one key is the same, and each file appears whole.

    Parameters
    ----------
    folder : Path
        Made where it does not exist.
    name : str
        Readable start of the file's name.
    key : str
        As `key_of` gives it.
    make : callable
        Gives arrays and plain facts about them.

    Returns
    -------
    arrays : dict of str to array
        Mapped and read-only; their hash was compared.
    about : dict
        The facts.
    """
    path = folder / f"{name}-{key[:16]}.safetensors"
    found = _found(path, key)
    if found is None:
        arrays, about = make()
        write_arrays(path, arrays, {**about, "key": key})
        found = _mapped(path), dict(about)
    return found


def kept_run(folder: Path, key: str, label: str, sources: tuple[Path, ...], make: Callable[[], Run]) -> Run:
    """A cleaned run from the cache, or made and kept there; its values are mapped and read-only."""

    def parts() -> tuple[Arrays, Mapping[str, Any]]:
        run = make()
        about = {field: getattr(run, field) for field in _FACTS} | {"outputs": list(run.outputs)}
        return {"values": run.values, "mask": run.mask}, about

    arrays, about = kept(folder, f"{label}_cleaned", key, parts)
    told = {field: about[field] for field in _FACTS}
    run = Run(**told, values=arrays["values"], mask=np.array(arrays["mask"]), outputs=tuple(about["outputs"]))
    return replace(run, sources=sources)


def _found(path: Path, key: str) -> tuple[dict[str, Shaped[np.ndarray, "..."]], dict[str, Any]] | None:
    """What is kept, or None where there is nothing, or nothing sound."""
    if not (path.exists() and path.with_suffix(".json").exists()):
        return None
    try:
        about = read_sidecar(path)
        if about["key"] != key:
            raise ValueError("its sidecar is of something else")
        map_arrays(path, verify=True)
    except (ValueError, KeyError, TypeError) as error:
        _LOG.warning("%s is damaged (%s); it is made again", path, error)
        return None
    return _mapped(path), about


def _mapped(path: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    # Plain arrays over the map: numpy's own class for maps is slow to slice, and its copies pretend to be maps.
    return {name: np.asarray(values) for name, values in map_arrays(path).items()}


def _parts(path: Path) -> list[Path]:
    return sorted(part for part in path.rglob("*") if part.is_file()) if path.is_dir() else [path]
