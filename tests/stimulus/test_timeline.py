"""Events of a stimulus or a run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tribetune.errors import StimulusError
from tribetune.stimulus.timeline import Event, Timeline, timeline_of_events, timeline_of_files

TONE = np.sin(np.arange(16000) / 5)


@pytest.fixture
def words(tmp_path: Path) -> Path:
    path = tmp_path / "words.tsv"
    path.write_text("onset\tduration\tword\n0.5\t0.1\thello\n9\t0.1\tworld\n", encoding="utf-8")
    return path


def kinds(timeline: Timeline) -> list[tuple[str, float]]:
    return [(event.kind, event.onset_s) for event in timeline.events]


def test_a_film_is_a_video_and_a_sound(tmp_path: Path, write_film: Callable[..., Path], words: Path) -> None:
    film = write_film(tmp_path / "film.mp4", sound=TONE)
    timeline = timeline_of_files([film], words)
    assert kinds(timeline) == [("video", 0), ("audio", 0), ("word", 0.5), ("word", 9)]
    assert (timeline.start_s, timeline.end_s) == (0, 9.1)
    assert timeline_of_files([film, words]) == timeline


def test_a_sound_file_replaces_the_films_own_sound(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    film = write_film(tmp_path / "film.mp4", sound=TONE)
    dubbed = write_film(tmp_path / "dubbed.m4a", places=(), sound=TONE)
    timeline = timeline_of_files([film, dubbed])
    assert [(event.kind, event.file) for event in timeline.events] == [("video", film), ("audio", dubbed)]


def test_two_films_at_once_are_refused(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    film = write_film(tmp_path / "film.mp4")
    with pytest.raises(StimulusError, match="2 video files"):
        timeline_of_files([film, film])


def test_without_a_stimulus_there_is_no_timeline() -> None:
    with pytest.raises(StimulusError, match="without events"):
        timeline_of_files([])


def test_events_are_in_order_and_words_of_one_onset_in_that_of_their_sentence() -> None:
    late, film = Event("video", 5.0, 2.0), Event("video", 1.0, 9.0)
    first, second = Event("word", 1.0, 0.1, text="Goddard"), Event("word", 1.0, 0.4, text="Space")
    timeline = Timeline((late, first, second, film))
    assert timeline.events == (film, first, second, late)
    assert (timeline.start_s, timeline.end_s, timeline.duration_s) == (1.0, 10.0, 9.0)
    assert timeline.of_kind("word") == (first, second)


def test_a_shifted_timeline_keeps_its_duration() -> None:
    timeline = Timeline((Event("word", 1.0, 0.1, text="a"), Event("word", 3.0, 0.5, text="b")))
    shifted = timeline.shifted(-2.0)
    assert (shifted.start_s, shifted.duration_s) == (-1.0, timeline.duration_s)
    assert shifted.shifted(2.0) == timeline


def test_a_run_shows_its_film_with_the_words_beside_it(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    film = write_film(tmp_path / "film.mp4", sound=TONE)
    (tmp_path / "film_words.tsv").write_text("onset\tduration\tword\n0.5\t0.1\thello\n9\t0.1\tlate\n", encoding="utf-8")
    events = tmp_path / "events.tsv"
    events.write_text("onset\tduration\ttrial_type\tstim_file\n6.0\t2.0\tfilm\tfilm.mp4\n", encoding="utf-8")
    timeline = timeline_of_events(events, tmp_path)
    assert kinds(timeline) == [("video", 6), ("audio", 6), ("word", 6.5)]  # stopped before the second word
    assert timeline.duration_s == 2.0
    assert {event.file for event in timeline.events} == {film, None}


def test_a_longer_duration_than_the_films_is_the_films(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    write_film(tmp_path / "film.mp4")
    for duration in ("n/a", "0", "500"):
        (tmp_path / "events.tsv").write_text(f"onset\tduration\tstim_file\n1\t{duration}\tfilm.mp4\n", encoding="utf-8")
        assert timeline_of_events(tmp_path / "events.tsv", tmp_path).duration_s == 3.0


def test_a_film_with_rows_for_picture_and_sound_is_one_film(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    write_film(tmp_path / "film.mp4", sound=TONE)
    rows = "".join(f"6.0\tn/a\t{kind}\tfilm.mp4\n" for kind in ("video", "audio"))
    (tmp_path / "events.tsv").write_text("onset\tduration\ttrial_type\tstim_file\n" + rows, encoding="utf-8")
    assert kinds(timeline_of_events(tmp_path / "events.tsv", tmp_path)) == [("video", 6), ("audio", 6)]


def test_words_may_be_rows_of_the_events(tmp_path: Path) -> None:
    rows = "1\t0.2\tword\tn/a\thello\n2\t1\tbutton\tn/a\tn/a\n3\t0.2\tword\tn/a\tworld\n"
    (tmp_path / "events.tsv").write_text("onset\tduration\ttrial_type\tstim_file\tword\n" + rows, encoding="utf-8")
    timeline = timeline_of_events(tmp_path / "events.tsv", tmp_path)
    assert timeline.events == (Event("word", 1, 0.2, text="hello"), Event("word", 3, 0.2, text="world"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("onset\tduration\ttrial_type\n1\t2\tbutton\n", "no row has a stim_file"),
        ("onset\tduration\tstim_file\n1\t2\tother.mp4\n", "row 1: stim_file .*other.mp4 does not exist"),
        ("onset\tduration\tstim_file\nn/a\t2\tfilm.mp4\n", "row 1: onset is 'n/a'"),
        ("", "no rows"),
    ],
)
def test_events_that_name_no_stimulus_are_refused(
    tmp_path: Path, write_film: Callable[..., Path], text: str, says: str
) -> None:
    write_film(tmp_path / "film.mp4")
    (tmp_path / "events.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(StimulusError, match=says) as caught:
        timeline_of_events(tmp_path / "events.tsv", tmp_path)
    assert "events.tsv" in str(caught.value)


def test_making_a_timeline_changes_no_event() -> None:
    event = Event("word", 1.0, 0.1, text="a")
    Timeline((event,)).shifted(5)
    assert event == replace(event, onset_s=1.0)


def test_words_without_times_are_spread_over_the_film(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    film = write_film(tmp_path / "film.mp4", sound=TONE)
    (tmp_path / "film_words.txt").write_text("Once upon a time.", encoding="utf-8")
    alone = timeline_of_files([film], tmp_path / "film_words.txt")
    words = alone.of_kind("word")
    assert [word.text for word in words] == ["Once", "upon", "a", "time"]
    assert all(word.estimated for word in words)
    assert 2.0 < words[-1].onset_s < alone.duration_s == 3.0
    (tmp_path / "events.tsv").write_text("onset\tduration\tstim_file\n7\t2\tfilm.mp4\n", encoding="utf-8")
    shown = timeline_of_events(tmp_path / "events.tsv", tmp_path)  # for two of its three seconds
    assert [word.text for word in shown.of_kind("word")] == ["Once", "upon", "a"]
    assert shown.of_kind("word")[0].onset_s == words[0].onset_s + 7


def test_a_text_alone_has_no_times(tmp_path: Path) -> None:
    (tmp_path / "story.txt").write_text("Once upon a time.", encoding="utf-8")
    with pytest.raises(StimulusError, match=r"story\.txt"):
        timeline_of_files([tmp_path / "story.txt"])
