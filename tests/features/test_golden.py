"""Agreement with the reference's extractors, on the tiny random encoders of the fixtures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tribetune.features.audio import encode_sound
from tribetune.features.encoders import Encoder, Options, encoders
from tribetune.features.grid import place_series, place_words
from tribetune.features.layers import SETTINGS, layer_groups
from tribetune.features.text import encode_words
from tribetune.features.video import encode_video
from tribetune.stimulus.event import Event
from tribetune.stimulus.words import read_words

CPU = torch.device("cpu")

# Values reach 40; float32 sums in another order, other thread counts and instruction sets move them by up to 3e-5.
TOLERANCE = {"atol": 6e-5, "rtol": 0}


@pytest.fixture(scope="module")
def folder(fixtures_folder: Path) -> Path:
    return fixtures_folder / "features"


@pytest.fixture(scope="module")
def golden(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "golden_tf5.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def older_golden(folder: Path) -> dict[str, np.ndarray]:
    """What transformers 4 gave: its last V-JEPA2 state is the one after the norm."""
    with np.load(folder / "golden_tf4.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def words(folder: Path) -> list[Event]:
    """Words in the reference's order, without those it drops."""
    known = [word for word in read_words(folder / "words.tsv") if word.sentence]
    return sorted(known, key=lambda word: (word.onset_s, -word.duration_s))


def grouped(states: np.ndarray, setting: str, modality: str) -> np.ndarray:
    """Layer groups of stacked states; the fixtures' released setting keeps 4 states where the real one keeps 20."""
    chosen = replace(SETTINGS[setting], subsample=4 if setting == "released" else None)
    return np.stack([states[list(group)].mean(0) for group in layer_groups(chosen, len(states), modality)])


def encoder(folder: Path, modality: str, **options: object) -> Encoder:
    return encoders(folder / "encoders", Options(setting="all", **options))[modality]  # ty: ignore[invalid-argument-type]


def series(blocks: object) -> np.ndarray:
    return np.moveaxis(np.concatenate(list(blocks)), 0, -1)  # ty: ignore[invalid-argument-type]


@pytest.mark.parametrize("context", [1024, 16])
def test_words_in_context(folder: Path, golden: dict, words: list[Event], context: int) -> None:
    chosen = encoder(folder, "text", context_words=context, stride_words=1)
    vectors = np.concatenate(list(encode_words(words, chosen, CPU)))
    np.testing.assert_allclose(vectors, golden[f"text/ctx{context}/all/words"], **TOLERANCE)
    for setting in ("released", "defaults"):
        expected = golden[f"text/ctx{context}/{setting}/words"]
        means = grouped(vectors.swapaxes(0, 1), setting, "text").swapaxes(0, 1)
        np.testing.assert_allclose(means, expected, **TOLERANCE)
        placed = place_words([(word.onset_s, word.duration_s) for word in words], means, 100.0)
        np.testing.assert_allclose(placed, golden[f"text/ctx{context}/{setting}/w0"], **TOLERANCE)


def test_contexts_longer_than_the_tokenizer_allows(
    folder: Path, golden: dict, words: list[Event], tmp_path: Path
) -> None:
    text = tmp_path / "text"
    text.mkdir()
    for file in (folder / "encoders/llama").iterdir():
        content = file.read_bytes()
        if file.name == "tokenizer_config.json":
            content = content.replace(b'"model_max_length": 131072', b'"model_max_length": 48')
        (text / file.name).write_bytes(content)
    vectors = np.concatenate(list(encode_words(words, encoders(tmp_path, Options(setting="all"))["text"], CPU)))
    np.testing.assert_allclose(vectors, golden["text/toktrunc48/all/words"], **TOLERANCE)


@pytest.mark.parametrize(
    ("name", "file"), [pytest.param("clip", "clip.mp4", marks=pytest.mark.slow), ("sound", "sound.wav")]
)
def test_sound(folder: Path, golden: dict, name: str, file: str) -> None:
    states = series(encode_sound(folder / file, encoder(folder, "audio", chunk_s=(1e9, 0.0)), CPU))
    np.testing.assert_allclose(states, golden[f"audio/{name}/all/native2hz"], **TOLERANCE)
    onset_s = 3.7 if name == "sound" else 0.0
    for setting in ("released", "defaults"):
        means = grouped(states, "defaults", "audio")  # sound is never subsampled
        placed = place_series([(onset_s, states.shape[2] / 2, means)], 100.0)
        np.testing.assert_allclose(placed, golden[f"audio/{name}/{setting}/w0"], **TOLERANCE)


def test_sound_in_chunks(folder: Path, golden: dict) -> None:
    states = series(encode_sound(folder / "clip.mp4", encoder(folder, "audio", chunk_s=(30.0, 15.0)), CPU))
    placed = place_series([(0.0, 75.0, grouped(states, "defaults", "audio"))], 100.0)
    np.testing.assert_allclose(placed, golden["audio/clipchunk/defaults/w0"], **TOLERANCE)


@pytest.mark.parametrize("name", ["clip", "silent"])
@pytest.mark.parametrize("normed", [False, True])
def test_pictures(folder: Path, golden: dict, older_golden: dict, name: str, normed: bool) -> None:
    expected = older_golden if normed else golden
    chosen = encoder(folder, "video", frames=8, normed_last_state=normed)
    states = series(encode_video(folder / f"{name}.mp4", chosen, CPU))
    np.testing.assert_allclose(states, expected[f"video/{name}/all/native2hz"], **TOLERANCE)
    onset_s = 1.3 if name == "silent" else 0.0
    for setting in ("released", "defaults"):
        placed = place_series([(onset_s, states.shape[2] / 2, grouped(states, setting, "video"))], 100.0)
        np.testing.assert_allclose(placed, expected[f"video/{name}/{setting}/w0"], **TOLERANCE)


@pytest.mark.parametrize("normed", [False, True])
def test_pictures_at_the_released_64_frames(folder: Path, golden: dict, older_golden: dict, normed: bool) -> None:
    chosen = encoder(folder, "video", normed_last_state=normed)
    assert chosen.frames == 64
    states = series(encode_video(folder / "silent.mp4", chosen, CPU))
    placed = place_series([(1.3, 25.0, grouped(states, "defaults", "video"))], 100.0)
    expected = (older_golden if normed else golden)["video/silent64/defaults/w0"]
    np.testing.assert_allclose(placed, expected, **TOLERANCE)
