"""Scores of parcels: each a mean over its outputs, with the number that entered it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tribetune.scores import PearsonR


@dataclass(frozen=True)
class Parcels:
    """Named sets of outputs.

    Attributes
    ----------
    names : tuple of str
    sets : array of shape (n_parcels, n_outputs)
        True where an output belongs to a parcel; an output may belong to several or none.
    """

    names: tuple[str, ...]
    sets: Bool[np.ndarray, "parcel output"]

    @property
    def first(self) -> "Parcels":
        """The first one alone."""
        return Parcels(self.names[:1], self.sets[:1])


def parcels_of_labels(labels: Sequence[str]) -> Parcels:
    """One parcel per label in order of appearance; outputs without a label belong to none."""
    names = tuple(dict.fromkeys(label for label in labels if label))
    given = np.asarray(labels, dtype=object)
    return Parcels(names, np.array([given == name for name in names], bool).reshape(len(names), len(labels)))


def set_means(values: Float[np.ndarray, " output"], parcels: Parcels) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each parcel over its defined outputs.

    Returns
    -------
    array of shape (n_parcels,)
        NaN where a parcel has no defined output.
    array of shape (n_parcels,)
        Outputs that entered the mean.
    """
    defined = parcels.sets & np.isfinite(values)
    count = defined.sum(1)
    means = np.where(count > 0, defined @ np.nan_to_num(values) / np.maximum(count, 1), np.nan)
    return means, count


class ParcelR(PearsonR):
    """Streaming mean r of every parcel, each run z-scored on its own: `set_means` of `pearson_r`.

    Parameters
    ----------
    parcels : Parcels
    n_runs : int
        Runs that are told apart.
    """

    def __init__(self, parcels: Parcels, n_runs: int = 1) -> None:
        super().__init__(parcels.sets.shape[1], n_runs)
        self.parcels = parcels

    def compute(self) -> Tensor:
        """Mean r per parcel, shape (n_parcels,); NaN where a parcel has no defined output."""
        return torch.from_numpy(set_means(super().compute().cpu().numpy(), self.parcels)[0])


def parcel_rows(parcels: Parcels, columns: Mapping[str, Float[np.ndarray, " output"]], main: str) -> list[dict]:
    """A row per parcel: its name, the outputs with a defined ``main``, and the mean of every column over those.

    Parameters
    ----------
    parcels : Parcels
    columns : mapping of str to array of shape (n_outputs,)
    main : str
        The column that decides which outputs count, so that a row's figures are of the same outputs.
    """
    counted = np.isfinite(columns[main])
    means = {name: set_means(np.where(counted, values, np.nan), parcels)[0] for name, values in columns.items()}
    count = set_means(columns[main], parcels)[1]
    return [
        {"parcel": name, "n_outputs": int(count[k]), **{column: float(values[k]) for column, values in means.items()}}
        for k, name in enumerate(parcels.names)
    ]
