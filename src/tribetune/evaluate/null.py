"""What a mean score is by chance: the same prediction against BOLD at the wrong time."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int

from tribetune.evaluate.bootstrap import HeldOut, zscore_by_run
from tribetune.evaluate.moved import by_shift, moved_products

_CHUNK = 2048
"""Outputs at a time, so that memory does not grow with their number."""

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
    return standard_null(x, replace(held_out, bold=y), draws=draws, seed=seed)


def standard_null(
    x: Float[np.ndarray, "time output"], y: HeldOut, *, draws: int, seed: int
) -> Float[np.ndarray, " draw"]:
    """As `shift_null`, of a prediction and BOLD on the scale on which the mean of their product is r."""
    labels = np.asarray(y.runs)
    rng, total = np.random.default_rng(seed), np.zeros(draws)
    for label in dict.fromkeys(y.runs):
        rows = np.flatnonzero(labels == label)
        where = y.places(rows)
        curve = _mean_r_by_shift(x[rows], y.bold[rows], where)
        allowed = curve[NEAREST : len(curve) - NEAREST + 1]
        drawn = rng.choice(allowed, draws) if len(allowed) and x.shape[1] else np.full(draws, np.nan)
        total += drawn * len(rows) / len(labels)
    return total


def _mean_r_by_shift(
    x: Float[np.ndarray, "time output"], y: Float[np.ndarray, "time output"], where: Int[np.ndarray, " time"]
) -> Float[np.ndarray, " shift"]:
    """Mean over outputs of r between x, shifted circularly by each number of samples, and y."""
    (n_samples, n_outputs), total = x.shape, np.zeros(int(where[-1]) + 1)
    for first in range(0, n_outputs, _CHUNK):
        part = slice(first, first + _CHUNK)
        total += moved_products(x[:, part], y[:, part], where, by_shift).sum(1, dtype=np.float64)
    return total / (n_samples * max(1, n_outputs))
