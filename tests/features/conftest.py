"""Tiny encoders made once, and a small film to look at."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tribetune.features.encoders import Encoders, encoders
from tribetune.features.tiny import make_tiny_encoders
from tribetune.stimulus.timeline import Timeline, timeline_of_files


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Llama, V-JEPA2 and Wav2Vec2-BERT of 64 dimensions."""
    return make_tiny_encoders(tmp_path_factory.mktemp("encoders") / "tiny")


@pytest.fixture
def tiny(tiny_folder: Path) -> Encoders:
    """The tiny encoders as a user names them: by their folder."""
    return encoders(tiny_folder)


@pytest.fixture(scope="session")
def write_film() -> Callable[..., Path]:
    """Write an mp4 of given frames (n, height, width, 3) and sound at 16 kHz (or none)."""

    def write(path: Path, frames: np.ndarray, sound: np.ndarray | None = None, fps: int = 10) -> Path:
        with av.open(str(path), "w") as container:
            picture = container.add_stream("libx264", rate=Fraction(fps), options={"crf": "10", "preset": "ultrafast"})
            picture.height, picture.width, picture.pix_fmt = *frames.shape[1:3], "yuv420p"
            track = container.add_stream("aac", rate=16000, layout="mono") if sound is not None else None
            for pixels in frames:
                container.mux(picture.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")))
            container.mux(picture.encode(None))
            if track is not None and sound is not None:
                block = av.AudioFrame.from_ndarray(sound[None].astype(np.float32), format="fltp", layout="mono")
                block.sample_rate = 16000
                container.mux(track.encode(block))
                container.mux(track.encode(None))
        return path

    return write


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory, write_film: Callable[..., Path]) -> Path:
    """Six seconds that brighten, with a tone in the second half."""
    rng = np.random.default_rng(0)
    brightness = np.linspace(20, 220, 60)[:, None, None, None]
    frames = np.clip(brightness + rng.normal(0, 20, (60, 48, 64, 3)), 0, 255).astype(np.uint8)
    tone = np.sin(np.arange(6 * 16000) / 4) * (np.arange(6 * 16000) > 3 * 16000)
    return write_film(tmp_path_factory.mktemp("film") / "film.mp4", frames, tone)


@pytest.fixture
def timeline(film: Path, tmp_path: Path) -> Timeline:
    """The film with five words."""
    rows = "".join(f"{k}\t0.3\t{word}\n" for k, word in enumerate(["the", "queen", "of", "hearts", "laughed"]))
    words = tmp_path / "words.tsv"
    words.write_text("onset\tduration\tword\n" + rows, encoding="utf-8")
    return timeline_of_files([film], words)
