"""How many independent samples autocorrelated ones are worth."""

import numpy as np
from jaxtyping import Float, Int

from tribetune.gaps import places, spread


def inflation(
    x: Float[np.ndarray, "time output"],
    y: Float[np.ndarray, "time output"],
    where: Int[np.ndarray, " time"] | None = None,
) -> Float[np.ndarray, " output"]:
    """By how much autocorrelation makes the variance of a sum of products larger than that of independent samples.

    Parameters
    ----------
    x, y : array of shape (n_samples, n_outputs)
        Of one run, in order of time; unrelated but for what is asked about.
    where : array of shape (n_samples,), optional
        Their `tribetune.gaps.places` in time; one after the other when left out.

    Returns
    -------
    array of shape (n_outputs,)
        At least 1; NaN where a side does not vary.

    Notes
    -----
    Bartlett 1935: ``1 + 2 Σ (1 - k / n) ρ_x(k) ρ_y(k)``. Sample autocorrelations at long lags are noise: the sum is
    tapered (Tukey) and ends at a quarter of the run. Where volumes were scrubbed, k is time, ρ is that of the pairs of
    samples that are k apart, and the share of samples with such a partner takes the place of ``1 - k / n``.
    """
    where = places(None, len(x)) if where is None else where
    n, n_grid = len(x), int(where[-1]) + 1
    reach = max(1, n_grid // 4)
    lags = np.arange(1, reach + 1)
    pairs = np.rint(_products(spread(np.ones((n, 1)), where), reach)[1:, 0])
    weights = (1 + np.cos(np.pi * lags / reach)) / 2 * pairs / n
    # sums of products are drawn to zero at long lags, as they would be without gaps
    each = n / np.maximum(pairs, 1) * (1 - lags / n_grid)
    shared = _autocorrelation(x, where, reach) * _autocorrelation(y, where, reach)
    return np.maximum(1 + 2 * ((weights * each**2)[:, None] * shared).sum(0), 1)


def _autocorrelation(values: np.ndarray, where: np.ndarray, reach: int) -> Float[np.ndarray, "lag output"]:
    """Sums of products at lags 1 to ``reach``, next to the sum of squares; NaN where a column does not vary."""
    covariance = _products(spread((values - values.mean(0)).astype(np.float32), where), reach)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(covariance[0] > 0, covariance[1:] / covariance[0], np.nan)


def _products(values: np.ndarray, reach: int) -> Float[np.ndarray, "lag output"]:
    """Sum of every column's products with itself, 0 to ``reach`` samples later."""
    from scipy.fft import irfft, next_fast_len, rfft

    size = next_fast_len(len(values) + reach, real=True)
    return irfft(np.abs(rfft(values.T, size)) ** 2, size)[:, : reach + 1].T
