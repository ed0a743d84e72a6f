"""A gain and an offset per output on the unseen row's prediction: amplitude and level, never direction."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tribetune.adapt.adapter import BIAS, GAIN, Adapter
from tribetune.adapt.base import Base
from tribetune.adapt.latents import Latents, drawn
from tribetune.adapt.rows import has_unseen, starting_row
from tribetune.autocorrelation import inflation
from tribetune.errors import AdaptationError
from tribetune.windows import Window

_SAMPLED = 512
"""Outputs that autocorrelation is measured on."""

SMALLEST = 0.01
"""A gain is positive: an output that the group drives up is never said to be driven down."""


@dataclass(frozen=True)
class GainSettings:
    """Plain arguments of `fit_gain`.

    Attributes
    ----------
    shrinkage : float
        How many standard errors' worth of the gains' sampling variance is believed; 1 is the empirical Bayes estimate,
        0 takes each output's own least squares, a large one keeps every gain at 1.
    """

    shrinkage: float = 1.0


def fit_gain(base: Base, windows: Sequence[Window], settings: GainSettings, seed: int) -> Adapter:  # noqa: ARG001
    """Least squares of BOLD on the unseen row's prediction per output, gains shrunk towards 1.

    A gain changes no Pearson's r: it makes the size of the prediction this subject's, for R² and intervals. How
    uncertain a gain is takes the autocorrelation of prediction and BOLD into account.

    Parameters
    ----------
    base : Base
    windows : sequence of Window
        The subject's calibration windows.
    settings : GainSettings
    seed : int
        Not used: nothing is drawn.

    Raises
    ------
    AdaptationError
        If the checkpoint has no unseen row for these outputs.
    BoldError
        If no sample is valid.
    """
    latents = base.latents(windows)
    n_outputs = latents[0].bold.shape[1]
    if not has_unseen(base.tribe, n_outputs):
        raise AdaptationError(
            f"a gain is not defined: the checkpoint has no unseen row for these {n_outputs:,} outputs",
            hint="set adaptation.method to ridge, low-rank or readout",
        )
    weights, bias = starting_row(base.tribe, n_outputs)
    predicted = torch.cat([part.values @ weights for part in latents])
    bold = torch.cat([part.bold for part in latents])
    gain, offset = shrunk_gain(predicted, bold, settings.shrinkage * typical_inflation(latents, predicted, bold))
    offset = torch.where(offset.isfinite(), offset, bias)
    return Adapter("gain", {GAIN: gain.cpu(), BIAS: offset.cpu()}, chosen={"median_gain": float(gain.median())})


def shrunk_gain(
    predicted: Float[Tensor, "time output"], bold: Float[Tensor, "time output"], shrinkage: float
) -> tuple[Float[Tensor, " output"], Float[Tensor, " output"]]:
    """Gain and offset per output; the gain moves from its least squares towards 1 as far as it is uncertain.

    The spread of true gains is what the estimates' spread about 1 exceeds their sampling variance by (empirical Bayes,
    Efron & Morris 1973), each estimate weighted by its certainty (DerSimonian & Laird 1986): an output whose prediction
    hardly varies, such as one of the medial wall, decides nothing for the others. A gain where BOLD or prediction is
    undefined is 1.

    Parameters
    ----------
    predicted, bold : Tensor of shape (n_samples, n_outputs)
    shrinkage : float
        Factor on the sampling variance.

    Returns
    -------
    Tensor of shape (n_outputs,), Tensor of shape (n_outputs,)
        The offset is NaN where BOLD is undefined.
    """
    x, y = predicted - predicted.mean(0), bold - bold.mean(0)
    power = x.square().sum(0)
    own = (x * y).sum(0) / power
    variance = (y - own * x).square().mean(0) / power * shrinkage
    usable = own.isfinite() & variance.isfinite()
    spread = _spread(own[usable], variance[usable])
    trust = torch.where(variance > 0, spread / (spread + variance), 1.0)
    gain = torch.where(usable, 1 + trust * (own - 1), 1.0).clamp(min=SMALLEST)
    return gain, bold.mean(0) - gain * predicted.mean(0)


def typical_inflation(latents: Sequence[Latents], predicted: Tensor, bold: Tensor) -> float:
    """By how much autocorrelation makes a gain's sampling variance larger: the median over some outputs, by samples.

    One output's own estimate is too noisy to be used. Runs are taken as without gaps.
    """
    defined = bold.sum(0).isfinite().nonzero()[:, 0]
    outputs = drawn(defined, _SAMPLED, 0)
    x, y = predicted[:, outputs], bold[:, outputs]
    left = y - y.mean(0) - x + x.mean(0)
    runs = np.repeat([part.run for part in latents], [len(part.values) for part in latents])
    total = 0.0
    for run in dict.fromkeys(runs.tolist()):
        rows = torch.from_numpy(runs == run)
        found = inflation(x[rows].cpu().numpy(), left[rows].cpu().numpy())
        total += float(rows.sum()) * float(np.nanmedian(found)) if np.isfinite(found).any() else float(rows.sum())
    return total / len(runs)


def _spread(own: Float[Tensor, " output"], variance: Float[Tensor, " output"]) -> Float[Tensor, ""]:
    """Variance of the true gains about 1, at least zero."""
    if not len(own):
        return own.new_zeros(())
    certainty = 1 / variance.clamp(min=torch.finfo(variance.dtype).eps)
    return (((own - 1).square() - variance) * certainty).sum().div(certainty.sum()).clamp(min=0)
