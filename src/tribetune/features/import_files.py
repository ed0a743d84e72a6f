"""Layers of one stimulus, read from a file or a cache folder that someone else made."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Float

from tribetune.errors import FeatureError
from tribetune.features.caches import INDEX_SUFFIX, CachedArray, entries_of, joined_series, read_cache, shortened
from tribetune.features.chunks import chunk_spans
from tribetune.features.encoders import MODALITIES, Options
from tribetune.features.grid import place_words
from tribetune.features.layers import SETTINGS, layer_groups
from tribetune.features.pieces import cut_pieces
from tribetune.stimulus.timeline import Timeline
from tribetune.timing import FEATURE_HZ

LAYOUT = "save arrays text, audio, video of (layer, dim, time) at 2 Hz by numpy.savez"
"""What to do when a file cannot be understood."""

_MOST_LAYERS = 4
"""An array of more layers is taken for hidden states that nobody has grouped yet."""

_LEFT_OUT = 0.05
"""Share of words that the reference may leave out (spec e.3)."""


@dataclass(frozen=True)
class ImportOptions:
    """How the arrays of a file are meant.

    Parameters
    ----------
    modality : str or None
        What a cache or an ``.npy`` holds; of other files only this is taken, where it is given.
    setting : str or None
        The arrays hold hidden states, which this setting groups into layers; None: they hold layers.
    hz : float
        Their steps per second.
    key : str or None
        What the keys of a cache contain, where that is not the stimulus' file name.
    """

    modality: str | None = None
    setting: str | None = None
    hz: float = FEATURE_HZ
    key: str | None = None


@dataclass(frozen=True)
class Shown:
    """The stimulus that arrays are imported for.

    Parameters
    ----------
    given : Path
        The film or sound; of words only, their table.
    timeline : Timeline
        File and words together.
    """

    given: Path
    timeline: Timeline

    @property
    def file(self) -> Path | None:
        """The film or sound."""
        return self.given if any(event.file for event in self.timeline.events) else None

    @property
    def name(self) -> str:
        """As messages and sidecars say it: no folder."""
        return self.given.name

    @property
    def duration_s(self) -> float:
        """Of the file; words may go on for longer."""
        return max((event.duration_s for event in self.timeline.events if event.file), default=self.timeline.duration_s)


def read_layers(file: Path, shown: Shown, options: ImportOptions) -> dict[str, np.ndarray]:
    """Read every modality that a file or folder holds for the stimulus.

    Returns
    -------
    dict of modality to array of shape (n_layers, dim, n_steps)

    Raises
    ------
    FeatureError
        If it cannot be read, is pickled, or holds nothing for the stimulus.
    """
    if not file.exists():
        raise FeatureError(f"{file}: no such file, expected features", hint="check the path")
    if file.is_dir() or file.name.endswith(INDEX_SUFFIX):
        modality = _named(file, options)
        layers = _text_of_cache if modality == "text" else _series_of_cache
        return {modality: layers(read_cache(file), shown, modality, options)}
    arrays = _arrays(file, options)
    names = {modality: (modality, f"{shown.given.stem}/{modality}") for modality in MODALITIES}
    wanted = [options.modality] if options.modality else MODALITIES
    found = {m: arrays[name] for m in wanted for name in names[m] if name in arrays}
    if not found:
        raise FeatureError(f"{file}: no {' or '.join(wanted)}, got {', '.join(arrays) or 'nothing'}", hint=LAYOUT)
    return {m: _layers_of(array, f"{file}, {m}", m, options.setting) for m, array in found.items()}


def _named(file: Path, options: ImportOptions) -> str:
    if options.modality is None:
        raise FeatureError(f"{file} does not say which modality it holds", hint="--modality text, audio or video")
    return options.modality


def _arrays(file: Path, options: ImportOptions) -> Mapping[str, np.ndarray]:
    suffix = file.suffix.lower()
    try:
        if suffix == ".npy":
            return {_named(file, options): np.load(file, allow_pickle=False)}
        if suffix == ".npz":
            with np.load(file, allow_pickle=False) as opened:
                return {name: opened[name] for name in opened}
        if suffix in (".h5", ".hdf5"):
            return _datasets(file)
    except (OSError, ValueError, EOFError, TypeError, AttributeError, BadZipFile, zlib.error) as error:
        raise FeatureError(f"{file}: cannot be read ({error}); what is pickled is not opened", hint=LAYOUT) from error
    raise FeatureError(
        f"{file}: features cannot be read from {suffix or 'a file without suffix'}, expected .npz, .npy, .h5 or a "
        "folder of the reference's cache",
        hint=LAYOUT,
    )


def _datasets(file: Path) -> dict[str, np.ndarray]:
    import h5py

    found: dict[str, np.ndarray] = {}

    def keep(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and name.split("/")[-1] in MODALITIES:
            found[name] = np.asarray(item[()])

    with h5py.File(file, "r") as opened:
        opened.visititems(keep)
    return found


def _layers_of(
    states: np.ndarray, where: str, modality: str, setting: str | None
) -> Float[np.ndarray, "layer dim time"]:
    """Group hidden states into layers, as the setting says (`layer_groups`); without one they are layers already."""
    if states.dtype.kind not in "fiu" or states.ndim != 3 or 0 in states.shape:
        raise FeatureError(
            f"{where}: {states.dtype} of the shape {states.shape}, expected numbers of (layer, dim, time)", hint=LAYOUT
        )
    if setting is None and len(states) > _MOST_LAYERS:
        raise FeatureError(
            f"{where}: {len(states)} layers, expected at most {_MOST_LAYERS}; these look like hidden states",
            hint="--setting released groups them as TRIBE's released checkpoint does; --setting all keeps them",
        )
    if setting not in (None, "all") and len(states) <= _MOST_LAYERS:
        raise FeatureError(
            f"{where}: {len(states)} hidden states cannot be grouped as {setting}; these look like layers",
            hint="leave out --setting",
        )
    if setting is None:
        return np.asarray(states, np.float32)
    groups = layer_groups(SETTINGS[setting], len(states), modality)
    return np.stack([states[list(group)].astype(np.float32).mean(0) for group in groups])


def _series_of_cache(
    entries: Sequence[CachedArray], shown: Shown, modality: str, options: ImportOptions
) -> Float[np.ndarray, "layer dim time"]:
    """Sound or film: one entry per stretch of it."""
    chosen = entries_of(entries, shown.name, options.key)
    _check_rate(chosen)
    where = f"{chosen[0].folder}, {modality}"
    grouped = partial(_layers_of, where=where, modality=modality, setting=options.setting)
    return joined_series(chosen, chunk_spans(shown.duration_s, *Options().chunk_s), grouped)


def _text_of_cache(
    entries: Sequence[CachedArray], shown: Shown, modality: str, options: ImportOptions
) -> Float[np.ndarray, "layer dim time"]:
    """Words: one entry each, whose key is the text up to its end (spec g.7); few may be missing (spec e.3)."""
    words = shown.timeline.of_kind("word")
    if not words:
        raise FeatureError("a cache of text holds one entry per word, but no words are known", hint="--words FILE")
    by_key = {entry.key: entry for entry in entries}
    pieces, n_before = cut_pieces(words), Options().context_words
    parts = [piece.head + piece.tail for piece in pieces]
    keys = ["".join(parts[max(0, k - n_before) : k]) + piece.head for k, piece in enumerate(pieces)]
    lacking = [key for key in keys if key not in by_key]
    if len(lacking) > _LEFT_OUT * len(words):
        raise FeatureError(
            f"{len(lacking)} of {len(words)} words are not in the cache, first {shortened(lacking[0])}",
            hint="give the words with the columns sentence and sentence_char, as the reference saw them",
        )
    chosen = [(word, by_key[key]) for word, key in zip(words, keys, strict=True) if key in by_key]
    _check_rate([entry for _, entry in chosen])
    where = f"{chosen[0][1].folder}, {modality}"
    vectors = [_layers_of(_one_step(entry.values()), where, modality, options.setting)[:, :, 0] for _, entry in chosen]
    boxes = [(word.onset_s - shown.timeline.start_s, word.duration_s) for word, _ in chosen]
    return place_words(boxes, np.stack(vectors), shown.timeline.duration_s)


def _one_step(values: np.ndarray) -> np.ndarray:
    return values[:, :, None] if values.ndim == 2 else values[:, :, :1]


def _check_rate(entries: Sequence[CachedArray]) -> None:
    for entry in entries:
        if entry.hz not in (None, FEATURE_HZ):
            raise FeatureError(
                f"cache entry {shortened(entry.key)} is at {entry.hz:g} Hz, expected {FEATURE_HZ:g} Hz",
                hint="use the cache of an extractor at 2 Hz",
            )
