"""Which files are one stimulus."""

import logging
from pathlib import Path

import pytest

from tribetune.errors import StimulusError
from tribetune.stimulus.files import StimulusFiles, stimuli_of_files

WORDS = "onset\tduration\tword\n0.5\t0.1\thello\n"


def test_files_of_one_stem_are_one_stimulus_and_other_stems_are_others(tmp_path: Path) -> None:
    film, dubbed, words = tmp_path / "film.mp4", tmp_path / "other/film.wav", tmp_path / "film_words.tsv"
    story = tmp_path / "story.csv"
    assert stimuli_of_files([film, story, dubbed, words]) == [
        StimulusFiles("film", (film, dubbed), words),
        StimulusFiles("story", (), story),
    ]


def test_words_beside_a_film_are_taken_and_said_to_be(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    beside = tmp_path / "film_words.tsv"
    beside.write_text(WORDS)
    given = tmp_path / "mine.tsv"
    with caplog.at_level(logging.INFO):
        assert stimuli_of_files([tmp_path / "film.mp4"]) == [StimulusFiles("film", (tmp_path / "film.mp4",), beside)]
    assert "film: its words are those of film_words.tsv" in caplog.text
    assert stimuli_of_files([tmp_path / "film.mp4"], given)[0].words == given
    assert stimuli_of_files([tmp_path / "other.mp4"])[0].words is None


def test_words_alone_are_a_stimulus(tmp_path: Path) -> None:
    (tmp_path / "story_words.tsv").write_text(WORDS)
    (found,) = stimuli_of_files([], tmp_path / "story_words.tsv")
    assert found.name == "story"
    assert [event.text for event in found.timeline().events] == ["hello"]


def test_what_cannot_be_told_apart_is_refused() -> None:
    with pytest.raises(StimulusError, match="no stimulus"):
        stimuli_of_files([])
    with pytest.raises(StimulusError, match=r"with 2 stimuli \(a, b\)") as caught:
        stimuli_of_files([Path("a.mp4"), Path("b.mp4")], Path("words.tsv"))
    assert "a_words.tsv" in caught.value.hint
    with pytest.raises(StimulusError, match="film: 2 files of words"):
        stimuli_of_files([Path("film.mp4"), Path("film_words.tsv")], Path("words.tsv"))
