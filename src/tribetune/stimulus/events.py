"""The rows of a BIDS events table that show something, and whether they fit their run.

Onsets count from the first volume of the raw file. Volumes that the scanner or a person discarded before (the sidecar's
NumberOfVolumesDiscardedByScanner and NumberOfVolumesDiscardedByUser) are not in that file, and fMRIPrep keeps those
before the steady state: neither shifts an onset. Whoever takes volumes off afterwards must shift the onsets, too.
"""

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from tribetune.errors import StimulusError, together
from tribetune.stimulus.event import Event
from tribetune.stimulus.media import Media, probe
from tribetune.stimulus.words import WORD_SUFFIXES, read_table, read_words, words_of_rows

_LOG = logging.getLogger(__name__)

WORDS_MARK = "_words"
"""Ends the stem of a file with the words of a film or sound: ``film.mp4``, ``film_words.tsv``."""

_TOLD_S = 1.0
"""Shorter remainders, at either end of a run or between two films, are rounding and not worth a line."""

_CLOCK = "onsets are seconds from the first volume of the raw run; volumes discarded before it do not count"


@dataclass(frozen=True)
class Shown:
    """What one row shows; all rows of single words together are one.

    Attributes
    ----------
    where : str
        The row, for messages.
    events : tuple of Event
        At least one.
    repeats : str
        The row that says the same; empty where none does.
    """

    where: str
    events: tuple[Event, ...]
    repeats: str = ""

    @property
    def start_s(self) -> float:
        """When it begins, in seconds from the first volume."""
        return min(event.onset_s for event in self.events)

    @property
    def end_s(self) -> float:
        """When it is over."""
        return max(event.onset_s + event.duration_s for event in self.events)


def read_shown(events_tsv: Path, stimuli: Path) -> list[Shown]:
    """Read what the rows of an events table show, in their order.

    Parameters
    ----------
    events_tsv : Path
        See `tribetune.stimulus.timeline.timeline_of_events`.
    stimuli : Path
        Folder of the stimulus files.

    Raises
    ------
    StimulusError
        If the table or a stimulus file cannot be used, or no row shows anything.
    """
    if not events_tsv.is_file():
        raise StimulusError(f"{events_tsv}: no such file, expected the events of a run", hint="check the path")
    rows = read_table(events_tsv)
    found, first = [], {}
    named = [(number, row) for number, row in enumerate(rows, 1) if row.get("stim_file", "n/a") not in ("n/a", "")]
    read = together(
        [lambda n=number, r=row: tuple(_row_events(r, stimuli, f"{events_tsv}, row {n}")) for number, row in named]
    )
    for (number, row), events in zip(named, read, strict=True):
        where = f"{events_tsv}, row {number}"
        key = tuple(row.get(name, "") for name in ("onset", "duration", "trial_type", "stim_file"))
        if events:
            found.append(Shown(where, events, first.get(key, "")))
            first.setdefault(key, where)
    words = [row for row in rows if row.get("trial_type") == "word"]
    if words:
        found.append(Shown(f"{events_tsv}, rows of words", words_of_rows(words, events_tsv)))
    if not found:
        columns = ", ".join(rows[0]) if rows else "no rows"
        raise StimulusError(
            f"{events_tsv}: no row has a stim_file or the trial_type word, got {columns}",
            hint="name the stimulus file in the column stim_file",
        )
    return found


def check_on_run(events_tsv: Path, stimuli: Path, run_s: float) -> None:
    """Refuse events that cannot belong to a run, and tell what of them was not measured.

    A stimulus may begin before the first volume or outlast the run: samples outside are masked, and a warning says how
    many seconds that are. So does one for a row that repeats another (shown once) or a film that begins during another.

    Parameters
    ----------
    events_tsv : Path
        The run's events.
    stimuli : Path
        Folder of the stimulus files.
    run_s : float
        Length of the run: volumes times repetition time.

    Raises
    ------
    StimulusError
        If a stimulus begins after the run's end, or all of them are over before its first volume.
    """
    check_shown(read_shown(events_tsv, stimuli), run_s)


