"""Products of BOLD with a prediction that is moved in time, also where volumes were scrubbed."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from tribetune.gaps import filled, gapped, spread

Draw = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From two sides on a grid of time to sums of their products by draw: (draw, output)."""

_FLAT = 1e-6


def by_shift(x: Float[np.ndarray, "grid output"], y: Float[np.ndarray, "grid _"]) -> Float[np.ndarray, "shift output"]:
    """Sum of products with each number of samples by which x comes later, wrapped around: one product in frequency."""
    from scipy.fft import irfft, rfft

    return np.ascontiguousarray(irfft(np.conj(rfft(x.T)) * rfft(y.T), len(x)).T)


def moved_products(
    x: Float[np.ndarray, "time output"],
    y: Float[np.ndarray, "time output"],
    where: Int[np.ndarray, " time"],
    draw: Draw,
) -> Float[np.ndarray, "draw output"]:
    """Sums of products of a run's BOLD with its prediction at other times, both z-scored over the run.

    Parameters
    ----------
    x, y : array of shape (n_samples, n_outputs)
        Prediction and BOLD.
    where : array of shape (n_samples,)
        Their `tribetune.gaps.places`.
    draw : callable

    Notes
    -----
    The prediction moves in time, not from one valid sample to the next: it is drawn straight across gaps, and z-scored
    again on the samples that it meets. Of 3,000 null outputs with 25 to 50 % of the samples scrubbed 4.8 to 5.1 % are
    below p = 0.05 in this way; 5.8 to 6.8 % by moving among valid samples, where gaps that met no longer meet.
    """
    on_grid = filled(x, where)
    products = draw(on_grid, spread(y, where))
    if not gapped(where):
        return products
    n, valid = len(where), spread(np.ones((len(where), 1), x.dtype), where)
    mean, square = draw(on_grid, valid) / n, draw(on_grid**2, valid) / n
    variance = square - mean**2
    return products / np.sqrt(np.where(variance < _FLAT, np.inf, variance))
