"""Gradient descent on a readout: standardised, block by block, exact for any order of the blocks."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from tribetune.adapt.axes import standardised
from tribetune.adapt.latents import Latents

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
    pace : float or Tensor of shape (n_outputs,)
        What every step is multiplied by, one for all outputs or each its own.
    """

    def __init__(
        self, weights: Tensor, bias: Tensor, scale: Scale, correlation: float = 0.0, pace: float | Tensor = 1.0
    ) -> None:
        self.scale, self.correlation, self.pace = scale, correlation, pace
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
        bold: Float[Tensor, "time output"],
    ) -> None:
        """A step per block, one after the other, against the gradient that its error has after those before it.

        A step changes the weights by a product with as many columns as its block has samples: what it does to the error
        of later blocks is known without it, and the weights, by far the largest thing here, are changed only once.
        A block is samples in a row; ``error`` is used up: what every sample moves the weights by takes its place.
        """
        near = standard @ standard.T + 1  # the ones are the bias
        visited = near.new_zeros(len(near))
        for rows, rate in blocks:
            place = slice(int(rows[0]), int(rows[-1]) + 1)
            found = torch.addmm(error[place], near[place] * visited, error, alpha=-1)
            if self.correlation:
                found = self.drive(found, bold[place])
            error[place] = found.mul_(rate * self.scale.step / len(rows) * self.pace)
            visited[place] = 1
        self.weights.addmm_(standard.T, error, alpha=-1)
        self.bias.sub_(error.sum(0))

    def of_first(self, n_outputs: int) -> "Descent":
        """The descent of the first outputs alone; their weights are the same memory."""
        few = copy.copy(self)
        few.weights, few.bias = self.weights[:, :n_outputs], self.bias[:n_outputs]
        return few

    def drive(self, error: Float[Tensor, "time output"], bold: Float[Tensor, "time output"]) -> Tensor:
        """What descends: the error, or what takes its place where correlation has a share of the loss."""
        return towards_correlation(error, bold, self.correlation) if self.correlation else error

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


def descend(
    latents: Sequence[Latents], start: tuple[Tensor, Tensor], plan: Schedule, pace: float | Tensor = 1.0
) -> Descent:
    """Train a readout on windows that have been through the trunk; each sample is visited once per epoch."""
    descent = Descent(*start, scale_of(latents, plan.block), plan.correlation, pace)
    lengths = [len(part.values) for part in latents]
    mean = Mean([descent.weights, descent.bias] if plan.average else [])
    for _, window, blocks in visits([lengths] * plan.epochs, plan):
        descent.visit(latents[window].values, latents[window].bold, blocks)
        mean.add()
    mean.put()
    return descent


def impulse_response(
    latents: Sequence[Latents], plan: Schedule
) -> tuple[Float[Tensor, "readout time"], Float[Tensor, " time"]]:
    """The readout that a descent from zero makes of an impulse in each sample, one after the other.

    Without a correlation in the loss a descent is linear in what its start does not predict: these are its columns. A
    sample that was not visited yet has moved nothing, so that those visited are all that is computed.
    """
    lengths = [len(part.values) for part in latents]
    values = latents[0].values
    n_samples = sum(lengths)
    scale = scale_of(latents, plan.block)
    descent = Descent(values.new_zeros(values.shape[1], n_samples), values.new_zeros(n_samples), scale)
    mean = Mean([descent.weights, descent.bias] if plan.average else [])
    place: dict[int, int] = {}  # where the columns of a window begin, in the order of the first visits
    visited = 0
    for _, window, blocks in visits([lengths] * plan.epochs, plan):
        if window not in place:
            place[window] = visited
            visited += lengths[window]
        impulses = values.new_zeros(lengths[window], visited)
        impulses[:, place[window] : place[window] + lengths[window]].fill_diagonal_(1)
        descent.of_first(visited).visit(latents[window].values, impulses, blocks)
        mean.add()
    mean.put()
    weights, bias = descent.folded()
    order = torch.cat([torch.arange(length) + place[window] for window, length in enumerate(lengths)]).to(bias.device)
    return weights[:, order], bias[order]


class Mean:
    """The mean of weights along an epoch (Polyak & Juditsky 1992); of none, nothing is done.

    Parameters
    ----------
    weights : sequence of Tensor
        Changed in place by whoever trains them, and by `put`.
    """

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self.weights, self.totals, self.n = weights, [torch.zeros_like(part) for part in weights], 0

    def add(self) -> None:
        """Take in the weights as they are now."""
        self.n += 1
        for total, part in zip(self.totals, self.weights, strict=True):
            total.add_(part)

    def put(self) -> None:
        """Make the weights their mean."""
        for total, part in zip(self.totals, self.weights, strict=True):
            part.copy_(total / self.n)


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
