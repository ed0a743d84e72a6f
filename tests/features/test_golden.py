"""Sound and pictures: agreement with the reference's extractors, on the tiny random encoders of the fixtures."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import SeamlessM4TFeatureExtractor

from tests.features.golden import TOLERANCE, WINDOWS, encoder, grouped, read_golden, series
from tribetune.features.audio import ENCODER_HZ, encode_sound, prepare_sound
from tribetune.features.chunks import chunk_spans
from tribetune.features.clips import Preparation, cut_clips
from tribetune.features.grid import place_series
from tribetune.features.video import encode_video, film_clips
from tribetune.stimulus.media import probe, sound

CPU = torch.device("cpu")

WHOLE = (1e9, 0.0)
"""Longest and shortest chunk: none is cut."""

CHUNKS = (30.0, 15.0)
"""Those of the fixtures' chunked cases, for a film of 75 seconds."""

ONSETS_S = {"sound": 3.7, "silent": 1.3}
"""Of the events in the fixtures; the others begin at 0."""


@pytest.fixture(scope="module")
def folder(fixtures_folder: Path) -> Path:
    return fixtures_folder / "features"


@pytest.fixture(scope="module")
def golden(folder: Path) -> dict[str, np.ndarray]:
    return read_golden(folder)


@pytest.fixture(scope="module")
def older_golden(folder: Path) -> dict[str, np.ndarray]:
    """What transformers 4 gave: its last V-JEPA2 state is the one after the norm."""
    return read_golden(folder, transformers=4)


def settings_of(golden: dict, case: str) -> list[str]:
    """The settings in which a case was run, every state alone being none of them."""
    return [setting for setting in ("released", "defaults", "mini") if f"{case}/{setting}/w0" in golden]


def expect_windows(golden: dict, case: str, setting: str, place: Callable[[float, float], np.ndarray]) -> None:
    """Compare both windows of a case; the setting ``mini`` has one layer, and no axis for it."""
    for window, (start_s, duration_s) in WINDOWS.items():
        expected = golden[f"{case}/{setting}/{window}"]
        placed = place(duration_s, start_s)
        assert len(placed) == (1 if setting == "mini" else 2)
        np.testing.assert_allclose(placed[0] if setting == "mini" else placed, expected, **TOLERANCE)


def placed(means: np.ndarray, onset_s: float) -> Callable[[float, float], np.ndarray]:
    """One series, as long as its steps, put into a window."""
    return lambda duration_s, start_s: place_series([(onset_s, means.shape[2] / 2, means)], duration_s, start_s)


def placed_chunks(means: np.ndarray, spans: Sequence[tuple[float, float]]) -> Callable[[float, float], np.ndarray]:
    """Chunks of 0.5 s steps that follow each other, put into a window one by one."""
    cuts = np.cumsum([round(2 * length_s) for _, length_s in spans])[:-1]
    parts = np.split(means, cuts, axis=2)
    chunks = [(*span, part) for span, part in zip(spans, parts, strict=True)]
    return lambda duration_s, start_s: place_series(chunks, duration_s, start_s)


@pytest.mark.parametrize(
    ("name", "file"), [pytest.param("clip", "clip.mp4", marks=pytest.mark.slow), ("sound", "sound.wav")]
)
def test_sound(folder: Path, golden: dict, name: str, file: str) -> None:
    states = series(encode_sound(folder / file, encoder(folder, "audio", chunk_s=WHOLE), CPU))
    np.testing.assert_allclose(states, golden[f"audio/{name}/all/native2hz"], **TOLERANCE)
    settings = settings_of(golden, f"audio/{name}")
    assert len(settings) == 3
    for setting in settings:  # sound is never subsampled
        means = grouped(states, "mini" if setting == "mini" else "defaults", "audio")
        expect_windows(golden, f"audio/{name}", setting, placed(means, ONSETS_S.get(name, 0.0)))


