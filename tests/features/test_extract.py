"""From a timeline to its features."""

import gc
import json
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from tribetune.errors import FeatureError
from tribetune.features.encoders import MODALITIES, Encoder, Encoders, Options, encoders
from tribetune.features.extract import entries, extract, make
from tribetune.features.grid import Laid
from tribetune.features.making import Making
from tribetune.features.parts import Parts, rows_kept
from tribetune.features.sources import as_heard
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
    assert isinstance(features.arrays["video"], Laid)  # over the file on disk, and not a copy in memory
    array = np.asarray(features.arrays["video"])
    np.testing.assert_array_equal(array[:, :, :12], np.asarray(once)[:, :, :12])
    assert not array[:, :, 12:22].any()
    np.testing.assert_array_equal(array[:, :, 22:26], np.asarray(once)[:, :, :4])
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


def test_a_sidecar_says_where_features_come_from_and_names_no_folder(
    timeline: Timeline, tiny: Encoders, tmp_path: Path
) -> None:
    extract(timeline, tiny, MODALITIES, tmp_path, "cpu")
    sidecars = [path.read_text() for path in sorted(tmp_path.rglob("*.json"))]
    assert len(sidecars) == 3
    for told in map(json.loads, sidecars):
        assert (told["device"], told["precision"], told["setting"]) == ("cpu", "float32", "released")
        assert set(told["versions"]) == {"tribetune", "torch", "transformers", "numpy"}
        assert told["encoder"] == f"tiny/{told['modality']}"
        assert len(told["sha256"]) == len(told["content"]) == 64
        assert told["shape"] == [{"text": 5}.get(told["modality"], 12), 2, 64]
        assert told.get("file", "film.mp4") == "film.mp4"
    assert not [text for text in sidecars if "/tmp" in text or str(tmp_path.parent) in text]


@pytest.fixture
def long_timeline(write_film: Callable[..., Path], tmp_path: Path) -> Timeline:
    """A hundred seconds, so that each modality comes in several blocks."""
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 255, (200, 48, 64, 3)).astype(np.uint8)
    film = write_film(tmp_path / "long.mp4", frames, rng.standard_normal(100 * 16000) / 4, fps=2)
    words = tmp_path / "words.tsv"
    rows = "".join(f"{k * 0.4:.1f}\t0.3\tword{rng.integers(30)}\n" for k in range(230))
    words.write_text("onset\tduration\tword\n" + rows, encoding="utf-8")
    return timeline_of_files([film], words)


class Killed(BaseException):
    """Stands for the end of the process: nothing of ours catches it."""


