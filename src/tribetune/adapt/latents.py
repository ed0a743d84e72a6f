"""The frozen trunk's pooled output beside the BOLD that goes with it: what every readout is fitted on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from tribetune.adapt.float32 import fast_float32
from tribetune.adapt.side_by_side import side_by_side
from tribetune.model.tribe import Tribe
from tribetune.windows import Window

MANY_OUTPUTS = 1000
"""From so many on the mean over outputs is what the whole cortex does at once; the mean of fewer is signal."""

_LIKELY = 64
"""Outputs that are looked at before all of them are."""


@dataclass(frozen=True)
class Latents:
    """The trunk's output for one window, and the BOLD that goes with it: valid samples only.

    Attributes
    ----------
    values : Tensor of shape (n_samples, readout_in)
    bold : Tensor of shape (n_samples, n_outputs)
        NaN columns where an output is undefined.
    run : str
    place : array of shape (n_samples,)
        Each sample's place in the window.
    start_s : float
        The window's onset in its run.
    """

    values: Float[Tensor, "time readout"]
    bold: Float[Tensor, "time output"]
    run: str
    place: Int[np.ndarray, " time"]
    start_s: float


def window_latents(
    tribe: Tribe, window: Window, precision: Literal["float32", "bfloat16"] = "float32"
) -> Float[Tensor, "time readout"]:
    """The trunk's pooled output for one window, every sample, without gradients; float32 in either precision."""
    with torch.no_grad():
        return run_trunk(tribe, window, precision)


def windows_latents(tribe: Tribe, windows: Sequence[Window]) -> list[Float[Tensor, "_ readout"]]:
    """As `window_latents` in float32, of several windows; on a CPU a thread each."""
    return side_by_side(lambda window: window_latents(tribe, window), windows, next(tribe.parameters()).device)


def run_trunk(
    tribe: Tribe, window: Window, precision: Literal["float32", "bfloat16"] = "float32"
) -> Float[Tensor, "time readout"]:
    """As `window_latents`, with gradients where weights require them."""
    device = next(tribe.parameters()).device
    features = {name: torch.from_numpy(np.array(values))[None].to(device) for name, values in window.features.items()}
    with fast_float32(device), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        return tribe.latents(features, n_trs=len(window.mask))[0].float()


def valid_latents(window: Window, values: Float[Tensor, "time readout"]) -> Latents:
    """A window's valid samples beside the trunk's output for them, on its device."""
    place = np.flatnonzero(window.mask)
    bold = torch.from_numpy(np.ascontiguousarray(window.bold[place])).to(values.device)
    return Latents(values[torch.from_numpy(place).to(values.device)], bold, window.run, place, window.start_s)


def take_out_shared(latents: Sequence[Latents], weights: Tensor, bias: Tensor) -> None:
    """Take out of calibration BOLD, in place, what all outputs do together beyond a readout's prediction.

    Breathing, arousal and motion move the whole cortex at once; within an hour they fit some direction of the trunk's
    output by chance, and every output learns it. Nothing is taken out where there are few outputs, because their mean
    is signal. Held-out BOLD that is reported on never goes through here. A prediction's mean over outputs is the
    prediction of their mean readout: nothing as large as BOLD is predicted.
    """
    if weights.shape[1] < MANY_OUTPUTS:
        return
    means: dict[bytes, tuple[Tensor, Tensor]] = {}

    def shared(part: Latents) -> Float[Tensor, "time 1"]:
        defined = part.bold.sum(0).isfinite()  # what is not finite stays so in a sum
        key = defined.cpu().numpy().tobytes()
        if key not in means:
            means[key] = weights[:, defined].mean(1, keepdim=True), bias[defined].mean()
        row, level = means[key]
        measured = part.bold if defined.all() else part.bold[:, defined]
        return measured.mean(1, keepdim=True) - part.values @ row - level

    for part in latents:
        part.bold.sub_(shared(part))


def defined_outputs(latents: Sequence[Latents]) -> Int[Tensor, " output"]:
    """Outputs that are finite at every sample."""
    total = torch.stack([part.bold.sum(0) for part in latents]).sum(0)  # what is not finite stays so in a sum
    return total.isfinite().nonzero()[:, 0]


def any_defined(latents: Sequence[Latents]) -> bool:
    """Whether there is one of `defined_outputs`; a few of the first window's tell it without a look at all the rest."""
    likely = defined_outputs(latents[:1])[:_LIKELY]
    few = [replace(part, bold=part.bold[:, likely]) for part in latents]
    return bool(len(defined_outputs(few)) or len(defined_outputs(latents)))


def drawn(outputs: Int[Tensor, " output"], most: int, seed: int) -> Int[Tensor, " drawn"]:
    """At most so many of some outputs, in a seeded random order."""
    order = torch.randperm(len(outputs), generator=torch.Generator().manual_seed(seed))
    return outputs[order[:most].to(outputs.device)]
