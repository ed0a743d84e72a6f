"""Ridge models that leave folds out, of all lags at once, and the outputs that they choose for a lag sweep."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int

_PENALTY = 1.0
"""Of the ridge, in mean variances of a component: outputs whose r is about .2 want about this much."""

_SHARE, _FEWEST = 0.1, 20
"""Outputs that are scored: the best tenth on other folds, at least twenty where there are as many."""

Inverses = Mapping[frozenset[int], Float[np.ndarray, "lag component component"]]
"""By the folds that are left out: what turns products of features and BOLD of the others into weights."""


def inverses(gram: Float[np.ndarray, "fold lag component component"]) -> Inverses:
    """Of the models without one fold, and without two.

    Parameters
    ----------
    gram : array of shape (n_folds, n_lags, n_components, n_components)
        Products of the features with themselves.
    """
    folds, size = range(len(gram)), gram.shape[-1]
    found = {}
    for left_out in (*combinations(folds, 1), *combinations(folds, 2)):
        kept = gram.sum(0) - gram[list(left_out)].sum(0)
        ridge = _PENALTY * np.trace(kept, axis1=1, axis2=2) / size + 1e-9
        found[frozenset(left_out)] = np.linalg.inv(kept + ridge[:, None, None] * np.eye(size)).astype(np.float32)
    return found


def correlation(
    weights: Float[np.ndarray, "lag component output"],
    gram: Float[np.ndarray, "lag component component"],
    cross: Float[np.ndarray, "lag component output"],
    power: Float[np.ndarray, " output"],
) -> Float[np.ndarray, "lag output"]:
    """Pearson's r of predictions and BOLD, both centred, from their sums of products alone."""
    scatter = (weights * (gram @ weights)).sum(1) * power
    return (weights * cross).sum(1) / np.sqrt(np.maximum(scatter, 1e-30))


def chosen_outputs(
    gram: Float[np.ndarray, "fold lag component component"],
    cross: Float[np.ndarray, "fold lag component output"],
    power: Float[np.ndarray, "fold output"],
    without: Inverses,
) -> Int[np.ndarray, "fold chosen"]:
    """Per fold, the outputs that models without this fold predict best on each other fold, at whatever lag.

    Parameters
    ----------
    gram, cross : arrays
        Products of the features with themselves and with the outputs, on each fold.
    power : array of shape (n_folds, n_outputs)
        Sums of squares of the outputs.
    without : mapping
        As `inverses` gives them.
    """
    n_folds, n_outputs = power.shape
    scores = np.zeros((n_folds, cross.shape[1], n_outputs), np.float32)
    for one, other in combinations(range(n_folds), 2):
        weights = without[frozenset((one, other))] @ (cross.sum(0) - cross[one] - cross[other])
        for fold, judged in ((one, other), (other, one)):
            scores[fold] += correlation(weights, gram[judged], cross[judged], power[judged])
    wanted = min(n_outputs, max(_FEWEST, round(_SHARE * n_outputs)))
    return np.argsort(-scores.max(1), axis=1, kind="stable")[:, :wanted]


def slots_of(chosen: Int[np.ndarray, "fold chosen"], n_even: int, n_outputs: int) -> Int[np.ndarray, "fold slot"]:
    """Columns of BOLD that are scored on each fold: those chosen for it, then those of the sets that were asked for."""
    asked = np.arange(n_even, n_outputs)
    return np.concatenate([chosen, np.tile(asked, (len(chosen), 1))], axis=1)
