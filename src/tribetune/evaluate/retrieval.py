"""Retrieval: how well a predicted stretch of BOLD finds the measured one among all stretches of the test."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric

from tribetune.errors import BoldError
from tribetune.evaluate.bootstrap import HeldOut, zscore_by_run

_ROUNDING = 1e-9
"""Correlations closer than this are one: equal segments differ by the order of a sum."""


def cut_segments(
    values: Float[np.ndarray, "time output"], runs: Sequence[str], length: int
) -> Float[Tensor, "segment sample output"]:
    """Cut every run into segments of ``length`` samples; what is left over at a run's end is left out."""
    labels, segments = np.asarray(runs), []
    for label in dict.fromkeys(labels.tolist()):
        part = values[labels == label]
        segments.append(part[: len(part) // length * length].reshape(-1, length, values.shape[1]))
    return torch.from_numpy(np.ascontiguousarray(np.concatenate(segments)))


def retrieval_ranks(
    predicted: Float[Tensor, "segment sample output"], measured: Float[Tensor, "segment sample output"]
) -> Float[Tensor, " segment"]:
    """Rank of each segment's own BOLD among all segments, by correlation with what was predicted for it.

    Parameters
    ----------
    predicted, measured : Tensor of shape (n_segments, n_samples, n_outputs)
        Z-scored per output, or outputs with much variance decide alone; finite.

    Returns
    -------
    Tensor of shape (n_segments,)
        1 where its own correlates best; ties share the mean of their ranks; NaN where a side does not vary.
    """
    r = _correlations(predicted.flatten(1), measured.flatten(1))
    above = r - r.diagonal()[:, None]
    ranks = 1 + (above > _ROUNDING).sum(1) + 0.5 * ((above.abs() <= _ROUNDING).sum(1) - 1)
    return torch.where(torch.isfinite(r).all(1), ranks.float(), torch.nan)


def summarise(ranks: Float[Tensor, " segment"]) -> dict[str, float]:
    """Share of segments that are found at once, and the median share of the others that are passed by.

    Returns
    -------
    dict
        ``top_1`` (chance ``1 / n``), ``median_percentile`` (100 is the best, chance 50) and ``n`` segments with a rank.
    """
    found = ranks[torch.isfinite(ranks)]
    n = len(found)
    if n < 2:
        return {"top_1": float("nan"), "median_percentile": float("nan"), "n": float(n)}
    percentile = 100 * (n - float(np.median(found.numpy()))) / (n - 1)
    return {"top_1": float((found == 1).double().mean()), "median_percentile": percentile, "n": float(n)}


def retrieve(predicted: Float[np.ndarray, "time output"], held_out: HeldOut, length: int) -> dict[str, float]:
    """Retrieval of all segments of the test, each run z-scored, over the outputs that both sides define.

    Parameters
    ----------
    predicted : array of shape (n_samples, n_outputs)
    held_out : HeldOut
        What was measured.
    length : int
        Samples per segment.

    Raises
    ------
    BoldError
        If there are fewer than two segments.
    """
    labels = np.asarray(held_out.runs)
    sides = [zscore_by_run(values, labels) for values in (predicted, held_out.bold)]
    defined = np.all([np.isfinite(side).all(0) for side in sides], axis=0)
    cut = [cut_segments(side[:, defined], held_out.runs, length) for side in sides]
    if len(cut[0]) < 2:
        raise BoldError(
            f"{len(cut[0])} segments of {length} samples, expected two at least", hint="retrieve shorter segments"
        )
    return summarise(retrieval_ranks(*cut))


class Retrieval(Metric):
    """Retrieval among all segments seen, never within a batch: `retrieval_ranks` when everything is there."""

    full_state_update = False
    predicted: list[Tensor]
    measured: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("predicted", [], dist_reduce_fx="cat")
        self.add_state("measured", [], dist_reduce_fx="cat")

    def update(self, predicted: Tensor, measured: Tensor) -> None:
        """Add segments of shape (n_segments, n_samples, n_outputs), z-scored per output and run."""
        self.predicted.append(predicted.detach())
        self.measured.append(measured.detach())

    def compute(self) -> dict[str, float]:
        """As `summarise`."""
        sides = [side if isinstance(side, Tensor) else torch.cat(side) for side in (self.predicted, self.measured)]
        return summarise(retrieval_ranks(*sides))


def _correlations(x: Tensor, y: Tensor) -> Tensor:
    """Pearson's r of every row of x with every row of y."""
    x, y = x.double(), y.double()
    x, y = x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
    scale = x.norm(dim=1)[:, None] * y.norm(dim=1)
    return torch.where(scale > 0, x @ y.T / scale, torch.nan)
