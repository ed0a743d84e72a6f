"""Times of words that have none, from the times around them."""

from collections.abc import Sequence
from dataclasses import dataclass

Span = tuple[float, float]
"""Onset and duration, in seconds."""


_LATEST_S = 1e9
"""No stimulus is so long; not a number, and infinite, are not below it."""


@dataclass(frozen=True)
class Timed:
    """A word as a file has it, whose times may be missing.

    Parameters
    ----------
    text : str
    start_s, stop_s : float or None
    """

    text: str
    start_s: float | None
    stop_s: float | None


def spread(words: Sequence[str], start_s: float, stop_s: float, pauses: Sequence[int] = ()) -> list[Span]:
    """Divide a stretch of time among words in proportion to their letters.

    Parameters
    ----------
    words : sequence of str
    start_s, stop_s : float
        The stretch; one that ends before it starts has no length.
    pauses : sequence of int
        Silence between words, in letters; none where it is not given.
    """
    lengths = [len(word) for word in words]
    silent = [*pauses, *[0] * (len(words) - len(pauses))]
    per_letter_s = max(0.0, stop_s - start_s) / max(1, sum(lengths) + sum(silent))
    spans, before = [], 0
    for length, pause in zip(lengths, silent, strict=True):
        spans.append((start_s + before * per_letter_s, length * per_letter_s))
        before += length + pause
    return spans


def fill(words: Sequence[Timed], start_s: float, stop_s: float | None) -> list[tuple[float, float, bool]]:
    """Give times to the words that lack them.

    Words without a start share, in proportion to their letters, the time between the end of the word before them (or
    ``start_s``) and the start of the word after them (or ``stop_s``; where that is unknown, no time).

    Returns
    -------
    list of (float, float, bool)
        Onset, duration, and whether they are estimated.
    """
    filled: list[tuple[float, float, bool]] = []
    at_s = start_s
    while len(filled) < len(words):
        word = words[len(filled)]
        if word.start_s is not None:
            filled.append((word.start_s, max(0.0, (word.stop_s or 0.0) - word.start_s), False))
        else:
            lacking, until_s = _lacking(words[len(filled) :])
            until_s = until_s if until_s is not None else stop_s if stop_s is not None else at_s
            filled += [(onset_s, length_s, True) for onset_s, length_s in spread(lacking, min(at_s, until_s), until_s)]
        at_s = max(at_s, sum(filled[-1][:2]))
    return filled


def _lacking(words: Sequence[Timed]) -> tuple[list[str], float | None]:
    """The words without a start that come first, and the start of the one after them."""
    lacking: list[str] = []
    for word in words:
        if word.start_s is not None:
            return lacking, word.start_s
        lacking.append(word.text)
    return lacking, None


def is_time(value: object) -> bool:
    """Whether a value from a file can be a time in seconds."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LATEST_S