def check_shown(shown: Sequence[Shown], run_s: float) -> None:
    """As `check_on_run`, of what is read already.

    Raises
    ------
    StimulusError
    """
    for one in shown:
        if one.start_s >= run_s:
            raise StimulusError(
                f"{one.where}: begins at {one.start_s:g} s, but the run lasts {run_s:g} s",
                hint=f"{_CLOCK}; are these the events of this run, in seconds?",
            )
    last = max(shown, key=lambda one: one.end_s)
    if last.end_s <= 0:
        raise StimulusError(
            f"{last.where}: ends at {last.end_s:g} s, and so everything before the run's first volume", hint=_CLOCK
        )
    for line in [*_outside(shown, run_s), *_twice(shown)]:
        _LOG.warning("%s", line)


def words_beside(media: Path) -> Path | None:
    """File of words that lies beside a film or sound, in any format; None where there is none."""
    candidates = (media.with_name(f"{media.stem}{WORDS_MARK}{suffix}") for suffix in WORD_SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


def media_events(media: Media, onset_s: float, duration_s: float, with_sound: bool) -> Iterator[Event]:
    """Picture and sound of a media file, as far as it has them."""
    if media.has_video:
        yield Event("video", onset_s, duration_s, media.path)
    if media.has_audio and with_sound:
        yield Event("audio", onset_s, duration_s, media.path)


def _outside(shown: Sequence[Shown], run_s: float) -> Iterator[str]:
    for one in shown:
        if one.end_s <= 0:
            yield f"{one.where}: was over {-one.end_s:g} s before the first volume; it is context only"
        elif one.start_s < 0:
            yield f"{one.where}: began {-one.start_s:g} s before the first volume; that much was not measured"
        if one.end_s > run_s + _TOLD_S:
            yield f"{one.where}: lasts {one.end_s - run_s:.1f} s longer than the run; that much was not measured"


def _twice(shown: Sequence[Shown]) -> Iterator[str]:
    for one in shown:
        if one.repeats:
            yield f"{one.where}: repeats {one.repeats}; it is shown once"
    for kind in ("video", "audio"):
        yield from _overlapping(kind, shown)


def _overlapping(kind: str, shown: Sequence[Shown]) -> Iterator[str]:
    """Two pictures, or two sounds, at once: rarely meant."""
    found = {event: one.where for one in reversed(shown) for event in one.events if event.kind == kind}
    ordered = sorted(found, key=lambda event: event.onset_s)
    for before, after in pairwise(ordered):
        both_s = before.onset_s + before.duration_s - after.onset_s
        if both_s > _TOLD_S:
            yield f"{found[after]}: its {kind} begins {both_s:.1f} s before that of {found[before]} is over"


def _row_events(row: Mapping[str, str], stimuli: Path, where: str) -> Iterator[Event]:
    path = stimuli / row["stim_file"]
    if not path.is_file():
        raise StimulusError(f"{where}: stim_file {path} does not exist", hint=f"put it into {stimuli}")
    onset_s = _number(row.get("onset", ""))
    if not math.isfinite(onset_s):
        raise StimulusError(f"{where}: onset is {row.get('onset')!r}, expected seconds", hint="mend the events table")
    asked_s = _number(row.get("duration", ""))
    if path.suffix.lower() in WORD_SUFFIXES:
        yield from _later(read_words(path, asked_s if asked_s > 0 else None), onset_s)
        return
    media = probe(path)
    duration_s = min(asked_s, media.duration_s) if asked_s > 0 else media.duration_s
    for event in media_events(media, onset_s, duration_s, with_sound=True):
        if event.kind == "audio" or row.get("trial_type") != "audio":
            yield event
    beside = words_beside(path)
    if beside:
        words = (word for word in read_words(beside, media.duration_s) if word.onset_s < duration_s)
        yield from _later(words, onset_s)


def _later(words: Iterable[Event], by_s: float) -> Iterator[Event]:
    return (replace(word, onset_s=word.onset_s + by_s) for word in words)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
