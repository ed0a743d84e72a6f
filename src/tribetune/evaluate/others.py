"""The mean over subjects of what one stimulus does to BOLD: one after the other, and without one of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tribetune.evaluate.bootstrap import zscore_by_run


@dataclass
class SubjectSum:
    """The sum over subjects who saw the same, each z-scored per run and looked at once.

    Attributes
    ----------
    labels : array of shape (n_samples,)
        The run of each sample.
    subjects : dict of str to bool
        Everybody who was asked, in order, and whether he is in the sum.
    total, count : Tensor of shape (n_samples, n_outputs)
        Of those who have a sample, and how many they are; None before the first.
    """

    labels: np.ndarray
    subjects: dict[str, bool] = field(default_factory=dict)
    total: Tensor | None = None
    count: Tensor | None = None

    def add(self, subject: str, values: Float[np.ndarray, "time output"] | None) -> None:
        """Add a subject; NaN where he lacks a sample or an output, None where he has nothing at all."""
        self.subjects[subject] = values is not None
        if values is None:
            return
        standard = torch.from_numpy(_zscored_where_there(values, self.labels))
        if self.total is None or self.count is None:
            self.total, self.count = torch.zeros(standard.shape), torch.zeros(standard.shape, dtype=torch.int16)
        self.total += standard.nan_to_num()
        self.count += standard.isfinite()

    def mean(self, without: Float[np.ndarray, "time output"] | None = None) -> Float[np.ndarray, "time output"] | None:
        """Mean of those who have a sample, NaN where nobody has; None where nobody has anything.

        ``without`` is what one of them was added with, who is taken out: a subtraction, and float32's rounding.
        """
        if self.total is None or self.count is None:
            return None
        total, count = self.total, self.count
        if without is not None:
            own = torch.from_numpy(_zscored_where_there(without, self.labels))
            total, count = total - own.nan_to_num(), count - own.isfinite().to(count.dtype)
        if not count.any():
            return None
        return torch.where(count > 0, total / count.clamp(min=1), torch.nan).numpy()


def mean_of_subjects(
    subjects: Iterable[Float[np.ndarray, "time output"]], labels: np.ndarray
) -> Float[np.ndarray, "time output"]:
    """Mean over subjects, each z-scored per run and looked at once, of those who have a sample; NaN where nobody has.

    Parameters
    ----------
    subjects : iterable of array of shape (n_samples, n_outputs)
        NaN where a subject lacks a sample or an output.
    labels : array of shape (n_samples,)
        The run of each sample.

    Raises
    ------
    ValueError
        If there is no subject.
    """
    found = SubjectSum(labels)
    for number, one in enumerate(subjects):
        found.add(str(number), one)
    mean = found.mean()
    if mean is None:
        raise ValueError("no subject to average")
    return mean


def _zscored_where_there(values: Float[np.ndarray, "time output"], labels: np.ndarray) -> np.ndarray:
    """Z-scored per run over the samples that are there; NaN elsewhere."""
    rows = np.isfinite(values).any(1)
    standard = np.full(values.shape, np.nan, np.float32)
    standard[rows] = zscore_by_run(values[rows], labels[rows])
    return standard
