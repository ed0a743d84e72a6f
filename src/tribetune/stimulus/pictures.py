"""The moving picture of a film, decoded once and in order."""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from tribetune.errors import StimulusError
from tribetune.stimulus.container import REPAIR, best_picture, frame_rate, opened, reach, start_s

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.reformatter import VideoReformatter
    from av.video.stream import VideoStream

_EARLY_FRAMES = 0.25  # times are rounded in files: a frame may be shown that much before its time
_LOST_S = 1.0  # a decoder may lose the last frames of a film; more of it lost is damage


def count_frames(path: Path) -> int:
    """Count a film's frames at its rate (`Media.fps`), from the start of the file to the end of its picture.

    Raises
    ------
    StimulusError
        If there is no picture, or it breaks off long before the file says it does.
    """
    with opened(path) as container:
        rate = frame_rate(_picture(path, container))
    n_frames = _number(reach(path).picture_s, rate)
    if n_frames < 1:
        raise StimulusError(f"{path}: its picture has no frames, expected one at least", hint=REPAIR)
    return n_frames


def frames(path: Path, wanted: Sequence[int]) -> Iterator[tuple[int, UInt8[np.ndarray, "height width 3"]]]:
    """Decode a film once, in order, and deliver the frames asked for.

    Parameters
    ----------
    path : Path
    wanted : sequence of int
        Increasing frame numbers at the film's rate: frame k is the one that is shown k / `Media.fps` seconds after the
        file's start; before the first frame, the first.

    Yields
    ------
    number, frame : int, array of shape (height, width, 3)
        RGB, 0 to 255, upright. Numbers from `count_frames` on are not delivered.

    Raises
    ------
    StimulusError
        If the picture cannot be decoded to its end.
    """
    from av.video.reformatter import VideoReformatter

    n_frames = count_frames(path)
    numbers = deque(number for number in wanted if number < n_frames)
    reformatter = VideoReformatter()
    with opened(path) as container:
        stream = _picture(path, container)
        shown, last = None, -1
        for last, frame in _numbered(path, container, stream):
            while shown is not None and numbers and numbers[0] < last:
                yield numbers.popleft(), _rgb(shown, reformatter)
            if not numbers:
                return
            shown = frame
        rate = frame_rate(stream)
        if shown is None or last + 1 + rate * (_LOST_S + _length_s(shown)) < n_frames:
            raise StimulusError(
                f"{path}: its picture can be decoded up to {max(0, last) / rate:.1f} s only, "
                f"expected {n_frames / rate:.1f} s",
                hint=REPAIR,
            )
        for number in numbers:
            yield number, _rgb(shown, reformatter)


def _length_s(frame: "av.VideoFrame") -> float:
    return float(frame.duration * (frame.time_base or 0))


def _picture(path: Path, container: "InputContainer") -> "VideoStream":
    stream = best_picture(container)
    if stream is None:
        raise StimulusError(f"{path}: found no picture, expected a video", hint="give a video file")
    stream.thread_type = "AUTO"
    return stream


def _number(time_s: float, rate: float) -> int:
    """Frame number from which on is shown what is due at a time."""
    return math.ceil(time_s * rate - _EARLY_FRAMES)


def _numbered(path: Path, container: "InputContainer", stream: "VideoStream") -> Iterator[tuple[int, "av.VideoFrame"]]:
    """Yield frames, each with the number from which on it is shown."""
    import av

    rate, number = frame_rate(stream), -1
    try:
        for frame in container.decode(stream):
            if frame.time is None:
                number += 1
            else:
                number = max(number, _number(frame.time - start_s(container), rate))
            yield number, frame
    except av.FFmpegError as error:
        raise StimulusError(
            f"{path}: decoding the picture failed at {max(0, number) / rate:.1f} s: {error}", hint=REPAIR
        ) from error


def _rgb(frame: "av.VideoFrame", reformatter: "VideoReformatter") -> UInt8[np.ndarray, "height width 3"]:
    """Convert as ffmpeg does: bicubic where colour is stored more coarsely, and turned as the file says."""
    picture = reformatter.reformat(frame, format="rgb24", interpolation="BICUBIC").to_ndarray()
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return picture
    column_x, column_y, _, row_x, row_y = np.frombuffer(matrix, np.int32)[:5].tolist()
    if abs(column_y) > abs(column_x):  # columns become rows
        picture, column_x, row_y = picture.swapaxes(0, 1), row_x, column_y
    return np.ascontiguousarray(picture[:: -1 if row_y < 0 else 1, :: -1 if column_x < 0 else 1])
