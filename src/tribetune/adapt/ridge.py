"""Ridge on the trunk's output, shrunk towards the unseen row: closed form, the penalty chosen by leaving runs out."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from tribetune.adapt.adapter import BIAS, WEIGHTS, Adapter
from tribetune.adapt.axes import Axes, principal_axes
from tribetune.adapt.base import Base
from tribetune.adapt.latents import Latents, defined_outputs, drawn, sample_folds, take_out_shared
from tribetune.adapt.operators import CHUNK, Operator, chunks, readout_by
from tribetune.adapt.rows import starting_row
from tribetune.adapt.smoothing import smoothing_weights
from tribetune.adapt.unseen import content_hash, residual
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


@dataclass(frozen=True)
class Problem:
    """Ridge on what the unseen row leaves, with its closed-form parts.

    Attributes
    ----------
    axes : Axes
        Of the trunk's output, shared by subjects of one stimulus.
    left : Tensor of shape (n_samples, n_outputs)
        BOLD less the unseen row's prediction; NaN columns where undefined.
    folds : list of Tensor of shape (n_left_out,)
        Samples of each fold; none where there is nothing to choose on.
    """

    axes: Axes
    left: Float[Tensor, "time output"]
    folds: list[Int[Tensor, " _"]]
    smoothing: Sequence[Float[Tensor, "_ _"]] = ()
    """Weights over each window's samples that data and trunk output have gone through; none where they have not."""
    keep: Callable[[str, Callable[[], Any]], Any] = lambda _, make: make()
    """Keeps by name what depends on the axes alone, for the next subject; nothing unless told how."""

    def operator(self, penalty: float) -> Operator:
        """What makes the change of the readout, for the trunk's output and BOLD as they are."""
        return self.keep(f"operator {penalty:g}", lambda: _operator(self.axes, penalty, self.smoothing))

    def undo(self, fold: Int[Tensor, " _"], penalty: float) -> Callable[[Tensor], Tensor]:
        """What turns a fold's error within the fit into its error when it is left out: ``(I − H_ff)⁻¹``.

        ``H_ff = b·b'`` is small on one side or the other: ``(I − b·b')⁻¹ = I + b·(I − b'·b)⁻¹·b'``.
        """
        axes, name = self.axes, f"undo {penalty:g} {content_hash(fold)}"
        rows = axes.left[fold] * axes.shrinkage(penalty).sqrt()
        b = torch.cat([rows, torch.full_like(rows[:, :1], axes.n_samples**-0.5)], 1)
        if len(b) <= b.shape[1]:
            whole = self.keep(name, lambda: _inverse_of_rest(b.T))
            return lambda error: whole @ error
        inner = self.keep(name, lambda: _inverse_of_rest(b))
        return lambda error: error + b @ (inner @ (b.T @ error))


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


def pose(
    base: Base,
    latents: Sequence[Latents],
    start: tuple[Tensor, Tensor],
    smoothing_s: float = 0.0,
    outputs: Int[Tensor, " _"] | None = None,
) -> Problem:
    """The ridge problem of some calibration data, for some outputs or all.

    Its principal axes are shared by all who saw the same stimulus.
    """
    smoothing = [smoothing_weights(part.place, smoothing_s).to(base.device) for part in latents] if smoothing_s else []
    values = _smoothed(torch.cat([part.values for part in latents]), smoothing)
    left = _smoothed(residual(base, latents, start, outputs), smoothing)
    folds = [torch.from_numpy(np.flatnonzero(fold)).to(left.device) for fold in sample_folds(latents)]
    of = content_hash(values)
    axes = base.kept(f"axes {of}", lambda: principal_axes(values))
    return Problem(axes, left, folds, smoothing, lambda name, make: base.kept(f"{name} {of}", make))


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
    typical = float(penalties.median())
    return penalties, {"penalty": typical if math.isfinite(typical) else INFINITE, "inner_gains": gains}


def _sampled(problem: Problem) -> Problem:
    """The problem of a random sample of the defined outputs: enough to choose one penalty for all of them."""
    defined = problem.left.sum(0).isfinite().nonzero()[:, 0]  # what is not finite stays so in a sum
    if len(defined) <= _SEARCH_OUTPUTS:
        return problem
    return replace(problem, left=problem.left[:, drawn(defined, _SEARCH_OUTPUTS, 0)])


def left_out_errors(problem: Problem, penalties: Sequence[float]) -> Float[Tensor, "penalty output"]:
    """Sum of squared errors in left-out folds, for every penalty, from one fit to all samples.

    The error of a fold that was left out is ``(I − H_ff)⁻¹`` times its error when it was not, with ``H`` the matrix
    that maps data to fit (Cook & Weisberg 1982 for one sample; the same algebra holds for blocks).
    """
    axes, found = problem.axes, []
    for chunk in chunks(problem.left.shape[1]):
        centred = problem.left[:, chunk] - problem.left[:, chunk].mean(0)
        along = axes.left.T @ centred
        found.append(torch.stack([_errors(problem, centred, along, penalty) for penalty in penalties]))
    return torch.cat(found, 1)


