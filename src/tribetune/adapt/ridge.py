"""Ridge on the trunk's output, shrunk towards the unseen row: closed form, the penalty chosen by leaving runs out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from tribetune.adapt.adapter import BIAS, WEIGHTS, Adapter
from tribetune.adapt.base import Base
from tribetune.adapt.latents import Latents, defined_outputs, drawn, take_out_shared
from tribetune.adapt.operators import chunks, readout_by
from tribetune.adapt.ridge_problem import Problem, along_axes, left_out_errors, pose
from tribetune.adapt.rows import starting_row
from tribetune.windows import Window

PENALTIES = (*np.logspace(-2, 4, 10).tolist(), math.inf)
"""Tried, per sample of standardised data; the infinite one keeps the unseen row."""

INFINITE = "inf"
"""How the infinite penalty is told: JSON has no such number."""

CAUTIOUS_PENALTY = 100.0
"""Taken where a single window leaves nothing to choose on."""

_SEARCH_OUTPUTS = 256
"""Outputs that one penalty for all is chosen on: a random sample is unbiased."""


@dataclass(frozen=True)
class RidgeSettings:
    """Plain arguments of `fit_ridge`.

    Attributes
    ----------
    penalty : float or "auto"
        Per sample of standardised data; ``auto`` leaves out each calibration run in turn (or halves of one run).
    penalty_per : str
        ``all``: one penalty; ``output``: each its own; ``parcel``: one for each of ``parcels``.
    parcels : array of shape (n_outputs,), optional
        Label of every output's parcel, for ``penalty_per: parcel``.
    smoothing_s : float
        Full width at half maximum of a Gaussian over time that data and trunk output go through before they are
        fitted: generalised least squares that trusts slow changes more. Predictions are not smoothed.
    """

    penalty: float | Literal["auto"] = "auto"
    penalty_per: Literal["all", "output", "parcel"] = "all"
    parcels: Int[np.ndarray, " output"] | None = None
    smoothing_s: float = 0.0


def fit_ridge(base: Base, windows: Sequence[Window], settings: RidgeSettings, seed: int) -> Adapter:  # noqa: ARG001
    """Ridge on the trunk's output with a penalty on the difference from the unseen row (from zero where there is none).

    Parameters
    ----------
    base : Base
    windows : sequence of Window
        The subject's calibration windows.
    settings : RidgeSettings
    seed : int
        Not used: nothing is drawn.

    Raises
    ------
    BoldError
        If no sample is valid.
    """
    latents = base.latents(windows)
    start = starting_row(base.tribe, latents[0].bold.shape[1])
    take_out_shared(latents, *start)
    outputs = drawn(defined_outputs(latents), _SEARCH_OUTPUTS, 0) if settings.penalty_per == "all" else None
    problem = pose(base, latents, start, settings.smoothing_s, outputs)
    penalties, chosen = choose_penalties(problem, settings)
    if outputs is not None:  # one penalty for all
        penalties = penalties[:1].expand_as(start[1])
    weights, bias = solve(problem, penalties, base, latents, start)
    return Adapter("ridge", {WEIGHTS: weights.cpu(), BIAS: bias.cpu()}, chosen=chosen)


def choose_penalties(problem: Problem, settings: RidgeSettings) -> tuple[Float[Tensor, " output"], dict]:
    """A penalty per output, and what decided: variance explained beyond the unseen row in left-out runs."""
    n_outputs = problem.left.shape[1]
    if settings.penalty != "auto":
        return problem.left.new_full((n_outputs,), settings.penalty), {"penalty": settings.penalty}
    if not problem.folds:
        return problem.left.new_full((n_outputs,), CAUTIOUS_PENALTY), {"penalty": CAUTIOUS_PENALTY}
    errors = left_out_errors(_sampled(problem) if settings.penalty_per == "all" else problem, PENALTIES)
    grouped = _summed(errors, settings)
    best = grouped.argmin(0).expand(n_outputs) if settings.penalty_per == "all" else grouped.argmin(0)
    penalties = torch.tensor(PENALTIES, device=best.device)[best]
    total = errors.nansum(1)
    gains = {f"{penalty:g}": float(1 - total[k] / total[-1]) for k, penalty in enumerate(PENALTIES)}
    typical = float(penalties[_defined(problem)].median())
    return penalties, {"penalty": typical if math.isfinite(typical) else INFINITE, "inner_gains": gains}


def _defined(problem: Problem) -> Int[Tensor, " _"]:
    """Outputs with a value at every sample: what is not finite stays so in a sum."""
    return problem.left.sum(0).isfinite().nonzero()[:, 0]


def _sampled(problem: Problem) -> Problem:
    """The problem of a random sample of the defined outputs: enough to choose one penalty for all of them."""
    defined = _defined(problem)
    if len(defined) <= _SEARCH_OUTPUTS:
        return problem
    return replace(problem, left=problem.left[:, drawn(defined, _SEARCH_OUTPUTS, 0)])


def solve(
    problem: Problem,
    penalties: Float[Tensor, " output"],
    base: Base,
    latents: Sequence[Latents],
    start: tuple[Tensor, Tensor],
) -> tuple[Float[Tensor, "input output"], Float[Tensor, " output"]]:
    """Weights and bias; those of the start where an output is undefined.

    One penalty for all is one product with BOLD that the next subject reuses; with several, outputs are solved along
    the axes, each with its own.
    """
    if len(penalties.unique()) == 1:
        return readout_by(problem.operator(float(penalties[0])), base, latents, start)
    weights, bias = start[0].clone(), start[1].clone()
    for chunk in chunks(len(bias)):
        change, level = along_axes(problem, chunk, penalties[chunk])
        defined = level.isfinite()
        weights[:, chunk] += torch.where(defined, change, 0.0)
        bias[chunk] += torch.where(defined, level, 0.0)
    return weights, bias


def _summed(errors: Float[Tensor, "penalty output"], settings: RidgeSettings) -> Float[Tensor, "penalty _"]:
    """Errors summed over the outputs that share a penalty, for each output; one column where all share one."""
    errors = torch.nan_to_num(errors)
    if settings.penalty_per == "output":
        return errors
    if settings.penalty_per == "all" or settings.parcels is None:
        return errors.sum(1, keepdim=True)
    _, place = np.unique(settings.parcels, return_inverse=True)
    index = torch.from_numpy(place).to(errors.device)
    sums = errors.new_zeros(len(errors), int(index.max()) + 1).index_add_(1, index, errors)
    return sums[:, index]