def test_sound_as_the_encoder_hears_it(folder: Path, golden: dict) -> None:
    path = folder / "sound.wav"
    (samples,) = sound(path, [(0.0, probe(path).duration_s)])
    prepared = prepare_sound(samples, probe(path).sample_hz)
    # Resampled in another order of sums, to values of up to 20.
    np.testing.assert_allclose(prepared[:32000], golden["audio/sound/wav16k_first_2s"], rtol=0, atol=1e-6)
    extractor = SeamlessM4TFeatureExtractor.from_pretrained(folder / "encoders/w2v-bert")
    bands = extractor(prepared, sampling_rate=ENCODER_HZ, return_tensors="np")["input_features"][0]
    np.testing.assert_allclose(bands[:150], golden["audio/sound/input_features_first_150"], rtol=0, atol=2e-5)


def test_sound_in_chunks(folder: Path, golden: dict) -> None:
    states = series(encode_sound(folder / "clip.mp4", encoder(folder, "audio", chunk_s=CHUNKS), CPU))
    chunks = placed_chunks(grouped(states, "defaults", "audio"), chunk_spans(75.0, *CHUNKS))
    expect_windows(golden, "audio/clipchunk", "defaults", chunks)


@pytest.mark.parametrize(
    ("case", "file", "options"),
    [
        ("clip", "clip.mp4", {"frames": 8}),
        ("clipchunk", "clip.mp4", {"frames": 8, "reference": True, "chunk_s": CHUNKS}),
        ("silent", "silent.mp4", {"frames": 8}),
        ("silent64", "silent.mp4", {}),
    ],
)
def test_clips_are_of_the_same_frames(folder: Path, golden: dict, case: str, file: str, options: dict) -> None:
    clips = film_clips(folder / file, encoder(folder, "video", **options))
    np.testing.assert_array_equal(clips, golden[f"video/{case}/frame_index"])


def test_frames_as_the_encoder_sees_them(folder: Path, golden: dict) -> None:
    preparation = Preparation.of(encoder(folder, "video").preprocessor)
    (clips,) = cut_clips(folder / "clip.mp4", np.arange(100, 108)[None], preparation, 8, CPU)
    expected = golden["video/clip/pixel_values_frames_100_to_107"]
    # A rounding of the resized value to the other side is 1 / 58 here; none is allowed.
    np.testing.assert_allclose(clips[0].numpy(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["clip", "silent"])
@pytest.mark.parametrize("normed", [False, True])
def test_pictures(folder: Path, golden: dict, older_golden: dict, name: str, normed: bool) -> None:
    expected = older_golden if normed else golden
    chosen = encoder(folder, "video", frames=8, normed_last_state=normed)
    states = series(encode_video(folder / f"{name}.mp4", chosen, CPU))
    np.testing.assert_allclose(states, expected[f"video/{name}/all/native2hz"], **TOLERANCE)
    settings = settings_of(expected, f"video/{name}")
    assert len(settings) == (2 if normed else 3)
    for setting in settings:
        means = grouped(states, setting, "video")
        expect_windows(expected, f"video/{name}", setting, placed(means, ONSETS_S.get(name, 0.0)))


@pytest.mark.parametrize("normed", [False, True])
def test_pictures_at_the_released_64_frames(folder: Path, golden: dict, older_golden: dict, normed: bool) -> None:
    chosen = encoder(folder, "video", normed_last_state=normed)
    assert chosen.frames == 64
    states = series(encode_video(folder / "silent.mp4", chosen, CPU))
    place = placed(grouped(states, "defaults", "video"), ONSETS_S["silent"])
    expect_windows(older_golden if normed else golden, "video/silent64", "defaults", place)


@pytest.mark.parametrize("normed", [False, True])
def test_pictures_in_chunks(folder: Path, golden: dict, older_golden: dict, normed: bool) -> None:
    chosen = encoder(folder, "video", frames=8, normed_last_state=normed, reference=True, chunk_s=CHUNKS)
    states = series(encode_video(folder / "clip.mp4", chosen, CPU))
    chunks = placed_chunks(grouped(states, "defaults", "video"), chunk_spans(75.0, *CHUNKS))
    expect_windows(older_golden if normed else golden, "video/clipchunk", "defaults", chunks)


def test_no_golden_is_left_out(golden: dict) -> None:
    compared = {f"{kind}/{case}" for kind, case in [("audio", "clip"), ("audio", "clipchunk"), ("audio", "sound")]}
    compared |= {f"video/{case}" for case in ("clip", "clipchunk", "silent", "silent64")}
    assert {"/".join(key.split("/")[:2]) for key in golden if not key.startswith("text/")} == compared
