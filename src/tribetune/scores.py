"""Pearson's r and R² of predicted and measured BOLD, as pure functions and as streaming torchmetrics."""

from collections.abc import Sequence
from functools import reduce

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchmetrics import Metric

from tribetune.errors import SpaceError

_FLAT = 1e-12
"""Share of a column's mean square below which its variance is rounding, not signal."""

Moments = tuple[Tensor, Tensor, Tensor]
"""Count, means of predicted and measured (2, output), and sums of squares and products about them (3, output)."""


def pearson_r(
    predicted: Float[Tensor, "time output"],
    measured: Float[Tensor, "_ _"],
    mask: Bool[Tensor, " time"] | None = None,
    runs: Sequence[str] | None = None,
) -> Float[Tensor, " output"]:
    """Correlate predicted and measured BOLD over time, one output at a time.

    Parameters
    ----------
    predicted, measured : Tensor of shape (n_trs, n_outputs)
        BOLD in any unit; the same outputs in the same order.
    mask : Tensor of shape (n_trs,), optional
        True where a sample is valid; all samples when left out.
    runs : sequence of str, optional
        The run of each sample: each run is z-scored on its own, so that r is the mean of the runs' r, weighted by their
        samples. One run when left out.

    Returns
    -------
    Tensor of shape (n_outputs,)
        Pearson's r; NaN where either side does not vary or is not finite in a run. A run of one sample has no r and no
        weight.

    Raises
    ------
    SpaceError
        If the two do not have the same shape.

    Notes
    -----
    Same as ``scipy.stats.pearsonr`` per column; see ``tests/test_scores.py``.
    """
    sides = _valid(predicted, measured, mask)
    if runs is None:
        return _mean_r([_moments(*sides)])
    labels = np.asarray(runs) if mask is None else np.asarray(runs)[mask.cpu().numpy()]
    of_runs = [torch.from_numpy(labels == name).to(predicted.device) for name in dict.fromkeys(labels.tolist())]
    return _mean_r([_moments(*(side[rows] for side in sides)) for rows in of_runs])


def r_squared(
    predicted: Float[Tensor, "time output"],
    measured: Float[Tensor, "_ _"],
    mask: Bool[Tensor, " time"] | None = None,
) -> Float[Tensor, " output"]:
    """Coefficient of determination over time, one output at a time: unlike r, it asks for scale and offset, too.

    Parameters
    ----------
    predicted, measured : Tensor of shape (n_trs, n_outputs)
        BOLD in the same unit; the same outputs in the same order.
    mask : Tensor of shape (n_trs,), optional
        True where a sample is valid; all samples when left out.

    Returns
    -------
    Tensor of shape (n_outputs,)
        ``1 - SS_residual / SS_total``: 1 is perfect, the constant mean has 0, worse is negative; NaN where measured
        BOLD does not vary or either side is not finite.

    Raises
    ------
    SpaceError
        If the two do not have the same shape.

    Notes
    -----
    Same as ``sklearn.metrics.r2_score`` per column; see ``tests/test_scores.py``.
    """
    return _r2(*_moments(*_valid(predicted, measured, mask)))


class _Moments(Metric):
    """Moments of every run over all valid samples seen; merged as Chan et al. 1983.

    Parameters
    ----------
    n_outputs : int
        Columns of predicted and measured BOLD.
    n_runs : int
        Runs that are told apart.
    """

    full_state_update = False
    higher_is_better = True
    count: Tensor
    mean: Tensor
    scatter: Tensor

    def __init__(self, n_outputs: int, n_runs: int = 1) -> None:
        super().__init__()
        self.n_outputs = n_outputs
        self.add_state("count", torch.zeros(n_runs), dist_reduce_fx=None)
        self.add_state("mean", torch.zeros(n_runs, 2, n_outputs), dist_reduce_fx=None)
        self.add_state("scatter", torch.zeros(n_runs, 3, n_outputs), dist_reduce_fx=None)

    def update(
        self, predicted: Tensor, measured: Tensor, mask: Tensor | None = None, runs: Tensor | None = None
    ) -> None:
        """Add samples of shape (..., n_outputs).

        ``mask`` (...,) is True where a sample is valid; ``runs`` (...,) has each one's run, from 0 on, the first when
        left out.
        """
        predicted, measured = (side.detach().reshape(-1, self.n_outputs) for side in (predicted, measured))
        device = predicted.device
        keep = torch.ones(len(predicted), dtype=torch.bool) if mask is None else mask.reshape(-1)
        places = torch.zeros(len(predicted), dtype=torch.long) if runs is None else runs.reshape(-1)
        found = [tuple(part.to(_wide(device)) for part in of_run) for of_run in self.of_runs()]
        for run in places.unique().tolist():
            rows = (keep.to(device) & (places == run).to(device)).nonzero().flatten()
            if len(rows):
                found[run] = _merge(found[run], _moments(predicted[rows], measured[rows]))
        self.count, self.mean, self.scatter = (torch.stack(parts) for parts in zip(*found, strict=True))

    def of_runs(self) -> list[Moments]:
        """Moments of each run, of all processes."""
        states = (self.count, self.mean, self.scatter)
        if self.count.ndim == 1:
            return list(zip(*states, strict=True))
        processes = [list(zip(*parts, strict=True)) for parts in zip(*states, strict=True)]  # one more axis in front
        return [reduce(_merge, parts) for parts in zip(*processes, strict=True)]


