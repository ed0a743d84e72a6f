"""Small films, made on the spot."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

RATE_HZ = 16000


def _encode_picture(container: av.container.OutputContainer, stream: av.VideoStream, places: Sequence[int]) -> None:
    for grey, place in enumerate(places):
        shade = np.full((stream.height, stream.width, 3), 8 * (grey % 32), np.uint8)
        frame = av.VideoFrame.from_ndarray(shade, format="rgb24")
        frame.pts = place
        frame.time_base = Fraction(1, 10)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _encode_sound(container: av.container.OutputContainer, stream: av.AudioStream, samples: np.ndarray) -> None:
    for start in range(0, len(samples), 1024):
        block = np.ascontiguousarray(samples[None, start : start + 1024], np.float32)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = RATE_HZ, start
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


@pytest.fixture
def write_film() -> Callable[..., Path]:
    """Write an mp4 at 10 fps whose frame k is grey 8 k (from 0 again after 31), and samples at 16 kHz as its sound."""

    def write(path: Path, places: Sequence[int] = range(30), sound: np.ndarray | None = None) -> Path:
        with av.open(str(path), "w") as container:
            picture = None
            if len(places):
                picture = container.add_stream("libx264", rate=10, options={"crf": "0", "preset": "ultrafast"})
                picture.width, picture.height, picture.pix_fmt = 32, 16, "yuv444p"
                picture.codec_context.time_base = Fraction(1, 10)
            track = container.add_stream("aac", rate=RATE_HZ, layout="mono") if sound is not None else None
            if picture is not None:
                _encode_picture(container, picture, places)
            if track is not None and sound is not None:
                _encode_sound(container, track, sound)
        return path

    return write
