"""A low-rank difference from the unseen row: reduced-rank ridge in closed form, small enough to send by mail."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tribetune.adapt.adapter import BIAS, LEFT, RIGHT, Adapter
from tribetune.adapt.axes import standardised
from tribetune.adapt.base import Base
from tribetune.adapt.folds import sample_folds
from tribetune.adapt.latents import Latents, take_out_shared
from tribetune.adapt.rows import starting_row
from tribetune.adapt.unseen import residual
from tribetune.errors import AdaptationError
from tribetune.windows import Window

RANKS = (4, 8, 16, 32, 64, 128)
PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)
"""Tried, per sample of standardised data."""

CAUTIOUS_RANK, CAUTIOUS_PENALTY = 8, 100.0
"""Taken where a single window leaves nothing to choose on."""

_PASSES = 4
"""Power iterations of the randomised decomposition."""


@dataclass(frozen=True)
class LowRankSettings:
    """Plain arguments of `fit_low_rank`.

    Attributes
    ----------
    rank : int or "auto"
        Of the difference, at most; 128 on 20,484 outputs is 11.6 MB.
    penalty : float or "auto"
        Per sample of standardised data. What is ``auto`` is chosen by leaving out each calibration run in turn (or
        halves of one run), over all outputs together.
    """

    rank: int | Literal["auto"] = "auto"
    penalty: float | Literal["auto"] = "auto"


@dataclass(frozen=True)
class Reduced:
    """A reduced-rank difference, and its prediction for any standardised data: ``x @ left @ right``.

    Attributes
    ----------
    left : Tensor of shape (n_inputs, rank)
    right : Tensor of shape (rank, n_outputs)
        The best of every lower rank are the first columns and rows.
    """

    left: Float[Tensor, "input rank"]
    right: Float[Tensor, "rank output"]


def fit_low_rank(base: Base, windows: Sequence[Window], settings: LowRankSettings, seed: int) -> Adapter:
    """Ridge of limited rank on the difference from the unseen row (from zero where there is none).

    Parameters
    ----------
    base : Base
    windows : sequence of Window
        The subject's calibration windows.
    settings : LowRankSettings
    seed : int
        Of the randomised decomposition.

    Raises
    ------
    AdaptationError
        If the rank is more than what the data or the readout can have.
    BoldError
        If no sample is valid.
    """
    latents = base.latents(windows)
    start = starting_row(base.tribe, latents[0].bold.shape[1])
    mean, spread, values = standardised(torch.cat([part.values for part in latents]))
    take_out_shared(latents, *start)
    left = residual(base, latents, start)
    defined = left.isfinite().all(0)
    left = torch.where(defined, left, 0)
    rank, penalty, chosen = _choose(latents, values, left, settings, seed)
    found = reduced_rank_ridge(values, left - left.mean(0), penalty, rank, seed)
    weights = found.left / spread[:, None]
    bias = start[1] + left.mean(0) - (mean @ weights) @ found.right
    tensors = {LEFT: weights.cpu(), RIGHT: found.right.cpu(), BIAS: bias.cpu()}
    return Adapter("low-rank", tensors, chosen={"rank": rank, "penalty": penalty, **chosen})


def reduced_rank_ridge(
    values: Float[Tensor, "time input"], left: Float[Tensor, "time output"], penalty: float, rank: int, seed: int
) -> Reduced:
    """The minimum of ``|left − values·B|² + penalty·n·|B|²`` over B of a rank (Mukherjee & Zhu 2011), in closed form.

    With ``values'·values + penalty·n = L·L'`` the penalised error of any B is that of ridge plus
    ``|L'·(B − ridge)|²``, so that the best B of a rank is the best approximation of ``L'·ridge``.

    Parameters
    ----------
    values, left : Tensor of shape (n_samples, n_inputs) and (n_samples, n_outputs)
        Both centred.
    penalty : float
        Per sample.
    rank : int
    seed : int
        Of the randomised singular vectors (Halko et al. 2011).
    """
    n_samples = len(values)
    gram = (values.T @ values).cpu()
    gram.diagonal().add_(penalty * n_samples)
    root = torch.linalg.cholesky(gram).to(values.device)
    wanted = torch.linalg.solve_triangular(root, values.T @ left, upper=False)
    directions = leading_directions(wanted, min(rank, *wanted.shape), seed)
    return Reduced(torch.linalg.solve_triangular(root.T, directions, upper=True), directions.T @ wanted)


def leading_directions(matrix: Float[Tensor, "input output"], rank: int, seed: int) -> Float[Tensor, "input rank"]:
    """The leading left singular vectors: exact where the matrix is small, by seeded subspace iteration elsewhere."""
    wide = min(2 * rank + 16, *matrix.shape)
    if wide == min(matrix.shape):
        return torch.linalg.svd(matrix.cpu(), full_matrices=False).U[:, :rank].to(matrix.device)
    drawn = torch.randn(matrix.shape[1], wide, generator=torch.Generator().manual_seed(seed)).to(matrix.device)
    basis = matrix @ drawn
    for _ in range(_PASSES):
        basis = matrix @ (matrix.T @ _orthonormal(basis))
    basis = _orthonormal(basis)
    inner = basis.T @ matrix
    _, vectors = torch.linalg.eigh((inner @ inner.T).cpu())
    return basis @ vectors.flip(1)[:, :rank].to(matrix.device)


def _orthonormal(basis: Float[Tensor, "input rank"]) -> Float[Tensor, "input rank"]:
    """An orthonormal basis of the columns."""
    return torch.linalg.qr(basis.cpu()).Q.to(basis.device)  # MPS has no qr


def _choose(
    latents: Sequence[Latents], values: Tensor, left: Tensor, settings: LowRankSettings, seed: int
) -> tuple[int, float, dict]:
    most = min(*values.shape, left.shape[1])
    ranks = [min(rank, most) for rank in RANKS] if settings.rank == "auto" else [settings.rank]
    if settings.rank != "auto" and not 1 <= settings.rank <= most:
        raise AdaptationError(
            f"adaptation.rank is {settings.rank}, these data and outputs allow at most {most}",
            hint=f"set adaptation.rank to {most} or less, or auto",
        )
    penalties = PENALTIES if settings.penalty == "auto" else (settings.penalty,)
    folds = [torch.from_numpy(fold).to(values.device) for fold in sample_folds(latents)]
    if len(ranks) == len(penalties) == 1:
        return ranks[0], penalties[0], {}
    if not folds:
        return min(CAUTIOUS_RANK, ranks[-1]), (CAUTIOUS_PENALTY if len(penalties) > 1 else penalties[0]), {}
    ranks = list(dict.fromkeys(ranks))
    errors = {(rank, penalty): 0.0 for penalty in penalties for rank in ranks}
    nothing = 0.0
    for fold in folds:
        nothing += float((left[fold] - left[~fold].mean(0)).square().sum())
        for penalty in penalties:
            for rank, error in zip(ranks, _left_out(values, left, fold, penalty, ranks, seed), strict=True):
                errors[rank, penalty] += error
    rank, penalty = min(errors, key=errors.__getitem__)
    gains = {f"rank {rank}, penalty {penalty:g}": 1 - error / nothing for (rank, penalty), error in errors.items()}
    return rank, penalty, {"inner_gains": gains}


def _left_out(
    values: Tensor, left: Tensor, fold: Bool[Tensor, " time"], penalty: float, ranks: Sequence[int], seed: int
) -> list[float]:
    """Squared error in a fold that was left out, for each rank of one fit."""
    centre, level = values[~fold].mean(0), left[~fold].mean(0)
    found = reduced_rank_ridge(values[~fold] - centre, left[~fold] - level, penalty, max(ranks), seed)
    inner, target = (values[fold] - centre) @ found.left, left[fold] - level
    return [float((target - inner[:, :rank] @ found.right[:rank]).square().sum()) for rank in ranks]
