"""The frozen trunk's pooled output beside the BOLD that goes with it: what every readout is fitted on."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tribetune.adapt.float32 import fast_float32
from tribetune.adapt.side_by_side import side_by_side
from tribetune.model.tribe import Tribe
from tribetune.scores import pearson_r
from tribetune.windows import Window

Round = TypeVar("Round")
Item = TypeVar("Item")

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


def inner_folds(runs: Sequence[str]) -> list[Bool[np.ndarray, " window"]]:
    """Which windows are left out in each fold: a run each, or the two halves of a single run; none for one window."""
    labels = np.asarray(runs)
    names = list(dict.fromkeys(runs))
    if len(names) > 1:
        return [labels == name for name in names]
    half = np.arange(len(labels)) >= len(labels) / 2
    return [half, ~half] if len(labels) > 1 else []


def few_folds(folds: Sequence[Bool[np.ndarray, " window"]], most: int) -> list[Bool[np.ndarray, " window"]]:
    """At most so many folds: runs share one where there are more."""
    groups = [folds[start::most] for start in range(min(most, len(folds)))]
    return [np.any(group, axis=0) for group in groups]


def sample_folds(latents: Sequence[Latents]) -> list[Bool[np.ndarray, " time"]]:
    """`folds_at` of windows that have been through the trunk."""
    return folds_at([part.run for part in latents], [part.start_s + part.place for part in latents])


def folds_at(runs: Sequence[str], times_s: Sequence[Float[np.ndarray, " _"]]) -> list[Bool[np.ndarray, " time"]]:
    """`inner_folds` of windows as folds of their samples, one after the other.

    A sample that windows of both halves of a single run hold, because they overlap, is of the later half: no half is
    predicted by a fit that saw it. None where no sample is left to the earlier half.

    Parameters
    ----------
    runs : sequence of str
        Of every window.
    times_s : sequence of array of shape (n_samples,)
        When its valid samples were, in their run.
    """
    lengths = [len(times) for times in times_s]
    folds = [np.repeat(fold, lengths) for fold in inner_folds(runs)]
    if len(set(runs)) > 1 or not folds:
        return folds
    times = np.concatenate(times_s)
    later = folds[0] | np.isin(times, times[folds[0]])
    return [] if later.all() else [later, ~later]


def latents_where(latents: Sequence[Latents], chosen: Bool[np.ndarray, " time"]) -> list[Latents]:
    """The chosen samples of windows that have been through the trunk; no window without any."""
    found = []
    for part, kept in _by_window(latents, [len(part.place) for part in latents], chosen):
        if not kept.all():
            index = torch.from_numpy(np.flatnonzero(kept)).to(part.values.device)
            part = replace(part, values=part.values[index], bold=part.bold[index], place=part.place[kept])
        found.append(part)
    return found


def windows_where(windows: Sequence[Window], chosen: Bool[np.ndarray, " time"]) -> list[Window]:
    """Windows in which the chosen of all valid samples are valid; no window without any."""
    found = []
    for window, kept in _by_window(windows, [int(window.mask.sum()) for window in windows], chosen):
        mask = np.zeros_like(window.mask)
        mask[window.mask] = kept
        found.append(replace(window, mask=mask))
    return found


def _by_window(items: Sequence[Item], lengths: Sequence[int], chosen: np.ndarray) -> list[tuple[Item, np.ndarray]]:
    """Windows of so many samples, each with its part of what was chosen; those of which nothing was are left out."""
    parts = np.split(chosen, np.cumsum(lengths)[:-1])
    return [(item, part) for item, part in zip(items, parts, strict=True) if part.any()]


def over_folds(scores: Float[Tensor, "fold candidate"], latents: Sequence[Latents]) -> Float[Tensor, " candidate"]:
    """Mean over `inner_folds`, each weighted by its samples, so that a remnant of a run decides little.

    A fold in which no candidate has a score, such as a single sample, decides nothing.
    """
    sizes = torch.tensor([int(fold.sum()) for fold in sample_folds(latents)]).to(scores)
    known = scores.isfinite().any(1)
    return sizes[known] @ scores[known] / sizes[known].sum()


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


def choose(candidates: Sequence[float], score: Callable[[float], float]) -> tuple[float, dict[str, float]]:
    """The candidate with the best score on left-out calibration data, and every candidate's score.

    An undefined score never wins; among equals the first (smallest) does.
    """
    scores = {candidate: score(candidate) for candidate in candidates}
    defined = {candidate: value for candidate, value in scores.items() if value == value}
    best = max(defined, key=defined.__getitem__) if defined else candidates[0]
    return best, {f"{candidate:g}": value for candidate, value in scores.items()}


def race(
    candidates: Sequence[float], rounds: Sequence[tuple[Round, int]], score: Callable[[float, Round], float]
) -> tuple[float, dict[str, list[float]]]:
    """The candidate that is left when after every round the one behind is out, and each one's scores by round.

    What decides is the mean over all rounds so far: those still in the race have run them all. An undefined one is
    behind every other; among equals the last (largest) is out. Where none has a score, none is out.

    Parameters
    ----------
    candidates : sequence of float
    rounds : sequence of (any, int)
        What ``score`` is told, and the samples that it is of: its weight.
    score : callable
    """
    scores: dict[float, list[float]] = {candidate: [] for candidate in candidates}
    running, weights = list(candidates), []

    def mean(candidate: float) -> float:
        found = float(np.average(scores[candidate], weights=weights))
        return found if found == found else -math.inf

    for this, weight in rounds:
        if len(running) == 1:
            break
        found = [score(candidate, this) for candidate in running]
        if all(value != value for value in found):
            continue
        weights.append(weight)
        for candidate, value in zip(running, found, strict=True):
            scores[candidate].append(value)
        running = sorted(running, key=mean, reverse=True)[:-1]  # equals stay in their order
    return running[0], {f"{candidate:g}": found for candidate, found in scores.items()}


def mean_score(predicted: Sequence[Tensor], latents: Sequence[Latents]) -> float:
    """Mean r over outputs of left-out windows; NaN where no output has a score."""
    r = pearson_r(torch.cat(list(predicted)), torch.cat([part.bold for part in latents]))
    return float(r.nanmean())
