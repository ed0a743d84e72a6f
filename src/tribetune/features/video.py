"""Pictures to features: every half second, the mean token of the four seconds before it (spec e.4)."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import proxy

import numpy as np
from jaxtyping import Float, Int

from tribetune.errors import FeatureError
from tribetune.features.chunks import chunk_spans
from tribetune.features.clips import Preparation, clip_frames, cut_clips, hold_last
from tribetune.features.encoders import Encoder
from tribetune.features.layers import wanted_states
from tribetune.features.precision import half_precision
from tribetune.stimulus.media import count_frames, probe

if TYPE_CHECKING:
    import torch
    from torch import nn

log = logging.getLogger(__name__)

_BATCH_FRAMES = 512
"""Frames that are encoded at once: 8 clips of 64."""


def encode_video(
    path: Path, encoder: Encoder, device: "torch.device", start: int = 0
) -> Iterator[Float[np.ndarray, "time layer dim"]]:
    """Encode a film, decoding every frame once.

    Parameters
    ----------
    path : Path
    encoder : Encoder
        A V-JEPA2.
    device : torch.device
        Half precision (autocast) on accelerators, float32 on a CPU.
    start : int
        Steps that are known already: all steps of the first blocks of an earlier pass. The rest equals the rest of an
        unbroken pass bit by bit.

    Yields
    ------
    array of shape (n_steps, n_layers, dim)
        float32 at 2 Hz; in total one step per half second of the file.

    Raises
    ------
    FeatureError
        If the encoder is not a V-JEPA2.
    StimulusError
        If the film cannot be decoded to its end.

    Notes
    -----
    Source: spec e.4 and parity notes 7 and 10 to 13. Unlike the reference's chunks, clips reach back over every minute
    of the film, except with ``Options.reference``.
    """
    clips = film_clips(path, encoder)[start:]
    if not len(clips):
        return
    preparation, at_once = Preparation.of(encoder.preprocessor), max(1, _BATCH_FRAMES // encoder.frames)
    pooled = _Pooled(encoder, device)
    for batch in cut_clips(path, clips, preparation, at_once, device):
        yield pooled(batch)


def film_clips(path: Path, encoder: Encoder) -> Int[np.ndarray, "step frame"]:
    """Numbers of the frames that an encoder looks at, clip by clip.

    Raises
    ------
    StimulusError
        If the file has no picture, or breaks off long before it says it does.

    Notes
    -----
    The reference cuts films like sound (spec e.4): each chunk is a film of its own, its first frame stands before it.
    """
    media = probe(path)
    spans = [(0.0, media.duration_s)]
    if encoder.options.reference:
        spans = chunk_spans(media.duration_s, *encoder.options.chunk_s)
    clips = [clip_frames(length_s, media.fps, encoder.frames, onset_s) for onset_s, length_s in spans]
    n_shown = count_frames(path)
    if media.duration_s - n_shown / media.fps > 1:
        log.info(
            "%s: the picture ends at %.1f of %.1f s; what was shown last stands from there on",
            path.name,
            n_shown / media.fps,
            media.duration_s,
        )
    return hold_last(np.concatenate(clips), n_shown)


class _Pooled:
    """A V-JEPA2 whose hooks average the tokens of each state, so that no state is kept whole."""

    def __init__(self, encoder: Encoder, device: "torch.device") -> None:
        model = encoder.load(device)
        if model.config.model_type != "vjepa2":
            raise FeatureError(
                f"{encoder.folder}: a {model.config.model_type} encoder for video, expected V-JEPA2",
                hint="give facebook/vjepa2-vitl-fpc64-256 or another V-JEPA2",
            )
        self.model, self.groups, self.device = model, encoder.groups, device
        self.means: dict[int, torch.Tensor] = {}
        parts = ["embeddings", *(f"layer.{place}" for place in range(model.config.num_hidden_layers))]
        if encoder.options.normed_last_state:
            parts[-1] = "layernorm"
        for state in wanted_states(self.groups):
            model.get_submodule(f"encoder.{parts[state]}").register_forward_hook(self._hook(state))
        if device.type != "cpu":  # the residual stream stays in float32; only the branches run in half precision
            embeddings = model.get_submodule("encoder.embeddings")
            embeddings.register_forward_hook(lambda _module, _inputs, output: output.float())

    def __call__(self, clips: "Float[torch.Tensor, 'clip frame 3 row column']") -> Float[np.ndarray, "clip layer dim"]:
        import torch

        with torch.inference_mode(), half_precision(self.device):
            self.model(pixel_values_videos=clips, skip_predictor=True)
            groups = [torch.stack([self.means[state] for state in group]).mean(0) for group in self.groups]
            self.means.clear()
            return torch.stack(groups, dim=1).float().cpu().numpy()

    def _hook(self, state: int) -> "Callable[[nn.Module, Any, Any], None]":
        kept = proxy(self)  # model and self would hold each other, and keep the memory

        def keep(_module: "nn.Module", _inputs: Any, output: Any) -> None:
            tokens = output[0] if isinstance(output, tuple) else output
            kept.means[state] = tokens.float().mean(1)

        return keep
