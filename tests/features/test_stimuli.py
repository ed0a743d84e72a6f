"""What a store knows of its stimuli."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tribetune.errors import FeatureError
from tribetune.features.stimuli import find_stimulus, remember, shown_by, stimuli
from tribetune.stimulus.timeline import Event, Timeline, timeline_of_files

WORDS = (
    Event("word", 0.5, 0.2, text="hello", sentence="hello world", sentence_char=0),
    Event("word", 2.0, 0.2, text="you"),
)


@pytest.fixture
def shown(film: Path) -> Timeline:
    return Timeline((Event("video", 0.0, 6.0, film), Event("audio", 0.0, 6.0, film), *WORDS))


def test_a_stimulus_is_found_again_without_its_files_and_names_no_folder(tmp_path: Path, shown: Timeline) -> None:
    told = remember(tmp_path, "film", shown)
    assert find_stimulus(tmp_path, "film") == told
    assert [event.file for event in told.timeline.events[:2]] == [Path("film.mp4"), Path("film.mp4")]
    assert told.timeline.of_kind("word") == WORDS
    assert told.timeline.duration_s == shown.duration_s
    record = (tmp_path / "stimuli/film.json").read_text()
    assert json.loads(record)["events"][0]["content"] == told.contents[told.timeline.events[0]]
    assert str(shown.events[0].file.parent) not in record


def test_another_film_of_that_name_gets_a_name_of_its_own_and_the_same_one_keeps_it(
    tmp_path: Path, shown: Timeline
) -> None:
    first = remember(tmp_path, "film", shown)
    other = remember(tmp_path, "film", shown, lambda _: "b" * 64)
    assert first.name == "film"
    assert other.name == f"film-{other.key[:8]}"
    assert remember(tmp_path, "film", shown) == first
    assert remember(tmp_path, "film", shown, lambda _: "b" * 64) == other
    assert stimuli(tmp_path) == [first, other]
    assert shown_by([first, other])["b" * 64] == [other.name]


def test_new_words_replace_the_old_ones_and_no_words_leave_them(tmp_path: Path, shown: Timeline) -> None:
    remember(tmp_path, "film", shown)
    silent = Timeline(shown.events[:2])
    assert remember(tmp_path, "film", silent).timeline.of_kind("word") == WORDS
    corrected = Timeline((*silent.events, replace(WORDS[0], text="hallo")))
    remember(tmp_path, "film", corrected)
    assert [word.text for word in find_stimulus(tmp_path, "film").timeline.of_kind("word")] == ["hallo"]
    assert len(stimuli(tmp_path)) == 1


def test_stories_of_one_name_are_told_apart_by_their_words(tmp_path: Path) -> None:
    one = remember(tmp_path, "story", Timeline(WORDS))
    other = remember(tmp_path, "story", Timeline(WORDS[:1]))
    assert one.name == "story" != other.name
    assert remember(tmp_path, "story", Timeline(WORDS).shifted(3)).name == "story"  # whenever they come


def test_a_damaged_record_is_named_and_written_again(
    tmp_path: Path, shown: Timeline, caplog: pytest.LogCaptureFixture
) -> None:
    told = remember(tmp_path, "film", shown)
    path = tmp_path / "stimuli/film.json"
    path.write_text(path.read_text()[:50])
    assert stimuli(tmp_path) == []
    assert f"{path} is damaged" in caplog.text
    assert remember(tmp_path, "film", shown) == told
    assert stimuli(tmp_path) == [told]


def test_a_stimulus_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path, shown: Timeline) -> None:
    with pytest.raises(FeatureError, match="has no stimulus film, it has none"):
        find_stimulus(tmp_path, "film")
    remember(tmp_path, "film", shown)
    with pytest.raises(FeatureError, match="has no stimulus flim, it has film"):
        find_stimulus(tmp_path, "flim")


def test_what_a_killed_writer_of_a_record_left_is_swept(film: Path, tmp_path: Path) -> None:
    timeline = timeline_of_files([film])
    (tmp_path / "stimuli").mkdir()
    (tmp_path / "stimuli/.part-abc-film.json").write_text("{")
    remember(tmp_path, "film", timeline)
    assert [path.name for path in (tmp_path / "stimuli").iterdir()] == ["film.json"]
