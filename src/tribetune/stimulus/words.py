"""Words with their times, from whatever file has them."""

import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from tribetune.errors import StimulusError
from tribetune.stimulus.event import Event
from tribetune.stimulus.word_cues import CUE_RULE, read_cues
from tribetune.stimulus.word_grids import GRID_RULE, read_text_grid
from tribetune.stimulus.word_segments import SEGMENT_RULE, read_segments
from tribetune.stimulus.word_tables import TABLE_RULE, read_npz, read_table, read_word_table, words_of_rows, write_words
from tribetune.stimulus.word_text import TEXT_RULE, read_plain_text

__all__ = ["WORD_SUFFIXES", "read_table", "read_words", "words_of_rows", "write_words"]

log = logging.getLogger(__name__)

_Reader = Callable[[Path, float | None], Sequence[Event]]

_TABLE, _CUES, _GRID = (read_word_table, TABLE_RULE), (read_cues, CUE_RULE), (read_text_grid, GRID_RULE)
_FORMATS: dict[str, tuple[_Reader, str]] = {
    ".tsv": _TABLE,
    ".csv": _TABLE,
    ".npz": (read_npz, TABLE_RULE),
    ".TextGrid": _GRID,
    ".textgrid": _GRID,
    ".srt": _CUES,
    ".vtt": _CUES,
    ".ass": _CUES,
    ".ssa": _CUES,
    ".json": (read_segments, SEGMENT_RULE),
    ".txt": (read_plain_text, TEXT_RULE),
    ".1D": _TABLE,
    ".1d": _TABLE,
}

WORD_SUFFIXES = tuple(_FORMATS)
"""Files that `read_words` reads; upper and lower case are the same."""


def read_words(path: Path, duration_s: float | None = None) -> tuple[Event, ...]:
    """Read words and their times.

    Parameters
    ----------
    path : Path
        Seconds from the stimulus' start, in one of these:

        - TSV or CSV with the columns ``onset``, ``duration`` (or ``offset``), ``word`` and, where known, ``sentence``
          and ``sentence_char``; or with a row per volume and ``words_per_tr``, ``onsets_per_tr``, ``durations_per_tr``
          and ``text_per_tr`` (Algonauts 2025); these and AFNI's 1D also without a header, see `read_list`;
        - NPZ with ``words``, ``onset``, ``offset``;
        - TextGrid with a tier of words, as forced aligners write it, see `read_text_grid`;
        - SRT, VTT, ASS: subtitles, see `read_cues`;
        - JSON of WhisperX, faster-whisper, openai-whisper or gentle, see `read_segments`;
        - TXT without times, see `read_plain_text`.
    duration_s : float or None
        How long the stimulus lasts; a text without times needs it.

    Returns
    -------
    tuple of Event
        In order of time; words of one onset in the file's order. A word that is not found in its sentence, and one of
        which no sentence is known, stands by itself; none is dropped. Words whose times the file does not have are
        marked as estimated, and the log tells how many.

    Raises
    ------
    StimulusError
        If the file is missing, empty or of another layout, if times are negative or not finite, or if a table with a
        row per word is out of order.
    """
    reader, rule = _format(path)
    words = tuple(sorted(reader(path, duration_s), key=lambda word: word.onset_s))
    if not words:
        raise StimulusError(f"{path}: found no words, expected at least one", hint="check that it is the right file")
    for number, word in enumerate(words, 1):
        if not (math.isfinite(word.onset_s) and math.isfinite(word.duration_s) and word.onset_s >= 0):
            raise StimulusError(
                f"{path}, word {number} ({word.text}): onset is {word.onset_s:g}, expected seconds, 0 or more",
                hint="count from the stimulus' start; delete words without a time",
            )
    n_estimated = sum(word.estimated for word in words)
    if n_estimated:
        log.warning("%s: the times of %d of %d words are estimated (%s)", path, n_estimated, len(words), rule)
    return words


def _format(path: Path) -> tuple[_Reader, str]:
    for suffix in (path.suffix, path.suffix.lower()):
        if suffix in _FORMATS:
            return _FORMATS[suffix]
    raise StimulusError(
        f"{path}: words cannot be read from {path.suffix or 'a file without suffix'}, "
        f"expected one of {', '.join(dict.fromkeys(map(str.lower, WORD_SUFFIXES)))}",
        hint="write a table with the columns onset, duration and word (seconds), one row per word, in order of time",
    )
