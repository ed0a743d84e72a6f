"""Arrays in the reference's cache folders: an index in JSON lines beside files of plain numbers; nothing is executed.

The layout is that of exca 0.5 (``CacheDict``), worked out from files that it wrote: every ``*-info.jsonl`` has one line
per entry, with its key and either the place of an array in a shared file or the name of an ``.npy``. A dict of values
is a tree whose leaves are such places. Whatever is pickled is refused.
"""

import json
import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from tribetune.errors import FeatureError
from tribetune.timing import to_step

log = logging.getLogger(__name__)

INDEX_SUFFIX = "-info.jsonl"

_HEADER = "metadata="
"""Opens an index of an older exca, which told the kind of all entries once."""

_HZ_NAMES = ("frequency", "sfreq")


@dataclass(frozen=True)
class CachedArray:
    """One entry of a cache folder; nothing of it is read before `values`.

    Parameters
    ----------
    key : str
        What the reference looks it up by.
    told : mapping
        What the index says of it.
    folder : Path
    """

    key: str
    told: Mapping[str, Any]
    folder: Path

    @property
    def hz(self) -> float | None:
        """Steps per second, where the entry says so."""
        return next((number for name in _HZ_NAMES if (number := self._number(name)) is not None), None)

    @property
    def start_s(self) -> float | None:
        """Onset in seconds, where the entry says so."""
        return self._number("start")

    def values(self) -> Float[np.ndarray, "..."]:
        """Map the entry's array into memory.

        Raises
        ------
        FeatureError
            If it is pickled, no array or several, or its file is damaged.
        """
        places = list(_places(self.told))
        if len(places) != 1:
            raise FeatureError(
                f"{self._where}: {len(places)} plain arrays in what exca calls {self.told.get('#type')}, expected one; "
                "what is pickled is not opened",
                hint="save the features as NPZ: arrays text, audio, video of (layer, dim, time)",
            )
        try:
            return self._mapped(places[0])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise FeatureError(
                f"{self._where}: cannot be read ({error})", hint="copy the whole cache folder again"
            ) from error

    @property
    def _where(self) -> str:
        return f"{self.folder}, entry {shortened(self.key)}"

    def _mapped(self, place: Mapping[str, Any]) -> Float[np.ndarray, "..."]:
        path = (self.folder / place["filename"]).resolve()
        if not path.is_relative_to(self.folder.resolve()):
            raise ValueError(f"{place['filename']} lies outside the folder")
        if "offset" not in place:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            dtype, shape = np.dtype(place["dtype"]), tuple(place["shape"])
            if dtype.kind != "f":
                raise ValueError(f"its numbers are {dtype}, expected floats")
            array = np.memmap(path, dtype, mode="r", offset=place["offset"], shape=shape)
        if array.dtype.kind != "f":
            raise ValueError(f"its numbers are {array.dtype}, expected floats")
        return array

    def _number(self, name: str) -> float | None:
        found = [value for key, value in _leaves(self.told) if key == name and isinstance(value, int | float)]
        return float(found[0]) if found and math.isfinite(found[0]) else None


def shortened(key: str) -> str:
    """A key as a message shows it: a key can be a page of text, of which the end tells most."""
    return repr(key if len(key) <= 60 else f"…{key[-60:]}")


def read_cache(path: Path) -> list[CachedArray]:
    """List the entries of a cache folder.

    Parameters
    ----------
    path : Path
        The folder of the index files, or one of them.

    Raises
    ------
    FeatureError
        If there is no index, or it is damaged.
    """
    folder = path if path.is_dir() else path.parent
    indexes = sorted(folder.glob(f"*{INDEX_SUFFIX}")) if path.is_dir() else [path]
    if not indexes:
        below = next(iter(sorted(folder.rglob(f"*{INDEX_SUFFIX}"))), None)
        raise FeatureError(
            f"{folder}: no *{INDEX_SUFFIX}, expected a cache folder of the reference",
            hint=f"give {below.parent}" if below else "give the folder in which these files lie, or an NPZ",
        )
    # As in exca, an entry that two writers made is one entry.
    return list({entry.key: entry for index in indexes for entry in _entries(index, folder)}.values())


def entries_of(entries: Sequence[CachedArray], stimulus: str, key: str | None) -> list[CachedArray]:
    """Entries whose keys contain ``key``, or else the stimulus' file name; without ``key``, a lone entry is taken.

    Raises
    ------
    FeatureError
        If there are none.
    """
    found = [entry for entry in entries if (key or stimulus) in entry.key]
    if not found and key is None and len(entries) == 1:
        found = list(entries)
    if not found:
        keys = ", ".join(shortened(entry.key) for entry in entries[:3]) or "no entries"
        raise FeatureError(
            f"no key of the cache contains {key or stimulus!r}; it has {len(entries)}: {keys}",
            hint="say by --key TEXT what the keys of this stimulus contain",
        )
    return found


