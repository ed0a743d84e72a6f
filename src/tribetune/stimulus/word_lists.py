"""Words with their times in tables without a header: a word, perhaps its lemma, onset and offset."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from tribetune.errors import StimulusError
from tribetune.stimulus.event import Event
from tribetune.stimulus.word_times import Timed, fill

_HINT = "write word, onset and offset (seconds from the stimulus' start), one word per line"
_MISSING = ("", "n/a", "nan")


def is_list(text: str) -> bool:
    """Whether the first line is a word and its times, which may be missing there, and not the names of columns."""
    return _is_timed(_cells(text.partition("\n")[0])) and any(
        None not in _times(_cells(line)) for line in text.split("\n")
    )


def read_list(text: str, path: Path) -> tuple[Event, ...]:
    """Read lines of a word, anything, onset and offset, with commas, tabs or blanks between them.

    Words that the aligner did not find in the sound have no times there; they share the time between their neighbours
    and are marked as estimated. There are no sentences.

    Raises
    ------
    StimulusError
        If a line is not a word and two times, or ends before it begins.
    """
    words = [_timed(line, f"{path}, line {number}") for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    spans = zip(words, fill(words, 0.0, None), strict=True)
    return tuple(Event("word", on, length, None, word.text, estimated=guess) for word, (on, length, guess) in spans)


def _timed(line: str, where: str) -> Timed:
    cells = _cells(line)
    if not _is_timed(cells):
        raise StimulusError(
            f"{where}: got {line.strip()[:60]!r}, expected a word, its onset and its offset", hint=_HINT
        )
    start_s, stop_s = _times(cells)
    if start_s is not None and stop_s is not None and stop_s < start_s:
        raise StimulusError(f"{where}: {cells[0]!r} begins at {start_s:g} s and ends at {stop_s:g} s", hint=_HINT)
    return Timed(cells[0], start_s, stop_s)


def _is_timed(cells: Sequence[str]) -> bool:
    """Whether a line is a word, perhaps its lemma, and two times."""
    legible = all(cell in _MISSING or _number(cell) is not None for cell in cells[-2:])
    return len(cells) >= 3 and bool(cells[0]) and legible


def _times(cells: Sequence[str]) -> tuple[float | None, float | None]:
    return (_number(cells[-2]), _number(cells[-1])) if len(cells) >= 3 else (None, None)


def _cells(line: str) -> list[str]:
    """Cells of a line; where blanks separate them, a word may hold some."""
    sign = next((sign for sign in "\t," if sign in line), "")
    if not sign:
        return line.strip().rsplit(None, 2)
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=sign))]
    except csv.Error:  # not a text table
        return []


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
