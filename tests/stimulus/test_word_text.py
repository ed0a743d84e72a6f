"""Plain text: cut into words and sentences, and spread over its stimulus."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tribetune.errors import StimulusError
from tribetune.stimulus.event import Event
from tribetune.stimulus.sentences import find_words, split_words, whole_sentences
from tribetune.stimulus.words import read_words

TEXTS = st.text(st.one_of(st.sampled_from("ab .!?\n’'“”—-今は。é"), st.characters(codec="utf-8")), max_size=60)


def test_words_last_as_long_as_their_letters_with_pauses_at_punctuation(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("Oh, dear cat.\nHe\n\nleft", encoding="utf-8")
    # letters and pauses: Oh 2, comma 3, dear 4, cat 3, full stop 6, He 2, paragraph 12, left 4: 36 in 36 s
    words = read_words(path, duration_s=36.0)
    assert [(word.text, round(word.onset_s, 6), round(word.duration_s, 6)) for word in words] == [
        ("Oh", 0, 2),
        ("dear", 5, 4),
        ("cat", 9, 3),
        ("He", 18, 2),
        ("left", 32, 4),
    ]
    assert all(word.estimated for word in words)
    assert [word.sentence for word in words] == ["Oh, dear cat. "] * 3 + ["He ", "left"]


@pytest.mark.parametrize("duration_s", [None, 0.0, float("nan")])
def test_a_text_needs_to_know_how_long_it_lasts(tmp_path: Path, duration_s: float | None) -> None:
    (tmp_path / "a.txt").write_text("Hello")
    with pytest.raises(StimulusError, match="how long its stimulus lasts is not known") as caught:
        read_words(tmp_path / "a.txt", duration_s)
    assert "film or sound" in caught.value.hint


def test_a_text_without_words_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("... — !\n")
    with pytest.raises(StimulusError, match="found no words"):
        read_words(tmp_path / "a.txt", 10.0)


@given(TEXTS)
def test_every_letter_of_a_text_is_in_a_word_that_stands_where_it_says(text: str) -> None:
    found = split_words(text)
    assert all(text[place : place + len(word)] == word for place, word in found)
    assert [place for place, _ in found] == sorted(place for place, _ in found)
    assert "".join(c for _, word in found for c in word if c.isalnum()) == "".join(c for c in text if c.isalnum())


@given(TEXTS, st.lists(st.integers(0, 60), max_size=4))
def test_sentences_made_of_pieces_hold_the_same_text_and_words(text: str, cuts: list[int]) -> None:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:stop] for start, stop in pairwise(edges)]
    pieces = [piece for piece in pieces if split_words(piece)]
    words = [Event("word", 0.0, 0.0, None, word, piece, at) for piece in pieces for at, word in split_words(piece)]
    made = whole_sentences(words)
    assert [word.text for word in made] == [word.text for word in words]
    assert all(word.sentence[word.sentence_char :].startswith(word.text.replace("\n", " ")) for word in made)
    sentences: list[str] = []
    for before, word in zip([None, *made], made, strict=False):
        if before is None or before.sentence != word.sentence or word.sentence_char <= before.sentence_char:
            sentences.append(word.sentence)
    joined = "".join(pieces).replace("\n", " ")
    at = 0
    for sentence in sentences:  # only sentences without words may be missing between them
        at = joined.index(sentence, at) + len(sentence)


def test_a_text_without_punctuation_is_cut_after_a_thousand_characters() -> None:
    text = "word " * 1000
    words = whole_sentences([Event("word", 0.0, 0.0, None, word, text, at) for at, word in split_words(text)])
    sentences = dict.fromkeys(word.sentence for word in words if word.sentence_char == 0)
    assert {len(sentence) for sentence in sentences} == {1000}
    assert sum(word.sentence_char == 0 for word in words) == 5


def test_a_sentence_does_not_end_inside_a_word() -> None:
    text = "今日。はい。"  # a recogniser's words need not heed sentences
    words = [Event("word", 0.0, 0.0, None, word, text, at) for at, word in [(0, "今日"), (2, "。はい"), (5, "。")]]
    assert [(word.sentence, word.sentence_char) for word in whole_sentences(words)] == [(text, at) for at in (0, 2, 5)]


@given(st.lists(st.sampled_from(["the", "cat", "it's", "’s", "今日", "x"]), max_size=8), TEXTS)
def test_found_words_are_where_they_are_said_to_be(words: list[str], sentence: str) -> None:
    for word, place in zip(words, find_words(words, sentence), strict=True):
        assert place == -1 or sentence[place : place + len(word)].lower().replace("’", "'") == word.replace("’", "'")
