"""Pearson's r and R² of predicted and measured BOLD, as pure functions and as streaming torchmetrics."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchmetrics import Metric

from tribetune.errors import SpaceError

_FLAT = 1e-12
"""Share of a column's mean square below which its variance is rounding, not signal."""


def pearson_r(
    predicted: Float[Tensor, "time output"],
    measured: Float[Tensor, "_ _"],
    mask: Bool[Tensor, " time"] | None = None,
) -> Float[Tensor, " output"]:
    """Correlate predicted and measured BOLD over time, one output at a time.

    Parameters
    ----------
    predicted, measured : Tensor of shape (n_trs, n_outputs)
        BOLD in any unit; the same outputs in the same order.
    mask : Tensor of shape (n_trs,), optional
        True where a sample is valid; all samples when left out.

    Returns
    -------
    Tensor of shape (n_outputs,)
        Pearson's r; NaN where either side does not vary or is not finite.

    Raises
    ------
    SpaceError
        If the two do not have the same shape.

    Notes
    -----
    Same as ``scipy.stats.pearsonr`` per column; see ``tests/test_scores.py``.
    """
    count, mean, scatter = _moments(*_valid(predicted, measured, mask))
    return _r(count, mean, scatter)


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
    """Means and sums of squares and products about them, over all valid samples seen; merged as Chan et al. 1983.

    Parameters
    ----------
    n_outputs : int
        Columns of predicted and measured BOLD.
    """

    full_state_update = False
    higher_is_better = True
    count: Tensor
    mean: Tensor
    scatter: Tensor

    def __init__(self, n_outputs: int) -> None:
        super().__init__()
        self.add_state("count", torch.zeros(()), dist_reduce_fx=None)
        self.add_state("mean", torch.zeros(2, n_outputs), dist_reduce_fx=None)
        self.add_state("scatter", torch.zeros(3, n_outputs), dist_reduce_fx=None)

    def update(self, predicted: Tensor, measured: Tensor, mask: Tensor | None = None) -> None:
        """Add samples of shape (..., n_outputs); ``mask`` (...,) is True where a sample is valid."""
        n_outputs = self.mean.shape[1]
        predicted, measured = predicted.reshape(-1, n_outputs), measured.reshape(-1, n_outputs)
        if mask is not None:
            predicted, measured = predicted[mask.reshape(-1)], measured[mask.reshape(-1)]
        if not len(predicted):
            return
        wide = _wide(predicted.device)
        found = _moments(predicted.detach(), measured.detach())
        before = (self.count.to(wide), self.mean.to(wide), self.scatter.to(wide))
        self.count, self.mean, self.scatter = _merge(before, found)

    def merged(self) -> tuple[Tensor, Tensor, Tensor]:
        """Count, means (2, n_outputs) and scatter (3, n_outputs), of all processes."""
        count, mean, scatter = self.count, self.mean, self.scatter
        if count.ndim:  # gathered from several processes: one more axis in front
            parts = list(zip(count, mean, scatter, strict=True))
            total = parts[0]
            for part in parts[1:]:
                total = _merge(total, part)
            return total
        return count, mean, scatter


class PearsonR(_Moments):
    """Streaming Pearson's r per output over all valid samples seen (spec f).

    Parameters
    ----------
    n_outputs : int
        Columns of predicted and measured BOLD.
    """

    def compute(self) -> Tensor:
        """Pearson's r per output, shape (n_outputs,); NaN where undefined."""
        return _r(*self.merged())


class RSquared(_Moments):
    """Streaming R² per output over all valid samples seen, as `r_squared`.

    Parameters
    ----------
    n_outputs : int
        Columns of predicted and measured BOLD.
    """

    def compute(self) -> Tensor:
        """R² per output, shape (n_outputs,); NaN where undefined."""
        return _r2(*self.merged())


def _valid(predicted: Tensor, measured: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    if predicted.shape != measured.shape:
        raise SpaceError(
            f"predicted BOLD is {tuple(predicted.shape)}, measured is {tuple(measured.shape)} (time, output)",
            hint="score two arrays of one space, one row per sample",
        )
    return (predicted, measured) if mask is None else (predicted[mask], measured[mask])


def _moments(predicted: Tensor, measured: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Count, means (2, output), and sums of squares and products about them (3, output)."""
    wide = _wide(predicted.device)
    predicted, measured = predicted.to(wide), measured.to(wide)
    mean = torch.stack([predicted.mean(0), measured.mean(0)])
    x, y = predicted - mean[0], measured - mean[1]
    scatter = torch.stack([(x * x).sum(0), (y * y).sum(0), (x * y).sum(0)])
    return torch.tensor(float(len(predicted)), device=predicted.device), mean, scatter


def _merge(a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
    (n_a, mean_a, scatter_a), (n_b, mean_b, scatter_b) = a, b
    n = n_a + n_b
    if not n:
        return n_a, mean_a, scatter_a
    apart = mean_b - mean_a
    products = torch.stack([apart[0] ** 2, apart[1] ** 2, apart[0] * apart[1]])
    return n, mean_a + apart * (n_b / n), scatter_a + scatter_b + products * (n_a * n_b / n)


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
