"""Words as speech recognisers give them: segments of text, their words, and most of their times."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tribetune.errors import StimulusError
from tribetune.stimulus.event import Event
from tribetune.stimulus.sentences import join_texts, placed, split_words, whole_sentences
from tribetune.stimulus.text_files import read_text
from tribetune.stimulus.word_times import Timed, fill, is_time, spread

SEGMENT_RULE = "spread between the words around them, or over their segment, in proportion to letters"

_LAYOUT = '{"segments": [{"start": 0, "end": 1, "text": "a b", "words": [{"word": "a", "start": 0, "end": 0.4}, …]}]}'
_HINT = "give the JSON of WhisperX, faster-whisper, openai-whisper or gentle, written with the times of words"

Segment = Mapping[str, Any]
"""What a recogniser heard in a stretch of time: ``text``, ``start``, ``end`` and ``words`` where there are any."""


def read_segments(path: Path, _duration_s: float | None) -> tuple[Event, ...]:
    """Read the JSON of WhisperX, faster-whisper, openai-whisper or gentle.

    The text of a segment is the sentence of its words. Words without times (WhisperX leaves digits without) share the
    time between their neighbours in proportion to their letters, and those of a segment without words share its time;
    both are estimated. Words without segments (``word_segments``, ``words``) have their sentences from the whole
    ``transcript`` or ``text``, where the file has it.
    """
    try:
        told = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise StimulusError(f"{path}: is not JSON ({error}), expected {_LAYOUT}", hint=_HINT) from error
    segments, words = _parts(told, path)
    has_words = any(segment.get("words") for segment in segments)
    if words and not has_words:
        return _words_beside(segments, words)
    if not any(is_time(part.get("start")) for segment in segments for part in (segment, *_dicts(segment.get("words")))):
        raise StimulusError(f"{path}: no word and no segment has a start, expected {_LAYOUT}", hint=_HINT)
    return words_of_segments(segments)


def words_of_segments(segments: Sequence[Segment]) -> tuple[Event, ...]:
    """Make words of segments; their text is the sentence."""
    events: list[Event] = []
    texts = join_texts([str(segment.get("text") or "") for segment in segments])
    after_s = 0.0
    for segment, text in zip(segments, texts, strict=True):
        start_s = segment["start"] if is_time(segment.get("start")) else after_s
        stop_s = segment["end"] if is_time(segment.get("end")) else None
        timed = _timed(segment.get("words"))
        if timed:
            found = placed(_events(timed, start_s, stop_s), text)
        else:
            found = _spread_text(text, start_s, start_s if stop_s is None else stop_s)
        events += found
        after_s = max([after_s, *(word.onset_s + word.duration_s for word in found)])
    return tuple(events)


def _parts(told: Any, path: Path) -> tuple[list[Segment], list[Segment]]:
    """Segments, and words that belong to none."""
    if isinstance(told, list):
        told = {"segments" if any("text" in part or "words" in part for part in _dicts(told)) else "words": told}
    named = told if isinstance(told, dict) else {}
    segments = _dicts(named.get("segments"))
    words = _dicts(named.get("word_segments")) or _dicts(named.get("words"))
    if words and not segments:
        segments = _dicts([{"text": named.get("transcript") or named.get("text")}])
    if not segments and not words:
        got = ", ".join(map(str, named)) or type(told).__name__
        raise StimulusError(f"{path}: found no segments and no words, got {got}, expected {_LAYOUT}", hint=_HINT)
    return segments, words


def _words_beside(segments: Sequence[Segment], words: Sequence[Segment]) -> tuple[Event, ...]:
    """Words listed apart from their segments; those whose texts hold them have sentences."""
    events = _events(_timed(words), 0.0, None)
    text = "".join(join_texts([str(segment.get("text") or "") for segment in segments]))
    return whole_sentences(placed(events, text)) if text else tuple(events)


def _events(words: Sequence[Timed], start_s: float, stop_s: float | None) -> list[Event]:
    return [
        Event("word", onset_s, length_s, None, word.text, estimated=estimated)
        for word, (onset_s, length_s, estimated) in zip(words, fill(words, start_s, stop_s), strict=True)
    ]


def _timed(words: Any) -> list[Timed]:
    """Words that are text, with the times that are numbers."""
    timed = []
    for word in _dicts(words):
        text = str(word.get("word") or word.get("text") or "").strip()
        start_s, stop_s = (word[key] if is_time(word.get(key)) else None for key in ("start", "end"))
        timed += [Timed(text, start_s, stop_s)] if text else []
    return timed


def _spread_text(text: str, start_s: float, stop_s: float) -> list[Event]:
    found = split_words(text)
    spans = spread([word for _, word in found], start_s, stop_s)
    return [
        Event("word", onset_s, length_s, None, word, text, place, estimated=True)
        for (place, word), (onset_s, length_s) in zip(found, spans, strict=True)
    ]


def _dicts(value: Any) -> list[Segment]:
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []
