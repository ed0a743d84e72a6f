"""The features of today are those of 0.1.0: runs everywhere, on the project's own stimulus and the tiny encoders."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tribetune.features.audio import encode_sound
from tribetune.features.encoders import Encoder, Options, encoders
from tribetune.features.text import encode_words
from tribetune.features.video import encode_video
from tribetune.stimulus.words import read_words

FOLDER = Path(__file__).parent.parent / "golden/features"
CPU = torch.device("cpu")

# Values reach 4; other CPUs and thread counts sum in another order (seen between instruction sets: up to 1e-5).
TOLERANCE = {"atol": 5e-5, "rtol": 0}


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "golden.npz") as arrays:
        return dict(arrays)


def encoder(folder: Path, modality: str) -> Encoder:
    return encoders(folder, Options(setting="all"))[modality]


def test_words_are_what_they_were(tiny_folder: Path, golden: dict[str, np.ndarray]) -> None:
    made = np.concatenate(list(encode_words(read_words(FOLDER / "words.tsv"), encoder(tiny_folder, "text"), CPU)))
    np.testing.assert_allclose(made, golden["text"], **TOLERANCE)


@pytest.mark.parametrize(("modality", "encode"), [("audio", encode_sound), ("video", encode_video)])
def test_media_are_what_they_were(tiny_folder: Path, golden: dict[str, np.ndarray], modality: str, encode) -> None:
    made = np.concatenate(list(encode(FOLDER / "film.mp4", encoder(tiny_folder, modality), CPU)))
    assert len(made) == 15
    np.testing.assert_allclose(made, golden[modality], **TOLERANCE)
