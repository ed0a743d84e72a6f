"""A personal readout on the frozen trunk: one epoch of gradient descent from the unseen row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from tribetune.adapt.adapter import BIAS, WEIGHTS, Adapter, starting_row
from tribetune.adapt.axes import standardised
from tribetune.adapt.base import Base
from tribetune.adapt.latents import Latents, choose, inner_folds, mean_score, without_shared
from tribetune.windows import Window

RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.9)
"""Learning rates tried, relative to the largest stable step."""

CAUTIOUS_RATE = 0.01
"""Taken where a single window leaves nothing to choose on."""

_SEARCH_OUTPUTS = 2048
"""Outputs that the learning rate is chosen on: each output descends on its own, so a random sample is unbiased."""


Visit = tuple[Int[Tensor, " _"], float]
"""Samples of one step, and its learning rate."""


@dataclass(frozen=True)
class Scale:
    """Standardisation of the trunk's output, and the largest stable step on it.

    Gradient descent learns directions in the order of their variance; standardising makes that order one of shared
    variance instead of arbitrary units, so that one learning rate fits every checkpoint.

    Attributes
    ----------
    mean, spread : Tensor of shape (readout_in,)
    step : float
        The step at which descent on the steepest block is neutral, 1 / λ_max; steps below twice this converge.
    """

    mean: Float[Tensor, " readout"]
    spread: Float[Tensor, " readout"]
    step: float


@dataclass(frozen=True)
class ReadoutSettings:
    """Plain arguments of `fit_readout`.

    Attributes
    ----------
    learning_rate : float or "auto"
        Relative to the largest stable step; ``auto`` leaves out each calibration run in turn (or halves of one run).
    epochs : int
        Passes over the data.
    block_trs : int
        Samples per step.
    """

    learning_rate: float | Literal["auto"] = "auto"
    epochs: int = 1
    block_trs: int = 25


@dataclass(frozen=True)
class Schedule:
    """How one readout is trained.

    Attributes
    ----------
    rate : float
        Learning rate relative to `Scale.step`; full from the first step on, falling linearly, never zero.
    epochs : int
    block : int
        Samples per step.
    seed : int
    """

    rate: float
    epochs: int
    block: int
    seed: int


class Descent:
    """A readout being trained, in standardised coordinates.

    Parameters
    ----------
    weights, bias : Tensor of shape (readout_in, n_outputs) and (n_outputs,)
        Where it starts.
    scale : Scale
        Of the trunk's output.
    """

    def __init__(self, weights: Tensor, bias: Tensor, scale: Scale) -> None:
        self.scale = scale
        self.weights = weights * scale.spread[:, None]
        self.bias = bias + scale.mean @ weights

    def predict(self, values: Float[Tensor, "time readout"]) -> Float[Tensor, "time output"]:
        """Predicted BOLD for the trunk's output."""
        return (values - self.scale.mean) / self.scale.spread @ self.weights + self.bias

    def visit(
        self, values: Float[Tensor, "time readout"], bold: Float[Tensor, "time output"], blocks: Sequence[Visit]
    ) -> None:
        """One step per block on the squared error of each output; an undefined output stays where it is."""
        self.steps(*self.error(values, bold), blocks)

    def error(
        self, values: Float[Tensor, "time readout"], bold: Float[Tensor, "time output"]
    ) -> tuple[Float[Tensor, "time readout"], Float[Tensor, "time output"]]:
        """Standardised values, and the error of the prediction; none where an output is undefined."""
        standard = (values - self.scale.mean) / self.scale.spread
        return standard, torch.nan_to_num(torch.addmm(self.bias, standard, self.weights).sub_(bold))

    def steps(
        self, standard: Float[Tensor, "time readout"], error: Float[Tensor, "time output"], blocks: Sequence[Visit]
    ) -> None:
        """A step per block, one after the other, against the gradient that its error has after those before it.

        A step changes the weights by a product with as many columns as its block has samples: what it does to the error
        of later blocks is known without it, and the weights, by far the largest thing here, are changed only once.
        """
        near = standard @ standard.T + 1  # the ones are the bias
        moved = torch.zeros_like(error)
        for rows, rate in blocks:
            found = error[rows] - near[rows] @ moved  # what has not moved is zero
            moved[rows] = found.mul_(rate * self.scale.step / len(rows))
        self.weights.addmm_(standard.T, moved, alpha=-1)
        self.bias.sub_(moved.sum(0))

    def pull(self, error: Float[Tensor, "time output"]) -> Float[Tensor, "time readout"]:
        """The gradient of half the squared error with respect to the trunk's output."""
        return error @ self.weights.T / self.scale.spread

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weights and bias for the trunk's output as it is."""
        weights = self.weights / self.scale.spread[:, None]
        return weights, self.bias - self.scale.mean @ weights


