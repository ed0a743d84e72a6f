"""Rows of an events table, held against their run."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tribetune.errors import StimulusError
from tribetune.stimulus.events import check_on_run, read_shown, words_beside
from tribetune.stimulus.timeline import timeline_of_events

TONE = np.sin(np.arange(16000) / 5)
HEADER = "onset\tduration\ttrial_type\tstim_file\tword\n"


@pytest.fixture
def folder(tmp_path: Path, write_film: Callable[..., Path]) -> Path:
    write_film(tmp_path / "film.mp4", sound=TONE)  # 3 s
    write_film(tmp_path / "other.mp4")
    return tmp_path


def events(folder: Path, *rows: str) -> Path:
    path = folder / "events.tsv"
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def warnings_of(folder: Path, caplog: pytest.LogCaptureFixture, run_s: float, *rows: str) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        check_on_run(events(folder, *rows), folder, run_s)
    return [record.message for record in caplog.records]


def film(onset_s: float, name: str = "film.mp4", kind: str = "film") -> str:
    return f"{onset_s}\tn/a\t{kind}\t{name}\tn/a"


def test_several_stimuli_with_gaps_are_one_timeline_and_nothing_is_said(folder, caplog):
    rows = (film(1.5), film(8.0, "other.mp4"), film(20.0))
    assert warnings_of(folder, caplog, 60.0, *rows) == []
    timeline = timeline_of_events(folder / "events.tsv", folder)
    assert [(event.onset_s, Path(str(event.file)).name) for event in timeline.of_kind("video")] == [
        (1.5, "film.mp4"), (8.0, "other.mp4"), (20.0, "film.mp4")
    ]  # fmt: skip
    assert (timeline.start_s, timeline.end_s) == (1.5, 23.0)


def test_a_stimulus_that_outlasts_the_run_is_allowed_with_the_seconds(folder, caplog):
    (line,) = warnings_of(folder, caplog, 10.0, film(8.5))
    assert "row 1: lasts 1.5 s longer than the run" in line
    assert warnings_of(folder, caplog, 10.0, film(7.5)) == []  # half a second is rounding


def test_a_stimulus_that_began_before_the_run_is_allowed_with_the_seconds(folder, caplog):
    (line,) = warnings_of(folder, caplog, 60.0, film(-2.0))
    assert "row 1: began 2 s before the first volume" in line
    (line,) = warnings_of(folder, caplog, 60.0, film(-20.0), film(4.0))
    assert "row 1: was over 17 s before the first volume" in line


def test_events_all_before_the_run_are_refused(folder):
    with pytest.raises(StimulusError, match="row 2: ends at -3 s, and so everything before") as caught:
        check_on_run(events(folder, film(-20.0), film(-6.0)), folder, 60.0)
    assert "first volume of the raw run" in caught.value.hint


def test_events_beyond_the_run_are_refused_with_their_row_and_its_length(folder):
    with pytest.raises(StimulusError, match=r"events.tsv, row 2: begins at 61 s, but the run lasts 60 s"):
        check_on_run(events(folder, film(4.0), film(61.0)), folder, 60.0)
    words = ("70\t0.2\tword\tn/a\thello", "71\t0.2\tword\tn/a\tworld")
    with pytest.raises(StimulusError, match="rows of words: begins at 70 s"):
        check_on_run(events(folder, *words), folder, 60.0)


def test_onsets_in_milliseconds_are_refused(folder):
    with pytest.raises(StimulusError, match="begins at 6000 s"):
        check_on_run(events(folder, film(6000)), folder, 480.0)


def test_a_row_given_twice_is_shown_once_and_said(folder, caplog):
    (line,) = warnings_of(folder, caplog, 60.0, film(6.0), film(6.0))
    assert line.startswith(str(folder / "events.tsv"))
    assert "row 2: repeats" in line
    assert "row 1; it is shown once" in line
    assert len(timeline_of_events(folder / "events.tsv", folder).of_kind("video")) == 1


def test_rows_for_picture_and_sound_of_one_film_are_no_repetition(folder, caplog):
    assert warnings_of(folder, caplog, 60.0, film(6.0, kind="video"), film(6.0, kind="audio")) == []


def test_a_film_that_begins_during_another_is_said(folder, caplog):
    (line,) = warnings_of(folder, caplog, 60.0, film(6.0), film(7.0, "other.mp4"))
    assert "row 2: its video begins 2.0 s before that of" in line
    assert "row 1 is over" in line


def test_words_beside_a_film_are_found_in_any_format(folder):
    assert words_beside(folder / "film.mp4") is None
    (folder / "film_words.csv").write_text("onset,duration,word\n0.5,0.1,hello\n", encoding="utf-8")
    assert words_beside(folder / "film.mp4") == folder / "film_words.csv"
    (shown,) = read_shown(events(folder, film(6.0)), folder)
    assert [event.text for event in shown.events if event.kind == "word"] == ["hello"]
    assert (shown.start_s, shown.end_s) == (6.0, 9.0)
