"""Events of one stimulus or one run, in order of time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tribetune.errors import StimulusError
from tribetune.stimulus.event import Event
from tribetune.stimulus.events import WORDS_MARK, media_events, read_shown, words_beside
from tribetune.stimulus.media import probe
from tribetune.stimulus.words import WORD_SUFFIXES, read_words

__all__ = ["WORDS_MARK", "Event", "Timeline", "timeline_of_events", "timeline_of_files", "words_beside"]


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
        Words and their times, see `read_words`; those without times are spread over the film or sound.

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
        events += media_events(item, 0.0, item.duration_s, own_sound)
    for table in tables:
        events += read_words(table, max((item.duration_s for item in media), default=None))
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
    events = [event for shown in read_shown(events_tsv, stimuli) for event in shown.events]
    # A film with a row for its picture and another for its sound is one film.
    return Timeline(tuple(dict.fromkeys(events)))


def _order(event: Event) -> tuple[float, bool, float]:
    is_word = event.kind == "word"
    return event.onset_s, is_word, 0.0 if is_word else -event.duration_s
