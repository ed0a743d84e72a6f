"""Words from subtitles (SRT, VTT, ASS)."""

import html
import re
import warnings
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from pathlib import Path

from tribetune.errors import StimulusError
from tribetune.stimulus.event import Event
from tribetune.stimulus.sentences import join_texts, split_words, whole_sentences
from tribetune.stimulus.text_files import read_text
from tribetune.stimulus.word_times import spread

CUE_RULE = "spread over each cue in proportion to letters"

_MARK = "\ue000"
"""Stands in a cue's text where a time stood; of the private use area, so that no text has it."""

_TIME = re.compile(rf"{_MARK}(\d+){_MARK}")
_STAMP = re.compile(r"<(?:(\d+):)?(\d{1,2}):(\d{2})\.(\d{3})>")
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|</>")
_UNSAID = re.compile(r"\[[^\]]*\]|［[^］]*］|【[^】]*】|\([^()]*\)|（[^（）]*）|[♩♪♫♬♭♮♯]")
_SPEAKER = re.compile(rf"\s*([-–—‐]+(?!\s*\d)\s*|>>+\s*)?(?:([^:：{_MARK}]{{1,40}})[:：](?=\s|$))?(.*)")
_NAME_WORDS = 3

_TOUCH_S = 0.05  # a caption that rolls up follows the one before at once, or shows its last line only so long
_ROLLS = 4  # one repeated line in so many cues: captions roll up

_HINT = "check that it has cues with times (00:00:01,000 --> 00:00:02,000), and save it again"


@dataclass(frozen=True)
class _Cue:
    """Lines shown together, and the times of the marks in them."""

    start_s: float
    stop_s: float
    lines: tuple[str, ...]
    times_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class _Said:
    """A cue's text, a line feed before every other speaker; its words from ``places`` on are said at ``times_s``."""

    start_s: float
    stop_s: float
    text: str
    places: tuple[int, ...]
    times_s: tuple[float, ...]


def read_cues(path: Path, _duration_s: float | None) -> tuple[Event, ...]:
    """Read the words of subtitles.

    A cue lasts until it ends or the next one begins; cues that begin together are read one after the other. Its words
    share its time in proportion to their letters, and are estimated; but times inside a cue (VTT) count, and a word
    that stands alone between two of them is not estimated. Left out are tags, what stands in [brackets] or in
    (CAPITALS), notes of music, the dashes and NAMES: of speakers, and lines that captions repeat while they roll up.
    Sentences go on from cue to cue until their punctuation ends them or another speaker begins.
    """
    said = [text for cue in _rolled_once(_merged(_cues(path))) if split_words((text := _cleaned(cue)).text)]
    events: list[Event] = []
    for cue, following in zip(said, [*said, None][1:], strict=True):
        if following is None:
            events += _words(cue, cue.text.strip())
            continue
        gap = "\n" if following.text.startswith("\n") else ""
        text = cue.text.strip() + gap if gap else join_texts([cue.text, following.text])[0]
        events += _words(replace(cue, stop_s=min(cue.stop_s, following.start_s)), text)
    return whole_sentences(events)


def _cues(path: Path) -> list[_Cue]:
    """Read cues, in order of time, each once."""
    from pysubs2 import SSAFile
    from pysubs2.exceptions import Pysubs2Error

    form = path.suffix.lower().removeprefix(".")
    text = read_text(path).replace(_MARK, "")
    options = {}
    if form in ("srt", "vtt"):
        # The reader takes a number at the end of a cue for the next one's, so every cue gets a next one.
        text, options = (_only_cues(text) if form == "vtt" else text) + "\n\n0\n", {"keep_html_tags": True}
        text = _STAMP.sub(_milliseconds, text)  # the reader takes a line with two times for the start of a cue
    try:
        with warnings.catch_warnings(action="ignore"):  # about layers and margins, which are of no use here
            file = SSAFile.from_string(text, form, **options)
    except (Pysubs2Error, ValueError, IndexError, KeyError) as error:
        raise StimulusError(f"{path}: cannot be read as subtitles ({error})", hint=_HINT) from error
    if not len(file):
        raise StimulusError(f"{path}: found no cue in it, expected subtitles", hint=_HINT)
    shown = (event for event in file if event.is_text)
    cues = (_marked(event.start / 1000, event.end / 1000, event.plaintext) for event in shown)
    return sorted(dict.fromkeys(cues), key=lambda cue: cue.start_s)


def _only_cues(text: str) -> str:
    """A VTT without its notes, styles and names of cues."""
    blocks = (block.split("\n") for block in re.split(r"\n{2,}", text))
    firsts = ((lines, [place for place, line in enumerate(lines) if "-->" in line][:1]) for lines in blocks)
    return "\n\n0\n\n".join("\n".join(lines[first[0] :]) for lines, first in firsts if first)


