"""Words from Praat's TextGrids, as forced aligners write them."""

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from tribetune.errors import StimulusError
from tribetune.stimulus.event import Event
from tribetune.stimulus.sentences import placed, split_words
from tribetune.stimulus.text_files import read_text
from tribetune.stimulus.word_times import spread

GRID_RULE = "intervals that hold several words are spread over them in proportion to letters"

_WORDS = ("words", "word", "wort", "wörter", "mots", "mot", "palabras", "palabra", "parole", "ort-mau", "ort")
_SENTENCES = ("sentences", "sentence", "utterances", "utterance", "utt", "phrases", "phrase", "satz", "sätze", "trn")
_SOUNDS = ("phones", "phone", "phonemes", "phoneme", "segments", "segment", "syllables", "mau", "kan", "kan-mau")
_SILENCE = re.compile(r"(?:sp|sil|spn|silence|pau|#)?|<[^>]*>|\{[^}]*\}|\[[^\]]*\]", re.IGNORECASE)

_HINT = "name the tier of words `words`, and save it again in Praat (Save as text file…)"

Interval = tuple[float, float, str]
"""Start and stop in seconds, and label."""


def read_text_grid(path: Path, _duration_s: float | None) -> list[Event]:
    """Read the words of a TextGrid, long or short.

    The tiers of words are those named ``words``, ``word`` or alike, also behind a speaker's name (``Anna - words``);
    without such a name, the tier with the most intervals that is not one of phones. Empty labels, ``sp``, ``sil``, and
    what stands in <…>, {…} or […] are no words. The sentences are those of a tier named ``sentence``, ``utterance``,
    ``phrase`` or alike of the same speaker: a word belongs to the one in which its middle lies.
    """
    tiers = _tiers(path)
    chosen = [name for name in tiers if _kind(name) in _WORDS] or _longest(tiers)
    if not chosen:
        raise StimulusError(
            f"{path}: found no tier of words, got {', '.join(tiers) or 'no tier of intervals'}", hint=_HINT
        )
    events: list[Event] = []
    for name in chosen:
        alike = [other for other in tiers if _kind(other) in _SENTENCES]
        own = [other for other in alike if _speaker(other) == _speaker(name)] or alike
        sentences = [] if name in own else [tiers[other] for other in own]
        events += _in_sentences(_words(tiers[name]), sentences[0] if sentences else [])
    return events


def _tiers(path: Path) -> dict[str, list[Interval]]:
    from praatio.utilities.errors import PraatioException
    from praatio.utilities.textgrid_io import parseTextgridStr

    try:
        grid: Mapping[str, Any] = parseTextgridStr(read_text(path), includeEmptyIntervals=True)
        tiers: dict[str, list[Interval]] = {}
        for tier in grid["tiers"]:
            if tier["class"] == "IntervalTier":
                found = [(float(start), float(stop), _tidy(label)) for start, stop, label in tier["entries"]]
                tiers.setdefault(str(tier["name"]), []).extend(found)
    except (PraatioException, ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise StimulusError(f"{path}: cannot be read as a TextGrid ({error})", hint=_HINT) from error
    return tiers


def _longest(tiers: Mapping[str, Sequence[Interval]]) -> list[str]:
    names = [name for name in tiers if _kind(name) not in _SOUNDS]
    return sorted(names, key=lambda name: -len(tiers[name]))[:1]


def _kind(name: str) -> str:
    return re.split(r"\s+-\s+|[/:]\s*", name.strip().lower())[-1]


def _speaker(name: str) -> str:
    lower = name.strip().lower()
    return lower.removesuffix(_kind(name))


def _words(intervals: Sequence[Interval]) -> list[Event]:
    events: list[Event] = []
    for start_s, stop_s, label in intervals:
        if _SILENCE.fullmatch(label):
            continue
        found = [word for _, word in split_words(label)] if " " in label else [label]
        spans = spread(found, start_s, stop_s)
        events += [
            Event("word", onset_s, length_s, None, word, estimated=len(found) > 1)
            for word, (onset_s, length_s) in zip(found, spans, strict=True)
        ]
    return events


def _in_sentences(words: Sequence[Event], sentences: Sequence[Interval]) -> list[Event]:
    """Place words in the sentences during which they are said; the others stand by themselves."""
    said = [sentence for sentence in sentences if not _SILENCE.fullmatch(sentence[2])]
    events: list[Event] = []
    for number, group in groupby(words, key=lambda word: _owner(word.onset_s + word.duration_s / 2, said)):
        own = list(group)
        more = " " if number is not None and number < len(said) - 1 else ""
        events += own if number is None else placed(own, said[number][2] + more)
    return events


def _owner(at_s: float, sentences: Sequence[Interval]) -> int | None:
    return next((number for number, (start_s, stop_s, _) in enumerate(sentences) if start_s <= at_s < stop_s), None)


def _tidy(label: str) -> str:
    return " ".join(label.split())
