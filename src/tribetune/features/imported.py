"""Features that someone else made, found again by the stimulus they belong to; no encoder is needed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from tribetune.arrays import hash_plain
from tribetune.errors import FeatureError
from tribetune.features.grid import Grid, lay_series
from tribetune.features.sources import content_of, file_of
from tribetune.features.store import Entry, read_entry
from tribetune.stimulus.event import Event
from tribetune.stimulus.timeline import Timeline
from tribetune.timing import FEATURE_HZ

Series = list[tuple[float, float, np.ndarray]]
"""Onset and duration in seconds of each array of (layer, dim, step)."""

_STEP_S = 1 / FEATURE_HZ


def imported_arrays(timeline: Timeline, modalities: Sequence[str], store: Path) -> dict[str, Grid]:
    """Find the imported features of a timeline and place them on its grid.

    Parameters
    ----------
    timeline : Timeline
    modalities : sequence of str
        Those that the timeline does not show are left out; so is text where there are neither words nor an import.
    store : Path
        Folder.

    Returns
    -------
    dict of modality to array of shape (n_layers, dim, n_steps)

    Raises
    ------
    FeatureError
        If something that the timeline shows was not imported.
    """
    arrays = {}
    for modality in modalities:
        series = _text(timeline, store) if modality == "text" else _media(timeline, modality, store)
        sizes = {array.shape[:2] for _, _, array in series}
        if len(sizes) > 1:
            raise FeatureError(
                f"imported {modality} of different layers × dimensions: {sorted(sizes)}",
                hint="import features that the same encoder made for all stimuli",
            )
        if series:
            arrays[modality] = lay_series(series, timeline.duration_s)
    return arrays


def imported_entry(modality: str, content: str) -> Entry:
    """The store's entry of what was imported for a content: one, whoever made it."""
    return Entry(modality, content, {"imported": True})


def words_content(timeline: Timeline) -> str:
    """Content of a stimulus of words only: its words and when they come, to the millisecond."""
    times = [(word.onset_s - timeline.start_s, word.duration_s) for word in timeline.of_kind("word")]
    texts = [word.text for word in timeline.of_kind("word")]
    return hash_plain([texts, [[round(1000 * onset), round(1000 * duration)] for onset, duration in times]])


def _text(timeline: Timeline, store: Path) -> Series:
    """Text imported with each film or sound, or with the words where there is neither."""
    shows = {(event.file, event.onset_s): event for event in timeline.events if event.file}
    if not shows:
        alone = _found(store, "text", words_content(timeline))
        if alone is None:
            raise _missing("text", "words alone", "--words WORDS")
        return [(0.0, alone.shape[2] * _STEP_S, alone)]
    series: Series = []
    for event in shows.values():
        array = _found(store, "text", content_of(event))
        if array is not None:
            series.append((event.onset_s - timeline.start_s, array.shape[2] * _STEP_S, array))
    words = timeline.of_kind("word")
    if words and not series:
        name = file_of(next(iter(shows.values()))).name
        raise _missing("text", name, f"--stimulus {name}")
    _check_covered(words, series, timeline.start_s)
    return series


def _media(timeline: Timeline, modality: str, store: Path) -> Series:
    series: Series = []
    for event in timeline.of_kind(modality):
        array = _found(store, modality, content_of(event))
        if array is None:
            name = file_of(event).name
            raise _missing(modality, name, f"--stimulus {name}")
        series.append((event.onset_s - timeline.start_s, event.duration_s, array))
    return series


def _found(store: Path, modality: str, content: str) -> Float[np.ndarray, "layer dim step"] | None:
    values = read_entry(store, imported_entry(modality, content))
    return None if values is None else np.moveaxis(values, 0, -1)


def _check_covered(words: Sequence[Event], series: Series, start_s: float) -> None:
    for word in words:
        at_s = word.onset_s - start_s
        # a word at the very end keeps the last step
        if not any(onset_s <= at_s <= onset_s + length_s + _STEP_S for onset_s, length_s, _ in series):
            raise FeatureError(
                f"the word {word.text!r} at {word.onset_s:g} s lies outside all text that was imported",
                hint="import text that reaches as far as the words: tribetune features import … --words WORDS",
            )


def _missing(modality: str, name: str, option: str) -> FeatureError:
    return FeatureError(
        f"{name}: its {modality} was not imported into this store",
        hint=f"tribetune features import FILE {option} --modality {modality} --store DIR; or leave {modality} out of "
        "the modalities",
    )
