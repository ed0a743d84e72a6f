"""Sound to features."""

import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModel, SeamlessM4TFeatureExtractor

from tribetune.features.audio import encode_sound, nearest_frames, plan_passes, prepare_sound, skip_passes
from tribetune.features.chunks import chunk_spans
from tribetune.features.encoders import Encoder, Encoders, Options, encoders
from tribetune.stimulus.media import sound

CPU = torch.device("cpu")


def write_wav(path: Path, samples: np.ndarray, hz: int = 16000) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(hz)
        file.writeframes((32000 * samples).astype("<i2").tobytes())
    return path


def in_chunks(tiny: Encoders, *chunk_s: float) -> Encoder:
    return replace(tiny["audio"], options=replace(tiny["audio"].options, chunk_s=chunk_s))


def encode(path: Path, tiny: Encoders, chunk_s: tuple[float, float] = (60.0, 30.0)) -> np.ndarray:
    return np.moveaxis(np.concatenate(list(encode_sound(path, in_chunks(tiny, *chunk_s), CPU))), 0, -1)


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


@given(n_frames=st.integers(1, 5000), n_steps=st.integers(1, 200))
def test_the_frame_of_a_step_is_the_references(n_frames: int, n_steps: int) -> None:
    """Parity note 9: floor(i * float32(frames / steps)), at most the last."""
    scale = np.float32(n_frames) / np.float32(n_steps)
    expected = np.minimum(np.floor(np.arange(n_steps, dtype=np.float32) * scale), n_frames - 1)
    np.testing.assert_array_equal(nearest_frames(n_frames, n_steps).numpy(), expected)


def test_picking_in_hooks_equals_the_pick_of_stacked_states(tmp_path: Path, tiny_folder: Path) -> None:
    path = write_wav(tmp_path / "sound.wav", np.random.default_rng(0).uniform(-1, 1, 100000))
    chosen = encoders(tiny_folder, Options(setting="all"))
    features = encode(path, chosen)
    (samples,) = sound(path, [(0.0, 6.25)])
    extractor = SeamlessM4TFeatureExtractor.from_pretrained(tiny_folder / "audio")
    bands = extractor(prepare_sound(samples, 16000), sampling_rate=16000, return_tensors="pt")["input_features"]
    with torch.inference_mode():
        states = AutoModel.from_pretrained(tiny_folder / "audio").eval()(bands, output_hidden_states=True).hidden_states
    assert len(states) == len(features) == 5
    for ours, state in zip(features, states, strict=True):
        np.testing.assert_array_equal(ours, torch.nn.functional.interpolate(state.mT, 12)[0].numpy())


def test_a_pass_that_goes_on_equals_an_unbroken_one_bit_by_bit(tmp_path: Path, tiny: Encoders) -> None:
    path = write_wav(tmp_path / "sound.wav", np.random.default_rng(0).uniform(-1, 1, 8 * 16000 + 12000))
    chosen = in_chunks(tiny, 2.0, 1.0)
    blocks = list(encode_sound(path, chosen, CPU))
    ends = np.cumsum([0, *map(len, blocks)]).tolist()
    assert ends == [0, 4, 8, 12, 18]
    for place, start in enumerate(ends):
        again = list(encode_sound(path, chosen, CPU, start))
        assert len(again) == len(blocks) - place
        for ours, theirs in zip(again, blocks[place:], strict=True):
            np.testing.assert_array_equal(ours, theirs)


@given(duration_s=st.floats(0.1, 2000), at_once=st.integers(1, 6), known=st.floats(0, 1))
def test_passes_hold_every_chunk_once_and_go_on_where_they_were(duration_s: float, at_once: int, known: float) -> None:
    spans = chunk_spans(duration_s, 60.0, 30.0)
    passes = plan_passes(spans, at_once)
    assert [span for together in passes for span in together] == spans
    assert all(len({length_s for _, length_s in together}) == 1 and len(together) <= at_once for together in passes)
    steps = [[max(1, round(2 * length_s)) for _, length_s in together] for together in passes]
    ends = np.cumsum([0, *(n for together in steps for n in together)])
    start = int(ends[int(known * (len(ends) - 1))])
    rest, done = skip_passes(passes, start)
    assert rest == passes[len(passes) - len(rest) :]  # whole passes, as an unbroken run has them
    assert done == sum(sum(together) for together in steps[: len(passes) - len(rest)]) <= start
    assert start < done + sum(steps[-len(rest)]) if rest else start == ends[-1]


def test_chunks_encoded_together_are_those_encoded_alone(tmp_path: Path, tiny: Encoders) -> None:
    path = write_wav(tmp_path / "sound.wav", np.random.default_rng(0).uniform(-1, 1, 11 * 16000))
    chosen = in_chunks(tiny, 2.0, 1.0)
    alone = list(encode_sound(path, chosen, CPU))
    together = list(encode_sound(path, chosen, CPU, at_once=4))
    assert [len(block) for block in together] == [len(block) for block in alone] == [4, 4, 4, 4, 4, 2]
    for ours, theirs in zip(together, alone, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)  # float32 sums in another order
    again = list(encode_sound(path, chosen, CPU, start=8, at_once=4))  # in the middle of the first pass
    assert len(again) == 4
    for ours, theirs in zip(again, together[2:], strict=True):
        np.testing.assert_array_equal(ours, theirs)
