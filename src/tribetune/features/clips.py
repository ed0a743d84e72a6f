"""Pictures as the video encoder wants them: each frame decoded and prepared once, clips cut from a ring of frames."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from tribetune.stimulus.media import frames
from tribetune.timing import to_step

if TYPE_CHECKING:
    import torch

CLIP_S = 4.0
"""Length of the clip behind each step."""


@dataclass(frozen=True)
class Preparation:
    """How frames are resized, cropped and normalised.

    Parameters
    ----------
    shortest : int
        Pixels of the shorter edge after resizing.
    crop : tuple of int
        Height and width of the middle that is kept.
    mean, std : tuple of float
        Per colour, in units of the full range.
    full_range : float
        Value of white.
    """

    shortest: int
    crop: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    full_range: float

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Preparation":
        """Read a V-JEPA2 preprocessor's configuration; what it does not say is as in V-JEPA2's own."""
        crop = config.get("crop_size", 256)
        height, width = (crop["height"], crop["width"]) if isinstance(crop, Mapping) else (crop, crop)
        shortest = config.get("size", {}).get("shortest_edge", int(height * 256 / 224))
        mean = tuple(config.get("image_mean", (0.485, 0.456, 0.406)))
        std = tuple(config.get("image_std", (0.229, 0.224, 0.225)))
        return cls(shortest, (height, width), mean, std, 1 / config.get("rescale_factor", 1 / 255))

    def resized(self, frame: UInt8[np.ndarray, "height width 3"]) -> "UInt8[torch.Tensor, '3 row column']":
        """Resize (antialiased, rounded to whole values) and crop one frame (spec parity note 11)."""
        import torch
        from torch.nn import functional

        height, width = frame.shape[:2]
        short = min(height, width)
        size = [self.shortest if n == short else int(self.shortest * n / short) for n in (height, width)]
        # Colours stay beside each other in memory, for which torch has its fastest code.
        pixels = torch.from_numpy(frame).permute(2, 0, 1)[None]
        small = functional.interpolate(pixels, size, mode="bilinear", antialias=True, align_corners=False)[0]
        top, left = ((n - c) // 2 for n, c in zip(size, self.crop, strict=True))
        return small[:, top : top + self.crop[0], left : left + self.crop[1]]

    def colours(self, device: "torch.device") -> "tuple[Float[torch.Tensor, '3 1 1'], Float[torch.Tensor, '3 1 1']]":
        """What is subtracted from a value, and what it is then divided by, per colour."""
        import torch

        mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (self.mean, self.std))
        return mean * self.full_range, std * self.full_range


def clip_frames(duration_s: float, fps: float, n_frames: int, onset_s: float = 0.0) -> Int[np.ndarray, "step frame"]:
    """Frame numbers of every clip of a stretch of film, some of them perhaps past the film's end.

    Parameters
    ----------
    duration_s : float
        Of the stretch. It is divided into ``round(2 * duration)`` steps; a clip ends where its step ends.
    fps : float
        The film's frames per second.
    n_frames : int
        Frames per clip, evenly spaced over four seconds; before the stretch its first frame stands in.
    onset_s : float
        Where in the film it begins.

    Notes
    -----
    Source: spec e.4, with the reference's rounding: frame ``int(fps * t + 1e-5)`` is shown at time t.
    """
    ends_s = np.linspace(0, duration_s, max(1, to_step(duration_s)) + 1)[1:]
    before_s = np.arange(n_frames - 1, -1, -1) * CLIP_S / n_frames
    times_s = np.maximum(0, ends_s[:, None] - before_s)
    return (fps * (onset_s + times_s) + 1e-5).astype(int)


def hold_last(clips: Int[np.ndarray, "step frame"], n_shown: int) -> Int[np.ndarray, "step frame"]:
    """Replace numbers past the film's last frame by the one asked for just before, as in the reference (spec e.4).

    Parameters
    ----------
    clips : array of shape (n_steps, n_frames)
        Frame numbers.
    n_shown : int
        Frames that the film has.
    """
    asked = clips.ravel()
    there = np.where(asked < n_shown, np.arange(asked.size), 0)
    return asked[np.maximum.accumulate(there)].reshape(clips.shape)


def cut_clips(
    path: Path, clips: Int[np.ndarray, "step frame"], preparation: Preparation, at_once: int, device: "torch.device"
) -> "Iterator[Float[torch.Tensor, 'clip frame 3 row column']]":
    """Decode a film in one pass and cut its clips, a few at once.

    Parameters
    ----------
    path : Path
    clips : array of shape (n_steps, n_frames)
        Numbers of frames that the film has, not decreasing within a clip, nor from clip to clip those at its beginning.
    preparation : Preparation
    at_once : int
        Clips to deliver together; fewer at the end.
    device : torch.device
        Where the clips are wanted; every frame is moved there once.

    Yields
    ------
    tensor of shape (n_clips, n_frames, 3, height, width)
        float32. It is written over when the next one is asked for.
    """
    import torch

    numbers, places = np.unique(clips, return_inverse=True)
    batches = [*_split(places.reshape(clips.shape), at_once)]
    decoded = (picture for _, picture in frames(path, numbers.tolist()))
    ring = torch.empty((max(np.ptp(batch) for batch in batches) + 1, 3, *preparation.crop), device=device)
    together = torch.empty((len(batches[0]), clips.shape[1], *ring.shape[1:]), device=device)
    shift, scale = preparation.colours(device)
    ready = 0
    for batch in batches:
        while ready <= batch.max():
            small = preparation.resized(next(decoded)).contiguous().to(device)
            ring[ready % len(ring)].copy_(small).sub_(shift).div_(scale)
            ready += 1
        cut = together[: len(batch)]
        torch.index_select(ring, 0, torch.from_numpy(batch.ravel() % len(ring)).to(device), out=cut.flatten(0, 1))
        yield cut


def _split(places: Int[np.ndarray, "step frame"], at_once: int) -> Iterator[Int[np.ndarray, "clip frame"]]:
    for start in range(0, len(places), at_once):
        yield places[start : start + at_once]
