"""A gain and an offset per output on the unseen row's prediction: amplitude and level, never direction."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from tribetune.adapt.adapter import BIAS, GAIN, Adapter, starting_row
from tribetune.adapt.base import Base
from tribetune.errors import AdaptationError
from tribetune.windows import Window

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

    A gain changes no Pearson's r: it makes the size of the prediction this subject's, for R² and intervals.

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
    if not (base.tribe.config.unseen_row and n_outputs == base.tribe.config.n_outputs):
        raise AdaptationError(
            f"a gain is not defined: the checkpoint has no unseen row with {n_outputs:,} outputs",
            hint="set adaptation.method to ridge, low-rank or readout",
        )
    weights, bias = starting_row(base.tribe, n_outputs)
    predicted = torch.cat([part.values @ weights for part in latents])
    bold = torch.cat([part.bold for part in latents])
    gain, offset = shrunk_gain(predicted, bold, settings.shrinkage)
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


def _spread(own: Float[Tensor, " output"], variance: Float[Tensor, " output"]) -> Float[Tensor, ""]:
    """Variance of the true gains about 1, at least zero."""
    if not len(own):
        return own.new_zeros(())
    certainty = 1 / variance.clamp(min=torch.finfo(variance.dtype).eps)
    return (((own - 1).square() - variance) * certainty).sum().div(certainty.sum()).clamp(min=0)
