"""Words with their times in tables (TSV, CSV, NPZ), read and written."""

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np

from tribetune.errors import StimulusError
from tribetune.files import write_text
from tribetune.stimulus.event import Event
from tribetune.stimulus.sentences import find_words
from tribetune.stimulus.text_files import read_text
from tribetune.stimulus.word_lists import is_list, read_list
from tribetune.stimulus.word_trs import TR_COLUMNS, read_tr_rows

TABLE_RULE = "as the table says; where it has none, spread between the words around them in proportion to letters"

_LAYOUT = "a table with the columns onset, duration and word (seconds), one row per word, in order of time"
_COLUMNS = ("onset", "duration", "word", "sentence", "sentence_char")
_ALIASES = {"onset": ("start",), "offset": ("stop", "end"), "word": ("words", "text")}
_MISSING = ("", "n/a", "nan")
_YES = ("true", "yes", "1")
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')


def read_word_table(path: Path, _duration_s: float | None) -> tuple[Event, ...]:
    """Read a TSV or CSV with a row per word, or per volume (`read_tr_rows`), or without a header (`read_list`)."""
    text = read_text(path)
    if is_list(text):
        return read_list(text, path)
    delimiter = _delimiter(text, path)
    columns = {name.strip().strip('"').lower() for name in text.partition("\n")[0].split(delimiter)}
    if columns >= TR_COLUMNS:
        return read_tr_rows(text, delimiter, path)
    return words_of_rows(_rows(text, delimiter, path), path)


def read_npz(path: Path, _duration_s: float | None) -> tuple[Event, ...]:
    """Read an NPZ with the arrays ``words``, ``onset`` and ``offset`` or ``duration``."""
    if not path.is_file():
        raise StimulusError(f"{path}: no such file, expected the words of the stimulus", hint="check the path")
    return words_of_rows(_npz_rows(path), path)


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a TSV or CSV as text, one dict per row, column names in lower case."""
    text = read_text(path)
    return _rows(text, _delimiter(text, path), path)


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


def write_words(events: Sequence[Event], path: Path) -> None:
    """Write words as a TSV that `read_words` reads back as they are.

    A tab or line break in a word or sentence becomes a blank: a TSV cannot hold it. The column ``estimated`` is there
    where the times of some words are.

    Raises
    ------
    StimulusError
        If there is no word, or the file's name does not end in ``.tsv``.
    """
    words = [event for event in events if event.kind == "word"]
    if not words or path.suffix.lower() != ".tsv":
        raise StimulusError(
            f"{path}: cannot hold {len(words)} words, expected at least one and a name that ends in .tsv",
            hint=f"write to {path.with_suffix('.tsv').name}",
        )
    columns = [*_COLUMNS, "estimated"] if any(word.estimated for word in words) else [*_COLUMNS]
    lines = ["\t".join(columns)]
    for word in words:
        place = word.sentence_char if word.sentence else ""
        cells = (repr(word.onset_s), repr(word.duration_s), word.text, word.sentence, place, word.estimated)
        lines.append("\t".join(_cell(str(cell)) for cell in cells[: len(columns)]))
    write_text(path, "\n".join(lines) + "\n")


def _delimiter(text: str, path: Path) -> str:
    """What separates the columns: what the file's name says, if its first line has any, else what that line has."""
    usual = "," if path.suffix.lower() == ".csv" else "\t"
    header = text.partition("\n")[0]
    return next((sign for sign in (usual, "\t", ",", ";") if sign in header), usual)


def _rows(text: str, delimiter: str, path: Path) -> list[dict[str, str]]:
    is_tsv = delimiter == "\t"
    quoting = csv.QUOTE_NONE if is_tsv else csv.QUOTE_MINIMAL
    try:
        table = csv.DictReader(
            io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, restkey="", restval=""
        )
        rows = list(table)
    except csv.Error as error:
        raise StimulusError(
            f"{path}: is not a text table ({error}), expected one line per row", hint=f"write {_LAYOUT}"
        ) from error
    return [
        {
            key.strip().lower(): _unquoted(value) if is_tsv else value
            for key, value in row.items()
            if isinstance(value, str)
        }
        for row in rows
    ]


def _unquoted(cell: str) -> str:
    """A cell of a TSV as it was before a spreadsheet put it into quotes, which it does where a quote is in it."""
    found = _QUOTED.fullmatch(cell)
    return found[1].replace('""', '"') if found and '""' in found[1] else cell


def _cell(text: str) -> str:
    plain = re.sub(r"[\t\r\n]", " ", text)
    return plain if _unquoted(plain) == plain else '"' + plain.replace('"', '""') + '"'


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
    known = place.removeprefix("-").isdecimal()
    estimated = row.get("estimated", "").strip().lower() in _YES
    return Event(
        "word", onset_s, duration_s, None, text, row.get("sentence", ""), int(place) if known else -1, estimated
    )


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


def _points_at(word: Event) -> bool:
    """Whether the word is in its sentence where the table says it is."""
    first, last = word.sentence_char, word.sentence_char + len(word.text)
    return first >= 0 and word.sentence[first:last].casefold() == word.text.casefold()


def _with_places(words: Sequence[Event]) -> tuple[Event, ...]:
    """Find words in their sentences where the table does not say it, or not rightly; one not there stands alone."""
    result: list[Event] = []
    for sentence, group in groupby(words, key=lambda word: word.sentence):
        own = list(group)
        told = [_points_at(word) for word in own]
        found = [-1] * len(own) if all(told) or not sentence else find_words([word.text for word in own], sentence)
        for word, is_right, place in zip(own, told, found, strict=True):
            char = word.sentence_char if is_right else place
            is_there = bool(sentence) and 0 <= char <= len(sentence) - len(word.text)
            known = {"sentence": sentence, "sentence_char": char} if is_there else {"sentence": "", "sentence_char": -1}
            result.append(replace(word, **known))
    return tuple(result)
