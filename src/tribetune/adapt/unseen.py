"""What the unseen row leaves of calibration BOLD: its prediction is shared by all who saw the same stimulus."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from tribetune.adapt.base import Base
from tribetune.adapt.latents import Latents


def residual(
    base: Base, latents: Sequence[Latents], start: tuple[Tensor, Tensor], outputs: Int[Tensor, " _"] | None = None
) -> Float[Tensor, "time output"]:
    """What a readout does not predict of the BOLD of all windows together.

    Parameters
    ----------
    base : Base
        Keeps the prediction of all outputs for the next subject.
    latents : sequence of Latents
    start : tuple of Tensor of shape (readout_in, n_outputs) and (n_outputs,)
        The readout before training.
    outputs : Tensor, optional
        Some outputs; all when left out.
    """
    values = torch.cat([part.values for part in latents])
    if outputs is None:
        predicted = unseen_prediction(base, values, start)
        return torch.cat([part.bold for part in latents]).sub_(predicted)
    predicted = torch.addmm(start[1][outputs], values, start[0][:, outputs])
    return torch.cat([part.bold[:, outputs] for part in latents]).sub_(predicted)


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
