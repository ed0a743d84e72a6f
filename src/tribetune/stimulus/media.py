"""Pictures and sound of a stimulus file, decoded once and in order."""

import logging
import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8

from tribetune.errors import StimulusError

if TYPE_CHECKING:
    import av
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

log = logging.getLogger(__name__)

FILM_SOUND_HZ = 44100
"""Sound of a film is taken as stereo at this rate, whatever its own (spec e.5)."""

LOUDEST = int(32768 * 0.99)
"""Peak of a film's sound in 16-bit units; louder samples are clipped (spec parity note 8)."""


@dataclass(frozen=True)
class Media:
    """What a media file holds.

    Parameters
    ----------
    path : Path
    duration_s : float
        Of the container, to a hundredth of a second, where there is a picture (spec parity note 7); else of the sound.
    fps : float
        Frames per second on average; 0 without a picture.
    sample_hz : int
        Rate at which `sound` delivers; 0 without sound.
    """

    path: Path
    duration_s: float
    fps: float
    sample_hz: int

    @property
    def has_video(self) -> bool:
        """Whether there is a moving picture."""
        return self.fps > 0

    @property
    def has_audio(self) -> bool:
        """Whether there is sound."""
        return self.sample_hz > 0


@cache
def _tell_once(message: str) -> None:
    """Log what is true of a file however often it is opened."""
    log.info("%s", message)


def probe(path: Path) -> Media:
    """Look into a media file without decoding it.

    Raises
    ------
    StimulusError
        If the file is missing, empty, not a media file, or has neither picture nor sound.
    """
    with _opened(path) as container:
        video, audio = _picture(container), _sound(container)
        if video is None and audio is None:
            raise StimulusError(
                f"{path}: found neither a picture nor sound, expected at least one of them",
                hint="give a video or a sound file",
            )
        for kind, streams in (("video", container.streams.video), ("audio", container.streams.audio)):
            if len(streams) > 1:
                _tell_once(f"{path.name}: {len(streams)} {kind} streams, the best one is used")
        fps = float(video.average_rate or video.base_rate or 0) if video is not None else 0.0
        hz = 0 if audio is None else FILM_SOUND_HZ if video is not None else audio.rate
        return Media(path, _duration_s(path, container, None if video is not None else audio), fps, hz)


def frames(path: Path, wanted: Sequence[int]) -> Iterator[tuple[int, UInt8[np.ndarray, "height width 3"]]]:
    """Decode a film once, in order, and deliver the frames asked for.

    Parameters
    ----------
    path : Path
    wanted : sequence of int
        Increasing frame numbers at the film's average rate. With a variable rate the frame shown at that time is meant.

    Yields
    ------
    number, frame : int, array of shape (height, width, 3)
        RGB, 0 to 255. Numbers past the last frame are not delivered.
    """
    import av

    numbers = iter(wanted)
    number = next(numbers, None)
    with _opened(path) as container:
        stream = _picture(container)
        if stream is None:
            raise StimulusError(f"{path}: found no picture, expected a video", hint="give a video file")
        stream.thread_type = "AUTO"
        shown, last = None, -1
        try:
            for last, frame in _numbered(container, stream):
                while number is not None and shown is not None and number < last:
                    yield number, shown.to_ndarray(format="rgb24")
                    number = next(numbers, None)
                if number is None:
                    return
                shown = frame
            while number is not None and shown is not None and number <= last:
                yield number, shown.to_ndarray(format="rgb24")
                number = next(numbers, None)
        except av.FFmpegError as error:
            raise StimulusError(f"{path}: decoding the picture failed: {error}", hint=_REPAIR) from error


def sound(path: Path, spans: Sequence[tuple[float, float]]) -> Iterator[Float[np.ndarray, "channel time"]]:
    """Decode a file's sound once, in order, and deliver it span by span.

    Parameters
    ----------
    path : Path
    spans : sequence of (onset, duration)
        Seconds; increasing, without overlap. The last one reaches to the end of the file.

    Yields
    ------
    array of shape (n_channels, n_samples)
        From -1 to 1 at `Media.sample_hz`. The sound of a film is stereo, clipped, and filled with silence up to the
        film's duration, as the reference's extracted file is; a sound file is delivered as it is.
    """
    media = probe(path)
    if not media.has_audio:
        raise StimulusError(f"{path}: found no sound, expected some", hint="give a file with sound")
    decoded = _Reservoir(_film_sound(path) if media.has_video else _own_sound(path))
    for place, (onset_s, duration_s) in enumerate(spans):
        start, stop = round(onset_s * media.sample_hz), round((onset_s + duration_s) * media.sample_hz)
        if media.has_video:
            piece = decoded.take(start, stop)
            yield np.pad(piece, ((0, 0), (0, stop - start - piece.shape[1])))
        else:
            piece = decoded.take(start, None if place == len(spans) - 1 else stop)
            if piece.shape[1]:
                yield piece


