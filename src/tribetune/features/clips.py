"""Pictures as the video encoder wants them: each frame decoded and resized once, clips cut from a ring of frames."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from tribetune.errors import StimulusError
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

    def resized(self, frame: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "3 row column"]:
        """Resize (antialiased, rounded to whole values) and crop one frame (spec parity note 11)."""
        import torch
        from torch.nn import functional

        height, width = frame.shape[:2]
        short = min(height, width)
        size = [self.shortest if n == short else int(self.shortest * n / short) for n in (height, width)]
        pixels = torch.from_numpy(frame).permute(2, 0, 1)[None]
        small = functional.interpolate(pixels, size, mode="bilinear", antialias=True, align_corners=False)[0]
        top, left = ((n - c) // 2 for n, c in zip(size, self.crop, strict=True))
        return small[:, top : top + self.crop[0], left : left + self.crop[1]].contiguous().numpy()

    def normalised(
        self, pixels: "UInt8[torch.Tensor, '*clip 3 row column']"
    ) -> "Float[torch.Tensor, '*clip 3 row column']":
        """Shift and scale colours."""
        import torch

        mean, std = (torch.tensor(values, device=pixels.device)[:, None, None] for values in (self.mean, self.std))
        return (pixels.float() - mean * self.full_range) / (std * self.full_range)


def clip_frames(duration_s: float, fps: float, n_frames: int) -> Int[np.ndarray, "step frame"]:
    """Frame numbers of every clip, some of them perhaps past the film's end.

    Parameters
    ----------
    duration_s : float
        Of the film. It is divided into ``round(2 * duration)`` steps; a clip ends where its step ends.
    fps : float
        The film's frames per second.
    n_frames : int
        Frames per clip, evenly spaced over four seconds; before the film's start the first frame stands in.

    Notes
    -----
    Source: spec e.4, with the reference's rounding: frame ``int(fps * t + 1e-5)`` is shown at time t.
    """
    ends_s = np.linspace(0, duration_s, max(1, to_step(duration_s)) + 1)[1:]
    before_s = np.arange(n_frames - 1, -1, -1) * CLIP_S / n_frames
    times_s = np.maximum(0, ends_s[:, None] - before_s)
    return (fps * times_s + 1e-5).astype(int)


def cut_clips(
    path: Path, clips: Int[np.ndarray, "step frame"], preparation: Preparation
) -> Iterator[UInt8[np.ndarray, "frame 3 row column"]]:
    """Decode a film in one pass and cut its clips.

    Parameters
    ----------
    path : Path
    clips : array of shape (n_steps, n_frames)
        Frame numbers, not decreasing within a clip nor from clip to clip. Where one is past the film's end, the frame
        asked for just before is shown again, as in the reference (spec e.4).
    preparation : Preparation

    Yields
    ------
    array of shape (n_frames, 3, height, width)
        One clip per step.
    """
    decoded = frames(path, np.unique(clips).tolist())
    ring: dict[int, np.ndarray] = {}
    shown = None
    for clip in clips.tolist():
        ring = {number: frame for number, frame in ring.items() if number >= clip[0]}
        pictures = []
        for wanted in clip:
            while wanted not in ring and (found := next(decoded, None)) is not None:
                ring[found[0]] = preparation.resized(found[1])
            shown = ring.get(wanted, shown)
            if shown is None:
                raise StimulusError(f"{path}: no frame could be decoded", hint="check that it plays")
            pictures.append(shown)
        yield np.stack(pictures)
