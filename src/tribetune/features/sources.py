"""What an encoder is given of a timeline, by whose content features are found again, and where it comes to lie."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from tribetune.arrays import hash_plain
from tribetune.errors import StimulusError
from tribetune.features.chunks import chunk_spans
from tribetune.features.encoders import Options
from tribetune.features.grid import Grid, lay_series, lay_words
from tribetune.files import hash_file
from tribetune.stimulus.event import Event
from tribetune.stimulus.reference import repeated_words
from tribetune.stimulus.timeline import Timeline

EVENT_KINDS = {"text": "word", "audio": "audio", "video": "video"}
"""The kind of event that gives a modality."""


@dataclass(frozen=True)
class Source:
    """One content of a modality: a media file, or all words.

    Parameters
    ----------
    content : str
        SHA-256 of the file, or of the words and their sentences, whenever they come.
    boxes : tuple of (onset, duration)
        Seconds on the stimulus clock: one for a file, one per word.
    path : Path or None
        The file.
    words : tuple of Event
    """

    content: str
    boxes: tuple[tuple[float, float], ...]
    path: Path | None = None
    words: tuple[Event, ...] = ()


def content_of(event: Event) -> str:
    """SHA-256 of an event's media file; read once per process and state of the file."""
    path = file_of(event)
    if not path.is_file():
        raise StimulusError(f"{path}: no such file", hint="check the path")
    state = path.stat()
    return _hash(path, state.st_size, state.st_mtime_ns)


def file_of(event: Event) -> Path:
    """The media file of an event.

    Raises
    ------
    StimulusError
        If it names none.
    """
    if event.file is None:
        raise StimulusError(f"{event.kind} at {event.onset_s:g} s names no file", hint="name it in the timeline")
    return event.file


def sources_of(
    timeline: Timeline, modality: str, options: Options, content: Callable[[Event], str] = content_of
) -> list[Source]:
    """What the encoder of a modality is given; empty where the timeline has nothing for it.

    Parameters
    ----------
    timeline : Timeline
        In reference mode as `as_heard` gives it.
    modality : {"text", "audio", "video"}
    options : Options
    content : callable
        From a media event to the hash of its file.
    """
    events = timeline.of_kind(EVENT_KINDS[modality])
    if modality != "text":
        return [Source(content(event), (_box(event, timeline),), file_of(event)) for event in events]
    if options.reference:
        from tribetune.features.reference_text import reference_words_of

        events = tuple(reference_words_of(events))
    if not events:
        return []
    told = hash_plain([[event.text, event.sentence, event.sentence_char] for event in events])
    return [Source(told, tuple(_box(event, timeline) for event in events), words=events)]


def as_heard(timeline: Timeline, options: Options) -> Timeline:
    """The timeline itself; in reference mode with the words of every sound repeated for each of its chunks."""
    if not options.reference:
        return timeline
    words = list(timeline.of_kind("word"))
    events = [event for event in timeline.events if event.kind != "word"]
    for sound in timeline.of_kind("audio"):
        end_s = sound.onset_s + sound.duration_s
        own = [word for word in words if sound.onset_s <= word.onset_s < end_s]
        words = [word for word in words if not sound.onset_s <= word.onset_s < end_s]
        events += repeated_words(own, [start for start, _ in chunk_spans(sound.duration_s, *options.chunk_s)])
    return Timeline((*events, *words))


def place(
    sources: Sequence[Source],
    arrays: Mapping[str, Float[np.ndarray, "row layer dim"]],
    duration_s: float,
    start_s: float = 0.0,
) -> Grid:
    """Put the features of all sources of a modality on a grid.

    Parameters
    ----------
    sources : sequence of Source
        At least one; words are one source.
    arrays : mapping of str to array of shape (n_rows, n_layers, dim)
        Content to features as the store keeps them.
    duration_s : float
        Length of the grid.
    start_s : float
        Where on the stimulus clock it begins.
    """
    if sources[0].words:
        (source,) = sources
        return lay_words(source.boxes, arrays[source.content], duration_s, start_s)
    series = [(*source.boxes[0], np.moveaxis(arrays[source.content], 0, -1)) for source in sources]
    return lay_series(series, duration_s, start_s)


def _box(event: Event, timeline: Timeline) -> tuple[float, float]:
    return event.onset_s - timeline.start_s, event.duration_s


@lru_cache(maxsize=256)
def _hash(path: Path, _size: int, _changed: int) -> str:
    return hash_file(path)
