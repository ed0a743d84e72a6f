"""Events of one stimulus or one run, in order of time."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tribetune.errors import StimulusError
from tribetune.stimulus.event import Event
from tribetune.stimulus.media import Media, probe
from tribetune.stimulus.words import WORD_SUFFIXES, read_table, read_words, words_of_rows

__all__ = ["Event", "Timeline", "timeline_of_events", "timeline_of_files"]


@dataclass(frozen=True)
class Timeline:
    """What happens in one stimulus or run.

    Parameters
    ----------
    events : tuple of Event
        Sorted on construction: by onset, longer events first. Words of one onset stay in the order given, which is that
        of their sentence (the reference puts the longer word first and so breaks the sentence).
    """

    events: tuple[Event, ...]

    def __post_init__(self) -> None:
        if not self.events:
            raise StimulusError("a timeline without events, expected a video, a sound or words", hint="give a stimulus")
        ordered = sorted(self.events, key=_order)
        object.__setattr__(self, "events", tuple(ordered))

    @property
    def start_s(self) -> float:
        """Onset of the first event: zero of the stimulus clock."""
        return self.events[0].onset_s

    @property
    def end_s(self) -> float:
        """When the last event is over."""
        return max(event.onset_s + event.duration_s for event in self.events)

    @property
    def duration_s(self) -> float:
        """From the first onset to the last end."""
        return self.end_s - self.start_s

    def of_kind(self, kind: str) -> tuple[Event, ...]:
        """Events of one kind, in order."""
        return tuple(event for event in self.events if event.kind == kind)

    def shifted(self, by_s: float) -> "Timeline":
        """Return the same timeline, ``by_s`` seconds later (earlier when negative)."""
        return Timeline(tuple(replace(event, onset_s=event.onset_s + by_s) for event in self.events))


def timeline_of_files(stimuli: Sequence[Path], words: Path | None = None) -> Timeline:
    """Make the timeline of one stimulus that starts at 0.

    Parameters
    ----------
    stimuli : sequence of Path
        At most one video and one sound file; the sound file replaces the video's own sound. A table of words may be
        among them.
    words : Path or None
        Table of words and their times, see `read_words`.

    Raises
    ------
    StimulusError
        If a file cannot be used, or there are two of a kind.
    """
    tables = [path for path in stimuli if path.suffix.lower() in WORD_SUFFIXES] + [path for path in [words] if path]
    media = [probe(path) for path in stimuli if path.suffix.lower() not in WORD_SUFFIXES]
    pictures = [item for item in media if item.has_video]
    sounds = [item for item in media if item.has_audio and not item.has_video]
    for kind, found in (("video", pictures), ("sound", sounds), ("words", tables)):
        if len(found) > 1:
            raise StimulusError(
                f"{len(found)} {kind} files given, expected at most one", hint="take one stimulus at a time"
            )
    events: list[Event] = []
    for item in media:
        own_sound = item.has_audio and (item in sounds or not sounds)
        events += _media_events(item, 0.0, item.duration_s, own_sound)
    for table in tables:
        events += read_words(table)
    return Timeline(tuple(events))


def timeline_of_events(events_tsv: Path, stimuli: Path) -> Timeline:
    """Read the timeline of a run from its BIDS events.

    Parameters
    ----------
    events_tsv : Path
        Columns ``onset``, ``duration`` and ``stim_file`` (relative to ``stimuli``; a file with picture and sound is
        both, unless its ``trial_type`` is ``audio``). Words are rows with ``trial_type`` ``word`` and their text in
        ``word`` or ``text``, or a table beside the media file: ``film.mp4``, ``film_words.tsv``.
    stimuli : Path
        Folder of the stimulus files.

    Raises
    ------
    StimulusError
        If the table or a stimulus file cannot be used, or the run has no stimulus.
    """
    if not events_tsv.is_file():
        raise StimulusError(f"{events_tsv}: no such file, expected the events of a run", hint="check the path")
    rows = read_table(events_tsv)
    events: list[Event] = []
    for number, row in enumerate(rows, 1):
        if row.get("stim_file", "n/a") not in ("n/a", ""):
            events += _row_events(row, stimuli, f"{events_tsv}, row {number}")
    word_rows = [row for row in rows if row.get("trial_type") == "word"]
    if word_rows:
        events += words_of_rows(word_rows, events_tsv)
    if not events:
        columns = ", ".join(rows[0]) if rows else "no rows"
        raise StimulusError(
            f"{events_tsv}: no row has a stim_file or the trial_type word, got {columns}",
            hint="name the stimulus file in the column stim_file",
        )
    return Timeline(tuple(_unique(events)))


def _media_events(media: Media, onset_s: float, duration_s: float, with_sound: bool) -> Iterator[Event]:
    if media.has_video:
        yield Event("video", onset_s, duration_s, media.path)
    if media.has_audio and with_sound:
        yield Event("audio", onset_s, duration_s, media.path)


def _row_events(row: Mapping[str, str], stimuli: Path, where: str) -> Iterator[Event]:
    path = stimuli / row["stim_file"]
    if not path.is_file():
        raise StimulusError(f"{where}: stim_file {path} does not exist", hint=f"put it into {stimuli}")
    onset_s = _number(row.get("onset", ""))
    if not math.isfinite(onset_s):
        raise StimulusError(f"{where}: onset is {row.get('onset')!r}, expected seconds", hint="mend the events table")
    asked_s = _number(row.get("duration", ""))
    if path.suffix.lower() in WORD_SUFFIXES:
        yield from _later(read_words(path), onset_s)
        return
    media = probe(path)
    duration_s = min(asked_s, media.duration_s) if asked_s > 0 else media.duration_s
    for event in _media_events(media, onset_s, duration_s, with_sound=True):
        if event.kind == "audio" or row.get("trial_type") != "audio":
            yield event
    beside = path.with_name(f"{path.stem}_words.tsv")
    if beside.is_file():
        words = (word for word in read_words(beside) if word.onset_s < duration_s)
        yield from _later(words, onset_s)


def _later(words: Iterable[Event], by_s: float) -> Iterator[Event]:
    return (replace(word, onset_s=word.onset_s + by_s) for word in words)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _unique(events: Iterable[Event]) -> Iterator[Event]:
    """Leave out repetitions: a film with a row for its picture and another for its sound is one film."""
    return iter(dict.fromkeys(events))


def _order(event: Event) -> tuple[float, bool, float]:
    is_word = event.kind == "word"
    return event.onset_s, is_word, 0.0 if is_word else -event.duration_s
