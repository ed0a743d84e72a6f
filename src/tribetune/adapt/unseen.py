"""What the unseen row leaves of calibration BOLD: its prediction is shared by all who saw the same stimulus."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tribetune.adapt.base import Base
from tribetune.adapt.latents import MANY_OUTPUTS, Latents


def residual(base: Base, latents: Sequence[Latents], start: tuple[Tensor, Tensor]) -> Float[Tensor, "time output"]:
    """What a readout does not predict of all windows together, less what all outputs do together.

    Breathing, arousal and motion move the whole cortex at once; within an hour they fit some direction of the trunk's
    output by chance, and every output learns it. Nothing is taken out where there are few outputs, because their mean
    is signal. Held-out BOLD that is reported on never goes through here.

    Parameters
    ----------
    base : Base
        Keeps the prediction for the next subject.
    latents : sequence of Latents
    start : tuple of Tensor of shape (readout_in, n_outputs) and (n_outputs,)
        The readout before training.
    """
    values = torch.cat([part.values for part in latents])
    predicted = unseen_prediction(base, values, start)
    left = torch.empty(len(values), predicted.shape[1], device=values.device)
    for part, guess, rest in zip(latents, *_by_window(latents, predicted, left), strict=True):
        torch.sub(part.bold, guess, out=rest)
        if rest.shape[1] >= MANY_OUTPUTS:
            rest.sub_(rest.nanmean(1, keepdim=True))
    return left


def content_hash(*parts: Tensor) -> str:
    """SHA-256 of the bits and shapes of tensors."""
    told = hashlib.sha256()
    for part in parts:
        array = np.ascontiguousarray(part.detach().cpu().numpy())
        told.update(f"{array.dtype} {array.shape}".encode())
        told.update(array.reshape(-1).view(np.uint8).data)
    return told.hexdigest()


def unseen_prediction(
    base: Base, values: Float[Tensor, "time readout"], start: tuple[Tensor, Tensor]
) -> Float[Tensor, "time output"]:
    """What a readout predicts before training; kept for whoever asks for it again."""
    weights, bias = start
    if not weights.any():
        return bias.expand(len(values), -1)
    # a few of its weights tell a row from that of other outputs
    return base.kept(f"unseen {content_hash(values, weights[:4], bias)}", lambda: torch.addmm(bias, values, weights))


def _by_window(latents: Sequence[Latents], *joined: Tensor) -> list[tuple[Tensor, ...]]:
    lengths = [len(part.values) for part in latents]
    return [whole.split(lengths) for whole in joined]
