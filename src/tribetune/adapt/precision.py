"""bfloat16 for the frozen trunk, where the device is fast at it and the prediction stays the same."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tribetune.model.tribe import Tribe
from tribetune.scores import pearson_r

Precision = Literal["float32", "bfloat16"]

_MOST_CHANGE = 1e-3
"""Of Pearson's r between the predictions in both precisions, on average over outputs."""

_JUDGES = 1024
"""Outputs of the unseen row that the trunk's output is judged by."""


def has_fast_bf16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 faster than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False


def keeps_r(tribe: Tribe, exact: Float[Tensor, "time readout"], fast: Float[Tensor, "time readout"]) -> bool:
    """Whether a window's prediction is the same in bfloat16: its r with that of float32 is above .999.

    Parameters
    ----------
    tribe : Tribe
    exact, fast : Tensor of shape (n_samples, readout_in)
        The trunk's output in float32 and in bfloat16.
    """
    weights = spread_out(tribe.subjects.weights[-1].detach(), _JUDGES)
    return same_prediction(exact @ weights, fast @ weights)


def spread_out(weights: Float[Tensor, "readout output"], most: int) -> Float[Tensor, "readout judge"]:
    """At most so many outputs, evenly from first to last."""
    return weights[:, :: -(-weights.shape[1] // most)]


def same_prediction(exact: Float[Tensor, "time output"], fast: Float[Tensor, "time output"]) -> bool:
    """Whether Pearson's r of two predictions is above .999 on average over outputs."""
    return bool(pearson_r(exact.cpu(), fast.cpu()).nanmean() > 1 - _MOST_CHANGE)


def product(left: Tensor, right: Tensor, precision: Precision) -> Tensor:
    """A product of two float32 matrices; in bfloat16 its result is bfloat16, too."""
    if precision == "float32":
        return left @ right
    return left.bfloat16() @ right.bfloat16()


def halve_frozen(model: Tribe) -> None:
    """Keep the frozen matrices before the readout in bfloat16, in place: what autocast would round them to every time.

    The checkpoint that shares them is not touched.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Linear) and not layer.weight.requires_grad:
            layer.weight = nn.Parameter(layer.weight.to(torch.bfloat16), requires_grad=False)
