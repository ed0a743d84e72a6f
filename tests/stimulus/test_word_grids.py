"""Words from TextGrids."""

from pathlib import Path

import pytest
from praatio import textgrid
from praatio.data_classes.interval_tier import IntervalTier

from tribetune.errors import StimulusError
from tribetune.stimulus.words import WORD_SUFFIXES, read_words

WORDS = [
    (0.0, 0.5, "sil"),
    (0.5, 0.9, "don't"),
    (0.9, 1.0, "<unk>"),
    (1.0, 1.5, "go"),
    (1.5, 2.0, "sp"),
    (2.0, 3.0, "oh"),
]
PHONES = [(k / 8, (k + 1) / 8, "a") for k in range(24)]


def write(path: Path, tiers: dict[str, list[tuple[float, float, str]]], form: str = "long_textgrid") -> Path:
    grid = textgrid.Textgrid()
    for name, intervals in tiers.items():
        grid.addTier(IntervalTier(name, intervals, 0, 3))
    grid.save(str(path), form, includeBlankSpaces=True)
    return path


def found(path: Path) -> list[tuple[str, float, float]]:
    return [(word.text, word.onset_s, round(word.duration_s, 6)) for word in read_words(path)]


@pytest.mark.parametrize("form", ["long_textgrid", "short_textgrid"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_tier_of_words_is_read_without_its_silences(tmp_path: Path, form: str, encoding: str, newline: str) -> None:
    path = write(tmp_path / "a.TextGrid", {"phones": PHONES, "Words": WORDS}, form)
    text = path.read_text(encoding="utf-8")
    path.write_bytes(text.replace("\n", newline).encode(encoding))
    assert found(path) == [("don't", 0.5, 0.4), ("go", 1.0, 0.5), ("oh", 2.0, 1.0)]
    assert {(word.sentence, word.sentence_char, word.estimated) for word in read_words(path)} == {("", -1, False)}


def test_a_tier_of_sentences_gives_the_sentences(tmp_path: Path) -> None:
    sentences = [(0.0, 1.6, "“Don’t go!”"), (1.6, 2.0, ""), (2.0, 2.4, "never said"), (2.4, 3.0, "Oh, oh.")]
    path = write(tmp_path / "a.TextGrid", {"utterance": sentences, "words": WORDS})
    assert [(word.text, word.sentence, word.sentence_char) for word in read_words(path)] == [
        ("don't", "“Don’t go!” ", 1),
        ("go", "“Don’t go!” ", 7),
        ("oh", "Oh, oh.", 0),
    ]


def test_without_a_name_the_longest_tier_that_is_not_of_phones_is_taken(tmp_path: Path) -> None:
    notes = [(0.0, 3.0, "loud")]
    path = write(tmp_path / "a.TextGrid", {"MAU": PHONES, "notes": notes, "transcript": WORDS})
    assert [text for text, _, _ in found(path)] == ["don't", "go", "oh"]


def test_every_speakers_words_are_read_in_order(tmp_path: Path) -> None:
    tiers = {"Anna - words": [(2.0, 3.0, "two")], "Anna - phones": PHONES, "Ben - words": [(1.0, 2.5, "one")]}
    assert found(write(tmp_path / "a.TextGrid", tiers)) == [("one", 1.0, 1.5), ("two", 2.0, 1.0)]


def test_an_interval_of_several_words_is_shared_among_them(tmp_path: Path) -> None:
    path = write(tmp_path / "a.TextGrid", {"sentence": [(1.0, 3.0, "So, it is.")]})
    assert found(path) == [
        ("So", 1.0, 0.666667),
        ("it", pytest.approx(5 / 3), 0.666667),
        ("is", pytest.approx(7 / 3), 0.666667),
    ]
    assert all(word.estimated for word in read_words(path))


@pytest.mark.parametrize("text", ["", "no grid", 'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\n'])
def test_what_is_no_textgrid_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.TextGrid").write_text(text)
    with pytest.raises(StimulusError, match="cannot be read as a TextGrid"):
        read_words(tmp_path / "a.TextGrid")


def test_a_textgrid_without_words_names_its_tiers(tmp_path: Path) -> None:
    with pytest.raises(StimulusError, match="no tier of words, got phones"):
        read_words(write(tmp_path / "a.TextGrid", {"phones": PHONES}))
    with pytest.raises(StimulusError, match="found no words"):
        read_words(write(tmp_path / "b.TextGrid", {"words": [(0.0, 1.0, "sil")]}))


def test_the_name_that_praat_gives_is_among_the_known_ones() -> None:
    assert {".TextGrid", ".textgrid"} <= set(WORD_SUFFIXES)
