"""Averaging feature steps into output samples, exactly as adaptive average pooling does, on any device."""

import torch
from jaxtyping import Float
from torch import Tensor

from tribetune.errors import FeatureError


def pool_time(x: Float[Tensor, "batch time channel"], n_trs: int) -> Float[Tensor, "batch sample channel"]:
    """Average the steps of each of ``n_trs`` equal bins; a bin takes every step it touches (spec a.11).

    Parameters
    ----------
    x : Tensor of shape (batch, n_steps, n_channels)
        Any length; fewer steps than bins are repeated.
    n_trs : int
        Samples wanted.

    Returns
    -------
    Tensor of shape (batch, n_trs, n_channels)
        Bin i averages steps ``floor(i * n_steps / n_trs)`` to ``ceil((i + 1) * n_steps / n_trs)``.

    Raises
    ------
    FeatureError
        If no sample is asked for.

    Notes
    -----
    Same as ``torch.nn.AdaptiveAvgPool1d``, which Apple's devices lack for uneven bins.
    """
    n_steps = x.shape[1]
    if n_trs < 1:
        raise FeatureError(f"{n_trs} samples asked for, expected at least one", hint="pass n_trs=100 for 100 s")
    if n_steps == n_trs:
        return x
    if n_steps % n_trs == 0:
        return x.unflatten(1, (n_trs, -1)).mean(2)
    with torch.autocast(x.device.type, enabled=False):  # bins are means, not a layer: full precision
        return torch.matmul(_bins(n_steps, n_trs, x.device), x.float())


def _bins(n_steps: int, n_trs: int, device: torch.device) -> Tensor:
    """Share of every step in every bin, (n_trs, n_steps)."""
    sample, step = torch.arange(n_trs)[:, None], torch.arange(n_steps)
    first = sample * n_steps // n_trs
    stop = ((sample + 1) * n_steps + n_trs - 1) // n_trs
    inside = ((step >= first) & (step < stop)).float()
    return (inside / inside.sum(1, keepdim=True)).to(device)
