"""Sound to features."""

import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tribetune.features.audio import chunk_spans, encode_sound, prepare_sound
from tribetune.features.encoders import Encoders

CPU = torch.device("cpu")


def write_wav(path: Path, samples: np.ndarray, hz: int = 16000) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(hz)
        file.writeframes((32000 * samples).astype("<i2").tobytes())
    return path


def encode(path: Path, tiny: Encoders, chunk_s: tuple[float, float] = (60.0, 30.0)) -> np.ndarray:
    chosen = replace(tiny["audio"], options=replace(tiny["audio"].options, chunk_s=chunk_s))
    return np.moveaxis(np.concatenate(list(encode_sound(path, chosen, CPU))), 0, -1)


@pytest.mark.parametrize(
    ("duration_s", "lengths"),
    [(0.4, [0.4]), (60, [60]), (89, [89]), (90, [60, 30]), (149.5, [60, 89.5]), (150, [60, 60, 30]), (600, [60] * 10)],
)
def test_sound_is_cut_every_minute_but_leaves_no_short_rest(duration_s: float, lengths: list[float]) -> None:
    spans = chunk_spans(duration_s, 60.0, 30.0)
    assert [length for _, length in spans] == lengths
    assert [onset for onset, _ in spans] == [60.0 * k for k in range(len(lengths))]


def test_prepared_sound_is_mono_at_16_khz_with_unit_variance() -> None:
    rng = np.random.default_rng(0)
    prepared = prepare_sound(rng.standard_normal((2, 44100)).astype(np.float32), 44100)
    assert prepared.shape == (16000,)
    assert prepared.mean() == pytest.approx(0, abs=1e-6)
    assert prepared.std(ddof=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("samples", "n_steps"), [(800, 1), (8000, 1), (160000, 20), (164100, 21)])
def test_there_is_one_step_per_half_second(tmp_path: Path, tiny: Encoders, samples: int, n_steps: int) -> None:
    path = write_wav(tmp_path / "sound.wav", np.random.default_rng(0).uniform(-1, 1, samples))
    assert encode(path, tiny).shape == (2, 64, n_steps)


def test_silence_has_finite_features(tmp_path: Path, tiny: Encoders) -> None:
    features = encode(write_wav(tmp_path / "sound.wav", np.zeros(32000)), tiny)
    assert np.isfinite(features).all()


def test_chunks_are_encoded_apart(tmp_path: Path, tiny: Encoders) -> None:
    rng = np.random.default_rng(0)
    both, first = rng.uniform(-1, 1, 64000), tmp_path / "first.wav"
    chunked = encode(write_wav(tmp_path / "both.wav", both), tiny, (2.0, 1.0))
    alone = encode(write_wav(first, both[:32000]), tiny)
    np.testing.assert_array_equal(chunked[:, :, :4], alone)
    assert chunked.shape[2] == 8


def test_the_spectrum_survives_to_the_features(tmp_path: Path, tiny: Encoders) -> None:
    seconds = np.arange(32 * 16000) / 16000
    low = (seconds // 4).astype(int) % 2 == 0
    samples = 0.5 * np.sin(2 * np.pi * np.where(low, 200, 2000) * seconds)
    features = encode(write_wav(tmp_path / "sound.wav", samples), tiny).reshape(128, 64)
    is_low = low[8000::8000][:63]
    contrast = features[:, :63][:, is_low].mean(1) - features[:, :63][:, ~is_low].mean(1)
    assert np.abs(contrast).mean() > 0.5 * features.std(axis=1).mean()