def files(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in sorted(store.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("modality", MODALITIES)
def test_what_was_finished_before_the_end_is_not_made_again(
    modality: str, long_timeline: Timeline, tiny: Encoders, tmp_path: Path
) -> None:
    told: list[float] = []

    def stop(_modality: str, share: float) -> None:
        told.append(share)
        raise Killed

    with pytest.raises(Killed):
        extract(long_timeline, tiny, [modality], tmp_path / "killed", "cpu", stop)
    (entry,) = entries(long_timeline, tiny[modality])
    kept = rows_kept(entry.parts(tmp_path / "killed"))
    assert 0 < kept == round(told[0] * {"text": 230}.get(modality, 200)) < 200
    assert not entry.array_file(tmp_path / "killed").exists()
    told.clear()
    extract(long_timeline, tiny, [modality], tmp_path / "killed", "cpu", lambda _, share: told.append(share))
    assert told[0] > kept / 230  # it went on from there
    extract(long_timeline, tiny, [modality], tmp_path / "unbroken", "cpu")
    assert files(tmp_path / "killed") == files(tmp_path / "unbroken")
    assert len(files(tmp_path / "killed")) == 2


def test_an_extraction_that_ended_before_its_parts_were_joined_needs_no_encoder(
    timeline: Timeline, tiny: Encoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("tribetune.features.making.write_entry", full)
        with pytest.raises(OSError, match="No space left"):
            extract(timeline, tiny, ["video"], tmp_path / "killed", "cpu")
    assert any(name.endswith(".npy") for name in files(tmp_path / "killed"))
    extract(timeline, tiny, ["video"], tmp_path / "killed", "cpu")
    extract(timeline, tiny, ["video"], tmp_path / "unbroken", "cpu")
    assert files(tmp_path / "killed") == files(tmp_path / "unbroken")


@pytest.mark.parametrize("modality", MODALITIES)
def test_two_writers_of_one_array_leave_one_and_neither_loses(
    modality: str, long_timeline: Timeline, tiny: Encoders, tmp_path: Path
) -> None:
    """The second begins when the first has some rows, takes them, is done first, and sweeps the parts of both."""
    second: list[np.ndarray] = []
    told: list[float] = []

    def meanwhile(_modality: str, share: float) -> None:
        told.append(share)
        if not second:
            second.append(extract(long_timeline, tiny, [modality], tmp_path / "both", "cpu").arrays[modality])

    first = extract(long_timeline, tiny, [modality], tmp_path / "both", "cpu", meanwhile).arrays[modality]
    assert len(told) == 2  # after its first block it made no other
    np.testing.assert_array_equal(first, second[0])
    alone = extract(long_timeline, tiny, [modality], tmp_path / "alone", "cpu").arrays[modality]
    np.testing.assert_array_equal(first, alone)
    assert files(tmp_path / "both") == files(tmp_path / "alone")


def test_a_writer_whose_parts_vanish_while_it_joins_them_takes_the_others_result(
    timeline: Timeline, tiny: Encoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = Parts.joined

    def overtaken(parts: Parts, n_rows: int, *, exact: bool = False) -> np.ndarray:
        monkeypatch.setattr(Parts, "joined", joined)
        extract(timeline, tiny, ["audio"], tmp_path / "both", "cpu")
        return joined(parts, n_rows, exact=exact)

    monkeypatch.setattr(Parts, "joined", overtaken)
    features = extract(timeline, tiny, ["audio"], tmp_path / "both", "cpu")
    assert features.arrays["audio"].shape == (2, 64, features.n_steps)
    assert len(files(tmp_path / "both")) == 2


def test_a_writer_who_comes_late_takes_what_is_there_and_does_not_spoil_it(
    film: Path, tiny: Encoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timeline = timeline_of_files([film])
    (first,) = make(timeline, tiny["audio"], tmp_path, "cpu")
    monkeypatch.setattr("tribetune.features.encoders.Encoder.load", None)  # from here on nothing can be made
    late = Making(tmp_path, first.entry, first.source, tiny["audio"], "cpu").run(lambda _share: None)
    np.testing.assert_array_equal(late, first.values)
    assert first.entry.sidecar(tmp_path).is_file()


def test_a_changed_file_is_named_and_made_again(
    timeline: Timeline, tiny: Encoders, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    extract(timeline, tiny, ["audio"], tmp_path, "cpu")
    before = files(tmp_path)
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-1] + b"\x42")
    (made,) = make(timeline, tiny["audio"], tmp_path, "cpu", verify=True)
    assert not made.was_there
    assert f"{path} is damaged" in caplog.text
    assert files(tmp_path) == before
    (made,) = make(timeline, tiny["audio"], tmp_path, "cpu", verify=True)
    assert made.was_there


def test_in_reference_mode_transcripts_are_repeated_and_features_stay_in_float32(
    film: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    as_reference = Options(reference=True, chunk_s=(3.0, 1.5))  # the film of 6 s is two chunks
    sentence = "Off with her head "
    words = tuple(
        Event("word", 1.0 + k, 0.2, text=word, sentence=sentence, sentence_char=sentence.index(word))
        for k, word in enumerate(sentence.split())
    )
    unknown = Event("word", 5.5, 0.2, text="hm")
    timeline = Timeline((*timeline_of_files([film]).events, *words, unknown))
    features = extract(timeline, encoders(tiny_folder, as_reference), MODALITIES, tmp_path, "cpu")
    # words at 1 to 4 s and again 2 × 3 s later; the one without a sentence is left out, but lasts until 11.7 s
    assert np.flatnonzero(np.abs(features.arrays["text"]).sum((0, 1))).tolist() == [2, 4, 6, 8, 14, 16, 18, 20]
    assert features.duration_s == pytest.approx(11.7)
    assert {load_file(file)["features"].dtype for file in tmp_path.rglob("*.safetensors")} == {np.dtype(np.float32)}
    assert features.arrays["audio"].shape == features.arrays["text"].shape == (2, 64, 24)


def test_a_stimulus_of_ninety_seconds_is_where_repetition_begins() -> None:
    def heard(duration_s: float, options: Options) -> list[float]:
        sound = Event("audio", 2.0, duration_s, Path("sound.wav"))
        timeline = Timeline((sound, Event("word", 12.0, 0.3, text="word"), Event("word", 500.0, 0.3, text="elsewhere")))
        return [event.onset_s for event in as_heard(timeline, options).of_kind("word")]

    assert heard(89.9, Options(reference=True)) == [12, 500]
    assert heard(90.0, Options(reference=True)) == [12, 132, 500]
    assert heard(150.0, Options(reference=True)) == [12, 132, 252, 500]
    assert heard(150.0, Options()) == [12, 500]


def test_parts_that_a_writer_killed_while_sweeping_left_are_swept_by_the_next(
    timeline: Timeline, tiny: Encoders, tmp_path: Path
) -> None:
    made = extract(timeline, tiny, ["audio"], tmp_path, "cpu")
    finished = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    (sidecar,) = (tmp_path / "audio").glob("*.json")
    left = sidecar.with_suffix(".parts")
    left.mkdir()
    (left / "00000000-00000012-0123456789ab.npy").write_bytes(b"anything")
    read = extract(timeline, tiny, ["audio"], tmp_path, "cpu")
    np.testing.assert_array_equal(read.arrays["audio"], made.arrays["audio"])
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == finished
    assert not left.exists()


@pytest.mark.parametrize("modality", MODALITIES)
def test_an_encoder_leaves_memory_when_its_work_is_done(
    modality: str, timeline: Timeline, tiny: Encoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[weakref.ref] = []
    load = Encoder.load

    def watched(self: Encoder, device: torch.device) -> object:
        model = load(self, device)
        loaded.append(weakref.ref(model))
        return model

    monkeypatch.setattr(Encoder, "load", watched)
    gc.collect()
    gc.disable()  # nothing may wait for the collector: the next encoder needs the memory
    try:
        extract(timeline, tiny, [modality], tmp_path, "cpu")
        assert [one() for one in loaded] == [None]
    finally:
        gc.enable()
