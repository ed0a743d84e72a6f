"""Pictures to features: every half second, the mean token of the four seconds before it (spec e.4)."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from tribetune.errors import FeatureError
from tribetune.features.clips import Preparation, clip_frames, cut_clips
from tribetune.features.encoders import Encoder
from tribetune.features.layers import wanted_states
from tribetune.stimulus.media import probe

if TYPE_CHECKING:
    import torch
    from torch import nn

_BATCH_FRAMES = 512
"""Frames that are encoded at once: 8 clips of 64."""


def encode_video(path: Path, encoder: Encoder, device: "torch.device") -> Iterator[Float[np.ndarray, "time layer dim"]]:
    """Encode a film, decoding every frame once.

    Parameters
    ----------
    path : Path
    encoder : Encoder
        A V-JEPA2.
    device : torch.device
        Half precision (autocast) on accelerators, float32 on a CPU.

    Yields
    ------
    array of shape (n_steps, n_layers, dim)
        float32 at 2 Hz; in total one step per half second of the file.

    Raises
    ------
    FeatureError
        If the encoder is not a V-JEPA2.

    Notes
    -----
    Source: spec e.4 and parity notes 7 and 10 to 13. Unlike the reference's chunks, clips reach back over every minute
    of the film.
    """
    import torch

    media = probe(path)
    preparation = Preparation.of(encoder.preprocessor)
    pooled = _Pooled(encoder, device)
    schedule = clip_frames(media.duration_s, media.fps, encoder.frames)
    batch: list[np.ndarray] = []
    for step, clip in enumerate(cut_clips(path, schedule, preparation), 1):
        batch.append(clip)
        if len(batch) * encoder.frames >= _BATCH_FRAMES or step == len(schedule):
            yield pooled(preparation.normalised(torch.from_numpy(np.stack(batch)).to(device)))
            batch = []


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
        # Keeps the residual stream in float32 under autocast; only the branches run in half precision.
        embeddings = model.get_submodule("encoder.embeddings")
        embeddings.register_forward_hook(lambda _module, _inputs, output: output.float())

    def __call__(self, clips: "Float[torch.Tensor, 'clip frame 3 row column']") -> Float[np.ndarray, "clip layer dim"]:
        import torch

        with torch.inference_mode(), _half_precision(self.device):
            self.model(pixel_values_videos=clips, skip_predictor=True)
            groups = [torch.stack([self.means[state] for state in group]).mean(0) for group in self.groups]
            self.means.clear()
            return torch.stack(groups, dim=1).float().cpu().numpy()

    def _hook(self, state: int) -> "Callable[[nn.Module, Any, Any], None]":
        def keep(_module: "nn.Module", _inputs: Any, output: Any) -> None:
            tokens = output[0] if isinstance(output, tuple) else output
            self.means[state] = tokens.float().mean(1)

        return keep


def _half_precision(device: "torch.device") -> AbstractContextManager[Any]:
    import torch

    if device.type == "cpu":
        return nullcontext()
    has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.autocast(device.type, dtype=torch.bfloat16 if has_bf16 else torch.float16)
