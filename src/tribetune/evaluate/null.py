"""What a mean score is by chance: the same prediction against BOLD at the wrong time."""

import numpy as np
from jaxtyping import Bool, Float

from tribetune.evaluate.bootstrap import HeldOut, zscore_by_run

NEAREST = 20
"""Shortest shift in samples: below the autocorrelation of BOLD a shifted prediction still fits."""


def shift_null(
    predicted: Float[np.ndarray, "time output"],
    held_out: HeldOut,
    outputs: Bool[np.ndarray, " output"],
    *,
    draws: int,
    seed: int,
) -> Float[np.ndarray, " draw"]:
    """Mean r over outputs when each run's prediction is shifted circularly by a random time.

    The mean over outputs of r at every shift is a diagonal sum of one time × time product, so that all shifts of a run
    cost one matrix product.

    Parameters
    ----------
    predicted : array of shape (n_samples, n_outputs)
    held_out : HeldOut
        What was measured, in order of time within each run.
    outputs : array of shape (n_outputs,)
        Outputs of the mean; each must vary on both sides.
    draws, seed : int

    Returns
    -------
    array of shape (draws,)
        NaN where a run is too short to be shifted, or no output is given.
    """
    labels = np.asarray(held_out.runs)
    x, y = (zscore_by_run(values[:, outputs], labels) for values in (predicted, held_out.bold))
    return standard_null(x, y, labels, draws=draws, seed=seed)


def standard_null(
    x: Float[np.ndarray, "time output"],
    y: Float[np.ndarray, "time output"],
    labels: np.ndarray,
    *,
    draws: int,
    seed: int,
) -> Float[np.ndarray, " draw"]:
    """As `shift_null`, of sides on the scale on which the mean of their product is r."""
    rng, total = np.random.default_rng(seed), np.zeros(draws)
    for label in dict.fromkeys(labels.tolist()):
        rows = labels == label
        curve = _mean_r_by_shift(x[rows], y[rows])
        allowed = curve[NEAREST : len(curve) - NEAREST + 1]
        drawn = rng.choice(allowed, draws) if len(allowed) and x.shape[1] else np.full(draws, np.nan)
        total += drawn * rows.mean()
    return total


def _mean_r_by_shift(x: Float[np.ndarray, "time output"], y: Float[np.ndarray, "time output"]) -> np.ndarray:
    """Mean over outputs of r between x, shifted circularly by each number of samples, and y."""
    n_samples, n_outputs = x.shape
    products = x @ y.T
    place = np.arange(n_samples)
    shifted = (place[None, :] - place[:, None]) % n_samples
    return products[shifted, place[None, :]].sum(1) / (n_samples * max(1, n_outputs))