def left_out_residuals(
    problem: Problem, penalties: Float[Tensor, " output"]
) -> tuple[Float[Tensor, "time output"], Float[Tensor, " output"]]:
    """Errors at every sample when its fold is left out, and the mean variance of such predictions in units of noise.

    With ``A = (I − H_ff)⁻¹`` the prediction of a fold that was left out is ``A·H_f,rest·data``, whose covariance is
    ``A·((H²)_ff − (H_ff)²)·A`` where noise is independent and of variance 1.

    Parameters
    ----------
    problem : Problem
        With folds that together hold every sample once.
    penalties : Tensor of shape (n_outputs,)
    """
    axes = problem.axes
    errors, share = torch.empty_like(problem.left), torch.empty_like(penalties)
    for penalty in penalties.unique().tolist():
        shrunk = axes.shrinkage(penalty)
        undo = [problem.undo(fold, penalty) for fold in problem.folds]
        outputs = (penalties == penalty).nonzero()[:, 0]
        spread = [
            _left_out_variance(axes, fold, shrunk, undone) for fold, undone in zip(problem.folds, undo, strict=True)
        ]
        share[outputs] = torch.cat(spread).mean()
        for chunk in outputs.split(CHUNK):
            centred = problem.left[:, chunk] - problem.left[:, chunk].mean(0)
            inside = _inside(axes, centred, axes.left.T @ centred, penalty)
            for fold, undone in zip(problem.folds, undo, strict=True):
                errors[fold[:, None], chunk] = undone(inside[fold])
    return errors, share


def solve(
    problem: Problem,
    penalties: Float[Tensor, " output"],
    base: Base,
    latents: Sequence[Latents],
    start: tuple[Tensor, Tensor],
) -> tuple[Float[Tensor, "input output"], Float[Tensor, " output"]]:
    """Weights and bias; those of the start where an output is undefined."""
    groups = penalties.unique().tolist()
    if len(groups) == 1:
        return readout_by(problem.operator(groups[0]), base, latents, start)
    weights, bias = torch.empty_like(start[0]), torch.empty_like(start[1])
    for penalty in groups:
        outputs = (penalties == penalty).nonzero()[:, 0]
        few = [replace(part, bold=part.bold[:, outputs]) for part in latents]
        own = start[0][:, outputs], start[1][outputs]
        weights[:, outputs], bias[outputs] = readout_by(problem.operator(penalty), base, few, own)
    return weights, bias


def _smoothed(values: Float[Tensor, "time _"], smoothing: Sequence[Tensor]) -> Float[Tensor, "time _"]:
    if not smoothing:
        return values
    parts = values.split([len(weights) for weights in smoothing])
    return torch.cat([weights @ part for weights, part in zip(smoothing, parts, strict=True)])


def _operator(axes: Axes, penalty: float, smoothing: Sequence[Tensor]) -> Operator:
    if math.isinf(penalty):
        weights = axes.left.new_zeros(len(axes.right), axes.n_samples)
    else:
        scaled = axes.right * (axes.strength / (axes.strength.square() + penalty * axes.n_samples))
        weights = (scaled @ axes.left.T) / axes.spread[:, None]
    bias = 1 / axes.n_samples - axes.mean @ weights
    both = _smoothed(torch.cat([weights, bias[None]]).T, [block.T for block in smoothing]).T
    return Operator(both[:-1], both[-1])


def _inverse_of_rest(b: Float[Tensor, "row column"]) -> Float[Tensor, "column column"]:
    """``(I − b'·b)⁻¹``."""
    rest = torch.eye(b.shape[1]) - (b.T @ b).cpu()
    return torch.linalg.inv(rest).to(b.device)


def _inside(axes: Axes, centred: Tensor, along: Tensor, penalty: float) -> Float[Tensor, "time output"]:
    """Errors of the fit to all samples; ``along`` is the data along every axis."""
    return torch.addmm(centred, axes.left, axes.shrinkage(penalty)[:, None] * along, alpha=-1)


def _left_out_variance(
    axes: Axes, fold: Tensor, shrunk: Tensor, undo: Callable[[Tensor], Tensor]
) -> Float[Tensor, " sample"]:
    rows = axes.left[fold]
    inside = (rows * shrunk) @ rows.T + 1 / axes.n_samples
    squared = (rows * shrunk.square()) @ rows.T + 1 / axes.n_samples
    return undo(undo(squared - inside @ inside).T).diagonal()


def _errors(problem: Problem, centred: Tensor, along: Tensor, penalty: float) -> Float[Tensor, " output"]:
    inside = _inside(problem.axes, centred, along, penalty)
    errors = [problem.undo(fold, penalty)(inside[fold]).square().sum(0) for fold in problem.folds]
    return torch.stack(errors).sum(0)


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