def fit_readout(base: Base, windows: Sequence[Window], settings: ReadoutSettings, seed: int) -> Adapter:
    """Train a personal readout row, starting from the unseen row (from zeros where the checkpoint has none).

    Parameters
    ----------
    base : Base
    windows : sequence of Window
        The subject's calibration windows.
    settings : ReadoutSettings
    seed : int
        Order of the windows.

    Raises
    ------
    BoldError
        If no sample is valid.
    """
    latents = base.latents(windows)
    start = starting_row(base.tribe, latents[0].bold.shape[1])
    latents = without_shared(latents, *start)
    plan, curve = plan_readout(latents, start, settings, seed)
    weights, bias = descend(latents, start, plan).folded()
    tensors = {WEIGHTS: weights.cpu(), BIAS: bias.cpu()}
    return Adapter("readout", tensors, chosen={"learning_rate": plan.rate, "inner_scores": curve})


def plan_readout(
    latents: Sequence[Latents], start: tuple[Tensor, Tensor], settings: ReadoutSettings, seed: int
) -> tuple[Schedule, dict[str, float]]:
    """The schedule, its learning rate given or chosen, and the scores that decided (empty when none did)."""
    plan = Schedule(CAUTIOUS_RATE, settings.epochs, settings.block_trs, seed)
    if settings.learning_rate != "auto":
        return replace(plan, rate=settings.learning_rate), {}
    if len(latents) < 2:
        return plan, {}
    rate, curve = choose_rate(latents, start, plan)
    return replace(plan, rate=rate), curve


def descend(latents: Sequence[Latents], start: tuple[Tensor, Tensor], plan: Schedule) -> Descent:
    """Train a readout on windows that have been through the trunk; each sample is visited once per epoch."""
    descent = Descent(*start, scale_of(latents, plan.block))
    lengths = [len(part.values) for part in latents]
    for _, window, blocks in visits([lengths] * plan.epochs, plan):
        descent.visit(latents[window].values, latents[window].bold, blocks)
    return descent


def choose_rate(
    latents: Sequence[Latents], start: tuple[Tensor, Tensor], plan: Schedule
) -> tuple[float, dict[str, float]]:
    """Choose the learning rate on left-out calibration windows, on a random sample of the outputs."""
    defined = torch.stack([torch.isfinite(part.bold).all(0) for part in latents]).all(0).nonzero()[:, 0]
    order = torch.randperm(len(defined), generator=torch.Generator().manual_seed(plan.seed))
    outputs = defined[order[:_SEARCH_OUTPUTS].to(defined.device)]
    few = [replace(part, bold=part.bold[:, outputs]) for part in latents]
    origin = start[0][:, outputs], start[1][outputs]
    folds = inner_folds([part.run for part in latents])

    def score(rate: float) -> float:
        scores = []
        for left_out in folds:
            train = [part for part, out in zip(few, left_out, strict=True) if not out]
            held = [part for part, out in zip(few, left_out, strict=True) if out]
            descent = descend(train, origin, Schedule(rate, plan.epochs, plan.block, plan.seed))
            scores.append(mean_score([descent.predict(part.values) for part in held], held))
        return float(np.mean(scores))

    return choose(RATES, score)


def scale_of(latents: Sequence[Latents], block: int) -> Scale:
    """Standardise over all samples; the stable step comes from the steepest block."""
    values = torch.cat([part.values for part in latents])
    mean, spread, _ = standardised(values)
    steepest = 1.0
    for part in latents:
        for rows in torch.arange(len(part.values)).split(block):
            standard = (part.values[rows] - mean) / spread
            small = standard @ standard.T + 1  # the ones are the bias; same eigenvalues as the larger Gram matrix
            steepest = max(steepest, float(torch.linalg.eigvalsh(small.cpu())[-1]) / len(rows))
    return Scale(mean, spread, 1 / steepest)


def visits(lengths: Sequence[Sequence[int]], plan: Schedule) -> Iterator[tuple[int, int, list[Visit]]]:
    """Every visit to a window, and the blocks of its samples with their learning rates, in a seeded order.

    Parameters
    ----------
    lengths : sequence of sequence of int
        Samples of every window, for each epoch.
    plan : Schedule

    Yields
    ------
    int, int, list of (Tensor, float)
        Epoch, window, and its blocks.
    """
    rng = np.random.default_rng(plan.seed)
    total, done = sum(-(-length // plan.block) for windows in lengths for length in windows), 0
    for epoch, windows in enumerate(lengths):
        for window in rng.permutation(len(windows)):
            blocks = torch.arange(windows[window]).split(plan.block)
            falling = [plan.rate * (1 - (done + k) / total) for k in range(len(blocks))]
            yield epoch, int(window), list(zip([blocks[k] for k in rng.permutation(len(blocks))], falling, strict=True))
            done += len(blocks)
