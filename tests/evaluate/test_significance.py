import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import false_discovery_control, norm

from benchmarks.honesty import false_discoveries, scrubbed, smooth
from tribetune.evaluate.bootstrap import HeldOut, widening
from tribetune.evaluate.significance import (
    effective_samples,
    q_values,
    resolution,
    smallest_difference,
    smallest_score,
)


def test_q_values_are_scipys_over_the_outputs_that_were_tested():
    p = np.array([0.001, np.nan, 0.02, 0.3, np.nan, 0.04])
    q = q_values(p)
    tested = np.isfinite(p)
    np.testing.assert_allclose(q[tested], false_discovery_control(p[tested]))
    assert np.isnan(q[~tested]).all()
    assert np.isnan(q_values(np.full(3, np.nan))).all()


def test_false_discoveries_stay_at_their_level():
    false, power = false_discoveries("circular shift", 4)
    # 4 seeds with some 80 discoveries each: the share's standard error is about 1 %
    assert false < 0.08
    assert power > 0.9


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_effective_samples_of_first_order_series_are_those_of_the_formula(rho):
    rng, n = np.random.default_rng(0), 1000
    x, y = (lfilter([1], [1, -rho], rng.standard_normal((n + 100, 200)), axis=0)[100:] for _ in range(2))
    found = np.median(effective_samples(x, HeldOut(y, ("1",) * n)))
    wanted = n * (1 - rho**2) / (1 + rho**2)  # Bartlett 1935
    assert found == pytest.approx(wanted, rel=0.1)  # sample autocorrelations of 1,000 samples


def test_r_without_a_relation_spreads_as_effective_samples_say():
    rng, n = np.random.default_rng(0), 600
    x, y = smooth(rng, n, 1000), smooth(rng, n, 1000)
    r = ((x - x.mean(0)) * (y - y.mean(0))).mean(0) / x.std(0) / y.std(0)
    found = np.median(effective_samples(x, HeldOut(y, ("1",) * n)))
    assert found == pytest.approx(1 / r.var(), rel=0.15)  # a variance over 1,000 outputs: 4.5 %; a mean is removed
    assert found < n / 3


@pytest.mark.parametrize(("share", "length"), [(0.25, 5), (0.5, 10), (0.4, 1)])
def test_scrubbed_samples_are_no_neighbours_across_a_gap(share, length):
    """Planted: r of unrelated series with scrubbed stretches spreads as its effective samples say."""
    rng, n = np.random.default_rng(0), 600
    at = np.flatnonzero(scrubbed(rng, n, share, length))
    x, y = smooth(rng, n, 1000)[at], smooth(rng, n, 1000)[at]
    r = ((x - x.mean(0)) * (y - y.mean(0))).mean(0) / x.std(0) / y.std(0)
    found = np.median(effective_samples(x, HeldOut(y, ("1",) * len(at), at)))
    assert found == pytest.approx(1 / r.var(), rel=0.1)  # a variance over 1,000 outputs: 4.5 %; 3 % by itself
    as_neighbours = np.median(effective_samples(x, HeldOut(y, ("1",) * len(at))))
    assert as_neighbours > 1.1 * found


def test_two_runs_have_the_effective_samples_of_both():
    rng = np.random.default_rng(0)
    x, y = smooth(rng, 300, 50), smooth(rng, 300, 50)
    one = effective_samples(x, HeldOut(y, ("1",) * 300))
    both = effective_samples(np.tile(x, (2, 1)), HeldOut(np.tile(y, (2, 1)), ("1",) * 300 + ("2",) * 300))
    np.testing.assert_allclose(both, 2 * one)


def test_a_flat_output_has_no_effective_samples():
    x = np.random.default_rng(0).standard_normal((100, 2))
    y = x.copy()
    y[:, 1] = 3.0
    assert np.isnan(effective_samples(x, HeldOut(y, ("1",) * 100))).tolist() == [False, True]


def test_the_smallest_score_is_found_in_four_of_five_cases():
    r, n = smallest_score(100), 100
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4000, n))
    y = r * x + np.sqrt(1 - r**2) * rng.standard_normal((4000, n))
    found = [np.corrcoef(one, other)[0, 1] for one, other in zip(x, y, strict=True)]
    threshold = np.tanh(norm.ppf(0.975) / np.sqrt(n - 3))
    assert np.mean(np.array(found) > threshold) == pytest.approx(0.8, abs=0.025)  # binomial: four standard errors
    assert np.isnan(smallest_score(3))


def test_the_smallest_difference_is_2_8_standard_errors_of_many_blocks():
    draws = np.random.default_rng(0).normal(0.3, 0.01, 20000)
    assert smallest_difference(draws, 10_000) == pytest.approx(0.028, rel=0.02)
    assert np.isnan(smallest_difference(draws, 3))


def test_the_smallest_difference_is_found_in_four_of_five_cases_where_blocks_are_few():
    n, rng = 6, np.random.default_rng(0)
    spread = np.sqrt((n - 1) / n / n)  # of draws of blocks of unit variance
    size = smallest_difference(rng.normal(0, spread, 20000), n)
    blocks = size + rng.standard_normal((4000, n))
    mean, of_draws = blocks.mean(1), blocks.std(1) / np.sqrt(n)
    assert np.mean(mean - widening(n) * of_draws > 0) == pytest.approx(0.8, abs=0.04)


def test_what_can_be_resolved_is_a_sentence():
    told = resolution(10.0, 140.0, "readout", {"fir": 0.0123, "nuisance": 0.02})
    assert told.startswith("10.0 min of test data (140 effective samples")
    assert (
        "an r of 0.23 at one output, and differences in mean r between readout and fir 0.012, nuisance 0.020:" in told
    )
    assert "no score at a single output:" in resolution(0.1, 2.0, "readout", {})
    unknown = resolution(10.0, float("nan"), "readout", {})
    assert unknown.startswith("10.0 min of test data (effective samples: not known) resolve no score at a single")
