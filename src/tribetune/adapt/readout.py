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
    warm_up_steps : int
        Steps in which the learning rate rises.
    correlation_weight : float
        Share of the loss that is one minus Pearson's r of each block, the rest is its squared error.
    average : bool
        Whether the readout is the mean of those after every window, instead of the last.
    """

    learning_rate: float | Literal["auto"] = "auto"
    epochs: int = 1
    block_trs: int = 25
    warm_up_steps: int = 0
    correlation_weight: float = 0.0
    average: bool = False


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
    warm_up : int
        Steps in which the learning rate rises to what it falls from.
    correlation : float
        Weight of the correlation in the loss.
    average : bool
        Whether the readout is the mean of those after every visit.
    """

    rate: float
    epochs: int
    block: int
    seed: int
    warm_up: int = 0
    correlation: float = 0.0
    average: bool = False


class Descent:
    """A readout being trained, in standardised coordinates.

    Parameters
    ----------
    weights, bias : Tensor of shape (readout_in, n_outputs) and (n_outputs,)
        Where it starts.
    scale : Scale
        Of the trunk's output.
    correlation : float
        Weight of the correlation in the loss, see `towards_correlation`.
    """

    def __init__(self, weights: Tensor, bias: Tensor, scale: Scale, correlation: float = 0.0) -> None:
        self.scale, self.correlation = scale, correlation
        self.weights = weights * scale.spread[:, None]
        self.bias = bias + scale.mean @ weights

    def predict(self, values: Float[Tensor, "time readout"]) -> Float[Tensor, "time output"]:
        """Predicted BOLD for the trunk's output."""
        return (values - self.scale.mean) / self.scale.spread @ self.weights + self.bias

    def visit(
        self, values: Float[Tensor, "time readout"], bold: Float[Tensor, "time output"], blocks: Sequence[Visit]
    ) -> None:
        """One step per block on the loss of each output; an undefined output stays where it is."""
        self.steps(*self.error(values, bold), blocks, bold)

    def error(
        self, values: Float[Tensor, "time readout"], bold: Float[Tensor, "time output"]
    ) -> tuple[Float[Tensor, "time readout"], Float[Tensor, "time output"]]:
        """Standardised values, and the error of the prediction; none where an output is undefined."""
        standard = (values - self.scale.mean) / self.scale.spread
        return standard, torch.nan_to_num(torch.addmm(self.bias, standard, self.weights).sub_(bold))

    def steps(
        self,
        standard: Float[Tensor, "time readout"],
        error: Float[Tensor, "time output"],
        blocks: Sequence[Visit],
        bold: Float[Tensor, "time output"] | None = None,
    ) -> None:
        """A step per block, one after the other, against the gradient that its error has after those before it.

        A step changes the weights by a product with as many columns as its block has samples: what it does to the error
        of later blocks is known without it, and the weights, by far the largest thing here, are changed only once.
        """
        near = standard @ standard.T + 1  # the ones are the bias
        moved = torch.zeros_like(error)
        for rows, rate in blocks:
            found = error[rows] - near[rows] @ moved  # what has not moved is zero
            if self.correlation and bold is not None:
                found = towards_correlation(found, bold[rows], self.correlation)
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


def towards_correlation(
    error: Float[Tensor, "time output"], bold: Float[Tensor, "time output"], weight: float
) -> Float[Tensor, "time output"]:
    """What takes the error's place where a share of the loss is one minus Pearson's r of each output.

    The gradient of ``1 − r`` with respect to the prediction, times the standard deviations of prediction and BOLD so
    that its size is that of the squared error's: ``β·(ŷ − mean) − (y − mean)`` with β the slope of BOLD on prediction.
    """
    predicted = bold + error
    x, y = predicted - predicted.mean(0), bold - bold.mean(0)
    power = x.square().sum(0)
    slope = torch.where(power > 0, (x * y).sum(0) / power, 0.0)
    return torch.nan_to_num((1 - weight) * error + weight * (slope * x - y))


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
    plan = Schedule(
        CAUTIOUS_RATE,
        settings.epochs,
        settings.block_trs,
        seed,
        settings.warm_up_steps,
        settings.correlation_weight,
        settings.average,
    )
    if settings.learning_rate != "auto":
        return replace(plan, rate=settings.learning_rate), {}
    if len(latents) < 2:
        return plan, {}
    rate, curve = choose_rate(latents, start, plan)
    return replace(plan, rate=rate), curve


def descend(
    latents: Sequence[Latents], start: tuple[Tensor, Tensor], plan: Schedule, scale: Scale | None = None
) -> Descent:
    """Train a readout on windows that have been through the trunk; each sample is visited once per epoch.

    ``scale`` is that of the latents, where it is known already.
    """
    descent = Descent(*start, scale or scale_of(latents, plan.block), plan.correlation)
    lengths = [len(part.values) for part in latents]
    totals = [torch.zeros_like(part) for part in (descent.weights, descent.bias)] if plan.average else []
    for _, window, blocks in visits([lengths] * plan.epochs, plan):
        descent.visit(latents[window].values, latents[window].bold, blocks)
        for total, part in zip(totals, (descent.weights, descent.bias), strict=False):
            total.add_(part)
    if totals:
        descent.weights, descent.bias = (total / (plan.epochs * len(lengths)) for total in totals)
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
    folds = []
    for left_out in inner_folds([part.run for part in latents]):
        train = [part for part, out in zip(few, left_out, strict=True) if not out]
        held = [part for part, out in zip(few, left_out, strict=True) if out]
        folds.append((train, held, scale_of(train, plan.block)))

    def score(rate: float) -> float:
        scores = []
        for train, held, scale in folds:
            descent = descend(train, origin, replace(plan, rate=rate), scale)
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
            rates = [_rate(plan, done + k, total) for k in range(len(blocks))]
            yield epoch, int(window), list(zip([blocks[k] for k in rng.permutation(len(blocks))], rates, strict=True))
            done += len(blocks)


def _rate(plan: Schedule, step: int, total: int) -> float:
    """Learning rate of a step: it rises in the warm-up and falls all along."""
    return plan.rate * (1 - step / total) * min(1.0, (step + 1) / (plan.warm_up + 1))
