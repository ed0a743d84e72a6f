import numpy as np
import pytest

from tribetune.evaluate.bootstrap import HeldOut
from tribetune.evaluate.resampling import Resampling, score_intervals

N_OUTPUTS, N_SAMPLES = 600, 600


def hrf_like(rng, n_samples, n_outputs):
    """White noise through a low-pass of some seconds, standardised by its known spread: BOLD's autocorrelation."""
    kernel = np.exp(-np.arange(25) / 3.0)
    white = rng.standard_normal((n_samples + 24, n_outputs))
    made = sum(weight * white[24 - k : 24 - k + n_samples] for k, weight in enumerate(kernel))
    return (made / np.sqrt((kernel**2).sum())).astype(np.float32)


def planted(r, seed):
    """Prediction and BOLD whose correlation in the long run is ``r`` at every output."""
    rng = np.random.default_rng(seed)
    signal, noise = hrf_like(rng, N_SAMPLES, N_OUTPUTS), hrf_like(rng, N_SAMPLES, N_OUTPUTS)
    return signal, r * signal + np.sqrt(1 - r**2) * noise


@pytest.mark.parametrize("r", [0.0, 0.2, 0.6])
def test_the_interval_of_r_covers_the_planted_r_at_its_nominal_level(r):
    predicted, bold = planted(r, seed=int(10 * r))
    low, high = score_intervals(predicted, HeldOut(bold, ("run",) * N_SAMPLES), Resampling(draws=300))
    # 600 independent outputs: 95 % with a standard error of 0.9 %; block bootstraps are known to be a little narrow
    assert 0.92 <= np.mean((low <= r) & (r <= high)) <= 0.98


def test_an_output_that_does_not_vary_has_no_interval():
    predicted, bold = planted(0.5, seed=1)
    bold[:, 0], predicted[:, 1] = 3.0, 0.0
    found = score_intervals(predicted[:, :4], HeldOut(bold[:, :4], ("run",) * N_SAMPLES), Resampling(draws=100))
    assert np.isnan(found[:, :2]).all()
    assert np.isfinite(found[:, 2:]).all()
    assert (found[0, 2:] < found[1, 2:]).all()


def test_a_few_blocks_are_too_few_for_an_interval():
    predicted, bold = planted(0.5, seed=1)
    assert np.isnan(score_intervals(predicted[:90], HeldOut(bold[:90], ("run",) * 90))).all()