class _Reservoir:
    """Blocks of decoded sound, kept until they were taken."""

    def __init__(self, blocks: Iterator[np.ndarray]) -> None:
        self.blocks = blocks
        self.held = np.zeros((1, 0), np.float32)
        self.begin = 0

    def take(self, start: int, stop: int | None) -> Float[np.ndarray, "channel time"]:
        """Samples from ``start`` to ``stop``, or to the end; fewer where the sound ends before."""
        parts = [self.held] if self.held.shape[1] else []
        end = self.begin + self.held.shape[1]
        while (stop is None or end < stop) and (block := next(self.blocks, None)) is not None:
            parts.append(block)
            end += block.shape[1]
        whole = np.concatenate(parts, axis=1) if parts else self.held
        stop = end if stop is None else min(stop, end)
        piece = whole[:, min(start, end) - self.begin : stop - self.begin]
        self.held, self.begin = whole[:, stop - self.begin :], stop
        return piece


_EARLY_FRAMES = 0.25  # times are rounded in files: a frame may be shown that much before its time
_REPAIR = "play it to its end; if it is damaged, make it again (ffmpeg -i IN -c:v libx264 -c:a aac OUT.mp4)"


@contextmanager
def _opened(path: Path) -> "Generator[InputContainer]":
    import av

    if not path.is_file():
        raise StimulusError(f"{path}: no such file, expected a video or sound file", hint="check the path")
    if path.stat().st_size == 0:
        raise StimulusError(
            f"{path}: the file is empty (0 bytes), expected a video or sound file", hint="copy it again"
        )
    try:
        container = av.open(str(path))
    except av.FFmpegError as error:
        raise StimulusError(
            f"{path}: cannot be read as video or sound ({error.strerror or error}), expected a media file",
            hint="check that it plays; words go in a .tsv, .csv or .npz file",
        ) from error
    with container:
        yield container


def _picture(container: "InputContainer") -> "VideoStream | None":
    import av

    best = container.streams.best("video")
    if not isinstance(best, av.VideoStream) or "attached_pic" in best.disposition.name.lower():  # a record's cover
        return None
    return best


def _sound(container: "InputContainer") -> "AudioStream | None":
    import av

    best = container.streams.best("audio")
    return best if isinstance(best, av.AudioStream) else None


def _duration_s(path: Path, container: "InputContainer", audio: "AudioStream | None") -> float:
    if audio is not None and audio.duration is not None and audio.time_base is not None:
        return float(audio.duration * audio.time_base)
    if container.duration is None:
        raise StimulusError(f"{path}: the file does not say how long it is", hint=_REPAIR)
    if audio is not None:
        return container.duration / 1e6
    return (container.duration + 5000) // 10000 / 100  # rounded to hundredths as ffmpeg prints it


def _numbered(container: "InputContainer", stream: "VideoStream") -> Iterator[tuple[int, "av.VideoFrame"]]:
    """Yield frames, each with the number from which on it is shown, counted at the average rate."""
    rate = float(stream.average_rate or stream.base_rate or 0)
    start_s = (container.start_time or 0) / 1e6
    number = -1
    for frame in container.decode(stream):
        if frame.time is None:
            number += 1
        else:
            number = max(number, math.ceil((frame.time - start_s) * rate - _EARLY_FRAMES))
        yield number, frame


def _film_sound(path: Path) -> Iterator[np.ndarray]:
    from av.audio.resampler import AudioResampler

    resampler = AudioResampler(format="s16", layout="stereo", rate=FILM_SOUND_HZ)
    for frame in chain(_sound_frames(path), [None]):
        for part in resampler.resample(frame):
            pairs = part.to_ndarray().reshape(-1, 2).T
            yield np.clip(pairs, -LOUDEST, LOUDEST).astype(np.float32) / 32768


def _own_sound(path: Path) -> Iterator[np.ndarray]:
    for frame in _sound_frames(path):
        values = frame.to_ndarray()
        if not frame.format.is_planar:
            values = values.reshape(-1, frame.layout.nb_channels).T
        if values.dtype == np.uint8:
            yield (values.astype(np.float32) - 128) / 128
        elif values.dtype.kind == "i":
            yield (values / 2.0 ** (8 * values.dtype.itemsize - 1)).astype(np.float32)
        else:
            yield values.astype(np.float32)


def _sound_frames(path: Path) -> Iterator["av.AudioFrame"]:
    import av

    with _opened(path) as container:
        stream = _sound(container)
        if stream is None:
            raise StimulusError(f"{path}: found no sound, expected some", hint="give a file with sound")
        try:
            yield from container.decode(stream)
        except av.FFmpegError as error:
            raise StimulusError(f"{path}: decoding the sound failed: {error}", hint=_REPAIR) from error
