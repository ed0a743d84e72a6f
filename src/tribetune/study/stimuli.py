"""What a study's runs show: their timelines, and whether the model can use them."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from tribetune.errors import FeatureError, StimulusError
from tribetune.features.extract import EVENT_KINDS
from tribetune.model.tribe import Tribe
from tribetune.recipe.data import Tables
from tribetune.stimulus.timeline import Timeline, timeline_of_files


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


def table_stimulus(tables: Tables, subject: str, run: str) -> Timeline:
    """The film, sound and words of one run; an NPZ table without other stimulus carries its own words.

    Raises
    ------
    StimulusError
        If there is none.
    """
    media, words = tables.media, tables.words
    if not (media or words) and tables.path.endswith(".npz"):
        words = tables.path
    if not (media or words):
        raise StimulusError("the tables come without a stimulus", hint="set data.tables.words or data.tables.media")
    paths = [
        Path(name.replace("{subject}", subject).replace("{run}", run)) if name else None for name in (media, words)
    ]
    return timeline_of_files([paths[0]] if paths[0] else [], paths[1])


def timeline_digest(timeline: Timeline) -> str:
    """Hash of what happens when; where the files lie does not matter."""
    rows = [(e.kind, e.onset_s, e.duration_s, e.text, e.sentence, e.sentence_char) for e in timeline.events]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
