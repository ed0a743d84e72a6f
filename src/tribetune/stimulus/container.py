"""A media file opened: which of its streams are meant, and how far they reach."""

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tribetune.errors import StimulusError

if TYPE_CHECKING:
    import av
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

REPAIR = "play it to its end; if it is damaged, make it again (ffmpeg -i IN -c:v libx264 -c:a aac OUT.mp4)"
"""What to do about a file that cannot be decoded."""

MILLISECONDS = 1000.0
"""Per second: the rate at which frames are numbered in a film that has no rate of its own."""

_CUT_OFF_S = 1.0  # a file that ends so much before its own word for it was cut; less is rounding and padding
_GUESSING = frozenset({"aac", "mp3", "mpeg"})  # formats whose length is otherwise guessed from a few packets
_FROM_ZERO = frozenset({"flv", "matroska,webm"})


@contextmanager
def opened(path: Path) -> "Generator[InputContainer]":
    """Open a media file.

    Raises
    ------
    StimulusError
        If the file is missing, empty or not a media file.
    """
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
            hint="check that it plays; if its download or copy stopped early, fetch it again",
        ) from error
    with container:
        yield container


def pictures(container: "InputContainer") -> "Sequence[VideoStream]":
    """Streams of moving pictures; the cover of a record is none."""
    from av.stream import Disposition

    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def best_picture(container: "InputContainer") -> "VideoStream | None":
    """The stream of pictures that a player shows: one marked as default, then the richest."""
    import av

    found, best = pictures(container), container.streams.best("video")
    if isinstance(best, av.VideoStream) and best in found:
        return best
    return found[0] if found else None


def best_sound(container: "InputContainer") -> "AudioStream | None":
    """The stream of sound that a player plays: one marked as default, then the richest."""
    import av

    best = container.streams.best("audio")
    return best if isinstance(best, av.AudioStream) else None


def frame_rate(stream: "VideoStream") -> float:
    """Frames per second; where that varies or is not known, milliseconds are counted instead."""
    average, finest = float(stream.average_rate or 0), float(stream.base_rate or 0)
    return average if average and math.isclose(average, finest, rel_tol=1e-3) else MILLISECONDS


def start_s(container: "InputContainer") -> float:
    """Time at which a file starts, in its own count; not every file starts at 0."""
    return (container.start_time or 0) / 1e6


@dataclass(frozen=True)
class Reach:
    """How far the packets of a file reach.

    Parameters
    ----------
    all_s, picture_s : float
        Seconds from the file's start to the end of the last packet of any stream, and of the picture (0 without).
    """

    all_s: float
    picture_s: float


def reach(path: Path) -> Reach:
    """Read a file to its end without decoding it.

    Raises
    ------
    StimulusError
        If it ends long before it says it does.
    """
    about = path.stat() if path.is_file() else None
    return _reach(path, about.st_size if about else 0, about.st_mtime_ns if about else 0)


@lru_cache(maxsize=16)
def _reach(path: Path, _size: int, _changed_ns: int) -> Reach:
    import av

    with opened(path) as container:
        ends_s: dict[int, float] = {}
        try:
            for packet in container.demux():
                end_s = _end_s(packet)
                if end_s is not None:
                    ends_s[packet.stream_index] = max(ends_s.get(packet.stream_index, 0.0), end_s - start_s(container))
        except av.FFmpegError as error:
            raise StimulusError(
                f"{path}: reading on from {_furthest(ends_s):.1f} s failed: {error}", hint=REPAIR
            ) from error
        picture = best_picture(container)
        found = Reach(_furthest(ends_s), ends_s.get(picture.index, 0.0) if picture is not None else 0.0)
        _check_whole(path, container, found)
        return found


def _furthest(ends_s: dict[int, float]) -> float:
    return max(ends_s.values(), default=0.0)


def _end_s(packet: "av.Packet") -> float | None:
    """End of what a packet shows or plays; None where it does neither."""
    at = packet.dts if packet.pts is None else packet.pts
    if at is None or packet.is_discard:
        return None
    length_s = float((packet.duration or 0) * packet.time_base)
    if not length_s and packet.stream.type == "video":
        length_s = 1 / float(packet.stream.average_rate or frame_rate(packet.stream))
    return float(at * packet.time_base) + length_s


def _check_whole(path: Path, container: "InputContainer", found: Reach) -> None:
    """Refuse a file that was cut off: it, or its picture, ends long before it says it does."""
    picture = best_picture(container)
    said = [] if says_no_length(container) else [("file", found.all_s, _said_s(container))]
    if picture is not None and picture.duration is not None and picture.time_base is not None:
        said.append(("picture", found.picture_s, float(picture.duration * picture.time_base)))
    for what, end_s, said_s in said:
        if end_s < said_s - _CUT_OFF_S:
            raise StimulusError(
                f"{path}: the {what} breaks off at {end_s:.1f} s, expected {said_s:.1f} s as the file says",
                hint="copy or download it again; to keep what is there: ffmpeg -i IN -c copy OUT.mp4",
            )


def _said_s(container: "InputContainer") -> float:
    """How long a file says it is; some formats count from 0, also where their first packet is later."""
    from_s = start_s(container) if container.format.name in _FROM_ZERO else 0.0
    return (container.duration or 0) / 1e6 - from_s


def says_no_length(container: "InputContainer") -> bool:
    """Whether a file's length is known only by reading it to its end."""
    return container.duration is None or container.format.name in _GUESSING
