"""What each set of modalities predicts, and what of it is one modality's own or shared by several."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tribetune.scores import PearsonR

Subset = tuple[str, ...]
"""Modalities in the order of the whole set."""

PRIMARIES = ("text", "audio", "video")
"""Modalities that are red, green and blue, in this order."""

_BRIGHTEST = 99.0
"""Percentile of unique contributions that is drawn at full brightness."""


def subsets(modalities: Sequence[str]) -> list[Subset]:
    """Every set of modalities to predict from, the largest first; nothing is predicted from none."""
    return [some for size in range(len(modalities), 0, -1) for some in combinations(modalities, size)]


def contributions(scores: Mapping[Subset, Float[np.ndarray, " output"]]) -> dict[Subset, Float[np.ndarray, " output"]]:
    """The encoding score with all modalities, parted into what each alone adds and what each group of them shares.

    Parameters
    ----------
    scores : mapping of modalities to array of shape (n_outputs,)
        Held-out r of predictions from each of `subsets`, on the same samples.

    Returns
    -------
    dict of modalities to array of shape (n_outputs,)
        Of one modality, its unique contribution ``r(all) - r(all but it)``; of several, what any of them can give and
        nothing else can: of two, ``r(one) + r(other) - r(both)`` beside the rest. All of them add up to r(all). A model
        was not fitted again for each set, and r is no variance, so that a part may be negative: the set predicts better
        than its members would by themselves, or worse than without one. NaN where a score of it is undefined.

    Raises
    ------
    KeyError
        If the scores of a subset are missing.

    Notes
    -----
    Commonality analysis (Newton and Spurrell 1967; de Heer et al. 2017 part explained variance in this way), with r
    of no modality taken as 0: ``Σ over K in the set of (-1)^(|K| + 1) r(K and all that is not in the set)``.
    """
    everything = max(scores, key=len)

    def r(names: set[str]) -> Float[np.ndarray, " output"] | float:
        return scores[tuple(name for name in everything if name in names)] if names else 0.0

    found = {}
    for subset in subsets(everything):
        rest = set(everything) - set(subset)
        terms = [-r(rest), *((-1) ** (len(some) + 1) * r(rest | set(some)) for some in subsets(subset))]
        found[subset] = np.asarray(sum(terms))
    return found


class Contributions(PearsonR):
    """Streaming `contributions` of predictions from every set of modalities, each run z-scored on its own.

    Parameters
    ----------
    modalities : sequence of str
    n_outputs : int
    n_runs : int
        Runs that are told apart.
    """

    def __init__(self, modalities: Sequence[str], n_outputs: int, n_runs: int = 1) -> None:
        self.subsets = subsets(modalities)
        super().__init__(len(self.subsets) * n_outputs, n_runs)

    def update(
        self, predicted: Tensor, measured: Tensor, mask: Tensor | None = None, runs: Tensor | None = None
    ) -> None:
        """Add predictions of shape (..., n_subsets, n_outputs), in the order of ``subsets``; else as `PearsonR`."""
        beside = measured.unsqueeze(-2).expand_as(predicted)
        super().update(predicted.flatten(-2), beside.flatten(-2), mask, runs)

    def compute(self) -> Tensor:
        """Contributions of shape (n_subsets, n_outputs), in the order of ``subsets``."""
        r = super().compute().reshape(len(self.subsets), -1)
        found = contributions(dict(zip(self.subsets, r.cpu().numpy(), strict=True)))
        return torch.from_numpy(np.stack([found[subset] for subset in self.subsets])).to(r.device)


def modality_colours(unique: Mapping[str, Float[np.ndarray, " output"]]) -> Float[np.ndarray, "output 3"]:
    """Unique contributions as red (text), green (audio) and blue (video), on one scale; black is none.

    Parameters
    ----------
    unique : mapping of modality to array of shape (n_outputs,)
        Of one to three modalities; an absent one is dark.

    Returns
    -------
    array of shape (n_outputs, 3)
        From 0 to 1: negative contributions are 0, the 99th percentile of the positive ones over all modalities is 1.
        NaN where any is undefined.
    """
    n_outputs = len(next(iter(unique.values())))
    values = np.stack([unique.get(name, np.zeros(n_outputs)) for name in PRIMARIES], axis=1)
    positive = values[np.isfinite(values).all(1)]
    positive = positive[positive > 0]
    top = np.percentile(positive, _BRIGHTEST) if len(positive) else 1.0
    colours = np.clip(values / top, 0, 1)
    return np.where(np.isfinite(values).all(1, keepdims=True), colours, np.nan)
