"""From a timeline to its features, extracted once and kept."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from tribetune.errors import FeatureError, StimulusError
from tribetune.features.encoders import MODALITIES, Encoder, Encoders, pick_device
from tribetune.features.grid import Features, place_series, place_words
from tribetune.features.store import Entry, at_rest, hash_json, read_entry, write_entry
from tribetune.files import hash_file
from tribetune.stimulus.event import Event
from tribetune.stimulus.timeline import Timeline
from tribetune.timing import to_step

__all__ = ["Features", "extract"]

OnProgress = Callable[[str, float], None]
"""Called with a modality and the fraction of its work that is done."""

EVENT_KINDS = {"text": "word", "audio": "audio", "video": "video"}
"""The kind of event that gives a modality."""


def extract(
    timeline: Timeline,
    encoders: Encoders,
    modalities: Sequence[str],
    store: Path,
    device: str = "auto",
    on_progress: OnProgress | None = None,
) -> Features:
    """Make a timeline's features, or read those made before.

    Parameters
    ----------
    timeline : Timeline
    encoders : Encoders
    modalities : sequence of str
        Which of ``text``, ``audio``, ``video`` are wanted; those without an event in the timeline are left out.
    store : Path
        Folder where features are kept, one file per content, encoder and setting.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    on_progress : callable or None

    Returns
    -------
    Features
        The same values whether they were read or made.

    Raises
    ------
    FeatureError
        If a modality is not known, or an encoder is not there.
    StimulusError
        If a stimulus file cannot be decoded.
    """
    unknown = [modality for modality in modalities if modality not in MODALITIES]
    if unknown:
        raise FeatureError(
            f"modality {unknown[0]!r} is not known, expected some of {', '.join(MODALITIES)}", hint="change modalities"
        )
    arrays = {}
    for modality in modalities:
        events = timeline.of_kind(EVENT_KINDS[modality])
        if events:
            work = _Work(encoders[modality], store, device, on_progress or _silent)
            make = work.words if modality == "text" else work.media
            arrays[modality] = make(events, timeline)
    return Features(arrays, timeline.duration_s)


@dataclass(frozen=True)
class _Work:
    """One modality of one timeline."""

    encoder: Encoder
    store: Path
    device: str
    on_progress: OnProgress

    def words(self, events: Sequence[Event], timeline: Timeline) -> Float[np.ndarray, "layer dim time"]:
        """Vectors of all words, summed on the grid; kept per word, so that other timings can use them."""
        content = hash_json([[event.text, event.sentence, event.sentence_char] for event in events])
        boxes = [(event.onset_s - timeline.start_s, event.duration_s) for event in events]

        def make() -> np.ndarray:
            from tribetune.features.text import encode_words

            blocks = encode_words(events, self.encoder, pick_device(self.device))
            return np.concatenate(list(self._told(blocks, len(events))))

        vectors = self._kept(content, {"words": len(events)}, make)
        return place_words(boxes, vectors, timeline.duration_s)

    def media(self, events: Sequence[Event], timeline: Timeline) -> Float[np.ndarray, "layer dim time"]:
        """Features of all media files, placed on the grid."""
        series = [(event.onset_s - timeline.start_s, event.duration_s, self._file(event)) for event in events]
        return place_series(series, timeline.duration_s)

    def _file(self, event: Event) -> Float[np.ndarray, "layer dim step"]:
        if event.file is None:
            raise StimulusError(f"{event.kind} at {event.onset_s:g} s names no file", hint="name it in the timeline")
        path = event.file

        def make() -> np.ndarray:
            from tribetune.features import audio, video
            from tribetune.stimulus.media import probe

            encode = audio.encode_sound if self.encoder.modality == "audio" else video.encode_video
            blocks = encode(path, self.encoder, pick_device(self.device))
            n_steps = max(1, to_step(probe(path).duration_s))
            return np.concatenate(list(self._told(blocks, n_steps)))

        return np.moveaxis(self._kept(hash_file(path), {"file": path.name}, make), 0, -1)

    def _kept(self, content: str, about: dict[str, Any], make: Callable[[], np.ndarray]) -> np.ndarray:
        """Read an array from the store, or make and store it; either way the values are those at rest."""
        entry = Entry(self.encoder.modality, content, self.encoder.identity)
        values = read_entry(self.store, entry)
        if values is None:
            values = at_rest(make())
            write_entry(self.store, entry, values, {"encoder": self.encoder.name, "device": self.device, **about})
        self.on_progress(self.encoder.modality, 1.0)
        return values

    def _told(self, blocks: Iterator[np.ndarray], total: int) -> Iterator[np.ndarray]:
        """Pass blocks on, and tell how far they reach."""
        done = 0
        for block in blocks:
            done += len(block)
            self.on_progress(self.encoder.modality, min(1.0, done / total))
            yield block


def _silent(modality: str, fraction: float) -> None:
    """Tell nobody."""
