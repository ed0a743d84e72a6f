"""The sound of a file, decoded once and in order, in blocks that are kept no longer than needed."""

from collections.abc import Iterator
from itertools import chain, groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from tribetune.errors import StimulusError
from tribetune.stimulus.container import REPAIR, best_sound, opened, start_s

if TYPE_CHECKING:
    import av

FILM_SOUND_HZ = 44100
"""Sound of a film is taken as stereo at this rate, whatever its own (spec e.5)."""

LOUDEST = int(32768 * 0.99)
"""Peak of a film's sound in 16-bit units; louder samples are clipped (spec parity note 8)."""

Block = Float[np.ndarray, "channel time"]
"""Sound from -1 to 1."""


class Reservoir:
    """Blocks of decoded sound, kept until they were taken.

    Parameters
    ----------
    blocks : iterator of array of shape (n_channels, n_samples)
    """

    def __init__(self, blocks: Iterator[Block]) -> None:
        self.blocks = blocks
        self.held: list[np.ndarray] = []
        self.begin = 0
        self.nothing = np.zeros((1, 0), np.float32)

    def take(self, start: int, stop: int | None) -> Block:
        """Samples from ``start`` to ``stop``, or to the end; fewer where the sound ends before."""
        end = self.begin + sum(part.shape[1] for part in self.held)
        while (stop is None or end < stop) and (block := next(self.blocks, None)) is not None:
            self.held.append(block)
            end += block.shape[1]
            if end <= start:
                self.held, self.begin = [], end
            self.nothing = block[:, :0]
        whole = np.concatenate([self.nothing, *self.held], axis=1)
        stop = end if stop is None else min(stop, end)
        first, last = (max(0, place - self.begin) for place in (start, stop))
        self.held, self.begin = ([whole[:, last:].copy()] if stop < end else []), self.begin + last
        return whole[:, first:last]


def film_sound(path: Path) -> Iterator[Block]:
    """Decode a film's sound as the reference's extracted file has it: stereo, 16 bits, clipped.

    Sound that starts later than its film begins with silence, so that it stays with the picture.
    """
    from av.audio.resampler import AudioResampler

    delay_s, sound_frames = _sound_frames(path)
    yield np.zeros((2, max(0, round(delay_s * FILM_SOUND_HZ))), np.float32)
    for _, alike in groupby(sound_frames, key=_kind):  # a broadcast may change to other channels
        resampler = AudioResampler(format="s16", layout="stereo", rate=FILM_SOUND_HZ)
        for frame in chain(alike, [None]):
            for part in resampler.resample(frame):
                pairs = part.to_ndarray().reshape(-1, 2).T
                yield np.clip(pairs, -LOUDEST, LOUDEST).astype(np.float32) / 32768


def own_sound(path: Path) -> Iterator[Block]:
    """Decode a sound file as it is: its rate, its channels.

    Raises
    ------
    StimulusError
        If it changes its rate or its channels on the way.
    """
    _, sound_frames = _sound_frames(path)
    for place, (kind, alike) in enumerate(groupby(sound_frames, key=_kind)):
        if place:
            raise StimulusError(
                f"{path}: the sound changes to {kind[1]} at {kind[2]} Hz on the way, expected one kind",
                hint="make it again (ffmpeg -i IN -ac 1 -ar 44100 OUT.wav)",
            )
        yield from map(_values, alike)


def _kind(frame: "av.AudioFrame") -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _values(frame: "av.AudioFrame") -> Block:
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    if values.dtype == np.uint8:
        return (values.astype(np.float32) - 128) / 128
    if values.dtype.kind == "i":
        return (values / 2.0 ** (8 * values.dtype.itemsize - 1)).astype(np.float32)
    return values.astype(np.float32)


def _sound_frames(path: Path) -> tuple[float, Iterator["av.AudioFrame"]]:
    """Seconds between the file's start and its sound's, and the frames."""
    decoded = _decoded(path)
    first = list(islice(decoded, 1))
    return first[0][0] if first else 0.0, (frame for _, frame in chain(first, decoded))


def _decoded(path: Path) -> Iterator[tuple[float, "av.AudioFrame"]]:
    """Yield frames with the seconds since the file's start at which they are heard."""
    import av

    at_s = 0.0
    with opened(path) as container:
        stream = best_sound(container)
        if stream is None:
            raise StimulusError(f"{path}: found no sound, expected some", hint="give a file with sound")
        try:
            for frame in container.decode(stream):
                at_s = at_s if frame.time is None else frame.time - start_s(container)
                yield at_s, frame
        except av.FFmpegError as error:
            raise StimulusError(f"{path}: decoding the sound failed at {at_s:.1f} s: {error}", hint=REPAIR) from error
