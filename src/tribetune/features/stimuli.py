"""What a store knows of its stimuli: enough to list, check and export their features without the files themselves."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from tribetune.arrays import hash_plain
from tribetune.errors import FeatureError
from tribetune.features.encoders import Options
from tribetune.features.imported import words_content
from tribetune.features.sources import as_heard, content_of, sources_of
from tribetune.features.store import UNREADABLE
from tribetune.files import write_json
from tribetune.stimulus.event import Event
from tribetune.stimulus.timeline import Timeline

log = logging.getLogger(__name__)

FOLDER = "stimuli"
"""Subfolder of a store."""


@dataclass(frozen=True)
class Stimulus:
    """One stimulus of a store.

    Parameters
    ----------
    name : str
        The stem of its files; where a store has another stimulus of that stem, with a part of its hash behind.
    timeline : Timeline
        Its events; media files are there by name only, wherever they lay.
    contents : mapping of Event to str
        SHA-256 of the file of each media event.
    """

    name: str
    timeline: Timeline
    contents: Mapping[Event, str]

    @property
    def key(self) -> str:
        """Hash of its media files; of its words where there are none. Films with other words are one stimulus."""
        if self.contents:
            return hash_plain(sorted(set(self.contents.values())))
        return sources_of(self.timeline, "text", Options())[0].content

    def content(self, event: Event) -> str:
        """SHA-256 of a media event's file."""
        return self.contents[event]


def remember(store: Path, name: str, timeline: Timeline, content: Callable[[Event], str] = content_of) -> Stimulus:
    """Write down a stimulus, so that its features can be found by name.

    Words replace those that the store knew; without words, those that it knew stay.

    Parameters
    ----------
    store : Path
        Folder.
    name : str
        As the user calls it.
    timeline : Timeline
    content : callable
        From a media event to the hash of its file.
    """
    named = {event: replace(event, file=Path(event.file.name)) for event in timeline.events if event.file is not None}
    contents = {short: content(event) for event, short in named.items()}
    told = Stimulus(name, Timeline(tuple(named.get(event, event) for event in timeline.events)), contents)
    known = _known(store, name)
    if known is not None and known.key != told.key:
        told = replace(told, name=f"{name}-{told.key[:8]}")
        known = _known(store, told.name)
    if known is not None and not told.timeline.of_kind("word"):
        told = replace(told, timeline=Timeline((*told.timeline.events, *known.timeline.of_kind("word"))))
    if known != told:
        _write(record_of(store, told.name), _plain(told))
    return told


def _write(record: Path, value: Mapping[str, Any]) -> None:
    """Write a record, and remove what a killed writer of it left half-written."""
    try:
        write_json(record, dict(value))
    except FileNotFoundError:  # another writer, who was done first, took ours for such
        write_json(record, dict(value))
    for path in record.parent.glob(f".part-*-{record.name}"):
        path.unlink(missing_ok=True)


def stimuli(store: Path) -> list[Stimulus]:
    """Every stimulus of a store, in order of names; a record that cannot be read is told in the log and left out."""
    names = sorted(path.stem for path in (store / FOLDER).glob("*.json") if not path.name.startswith("."))
    return [found for found in (_known(store, name) for name in names) if found is not None]


def find_stimulus(store: Path, name: str) -> Stimulus:
    """One stimulus of a store.

    Raises
    ------
    FeatureError
        If the store does not know it.
    """
    found = {stimulus.name: stimulus for stimulus in stimuli(store)}
    if name not in found:
        raise FeatureError(
            f"{store} has no stimulus {name}, it has {', '.join(found) or 'none'}",
            hint=f"tribetune features ls {store}",
        )
    return found[name]


def read_stimulus(path: Path) -> Stimulus:
    """Read one record.

    Raises
    ------
    ValueError, KeyError, TypeError, AttributeError, OSError
        If it is damaged.
    """
    told = json.loads(path.read_text(encoding="utf-8"))
    events: list[Event] = []
    contents = {}
    for row in told["events"]:
        facts: dict[str, Any] = {name: value for name, value in row.items() if name != "content"}
        if "file" in row:
            facts["file"] = Path(row["file"])
        events.append(Event(**facts))
        if "content" in row:
            contents[events[-1]] = str(row["content"])
    if not events:
        raise ValueError("it has no events")
    return Stimulus(path.stem, Timeline(tuple(events)), contents)


def record_of(store: Path, name: str) -> Path:
    """Where the record of a stimulus is."""
    return store / FOLDER / f"{name}.json"


def shown_by(stimuli: Sequence[Stimulus], *, reference: bool = True) -> dict[str, list[str]]:
    """From each content, a file or words, to the names of the stimuli that it belongs to.

    The words of features made in reference mode are many, and only looked at where ``reference`` is True.
    """
    found: dict[str, list[str]] = {}
    for stimulus in stimuli:
        for content in _contents(stimulus, reference):
            found.setdefault(content, []).append(stimulus.name)
    return found


def _known(store: Path, name: str) -> Stimulus | None:
    path = record_of(store, name)
    if not path.is_file():
        return None
    try:
        return read_stimulus(path)
    except UNREADABLE as error:
        log.warning("%s is damaged (%s): extract its stimulus again", path, error)
        return None


def _plain(stimulus: Stimulus) -> dict[str, Any]:
    return {
        "name": stimulus.name,
        "duration_s": stimulus.timeline.duration_s,
        "events": [_row(event, stimulus.contents) for event in stimulus.timeline.events],
    }


def _row(event: Event, contents: Mapping[Event, str]) -> dict[str, Any]:
    """What is known of an event, and nothing more."""
    told = {field.name: getattr(event, field.name) for field in fields(event)}
    row = {field.name: told[field.name] for field in fields(event) if told[field.name] != field.default}
    return row if event.file is None else {**row, "file": event.file.name, "content": contents[event]}


def _contents(stimulus: Stimulus, reference: bool) -> set[str]:
    found = set(stimulus.contents.values())
    for options in [Options(), *([Options(reference=True)] if reference else [])]:
        heard = as_heard(stimulus.timeline, options)
        found |= {source.content for source in sources_of(heard, "text", options, stimulus.content)}
    if not stimulus.contents:
        found.add(words_content(stimulus.timeline))
    return found