def _marked(start_s: float, stop_s: float, text: str) -> _Cue:
    """Take tags out of a text, and put marks where times are."""
    times_s = tuple(int(time) / 1000 for time in _TIME.findall(text))
    plain = html.unescape(_TAG.sub("", _TIME.sub(_MARK, text)))
    lines = (" ".join(line.split()) for line in plain.split("\n"))
    return _Cue(start_s, stop_s, tuple(line for line in lines if line), times_s)


def _milliseconds(stamp: re.Match[str]) -> str:
    hours, minutes, seconds, thousandths = (int(part or 0) for part in stamp.groups())
    return f"{_MARK}{1000 * (3600 * hours + 60 * minutes + seconds) + thousandths}{_MARK}"


def _merged(cues: Sequence[_Cue]) -> Iterator[_Cue]:
    """Make one of cues that begin together."""
    for start_s, group in groupby(cues, key=lambda cue: cue.start_s):
        together = list(group)
        lines = tuple(line for cue in together for line in cue.lines)
        times_s = tuple(time_s for cue in together for time_s in cue.times_s)
        yield _Cue(start_s, max(cue.stop_s for cue in together), lines, times_s)


def _rolled_once(merged: Iterator[_Cue]) -> list[_Cue]:
    """Leave out the lines that captions show again while they roll up, where these do so all the time."""
    cues = list(merged)
    known = [0, *(_n_repeated(cue, after) for cue, after in pairwise(cues))]
    if sum(count > 0 for count in known) < max(2, len(cues) / _ROLLS):
        return cues
    return [_without(cue, count) for cue, count in zip(cues, known, strict=False)]


def _n_repeated(cue: _Cue, after: _Cue) -> int:
    """How many first lines of a cue are the last ones of the cue before, which it follows at once."""
    if after.start_s > cue.stop_s + _TOUCH_S:
        return 0
    old, new = ([line.replace(_MARK, "") for line in one.lines] for one in (cue, after))
    most = len(new) if after.stop_s - after.start_s < _TOUCH_S else len(new) - 1
    return next((n for n in range(min(most, len(old)), 0, -1) if old[-n:] == new[:n]), 0)


def _without(cue: _Cue, n_lines: int) -> _Cue:
    n_times = "".join(cue.lines[:n_lines]).count(_MARK)
    return replace(cue, lines=cue.lines[n_lines:], times_s=cue.times_s[n_times:])


def _cleaned(cue: _Cue) -> _Said:
    """Leave out what is not said, and the marks."""
    parts: list[tuple[bool, str]] = []
    turn = False
    for line in _UNSAID.sub(_only_marks, "\n".join(cue.lines)).split("\n"):
        is_turn, rest = _turn(line)
        turn = turn or is_turn
        if rest:
            parts.append((turn, rest))
            turn = False
    gaps = join_texts([rest for _, rest in parts])
    marked = "".join("\n" + rest if is_turn else rest for (is_turn, _), rest in zip(parts, gaps, strict=True))
    text, places = "", []
    for number, part in enumerate(re.sub(r" +\n", "\n", marked).split(_MARK)):
        places += [len(text)] if number else []
        text += part.lstrip(" ") if text.endswith(" ") else part
    return _Said(cue.start_s, cue.stop_s, text, tuple(places), cue.times_s)


def _only_marks(match: re.Match[str]) -> str:
    """What becomes of brackets; asides in lower case are said."""
    if match[0][0] in "(（" and not match[0].isupper():
        return match[0]
    return " " + _MARK * match[0].count(_MARK)


def _turn(line: str) -> tuple[bool, str]:
    """Whether a line begins with a dash or name of a speaker, and the rest of it.

    Names are upper case, of at most three words, and only known where the line itself is not upper case.
    """
    found = _SPEAKER.match(line)
    dash, name, rest = found.groups(default="") if found else ("", "", line)
    is_name = name.isupper() and len(name.split()) <= _NAME_WORDS and not rest.isupper()
    return bool(dash) or is_name, " ".join((rest if is_name else line.lstrip().removeprefix(dash)).split())


def _words(cue: _Said, sentence: str) -> list[Event]:
    """Time the words of a cue."""
    offset = len(cue.text) - len(cue.text.lstrip())
    edges_s = [cue.start_s, *cue.times_s, cue.stop_s]
    events: list[Event] = []
    for number, group in groupby(split_words(cue.text), key=lambda found: bisect_right(cue.places, found[0])):
        found = list(group)
        estimated = not cue.places or len(found) > 1
        spans = spread([word for _, word in found], edges_s[number], max(edges_s[number : number + 2]))
        events += [
            Event("word", onset_s, length_s, None, word, sentence, place - offset, estimated)
            for (place, word), (onset_s, length_s) in zip(found, spans, strict=True)
        ]
    return events
