"""Plain text without times, spread over its stimulus."""

import re
from pathlib import Path

from tribetune.errors import StimulusError
from tribetune.stimulus.event import Event
from tribetune.stimulus.sentences import split_words, whole_sentences
from tribetune.stimulus.text_files import read_text
from tribetune.stimulus.word_times import spread

TEXT_RULE = "spread over the stimulus in proportion to letters, with pauses at punctuation"

_PAUSES = ((re.compile(r"\n"), 12), (re.compile(r"[.!?…。！？؟।]"), 6), (re.compile(r"[,;:—–、，；：،]"), 3))
"""What stands between two words, and how many letters long the silence is: the first that fits counts."""


def read_plain_text(path: Path, duration_s: float | None) -> tuple[Event, ...]:
    """Read a text, and spread its words over its stimulus.

    The first word begins with the stimulus, the last one ends with it. Every word lasts in proportion to its letters;
    a pause lasts as long as 3 letters at a comma and the like, 6 at the end of a sentence, and 12 at an empty line.
    """
    if duration_s is None or not duration_s > 0:
        raise StimulusError(
            f"{path}: a text has no times, and how long its stimulus lasts is not known",
            hint="give it together with its film or sound; or write a table with the columns onset, duration and word",
        )
    text = _tidied(read_text(path))
    found = split_words(text)
    words = [word for _, word in found]
    ends = [place + len(word) for place, word in found]
    pauses = [_pause(text[end:place]) for end, (place, _) in zip(ends, found[1:], strict=False)]
    spans = spread(words, 0.0, duration_s, pauses)
    events = [
        Event("word", onset_s, length_s, None, word, text, place, estimated=True)
        for (place, word), (onset_s, length_s) in zip(found, spans, strict=True)
    ]
    return whole_sentences(events)


def _tidied(text: str) -> str:
    """One blank between words, and one line feed between paragraphs."""
    paragraphs = (" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text))
    return "\n".join(paragraph for paragraph in paragraphs if paragraph)


def _pause(gap: str) -> int:
    return next((letters for sign, letters in _PAUSES if sign.search(gap)), 0)
