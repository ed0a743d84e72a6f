"""Words from the JSON of speech recognisers."""

import json
from pathlib import Path
from typing import Any

import pytest

from tribetune.errors import StimulusError
from tribetune.stimulus.words import read_words

WHISPER = {
    "text": " Born in 1984. Then gone.",
    "language": "en",
    "segments": [
        {
            "start": 1.0,
            "end": 3.0,
            "text": " Born in 1984.",
            "words": [
                {"word": " Born", "start": 1.0, "end": 1.4, "probability": 0.9},
                {"word": " in", "start": 1.5, "end": 1.6, "probability": 0.9},
                {"word": " 1984."},
            ],
        },
        {
            "start": 3.5,
            "end": 5.0,
            "text": " Then gone.",
            "words": [
                {"word": " Then", "start": 3.5, "end": 4.0, "score": 0.8},
                {"word": " gone.", "start": 4.0, "end": 5.0, "score": 0.8},
            ],
        },
    ],
}


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return path


def times(path: Path) -> list[tuple[str, float, float, bool]]:
    words = read_words(path)
    return [(word.text, round(word.onset_s, 6), round(word.duration_s, 6), word.estimated) for word in words]


def test_segments_are_the_sentences_of_their_words(tmp_path: Path) -> None:
    words = read_words(write(tmp_path / "a.json", WHISPER))
    assert [(word.text, word.sentence, word.sentence_char) for word in words] == [
        ("Born", "Born in 1984. ", 0),
        ("in", "Born in 1984. ", 5),
        ("1984.", "Born in 1984. ", 8),
        ("Then", "Then gone.", 0),
        ("gone.", "Then gone.", 5),
    ]


def test_a_word_without_times_gets_those_between_its_neighbours(tmp_path: Path) -> None:
    assert times(write(tmp_path / "a.json", WHISPER))[2] == ("1984.", 1.6, 1.4, True)
    words = [
        {"word": "ab"},
        {"word": "abcd"},
        {"word": "x", "start": 1.6, "end": 2.0},
        {"word": "7", "start": None, "end": float("nan")},
        {"word": "y", "start": 1.9, "end": 2.5},
    ]
    path = write(tmp_path / "b.json", {"segments": [{"start": 1.0, "end": 3.0, "text": "", "words": words}]})
    assert times(path) == [
        ("ab", 1.0, 0.2, True),
        ("abcd", 1.2, 0.4, True),
        ("x", 1.6, 0.4, False),
        ("7", 1.9, 0.0, True),  # x is not over when y begins: no time is left
        ("y", 1.9, 0.6, False),
    ]


def test_a_segment_without_words_is_shared_among_those_of_its_text(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", {"segments": [{"start": 2.0, "end": 4.0, "text": " Oh, really?"}]})
    assert times(path) == [("Oh", 2.0, 0.5, True), ("really", 2.5, 1.5, True)]
    assert {word.sentence for word in read_words(path)} == {"Oh, really?"}


def test_words_without_segments_stand_by_themselves(tmp_path: Path) -> None:
    words = [{"word": "b", "start": 2, "end": 3}, {"word": "a", "start": 1, "end": 2.5}]
    for value in ({"word_segments": words}, {"words": words}, words, {"segments": [], "word_segments": words}):
        path = write(tmp_path / "a.json", value)
        assert times(path) == [("a", 1, 1.5, False), ("b", 2, 1, False)]
        assert {word.sentence for word in read_words(path)} == {""}


def test_words_beside_segments_are_found_in_their_text(tmp_path: Path) -> None:
    segments = [{"start": 0, "end": 1, "text": "Well, it"}, {"start": 1, "end": 3, "text": "is. Gone!"}]
    said = [{"word": text, "start": k, "end": k + 1} for k, text in enumerate(["Well", "it", "is", "Gone"])]
    words = read_words(write(tmp_path / "a.json", {"segments": segments, "words": said}))
    assert [(word.sentence, word.sentence_char) for word in words] == [
        *[("Well, it is. ", place) for place in (0, 6, 9)],
        ("Gone!", 0),
    ]


def test_the_transcript_of_an_aligner_gives_the_sentences(tmp_path: Path) -> None:
    words = [
        {"word": "He", "alignedWord": "he", "case": "success", "start": 1.0, "end": 1.2, "startOffset": 0},
        {"word": "waited", "case": "not-found-in-audio", "startOffset": 3},
        {"word": "Then", "alignedWord": "then", "case": "success", "start": 2.0, "end": 2.5, "startOffset": 11},
    ]
    path = write(tmp_path / "align.json", {"transcript": "He waited. Then—", "words": words})
    assert times(path) == [("He", 1.0, 0.2, False), ("waited", 1.2, 0.8, True), ("Then", 2.0, 0.5, False)]
    assert [(word.sentence, word.sentence_char) for word in read_words(path)] == [
        ("He waited. ", 0),
        ("He waited. ", 3),
        ("Then—", 0),
    ]


def test_japanese_words_join_without_blanks(tmp_path: Path) -> None:
    said = [[("今日", 0.0, 0.5), ("は", 0.5, 0.7)], [("晴れ", 1.0, 1.5)]]
    segments = [
        {"text": "".join(w for w, _, _ in part), "words": [{"word": w, "start": a, "end": b} for w, a, b in part]}
        for part in said
    ]
    words = read_words(write(tmp_path / "a.json", {"segments": segments}))
    assert [(word.text, word.sentence) for word in words] == [("今日", "今日は"), ("は", "今日は"), ("晴れ", "晴れ")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not JSON"),
        ("[" * 100000, "is not JSON"),
        ("{}", "found no segments and no words, got dict"),
        ('{"results": []}', "got results"),
        ("3", "got int"),
        ('{"segments": [{"text": "a", "words": [{"word": "a"}]}]}', "no word and no segment has a start"),
        ('{"segments": [{"start": -1, "end": 2, "text": "a"}]}', "onset is -1"),
        ('{"segments": [{"start": 1, "end": 2, "text": " "}]}', "found no words"),
    ],
)
def test_json_without_words_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(StimulusError, match=says) as caught:
        read_words(tmp_path / "a.json")
    assert "a.json" in str(caught.value)
    assert caught.value.hint
