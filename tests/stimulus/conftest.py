"""Small films, made on the spot."""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

RATE_HZ = 16000


@dataclass(frozen=True)
class Track:
    """One stream of sound: (n_channels, n_samples), and when it starts."""

    samples: np.ndarray
    layout: str = "mono"
    codec: str = "aac"
    hz: int = RATE_HZ
    first_s: float = 0.0
    is_default: bool = True

    def add(self, container: av.container.OutputContainer) -> av.AudioStream:
        stream = container.add_stream(self.codec, rate=self.hz, layout=self.layout)
        assert isinstance(stream, av.AudioStream)
        stream.disposition = Disposition.default if self.is_default else Disposition(0)
        return stream

    def blocks(self) -> Iterator[av.AudioFrame]:
        for start in range(0, self.samples.shape[1], 1024):
            block = np.ascontiguousarray(self.samples[:, start : start + 1024], np.float32)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=self.layout)
            frame.sample_rate, frame.time_base = self.hz, Fraction(1, self.hz)
            frame.pts = start + round(self.first_s * self.hz)
            yield frame


@dataclass(frozen=True)
class Picture:
    """A moving picture: (n, height, width, 3), and the place of each frame in units of 1 / fps."""

    pixels: np.ndarray
    places: Sequence[int] | None = None
    codec: str = "libx264"
    pix_fmt: str = "yuv444p"
    fps: int = 10
    is_cover: bool = False

    def add(self, container: av.container.OutputContainer) -> av.VideoStream:
        lossless = {"crf": "0", "preset": "ultrafast"} if self.codec == "libx264" else {}
        stream = container.add_stream(self.codec, rate=self.fps, options=lossless)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = self.pixels.shape[1:3]
        stream.pix_fmt, stream.codec_context.time_base = self.pix_fmt, Fraction(1, self.fps)
        if self.is_cover:
            stream.disposition = Disposition.attached_pic
        return stream

    def blocks(self) -> Iterator[av.VideoFrame]:
        for place, pixels in zip(self.places or range(len(self.pixels)), self.pixels, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = place, Fraction(1, self.fps)
            yield frame


def _write(path: Path, *sources: Picture | Track, **options: str) -> Path:
    """Write a film or a recording; options are the container's."""
    with av.open(str(path), "w", options=options) as container:
        streams = [source.add(container) for source in sources]
        for source, stream in zip(sources, streams, strict=True):
            for block in source.blocks():
                container.mux(stream.encode(block))  # ty: ignore[invalid-argument-type]
            container.mux(stream.encode(None))
    return path


@pytest.fixture
def write_media() -> Callable[..., Path]:
    """Write a film or a recording from the fields of a Picture (or None) and of Tracks; options are the container's."""

    def write(path: Path, picture: dict | None = None, *tracks: dict, **options: str) -> Path:
        pictures = [] if picture is None else [Picture(**picture)]
        return _write(path, *pictures, *(Track(**track) for track in tracks), **options)

    return write


@pytest.fixture
def turn_film() -> Callable[..., Path]:
    """Copy a film with another display matrix [a, b, c, d], as a phone that was held upright writes it."""

    def turn(film: Path, turned: Path, matrix: Sequence[int]) -> Path:
        content = bytearray(film.read_bytes())
        place = content.find(b"tkhd") + 4 + 4 + 5 * 4 + 8 + 8  # version, times, track, duration, layer to volume
        assert struct.unpack_from(">9i", content, place) == (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
        a, b, c, d = (65536 * value for value in matrix)
        struct.pack_into(">9i", content, place, a, b, 0, c, d, 0, 0, 0, 1 << 30)
        turned.write_bytes(content)
        return turned

    return turn


@pytest.fixture
def write_film() -> Callable[..., Path]:
    """Write an mp4 at 10 fps whose frame k is grey 8 k (from 0 again after 31), and samples at 16 kHz as its sound."""

    def write(path: Path, places: Sequence[int] = range(30), sound: np.ndarray | None = None) -> Path:
        shades = 8 * (np.arange(len(places), dtype=np.uint8) % 32)
        pixels = np.broadcast_to(shades[:, None, None, None], (len(places), 16, 32, 3))
        pictures = [Picture(pixels, list(places))] if len(places) else []
        return _write(path, *pictures, *([] if sound is None else [Track(sound[None])]))

    return write
