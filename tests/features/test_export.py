"""Features out of a store, from the folder alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tribetune.arrays import hash_plain
from tribetune.errors import FeatureError
from tribetune.features.encoders import MODALITIES, Encoders, Options, encoders
from tribetune.features.export import Choice, features_of, write_npz
from tribetune.features.extract import Features, extract
from tribetune.features.imports import import_features
from tribetune.features.stimuli import Stimulus, remember
from tribetune.stimulus.timeline import Timeline, timeline_of_files


@pytest.fixture
def stimulus(timeline: Timeline, tmp_path: Path) -> Stimulus:
    return remember(tmp_path / "store", "film", timeline)


def same(one: Features, other: Features) -> None:
    assert one.duration_s == other.duration_s
    assert list(one.arrays) == list(other.arrays)
    for modality, array in one.arrays.items():
        np.testing.assert_array_equal(array, other.arrays[modality])


def test_what_is_exported_is_what_was_extracted(
    timeline: Timeline, tiny: Encoders, tmp_path: Path, stimulus: Stimulus
) -> None:
    made = extract(timeline, tiny, MODALITIES, tmp_path / "store", "cpu")
    same(features_of(tmp_path / "store", stimulus), made)


def test_a_window_is_a_stretch_of_the_whole(
    timeline: Timeline, tiny: Encoders, tmp_path: Path, stimulus: Stimulus
) -> None:
    made = extract(timeline, tiny, MODALITIES, tmp_path / "store", "cpu")
    window = features_of(tmp_path / "store", stimulus, Choice(start_s=1.5, duration_s=3.0))
    assert window.duration_s == 3.0
    for modality, array in window.arrays.items():
        np.testing.assert_array_equal(array, np.asarray(made.arrays[modality])[:, :, 3:9])
    to_the_end = features_of(tmp_path / "store", stimulus, Choice(start_s=4.0, duration_s=100.0))
    assert to_the_end.duration_s == pytest.approx(timeline.duration_s - 4.0)
    with pytest.raises(FeatureError, match=r"nothing to export from 7 s on; it lasts 6\.\d+ s"):
        features_of(tmp_path / "store", stimulus, Choice(start_s=7.0))


def test_what_the_store_lacks_is_absent_and_told(
    timeline: Timeline, tiny: Encoders, tmp_path: Path, stimulus: Stimulus, caplog: pytest.LogCaptureFixture
) -> None:
    extract(timeline, tiny, ["audio"], tmp_path / "store", "cpu")
    assert list(features_of(tmp_path / "store", stimulus).arrays) == ["audio"]
    assert "film: its video is not in" in caplog.text
    with pytest.raises(FeatureError, match="nothing to export"):
        features_of(tmp_path / "store", stimulus, Choice(setting="mini"))


def test_of_several_encoders_and_settings_one_has_to_be_chosen(
    timeline: Timeline, tiny: Encoders, tiny_folder: Path, tmp_path: Path, stimulus: Stimulus
) -> None:
    store = tmp_path / "store"
    mini = encoders(tiny_folder, Options(setting="mini"))
    made = [extract(timeline, chosen, ["audio"], store, "cpu") for chosen in (tiny, mini)]
    with pytest.raises(
        FeatureError, match=r"2 kinds of audio of film: tiny/audio \(\w+\) \w+; tiny/audio \(\w+\) \w+"
    ) as caught:
        features_of(store, stimulus)
    assert "--setting" in caught.value.hint
    same(features_of(store, stimulus, Choice(setting="released")), made[0])
    same(features_of(store, stimulus, Choice(str(tiny_folder), "mini")), made[1])


def test_kinds_that_differ_in_another_option_are_told_apart_by_their_sign(
    timeline: Timeline, tiny: Encoders, tiny_folder: Path, tmp_path: Path, stimulus: Stimulus
) -> None:
    store = tmp_path / "store"
    few = encoders(tiny_folder, Options(frames=8))
    made = [extract(timeline, chosen, ["audio", "video"], store, "cpu") for chosen in (tiny, few)]
    with pytest.raises(FeatureError, match="2 kinds of video") as caught:
        features_of(store, stimulus, Choice(str(tiny_folder), "released"))
    assert "--kind" in caught.value.hint
    for encoder, wanted in zip((tiny["video"], few["video"]), made, strict=True):
        same(features_of(store, stimulus, Choice(kinds=(hash_plain(encoder.identity)[:8],))), wanted)


def test_reference_compatible_features_are_exported_as_they_were_placed(
    film: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    sentence = "off with her head "
    rows = "".join(f"{k}\t0.3\t{word}\t{sentence}\n" for k, word in enumerate(sentence.split()))
    (tmp_path / "words.tsv").write_text("onset\tduration\tword\tsentence\n" + rows)
    timeline = timeline_of_files([film], tmp_path / "words.tsv")
    stimulus = remember(tmp_path / "store", "film", timeline)
    made = extract(timeline, encoders(tiny_folder, Options(reference=True)), MODALITIES, tmp_path / "store", "cpu")
    assert np.any(made.arrays["text"])
    same(features_of(tmp_path / "store", stimulus), made)


def test_imported_features_are_exported_too(
    timeline: Timeline, tiny: Encoders, film: Path, tmp_path: Path, stimulus: Stimulus
) -> None:
    made = extract(timeline, tiny, MODALITIES, tmp_path / "own", "cpu")
    np.savez(tmp_path / "made.npz", **{name: np.float32(array) for name, array in made.arrays.items()})
    import_features([tmp_path / "made.npz"], film, None, tmp_path / "store")
    found = features_of(tmp_path / "store", stimulus, Choice("imported"))
    assert found.duration_s == made.duration_s
    for modality in MODALITIES:
        np.testing.assert_array_equal(found.arrays[modality], made.arrays[modality])


def test_a_file_for_several_stimuli_names_them_and_is_the_same_every_time(
    timeline: Timeline, tiny: Encoders, tmp_path: Path, stimulus: Stimulus
) -> None:
    found = extract(timeline, tiny, MODALITIES, tmp_path / "store", "cpu")
    write_npz(tmp_path / "one.npz", iter([("film", found)]), prefixed=False)
    with np.load(tmp_path / "one.npz", allow_pickle=False) as arrays:
        assert set(arrays.files) == {*MODALITIES, "duration_s"}
        assert arrays["duration_s"] == found.duration_s
        assert arrays["video"].dtype == np.float32
        np.testing.assert_array_equal(arrays["text"], found.arrays["text"])
    two = [("film", found), ("other", replace(found, arrays={"audio": found.arrays["audio"]}))]
    for name in ("two", "again"):
        shapes = write_npz(tmp_path / f"{name}.npz", iter(two), prefixed=True)
        assert shapes["other/audio"] == (2, 64, found.n_steps)
        assert "other/video" not in shapes
    assert (tmp_path / "two.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()