class PearsonR(_Moments):
    """Streaming `pearson_r` per output over all valid samples seen; runs that are told apart are z-scored."""

    def compute(self) -> Tensor:
        """Pearson's r per output, shape (n_outputs,); NaN where undefined."""
        return _mean_r(self.of_runs())


class RSquared(_Moments):
    """Streaming `r_squared` per output over all valid samples seen, runs together."""

    def compute(self) -> Tensor:
        """R² per output, shape (n_outputs,); NaN where undefined."""
        return _r2(*reduce(_merge, self.of_runs()))


def _valid(predicted: Tensor, measured: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    if predicted.shape != measured.shape:
        raise SpaceError(
            f"predicted BOLD is {tuple(predicted.shape)}, measured is {tuple(measured.shape)} (time, output)",
            hint="score two arrays of one space, one row per sample",
        )
    return (predicted, measured) if mask is None else (predicted[mask], measured[mask])


def _moments(predicted: Tensor, measured: Tensor) -> Moments:
    """Count, means (2, output), and sums of squares and products about them (3, output)."""
    wide = _wide(predicted.device)
    predicted, measured = predicted.to(wide), measured.to(wide)
    mean = torch.stack([predicted.mean(0), measured.mean(0)])
    x, y = predicted - mean[0], measured - mean[1]
    scatter = torch.stack([(x * x).sum(0), (y * y).sum(0), (x * y).sum(0)])
    return torch.tensor(float(len(predicted)), device=predicted.device), mean, scatter


def _merge(a: Moments, b: Moments) -> Moments:
    (n_a, mean_a, scatter_a), (n_b, mean_b, scatter_b) = a, b
    n = n_a + n_b
    if not n:
        return n_a, mean_a, scatter_a
    apart = mean_b - mean_a
    products = torch.stack([apart[0] ** 2, apart[1] ** 2, apart[0] * apart[1]])
    return n, mean_a + apart * (n_b / n), scatter_a + scatter_b + products * (n_a * n_b / n)


def _mean_r(of_runs: Sequence[Moments]) -> Tensor:
    """Mean of the runs' r, weighted by their samples; a run of fewer than two has none."""
    used = [part for part in of_runs if part[0] > 1] or of_runs[:1]
    if len(used) == 1:
        return _r(*used[0])
    weights = torch.stack([part[0] for part in used])
    return (torch.stack([_r(*part) for part in used]) * (weights / weights.sum())[:, None]).sum(0).float()


def _r(count: Tensor, mean: Tensor, scatter: Tensor) -> Tensor:
    if count < 2:
        return torch.full_like(scatter[0], torch.nan)
    r = scatter[2] / (scatter[0].sqrt() * scatter[1].sqrt())
    varies = _varies(count, mean, scatter)
    return torch.where(varies[0] & varies[1], r.clamp(-1, 1), torch.nan).float()


def _r2(count: Tensor, mean: Tensor, scatter: Tensor) -> Tensor:
    if count < 2:
        return torch.full_like(scatter[0], torch.nan)
    residual = scatter[0] + scatter[1] - 2 * scatter[2] + count * (mean[0] - mean[1]) ** 2
    return torch.where(_varies(count, mean, scatter)[1], 1 - residual / scatter[1], torch.nan).float()


def _varies(count: Tensor, mean: Tensor, scatter: Tensor) -> Tensor:
    """Whether predicted and measured vary (2, output): sums of squares about the mean, next to those about zero."""
    return scatter[:2] > _FLAT * (scatter[:2] + count * mean**2)


def _wide(device: torch.device) -> torch.dtype:
    """The widest float of a device: MPS has no float64."""
    return torch.float32 if device.type == "mps" else torch.float64
