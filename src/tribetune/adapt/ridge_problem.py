"""Ridge on what the unseen row leaves as one problem: its fits, and its errors in runs that are left out."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from tribetune.adapt.axes import Axes, principal_axes
from tribetune.adapt.base import Base
from tribetune.adapt.folds import sample_folds
from tribetune.adapt.latents import Latents
from tribetune.adapt.operators import CHUNK, Operator, chunks
from tribetune.adapt.smoothing import smoothing_weights
from tribetune.adapt.unseen import content_hash, residual


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


def along_axes(
    problem: Problem, outputs: slice, penalties: Float[Tensor, " output"]
) -> tuple[Float[Tensor, "input output"], Float[Tensor, " output"]]:
    """The change of the readout's weights and bias, every output with its own penalty."""
    axes, left = problem.axes, problem.left[:, outputs]
    mean = left.mean(0)
    along = axes.left.T @ (left - mean)
    along *= axes.strength[:, None] / (axes.strength.square()[:, None] + penalties * axes.n_samples)
    weights = axes.right @ along / axes.spread[:, None]
    return weights, mean - axes.mean @ weights


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
