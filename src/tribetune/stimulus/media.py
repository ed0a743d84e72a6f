"""Pictures and sound of a stimulus file: what it holds, and the doors to both."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from tribetune.errors import StimulusError
from tribetune.stimulus.container import (
    best_picture,
    best_sound,
    frame_rate,
    opened,
    pictures,
    reach,
    says_no_length,
)
from tribetune.stimulus.pictures import count_frames, frames
from tribetune.stimulus.samples import FILM_SOUND_HZ, Reservoir, film_sound, own_sound

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

__all__ = ["Media", "count_frames", "frames", "probe", "sound"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Media:
    """What a media file holds.

    Parameters
    ----------
    path : Path
    duration_s : float
        Of the container, to a hundredth of a second, where there is a picture (spec parity note 7); else of the sound.
    fps : float
        Frames per second; 1000 where that varies, so that frames are asked for by the millisecond; 0 without a picture.
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


def probe(path: Path) -> Media:
    """Look into a media file without decoding it.

    Where a file has several pictures or sounds, the one that a player chooses is meant, and the log says which.

    Raises
    ------
    StimulusError
        If the file is missing, empty, not a media file, or has neither picture nor sound.
    """
    with opened(path) as container:
        video, audio = best_picture(container), best_sound(container)
        if video is None and audio is None:
            raise StimulusError(
                f"{path}: found neither a picture nor sound, expected at least one of them",
                hint="give a video or a sound file; if its download or copy stopped early, fetch it again",
            )
        for kind, streams, used in (
            ("video", pictures(container), video),
            ("audio", container.streams.audio, audio),
        ):
            if len(streams) > 1 and used is not None:
                _tell_once(f"{path.name}: {len(streams)} {kind} streams, number {used.index}{_language(used)} is used")
        fps = frame_rate(video) if video is not None else 0.0
        hz = 0 if audio is None else FILM_SOUND_HZ if video is not None else audio.rate
        return Media(path, _duration_s(path, container, video, audio), fps, hz)


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

    Raises
    ------
    StimulusError
        If there is no sound, it cannot be decoded, or the file breaks off long before it says it does.
    """
    media = probe(path)
    if not media.has_audio:
        raise StimulusError(f"{path}: found no sound, expected some", hint="give a file with sound")
    reach(path)
    decoded = Reservoir(film_sound(path) if media.has_video else own_sound(path))
    for place, (onset_s, duration_s) in enumerate(spans):
        start, stop = round(onset_s * media.sample_hz), round((onset_s + duration_s) * media.sample_hz)
        if media.has_video:
            piece = decoded.take(start, stop)
            yield np.pad(piece, ((0, 0), (0, stop - start - piece.shape[1])))
        else:
            piece = decoded.take(start, None if place == len(spans) - 1 else stop)
            if piece.shape[1]:
                yield piece


@cache
def _tell_once(message: str) -> None:
    """Log what is true of a file however often it is opened."""
    log.info("%s", message)


def _language(stream: "VideoStream | AudioStream") -> str:
    return f" ({stream.language})" if stream.language not in (None, "und") else ""


def _duration_s(
    path: Path, container: "InputContainer", video: "VideoStream | None", audio: "AudioStream | None"
) -> float:
    """Seconds that a file lasts; read to its end where it does not say so."""
    if video is None and audio is not None and not says_no_length(container):
        if audio.duration is not None and audio.time_base is not None:
            return float(audio.duration * audio.time_base)
        return (container.duration or 0) / 1e6
    seconds = reach(path).all_s if says_no_length(container) else (container.duration or 0) / 1e6
    if seconds <= 0:
        raise StimulusError(
            f"{path}: nothing in it has a time, so that its length is not known",
            hint="put it into a file that has times (ffmpeg -i IN -c copy OUT.mp4)",
        )
    return (round(seconds * 1e6) + 5000) // 10000 / 100  # rounded to hundredths as ffmpeg prints it
