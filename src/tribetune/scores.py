"""Pearson's r of predicted and measured BOLD, as a pure function and as a streaming torchmetric."""

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
    if predicted.shape != measured.shape:
        raise SpaceError(
            f"predicted BOLD is {tuple(predicted.shape)}, measured is {tuple(measured.shape)} (time, output)",
            hint="score two arrays of one space, one row per sample",
        )
    if mask is not None:
        predicted, measured = predicted[mask], measured[mask]
    if len(predicted) < 2:
        return torch.full(predicted.shape[1:], torch.nan, device=predicted.device)
    wide = _wide(predicted.device)
    predicted, measured = predicted.to(wide), measured.to(wide)
    x, y = predicted - predicted.mean(0), measured - measured.mean(0)
    scatter = torch.stack([(x * x).sum(0), (y * y).sum(0), (x * y).sum(0)])
    square = torch.stack([(predicted**2).sum(0), (measured**2).sum(0)])
    return _r_of_scatter(scatter, square)


class PearsonR(Metric):
    """Streaming Pearson's r per output over all valid samples seen (spec f), merged as Chan et al. 1983.

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
        predicted, measured = predicted.detach().to(wide), measured.detach().to(wide)
        mean = torch.stack([predicted.mean(0), measured.mean(0)])
        x, y = predicted - mean[0], measured - mean[1]
        scatter = torch.stack([(x * x).sum(0), (y * y).sum(0), (x * y).sum(0)])
        count = torch.tensor(float(len(predicted)), device=self.count.device)
        self.count, self.mean, self.scatter = _merge(
            (self.count.to(wide), self.mean.to(wide), self.scatter.to(wide)), (count, mean, scatter)
        )

    def compute(self) -> Tensor:
        """Pearson's r per output, shape (n_outputs,); NaN where undefined."""
        count, mean, scatter = self.count, self.mean, self.scatter
        if count.ndim:  # gathered from several processes: one more axis in front
            parts = list(zip(count, mean, scatter, strict=True))
            total = parts[0]
            for part in parts[1:]:
                total = _merge(total, part)
            count, mean, scatter = total
        if count < 2:
            return torch.full_like(scatter[0], torch.nan)
        return _r_of_scatter(scatter, scatter[:2] + count * mean**2)


def _merge(a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
    (n_a, mean_a, scatter_a), (n_b, mean_b, scatter_b) = a, b
    n = n_a + n_b
    if not n:
        return n_a, mean_a, scatter_a
    apart = mean_b - mean_a
    products = torch.stack([apart[0] ** 2, apart[1] ** 2, apart[0] * apart[1]])
    return n, mean_a + apart * (n_b / n), scatter_a + scatter_b + products * (n_a * n_b / n)


def _r_of_scatter(scatter: Tensor, square: Tensor) -> Tensor:
    """Pearson's r from sums of squares about the mean (3, output); flat next to sums of squares (2, output) is NaN."""
    flat = ~(scatter[:2] > _FLAT * square).all(0)
    r = scatter[2] / (scatter[0].sqrt() * scatter[1].sqrt())
    return torch.where(flat, torch.nan, r.clamp(-1, 1)).float()


def _wide(device: torch.device) -> torch.dtype:
    """The widest float of a device: MPS has no float64."""
    return torch.float32 if device.type == "mps" else torch.float64
