"""A Gaussian over time, within stretches of a window that have no gap."""

import math

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from tribetune.timing import OUTPUT_HZ

_FWHM_TO_SD = 1 / (2 * math.sqrt(2 * math.log(2)))
_REACH = 4.0
"""Standard deviations after which the Gaussian ends."""


def smoothing_weights(place: Int[np.ndarray, " time"], fwhm_s: float) -> Float[Tensor, "time time"]:
    """What the samples of a window are multiplied by; rows sum to one, and nothing passes a gap.

    Parameters
    ----------
    place : array of shape (n_samples,)
        Each sample's place in its window, rising; a step of more than one is a gap.
    fwhm_s : float
        Full width at half maximum in seconds, above 0.
    """
    sd = fwhm_s * OUTPUT_HZ * _FWHM_TO_SD
    apart = np.abs(place[:, None] - place[None, :])
    stretch = np.cumsum(np.diff(place, prepend=place[:1]) > 1)
    weights = np.exp(-0.5 * (apart / sd) ** 2) * (stretch[:, None] == stretch[None, :]) * (apart <= _REACH * sd)
    weights /= weights.sum(1, keepdims=True)
    return torch.from_numpy(weights.astype(np.float32))
