import numpy as np
import pytest
from scipy.stats import pearsonr

from tribetune.evaluate.bootstrap import HeldOut, bootstrap_scores

ALL = np.ones((1, 6), bool)


def planted(strength, n=240, n_outputs=6, seed=0):
    rng = np.random.default_rng(seed)
    signal = rng.standard_normal((n, n_outputs))
    measured = signal + rng.standard_normal((n, n_outputs))
    predicted = strength * signal + rng.standard_normal((n, n_outputs))
    return predicted.astype(np.float32), measured.astype(np.float32), signal.astype(np.float32)


def scored(predicted, measured, runs=None, sets=ALL, **kwargs):
    settings = {"block": 20, "draws": 400, "seed": 0, **kwargs}
    return bootstrap_scores(predicted, HeldOut(measured, tuple(runs or ["1"] * len(measured))), sets, **settings)


def test_scores_are_pearsons_r():
    predicted, measured, _ = planted(1.0)
    found = scored({"a": predicted}, measured).scores["a"]
    wanted = [pearsonr(x, y).statistic for x, y in zip(predicted.T, measured.T, strict=True)]
    np.testing.assert_allclose(found, wanted, atol=1e-5)  # sums of float32


def test_runs_are_scored_apart_and_averaged_by_their_samples():
    predicted, measured, _ = planted(1.0)
    predicted[:80] += 50  # an offset between runs must not become a correlation
    measured[:80] += 50
    runs = ["1"] * 80 + ["2"] * 160
    r = [[pearsonr(predicted[s, k], measured[s, k]).statistic for k in range(6)] for s in (slice(80), slice(80, 240))]
    found = scored({"a": predicted}, measured, runs).scores["a"]
    np.testing.assert_allclose(found, (80 * np.array(r[0]) + 160 * np.array(r[1])) / 240, atol=1e-5)


def test_a_better_method_wins_and_the_interval_says_so():
    predicted, measured, signal = planted(0.2)
    found = scored({"weak": predicted, "strong": signal}, measured)
    difference = found.difference("strong", "weak", 0)
    assert difference.interval[0] > 0
    assert difference.interval[0] < difference.mean < difference.interval[1]
    assert difference.mean == pytest.approx(found.score("strong", 0).mean - found.score("weak", 0).mean)


def test_two_equal_methods_differ_by_exactly_nothing():
    predicted, measured, _ = planted(0.5)
    found = scored({"a": predicted, "b": 3 * predicted + 1}, measured).difference("a", "b", 0)
    # scale and offset do not matter, up to rounding of float32
    assert abs(found.mean) < 1e-6
    assert max(map(abs, found.interval)) < 1e-5


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """True r of signal + noise of equal variance with the signal is sqrt(1/2)."""
    hits = 0
    for seed in range(60):
        _, measured, signal = planted(0.0, seed=seed, n_outputs=1)
        low, high = scored({"a": signal}, measured, sets=ALL[:, :1], seed=seed).score("a", 0).interval
        hits += low <= 0.5**0.5 <= high
    assert hits >= 53  # 95 % nominal: fewer in one of 100 runs of a fair coin


def test_two_equally_good_methods_are_told_apart_by_four_blocks_about_as_rarely_as_it_says():
    """Predictions of the same quality: each end is passed in 2.5 % of cases, where percentiles passed it in 10 %."""
    above = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        measured, one, two = rng.standard_normal((3, 120, 1)).astype(np.float32)
        found = scored({"a": measured + one, "b": measured + two}, measured, sets=ALL[:, :1], block=30, seed=seed)
        above += found.difference("a", "b", 0).interval[0] > 0
    assert above <= 20  # 2.5 % of 400 are 10: more than 20 in one of 500 fair cases


def test_autocorrelated_noise_widens_the_interval_with_the_block():
    rng = np.random.default_rng(0)
    slow = np.cumsum(rng.standard_normal((2, 400, 40)), axis=1).astype(np.float32)
    sets = np.ones((1, 40), bool)
    widths = []
    for block in (1, 40):
        low, high = scored({"a": slow[0]}, slow[1], sets=sets, block=block).score("a", 0).interval
        widths.append(high - low)
    assert widths[1] > 1.5 * widths[0]


def test_an_output_that_one_method_does_not_define_counts_for_none():
    predicted, measured, signal = planted(0.5)
    flat = signal.copy()
    flat[:, 2] = 1.5
    measured[:, 4] = np.nan
    found = scored({"a": predicted, "b": flat}, measured)
    assert found.score("a", 0).n_outputs == found.score("b", 0).n_outputs == 4
    assert np.isnan(found.scores["a"]).tolist() == [False, False, True, False, True, False]


def test_nothing_defined_is_nan_with_no_outputs():
    predicted, measured, _ = planted(0.5)
    estimate = scored({"a": np.zeros_like(predicted)}, measured).score("a", 0)
    assert np.isnan(estimate.mean)
    assert estimate.n_outputs == 0


def test_each_set_of_outputs_has_its_own_mean():
    predicted, measured, _ = planted(0.5)
    sets = np.array([[True] * 6, [True, False, False, False, False, True]])
    found = scored({"a": predicted}, measured, sets=sets)
    assert found.score("a", 1).mean == pytest.approx(found.scores["a"][[0, 5]].mean())
    assert (found.score("a", 0).n_outputs, found.score("a", 1).n_outputs) == (6, 2)


def test_the_same_seed_gives_the_same_interval():
    predicted, measured, _ = planted(0.5)
    one, two, other = (scored({"a": predicted}, measured, seed=seed).score("a", 0) for seed in (1, 1, 2))
    assert one == two != other


@pytest.mark.parametrize(("n_samples", "there"), [(40, False), (100, False), (120, True)])
def test_fewer_than_four_blocks_have_a_difference_and_no_interval(n_samples, there):
    rng = np.random.default_rng(0)
    first, second, bold = rng.standard_normal((3, n_samples, 5)).astype(np.float32)
    found = bootstrap_scores(
        {"a": first, "b": second}, HeldOut(bold, ("1",) * n_samples), np.ones((1, 5), bool), block=30, draws=100, seed=0
    ).difference("a", "b", 0)
    assert np.isfinite(found.mean)
    assert np.isfinite(found.interval).all() == there  # one block would give an interval without width
