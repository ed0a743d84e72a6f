"""Words with their times, read from a table."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tribetune.errors import StimulusError
from tribetune.stimulus.event import Event

WORD_SUFFIXES = (".tsv", ".csv", ".npz")
"""Files that `read_words` reads."""

_LAYOUT = "a table with the columns onset, duration and word (seconds), one row per word, in order of time"
_ALIASES = {"onset": ("start",), "offset": ("stop", "end"), "word": ("words", "text")}
_MISSING = ("", "n/a", "nan")


def read_words(path: Path) -> tuple[Event, ...]:
    """Read words and their times.

    Parameters
    ----------
    path : Path
        A TSV or CSV with the columns ``onset``, ``duration`` (or ``offset``), ``word`` and, where known, ``sentence``
        and ``sentence_char``; or an NPZ with ``words``, ``onset``, ``offset``. Seconds from the stimulus' start.

    Returns
    -------
    tuple of Event
        In the file's order.

    Raises
    ------
    StimulusError
        If the file is missing, empty or of another layout, or if times are negative, not finite, or out of order.
    """
    if path.suffix.lower() not in WORD_SUFFIXES:
        raise StimulusError(
            f"{path}: words cannot be read from {path.suffix or 'a file without suffix'}, "
            f"expected one of {', '.join(WORD_SUFFIXES)}",
            hint=f"write {_LAYOUT}",
        )
    if not path.is_file():
        raise StimulusError(f"{path}: no such file, expected the words of the stimulus", hint="check the path")
    rows = _npz_rows(path) if path.suffix.lower() == ".npz" else read_table(path)
    return words_of_rows(rows, path)


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a TSV or CSV as text, one dict per row, column names in lower case."""
    delimiter = "," if path.suffix.lower() == ".csv" else "\t"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            quoting = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
            rows = list(csv.DictReader(file, delimiter=delimiter, quoting=quoting, restkey="", restval=""))
    except (UnicodeDecodeError, csv.Error) as error:
        raise StimulusError(
            f"{path}: is not a text table ({error}), expected UTF-8 text", hint=f"write {_LAYOUT}"
        ) from error
    return [{key.strip().lower(): value for key, value in row.items() if isinstance(value, str)} for row in rows]


def words_of_rows(rows: Sequence[Mapping[str, str]], path: Path) -> tuple[Event, ...]:
    """Make words of a table's rows; ``path`` and the row number (1 is the first below the header) go into errors."""
    if not rows:
        raise StimulusError(f"{path}: found no words, expected at least one", hint=f"write {_LAYOUT}")
    rows = [{**_aliased(row)} for row in rows]
    lacking = {"onset", "word"} - set(rows[0])
    if lacking:
        raise StimulusError(
            f"{path}: column {' and '.join(sorted(lacking))} not found, got {', '.join(rows[0]) or 'no columns'}",
            hint=f"write {_LAYOUT}",
        )
    words = []
    previous_s = 0.0
    for number, row in enumerate(rows, 1):
        word = _word(row, f"{path}, row {number}")
        if word.onset_s < previous_s:
            raise StimulusError(
                f"{path}, row {number}: onset {word.onset_s:g} s comes after {previous_s:g} s, "
                "expected words in order of time",
                hint="sort the rows by onset",
            )
        previous_s = word.onset_s
        words.append(word)
    return _with_places(words)


def _aliased(row: Mapping[str, str]) -> dict[str, str]:
    named = dict(row)
    for name, aliases in _ALIASES.items():
        for alias in aliases:
            if alias in named and name not in named:
                named[name] = named.pop(alias)
    return named


def _word(row: Mapping[str, str], where: str) -> Event:
    onset_s = _seconds(row["onset"], f"{where}: onset")
    text = row["word"].strip()
    if not text:
        raise StimulusError(f"{where}: the word is empty, expected text", hint="delete the row")
    if row.get("duration", "").strip().lower() not in _MISSING:
        duration_s = _seconds(row["duration"], f"{where}: duration")
    elif row.get("offset", "").strip().lower() not in _MISSING:
        duration_s = max(0.0, _seconds(row["offset"], f"{where}: offset") - onset_s)
    else:
        duration_s = 0.0
    place = row.get("sentence_char", "").strip()
    known = place.lstrip("-").isdigit()
    return Event("word", onset_s, duration_s, None, text, row.get("sentence", ""), int(place) if known else -1)


def _seconds(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise StimulusError(
            f"{what} is {text.strip() or 'empty'}, expected seconds, 0 or more",
            hint="count from the stimulus' start; delete rows without a time",
        )
    return value


def _npz_rows(path: Path) -> list[dict[str, str]]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in ("words", "onset", "offset", "duration") if name in arrays}
            names = ", ".join(arrays.files)
    except (ValueError, OSError, EOFError) as error:
        raise StimulusError(f"{path}: is not an NPZ of plain arrays ({error})", hint=f"write {_LAYOUT}") from error
    if not {"words", "onset"} <= set(found) or len({len(np.atleast_1d(array)) for array in found.values()}) != 1:
        raise StimulusError(
            f"{path}: expected arrays words, onset and offset of one length, got {names or 'none'}",
            hint=f"write {_LAYOUT}",
        )
    return [
        {name: str(value) for name, value in zip(found, row, strict=True)} for row in zip(*found.values(), strict=True)
    ]


def _with_places(words: Sequence[Event]) -> tuple[Event, ...]:
    """Find words in their sentences where the table does not say; a word that is not there has no known sentence."""
    placed: list[Event] = []
    sentence, cursor = "", 0
    for word in words:
        if word.sentence != sentence:
            sentence, cursor = word.sentence, 0
        place = word.sentence_char if word.sentence_char >= 0 else word.sentence.find(word.text, cursor)
        is_there = bool(word.sentence) and 0 <= place <= len(word.sentence) - len(word.text)
        placed.append(replace(word, sentence_char=place) if is_there else replace(word, sentence="", sentence_char=-1))
        cursor = place + len(word.text) if is_there else cursor
    return tuple(placed)
