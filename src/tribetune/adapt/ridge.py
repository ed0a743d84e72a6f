"""Ridge on the trunk's output, shrunk towards the unseen row: closed form, the penalty chosen by leaving runs out."""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from tribetune.adapt.adapter import BIAS, WEIGHTS, Adapter, starting_row
from tribetune.adapt.axes import Axes, principal_axes
from tribetune.adapt.base import Base
from tribetune.adapt.latents import Latents, residual, sample_folds
from tribetune.adapt.smoothing import smoothed
from tribetune.windows import Window

PENALTIES = (*np.logspace(-2, 4, 10).tolist(), math.inf)
"""Tried, per sample of standardised data; the infinite one keeps the unseen row."""

INFINITE = "inf"
"""How the infinite penalty is told: JSON has no such number."""

CAUTIOUS_PENALTY = 100.0
"""Taken where a single window leaves nothing to choose on."""

_SEARCH_OUTPUTS = 2048
"""Outputs that one penalty for all is chosen on: a random sample is unbiased."""

_CHUNK = 4096
"""Outputs solved for at once: a few copies of (time, output) and (input, output) stay small."""


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

    def chunks(self) -> Iterator[slice]:
        """Outputs, some at a time."""
        for start in range(0, self.left.shape[1], _CHUNK):
            yield slice(start, start + _CHUNK)


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
    problem = pose(base, latents, start, settings.smoothing_s)
    penalties, chosen = choose_penalties(problem, settings)
    weights, bias = solve(problem, penalties)
    tensors = {WEIGHTS: (start[0] + weights).cpu(), BIAS: (start[1] + bias).cpu()}
    return Adapter("ridge", tensors, chosen=chosen)


def pose(base: Base, latents: Sequence[Latents], start: tuple[Tensor, Tensor], smoothing_s: float = 0.0) -> Problem:
    """The ridge problem of some calibration data: its principal axes are shared by all who saw the same stimulus."""
    values = torch.cat([smoothed(part.values, part.place, smoothing_s) for part in latents])
    left = torch.cat([smoothed(residual(part, *start), part.place, smoothing_s) for part in latents])
    folds = [torch.from_numpy(np.flatnonzero(fold)).to(left.device) for fold in sample_folds(latents)]
    return Problem(base.kept("axes " + content_hash(values), lambda: principal_axes(values)), left, folds)


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
    defined = problem.left.isfinite().all(0).nonzero()[:, 0]
    if len(defined) <= _SEARCH_OUTPUTS:
        return problem
    order = torch.randperm(len(defined), generator=torch.Generator().manual_seed(0))[:_SEARCH_OUTPUTS]
    return replace(problem, left=problem.left[:, defined[order.to(defined.device)]])


def left_out_errors(problem: Problem, penalties: Sequence[float]) -> Float[Tensor, "penalty output"]:
    """Sum of squared errors in left-out folds, for every penalty, from one fit to all samples.

    The error of a fold that was left out is ``(I − H_ff)⁻¹`` times its error when it was not, with ``H`` the matrix
    that maps data to fit (Cook & Weisberg 1982 for one sample; the same algebra holds for blocks).
    """
    axes, found = problem.axes, []
    for penalty in penalties:
        shrunk = axes.shrinkage(penalty)
        undo = [_undo(axes, fold, shrunk) for fold in problem.folds]
        parts = [_errors(axes, problem.left[:, chunk], shrunk, problem.folds, undo) for chunk in problem.chunks()]
        found.append(torch.cat(parts))
    return torch.stack(found)


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
        undo = [_undo(axes, fold, shrunk) for fold in problem.folds]
        outputs = (penalties == penalty).nonzero()[:, 0]
        spread = [
            _left_out_variance(axes, fold, shrunk, undone) for fold, undone in zip(problem.folds, undo, strict=True)
        ]
        share[outputs] = torch.cat(spread).mean()
        for chunk in outputs.split(_CHUNK):
            inside = _inside(axes, problem.left[:, chunk], shrunk)
            for fold, undone in zip(problem.folds, undo, strict=True):
                errors[fold[:, None], chunk] = undone(inside[fold])
    return errors, share


def solve(problem: Problem, penalties: Float[Tensor, " output"]) -> tuple[Tensor, Tensor]:
    """Weights (readout_in, n_outputs) and bias (n_outputs,) of the difference; zero where an output is undefined."""
    axes = problem.axes
    weights, bias = [], []
    for chunk in problem.chunks():
        left = problem.left[:, chunk]
        along = axes.left.T @ (left - left.mean(0))
        scaled = axes.strength[:, None] / (axes.strength[:, None] ** 2 + penalties[chunk] * axes.n_samples) * along
        found = torch.nan_to_num(axes.right @ scaled) / axes.spread[:, None]
        weights.append(found)
        bias.append(torch.nan_to_num(left.mean(0)) - axes.mean @ found)
    return torch.cat(weights, 1), torch.cat(bias)


def content_hash(values: Tensor) -> str:
    """SHA-256 of a tensor's bits and shape."""
    array = np.ascontiguousarray(values.detach().cpu().numpy())
    return hashlib.sha256(array.view(np.uint8).data).hexdigest() + str(array.shape)


def _undo(axes: Axes, fold: Tensor, shrunk: Tensor) -> Callable[[Tensor], Tensor]:
    """What turns a fold's error within the fit into its error when it is left out: ``(I − H_ff)⁻¹``.

    ``H_ff = b·b'`` is small on one side or the other: ``(I − b·b')⁻¹ = I + b·(I − b'·b)⁻¹·b'``.
    """
    rows = axes.left[fold] * shrunk.sqrt()
    b = torch.cat([rows, torch.full_like(rows[:, :1], axes.n_samples**-0.5)], 1)
    if len(b) <= b.shape[1]:
        whole = _inverse_of_rest(b.T)
        return lambda error: whole @ error
    inner = _inverse_of_rest(b)
    return lambda error: error + b @ (inner @ (b.T @ error))


def _inverse_of_rest(b: Float[Tensor, "row column"]) -> Float[Tensor, "column column"]:
    """``(I − b'·b)⁻¹``."""
    rest = torch.eye(b.shape[1]) - (b.T @ b).cpu()
    return torch.linalg.inv(rest).to(b.device)


def _inside(axes: Axes, left: Tensor, shrunk: Tensor) -> Float[Tensor, "time output"]:
    """Errors of the fit to all samples."""
    centred = left - left.mean(0)
    return centred - axes.left @ (shrunk[:, None] * (axes.left.T @ centred))


def _left_out_variance(
    axes: Axes, fold: Tensor, shrunk: Tensor, undo: Callable[[Tensor], Tensor]
) -> Float[Tensor, " sample"]:
    rows = axes.left[fold]
    inside = (rows * shrunk) @ rows.T + 1 / axes.n_samples
    squared = (rows * shrunk.square()) @ rows.T + 1 / axes.n_samples
    return undo(undo(squared - inside @ inside).T).diagonal()


def _errors(
    axes: Axes,
    left: Tensor,
    shrunk: Tensor,
    folds: Sequence[Tensor],
    undo: Sequence[Callable[[Tensor], Tensor]],
) -> Float[Tensor, " output"]:
    inside = _inside(axes, left, shrunk)
    errors = [undone(inside[fold]).square().sum(0) for fold, undone in zip(folds, undo, strict=True)]
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
