"""What a study's runs show: their timelines, and whether the model can use them."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from tribetune.errors import FeatureError, StimulusError, together
from tribetune.features.extract import EVENT_KINDS
from tribetune.model.tribe import Tribe
from tribetune.recipe.data import Data
from tribetune.stimulus.timeline import Timeline, timeline_of_files, words_beside
from tribetune.study.layout import stimulus_file, table_values


def check_usable(tribe: Tribe, timeline: Timeline, modalities: Sequence[str], where: str) -> None:
    """Refuse modalities that the model does not know, and a stimulus that has none of those it uses.

    Raises
    ------
    FeatureError
        Before anything is extracted.
    """
    known = [name for name, size in tribe.config.modalities.items() if size is not None]
    unknown = [name for name in modalities if name not in known]
    if unknown:
        raise FeatureError(
            f"the checkpoint does not use {' and '.join(unknown)}, only {', '.join(known)}",
            hint=f"set features.modalities to [{', '.join(known)}]",
        )
    if not any(timeline.of_kind(EVENT_KINDS[name]) for name in modalities):
        raise FeatureError(
            f"{where} has none of the modalities that the model uses ({', '.join(modalities)})",
            hint="give a film, a sound, or word timings",
        )


def table_stimulus(data: Data, run: str) -> Timeline:
    """The film, sound and words of one run; an NPZ table without other stimulus carries its own words.

    Raises
    ------
    StimulusError
        If there is none, or a file is not there.
    """
    tables = data.tables
    assert tables is not None  # the caller makes sure
    media, words = tables.media, tables.words
    if not (media or words) and tables.path.endswith(".npz"):
        words = tables.path
    if not (media or words):
        raise StimulusError("the tables come without a stimulus", hint="set data.tables.words or data.tables.media")
    values = table_values(data, data.subject, run)
    asked = ((media, "film or sound"), (words, "words"))
    paths = together([lambda p=p, w=w: stimulus_file(tables.folder, p, values, w) for p, w in asked])
    return shown_timeline(*paths)


def shown_timeline(media: Path | None, words: Path | None) -> Timeline:
    """A film or sound, and its words: those beside it, in ``NAME_words.*``, where none are named."""
    beside = words or (words_beside(media) if media else None)
    return timeline_of_files([media] if media else [], beside)


def timeline_digest(timeline: Timeline) -> str:
    """Hash of what happens when; where the files lie does not matter."""
    rows = [(e.kind, e.onset_s, e.duration_s, e.text, e.sentence, e.sentence_char) for e in timeline.events]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
