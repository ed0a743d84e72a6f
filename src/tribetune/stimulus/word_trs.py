"""Words from tables with a row per volume, as the Algonauts 2025 challenge has them."""

import ast
import csv
import io
from collections.abc import Mapping
from pathlib import Path

from tribetune.errors import StimulusError
from tribetune.stimulus.event import Event
from tribetune.stimulus.sentences import join_texts, placed, whole_sentences

TR_COLUMNS = frozenset({"words_per_tr", "onsets_per_tr", "durations_per_tr"})
"""Columns by which such a table is known; ``text_per_tr`` may be there too."""

_NOTHING = ("", "n/a", "nan", "none")
_HINT = "write the words as ['one', 'two'] and their times as [0.1, 0.5], in seconds from the start of the stimulus"


def read_tr_rows(text: str, delimiter: str, path: Path) -> tuple[Event, ...]:
    """Read lists of words, onsets and durations, one of each per row.

    Rows without words are silent. The texts of all rows make up the sentences.
    """
    rows: list[tuple[list[Event], str]] = []
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restkey="", restval="")
    try:
        for number, row in enumerate(table, 1):
            named = {str(key).strip().lower(): value for key, value in row.items() if isinstance(value, str)}
            words = _words(named, f"{path}, row {number}")
            if words:
                rows.append((words, " ".join(named.get("text_per_tr", "").split())))
    except csv.Error as error:
        raise StimulusError(f"{path}: is not a text table ({error})", hint=_HINT) from error
    texts = join_texts([text for _, text in rows])
    events = [word for (words, _), text in zip(rows, texts, strict=True) for word in placed(words, text)]
    return whole_sentences(events)


def _words(row: Mapping[str, str], where: str) -> list[Event]:
    texts = _texts(row["words_per_tr"], where)
    onsets = _numbers(row["onsets_per_tr"], f"{where}: onsets_per_tr")
    durations = _numbers(row["durations_per_tr"], f"{where}: durations_per_tr")
    if not len(texts) == len(onsets) == len(durations):
        raise StimulusError(
            f"{where}: {len(texts)} words, {len(onsets)} onsets and {len(durations)} durations, "
            "expected as many of each",
            hint=_HINT,
        )
    spans = zip(texts, onsets, durations, strict=True)
    return [Event("word", onset, length if length > 0 else 0.0, None, text) for text, onset, length in spans if text]


def _texts(cell: str, where: str) -> list[str]:
    """Read a list of strings; nothing in it is executed."""
    if cell.strip().lower() in _NOTHING:
        return []
    try:
        value = ast.literal_eval(cell.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise StimulusError(f"{where}: words_per_tr is no list of words: {cell[:60]}", hint=_HINT) from error
    if not isinstance(value, list | tuple):
        raise StimulusError(f"{where}: words_per_tr is no list of words: {cell[:60]}", hint=_HINT)
    return [str(text).strip() for text in value]


def _numbers(cell: str, what: str) -> list[float]:
    if cell.strip().lower() in _NOTHING:
        return []
    try:
        return [float(number) for number in cell.strip().strip("[]()").split(",") if number.strip()]
    except ValueError as error:
        raise StimulusError(f"{what} is no list of numbers: {cell[:60]}", hint=_HINT) from error
