import numpy as np
import pytest

from tribetune.evaluate.bootstrap import HeldOut
from tribetune.evaluate.null import _mean_r_by_shift, shift_null

EVERY = np.ones(5, bool)


def smooth(rng, n=300, n_outputs=5):
    return np.stack([np.convolve(rng.standard_normal(n), np.ones(8), "same") for _ in range(n_outputs)], 1)


def test_every_shift_is_the_mean_r_of_the_shifted_prediction():
    rng = np.random.default_rng(0)
    x, y = ((v - v.mean(0)) / v.std(0) for v in (smooth(rng, 40), smooth(rng, 40)))
    found = _mean_r_by_shift(x, y, np.arange(40))
    for shift in (0, 1, 17):
        later = np.roll(x, shift, axis=0)
        wanted = np.mean([np.corrcoef(later[:, k], y[:, k])[0, 1] for k in range(5)])
        assert found[shift] == pytest.approx(wanted, abs=1e-9)  # the same sums in another order


def test_a_true_prediction_is_far_above_its_null_and_a_false_one_is_not():
    rng = np.random.default_rng(0)
    bold = smooth(rng)
    held_out = HeldOut(bold, ("1",) * 150 + ("2",) * 150)
    null = shift_null(bold + smooth(rng), held_out, EVERY, draws=500, seed=0)
    assert np.percentile(null, 95) < 0.2  # the prediction itself reaches sqrt(1/2)
    assert abs(null.mean()) < 0.05


def test_chance_is_exceeded_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    above = 0
    for seed in range(100):
        bold, other = smooth(rng), smooth(rng)
        null = shift_null(other, HeldOut(bold, ("1",) * 300), EVERY, draws=200, seed=seed)
        r = np.mean([np.corrcoef(bold[:, k], other[:, k])[0, 1] for k in range(5)])
        above += r > np.percentile(null, 95)
    assert 0 <= above <= 12  # 5 expected; a binomial exceeds 12 in 0.15 % of campaigns, and the seed is fixed


def test_a_run_too_short_to_shift_has_no_null():
    rng = np.random.default_rng(0)
    null = shift_null(smooth(rng, 30), HeldOut(smooth(rng, 30), ("1",) * 30), EVERY, draws=10, seed=0)
    assert np.isnan(null).all()
