"""From a timeline to its features."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tribetune.errors import FeatureError
from tribetune.features.encoders import MODALITIES, Encoders
from tribetune.features.extract import extract
from tribetune.stimulus.timeline import Event, Timeline, timeline_of_files


def test_all_modalities_share_one_grid(timeline: Timeline, tiny: Encoders, tmp_path: Path) -> None:
    features = extract(timeline, tiny, MODALITIES, tmp_path, "cpu")
    assert list(features.arrays) == ["text", "audio", "video"]
    for file in tmp_path.rglob("*.safetensors"):
        assert load_file(file)["features"].dtype == np.float16
    for array in features.arrays.values():
        assert array.shape == (2, 64, features.n_steps)
        assert np.isfinite(array).all()
    spoken = np.abs(features.arrays["text"]).sum((0, 1)) > 0
    assert np.flatnonzero(spoken).tolist() == [0, 2, 4, 6, 8]


def test_features_read_from_the_store_are_those_that_were_made(
    timeline: Timeline, tiny: Encoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = extract(timeline, tiny, MODALITIES, tmp_path, "cpu")
    monkeypatch.setattr("tribetune.features.encoders.Encoder.load", None)  # from here on nothing can be made
    read = extract(timeline, tiny, MODALITIES, tmp_path, "cpu")
    for modality in MODALITIES:
        assert read.arrays[modality].dtype == made.arrays[modality].dtype
        np.testing.assert_array_equal(read.arrays[modality], made.arrays[modality])


def test_what_is_not_in_the_timeline_is_absent(film: Path, tiny: Encoders, tmp_path: Path) -> None:
    features = extract(timeline_of_files([film]), tiny, MODALITIES, tmp_path, "cpu")
    assert list(features.arrays) == ["audio", "video"]
    assert list(extract(timeline_of_files([film]), tiny, ["audio"], tmp_path, "cpu").arrays) == ["audio"]


def test_the_stimulus_clock_starts_with_the_first_event(timeline: Timeline, tiny: Encoders, tmp_path: Path) -> None:
    features = extract(timeline, tiny, MODALITIES, tmp_path, "cpu")
    later = extract(timeline.shifted(7.3), tiny, MODALITIES, tmp_path, "cpu")
    for modality in MODALITIES:
        np.testing.assert_array_equal(features.arrays[modality], later.arrays[modality])


def test_a_film_shown_twice_is_encoded_once_and_placed_twice(film: Path, tiny: Encoders, tmp_path: Path) -> None:
    once = extract(timeline_of_files([film]), tiny, ["video"], tmp_path, "cpu").arrays["video"]
    twice = Timeline((Event("video", 3.0, 6.0, film), Event("video", 14.0, 2.0, film)))
    features = extract(twice, tiny, ["video"], tmp_path, "cpu")
    assert features.duration_s == 13.0
    array = features.arrays["video"]
    np.testing.assert_array_equal(array[:, :, :12], once[:, :, :12])
    assert not array[:, :, 12:22].any()
    np.testing.assert_array_equal(array[:, :, 22:26], once[:, :, :4])
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1


def test_words_at_other_times_are_not_encoded_again(
    timeline: Timeline, tiny: Encoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = Timeline(timeline.of_kind("word"))
    extract(words, tiny, ["text"], tmp_path, "cpu")
    monkeypatch.setattr("tribetune.features.encoders.Encoder.load", None)
    stretched = Timeline(tuple(Event("word", 2 * w.onset_s, 0.1, text=w.text) for w in words.events))
    array = extract(stretched, tiny, ["text"], tmp_path, "cpu").arrays["text"]
    assert np.flatnonzero(np.abs(array).sum((0, 1))).tolist() == [0, 4, 8, 12, 16]


def test_progress_reaches_the_end_of_every_modality(timeline: Timeline, tiny: Encoders, tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    for _ in range(2):
        told.clear()
        extract(timeline, tiny, MODALITIES, tmp_path, "cpu", lambda *report: told.append(report))
        assert dict(told) == dict.fromkeys(MODALITIES, 1.0)
        assert all(0 < share <= 1 for _, share in told)


def test_an_unknown_modality_is_refused(timeline: Timeline, tiny: Encoders, tmp_path: Path) -> None:
    with pytest.raises(FeatureError, match="modality 'touch' is not known, expected some of text, audio, video"):
        extract(timeline, tiny, ["touch"], tmp_path)


def test_a_real_clip_has_sound_and_picture(data_folder: Path, tiny: Encoders, tmp_path: Path) -> None:
    timeline = timeline_of_files([data_folder / "media/nasa_13013.mp4"])
    features = extract(timeline, tiny, MODALITIES, tmp_path, "cpu")
    assert {modality: array.shape for modality, array in features.arrays.items()} == {
        "audio": (2, 64, 27),
        "video": (2, 64, 27),
    }
