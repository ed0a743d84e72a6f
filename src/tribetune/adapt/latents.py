"""The frozen trunk's pooled output, computed once per window and used by every readout."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tribetune.errors import BoldError
from tribetune.model.tribe import Tribe
from tribetune.scores import pearson_r
from tribetune.windows import Window, stack

_MANY_OUTPUTS = 1000


@dataclass(frozen=True)
class Latents:
    """The trunk's output for one window, and the BOLD that goes with it: valid samples only.

    Attributes
    ----------
    values : Tensor of shape (n_samples, readout_in)
    bold : Tensor of shape (n_samples, n_outputs)
        NaN columns where an output is undefined.
    run : str
    """

    values: Float[Tensor, "time readout"]
    bold: Float[Tensor, "time output"]
    run: str


def trunk_latents(tribe: Tribe, windows: Sequence[Window]) -> list[Latents]:
    """Run the trunk once per window, without gradients.

    Raises
    ------
    BoldError
        If no window has a valid sample.
    """
    found = []
    with torch.no_grad():
        for window in windows:
            if window.mask.any():
                values = window_latents(tribe, window)
                mask = torch.from_numpy(window.mask)
                bold = torch.from_numpy(np.ascontiguousarray(window.bold[window.mask]))
                found.append(Latents(values[mask], bold, window.run))
    if not found:
        raise BoldError(
            "no valid sample is left in the calibration data", hint="check the split, the lag and the masks"
        )
    return found


def without_shared(latents: Sequence[Latents], weights: Tensor, bias: Tensor) -> list[Latents]:
    """Take what all outputs do together, beyond a prediction, out of the calibration BOLD.

    Breathing, arousal and motion move the whole cortex at once; within an hour they fit some direction of the trunk's
    output by chance, and every output learns it. Nothing is changed where there are few outputs, because their mean
    is signal. Held-out BOLD that is reported on never goes through here.

    Parameters
    ----------
    latents : sequence of Latents
    weights, bias : Tensor of shape (readout_in, n_outputs) and (n_outputs,)
        The prediction before training.

    Returns
    -------
    list of Latents
        BOLD less the mean over outputs of its residual, sample by sample.
    """
    if weights.shape[1] < _MANY_OUTPUTS:
        return list(latents)
    return [
        replace(part, bold=part.bold - (part.bold - (part.values @ weights + bias)).nanmean(1, keepdim=True))
        for part in latents
    ]


def window_latents(tribe: Tribe, window: Window) -> Float[Tensor, "time readout"]:
    """The trunk's pooled output for one window, every sample."""
    batch = stack([window])
    features = {name: batch[name] for name in window.features}
    return tribe.latents(features, n_trs=len(window.mask))[0]


def inner_folds(runs: Sequence[str]) -> list[Bool[np.ndarray, " window"]]:
    """Which windows are left out in each fold: a run each, or the two halves of a single run; none for one window."""
    labels = np.asarray(runs)
    names = list(dict.fromkeys(runs))
    if len(names) > 1:
        return [labels == name for name in names]
    half = np.arange(len(labels)) >= len(labels) / 2
    return [half, ~half] if len(labels) > 1 else []


def choose(candidates: Sequence[float], score: Callable[[float], float]) -> tuple[float, dict[str, float]]:
    """The candidate with the best score on left-out calibration data, and every candidate's score.

    An undefined score never wins; among equals the first (smallest) does.
    """
    scores = {candidate: score(candidate) for candidate in candidates}
    defined = {candidate: value for candidate, value in scores.items() if value == value}
    best = max(defined, key=defined.__getitem__) if defined else candidates[0]
    return best, {f"{candidate:g}": value for candidate, value in scores.items()}


def mean_score(predicted: Sequence[Tensor], latents: Sequence[Latents]) -> float:
    """Mean r over outputs of left-out windows; NaN where no output has a score."""
    r = pearson_r(torch.cat(list(predicted)), torch.cat([part.bold for part in latents]))
    return float(r.nanmean())
