"""How many independent samples autocorrelated ones are worth."""

import numpy as np
from jaxtyping import Float


def inflation(x: Float[np.ndarray, "time output"], y: Float[np.ndarray, "time output"]) -> Float[np.ndarray, " output"]:
    """By how much autocorrelation makes the variance of a sum of products larger than that of independent samples.

    Parameters
    ----------
    x, y : array of shape (n_samples, n_outputs)
        Of one run, in order of time; unrelated but for what is asked about.

    Returns
    -------
    array of shape (n_outputs,)
        At least 1; NaN where a side does not vary.

    Notes
    -----
    Bartlett 1935: ``1 + 2 Σ (1 - k / n) ρ_x(k) ρ_y(k)``. Sample autocorrelations at long lags are noise: the sum is
    tapered (Tukey) and ends at a quarter of the run.
    """
    n = len(x)
    reach = max(1, n // 4)
    lags = np.arange(1, reach + 1)
    weights = (1 + np.cos(np.pi * lags / reach)) / 2 * (1 - lags / n)
    shared = _autocorrelation(x, reach) * _autocorrelation(y, reach)
    return np.maximum(1 + 2 * (weights[:, None] * shared).sum(0), 1)


def _autocorrelation(values: np.ndarray, reach: int) -> Float[np.ndarray, "lag output"]:
    """At lags 1 to ``reach``; NaN where a column does not vary."""
    from scipy.fft import irfft, next_fast_len, rfft

    centred = (values - values.mean(0)).T.astype(np.float32)
    size = next_fast_len(len(values) + reach, real=True)
    covariance = irfft(np.abs(rfft(centred, size)) ** 2, size)[:, : reach + 1].T
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(covariance[0] > 0, covariance[1:] / covariance[0], np.nan)