def joined_series(
    entries: Sequence[CachedArray], spans: Sequence[tuple[float, float]], layers_of: Callable[[np.ndarray], np.ndarray]
) -> Float[np.ndarray, "layer dim time"]:
    """Join the stretches into which the reference cuts sound and film (spec e.4).

    Parameters
    ----------
    entries : sequence of CachedArray
        One per stretch, in any order.
    spans : sequence of (onset, duration)
        The stretches, in seconds from the file's start.
    layers_of : callable
        From an entry's (state, dim, time) to (layer, dim, time).

    Returns
    -------
    array of shape (n_layers, dim, n_steps)
        float32; each stretch from its onset on.

    Raises
    ------
    FeatureError
        If the entries are not these stretches.
    """
    if len(entries) != len(spans):
        raise FeatureError(
            f"{len(entries)} entries of the cache belong to the stimulus, expected {len(spans)}, one per stretch of it",
            hint="narrow the choice by --key TEXT, or save the features as NPZ",
        )
    ordered = entries if len(entries) == 1 else _in_order(entries, [onset_s for onset_s, _ in spans])
    arrays = []
    for entry, (_, duration_s) in zip(ordered, spans, strict=True):
        states = entry.values()
        _check_stretch(entry, states, max(1, to_step(duration_s)), ordered[0].values().shape[:2])
        arrays.append(layers_of(states))
    if len(arrays) == 1:
        return arrays[0]
    starts = [to_step(onset_s) for onset_s, _ in spans]
    joined = np.zeros((*arrays[0].shape[:2], starts[-1] + arrays[-1].shape[2]), np.float32)
    for array, start in zip(arrays, starts, strict=True):
        joined[:, :, start : start + array.shape[2]] = array  # a step too many is overwritten by the next stretch
    return joined


def _check_stretch(entry: CachedArray, array: np.ndarray, n_steps: int, sizes: tuple[int, ...]) -> None:
    if array.ndim != 3 or array.shape[:2] != sizes or abs(array.shape[2] - n_steps) > 1:
        raise FeatureError(
            f"cache entry {shortened(entry.key)} has the shape {array.shape}, "
            f"expected ({', '.join(map(str, sizes))}, {n_steps}): states, dimensions, steps of 0.5 s",
            hint="check that the cache was made from this file, at 2 Hz",
        )


def _in_order(entries: Sequence[CachedArray], onsets_s: Sequence[float]) -> list[CachedArray]:
    """Sort stretches by the onset that they tell, or else by the one number in which their keys differ alike."""
    columns = [[entry.start_s for entry in entries]]
    texts = {re.sub(r"\d+(\.\d+)?", "#", entry.key) for entry in entries}
    if len(texts) == 1:
        numbers = [[float(match[0]) for match in re.finditer(r"\d+(\.\d+)?", entry.key)] for entry in entries]
        columns += [list(column) for column in zip(*numbers, strict=True)]
    for column in columns:
        told = [number for number in column if number is not None]
        if len(told) == len(entries) and np.allclose(np.sort(told) - min(told), onsets_s, rtol=0, atol=0.01):
            return [entries[place] for place in np.argsort(told)]
    raise FeatureError(
        f"the order of {len(entries)} entries of the cache is unknown: neither they nor their keys tell the onsets "
        f"{', '.join(f'{onset_s:g}' for onset_s in onsets_s[:4])} … s; first {shortened(entries[0].key)}",
        hint="join the stretches yourself and save them as NPZ",
    )


def _entries(index: Path, folder: Path) -> Iterator[CachedArray]:
    header: dict[str, Any] = {}
    try:
        *lines, unfinished = index.read_text(encoding="utf-8").split("\n")
        if unfinished:
            log.warning("%s: its last line is not finished and left out", index)
        for line in lines:
            if line.startswith(_HEADER):
                header = json.loads(line.removeprefix(_HEADER))
            elif line.strip():  # exca overwrites what was deleted with blanks
                told = {"#type": header.get("cache_type"), **json.loads(line)}
                yield CachedArray(str(told["#key"]), told, folder)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise FeatureError(f"{index}: is no index of a cache ({error})", hint="copy the cache folder again") from error


def _places(told: Any) -> Iterator[Mapping[str, Any]]:
    """Where the arrays of an entry lie."""
    if isinstance(told, list):
        for item in told:
            yield from _places(item)
    elif isinstance(told, Mapping):
        if {"filename", "offset", "shape", "dtype"} <= set(told) or str(told.get("filename", "")).endswith(".npy"):
            yield told
        else:
            for item in told.values():
                yield from _places(item)


def _leaves(told: Any) -> Iterator[tuple[str, Any]]:
    """Every name and plain value in the tree of an entry."""
    for name, item in told.items() if isinstance(told, Mapping) else ():
        if isinstance(item, Mapping):
            yield from _leaves(item)
        else:
            yield name, item
