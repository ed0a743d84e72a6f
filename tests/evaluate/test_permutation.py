import numpy as np
import pytest
from scipy.stats import kstest

from benchmarks.honesty import null_p_values, scrubbed, smooth
from tribetune.evaluate.bootstrap import HeldOut, bootstrap_scores, zscore_by_run
from tribetune.evaluate.permutation import Scheme, permutation_test
from tribetune.evaluate.significance import q_values

KINDS = ("circular shift", "block permutation")


def data(n_samples=240, n_outputs=5, runs=1, seed=0):
    rng = np.random.default_rng(seed)
    labels = tuple(str(run) for run in range(runs) for _ in range(n_samples // runs))
    return smooth(rng, n_samples, n_outputs), HeldOut(smooth(rng, n_samples, n_outputs), labels)


def r_of(x, y, labels):
    """Direct: each run z-scored, then one correlation."""
    x, y = (zscore_by_run(values, np.asarray(labels)).astype(np.float64) for values in (x, y))
    return (x * y).mean(0)


@pytest.mark.parametrize("runs", [1, 2])
def test_shifts_give_the_p_value_of_shifting_one_by_one(runs):
    predicted, held_out = data(runs=runs)
    chance = permutation_test(predicted, held_out, Scheme(draws=200, seed=3))
    labels, rng = np.asarray(held_out.runs), np.random.default_rng(3)
    length = 240 // runs
    shifts = []
    for _ in range(runs):
        shifts.append(rng.integers(length, size=200))
        rng.choice(np.arange(20, length - 19), 200)  # those of the level of chance
    as_good = np.zeros(5)
    for draw in range(200):
        moved = np.concatenate(
            [np.roll(predicted[labels == str(run)], shifts[run][draw], axis=0) for run in range(runs)]
        )
        as_good += r_of(moved, held_out.bold, labels) >= r_of(predicted, held_out.bold, labels) - 1e-6
    np.testing.assert_array_equal(chance.p, (as_good + 1) / 201)


@pytest.mark.parametrize("runs", [1, 2])
def test_blocks_give_the_p_value_of_permuting_one_by_one(runs):
    predicted, held_out = data(runs=runs)  # 240 samples are 6 blocks of 35 and 30 left over
    chance = permutation_test(predicted, held_out, Scheme("block permutation", draws=200, seed=3, block=35))
    labels, rng, whole = np.asarray(held_out.runs), np.random.default_rng(3), 240 // runs // 35
    orders = [rng.permuted(np.tile(np.arange(whole), (200, 1)), axis=1) for _ in range(runs)]
    x, y = (zscore_by_run(values, labels).astype(np.float64) for values in (predicted, held_out.bold))
    as_good, own = np.zeros(5), (x * y).sum(0)
    for draw in range(200):
        total = 0
        for run in range(runs):
            at_home = np.flatnonzero(labels == str(run))
            moved = at_home.copy()
            moved[: whole * 35] = at_home[: whole * 35].reshape(whole, 35)[orders[run][draw]].ravel()
            total = total + (x[at_home] * y[moved]).sum(0)
        as_good += total >= own - 1e-4
    np.testing.assert_array_equal(chance.p, (as_good + 1) / 201)


@pytest.mark.parametrize("kind", KINDS)
def test_the_score_is_that_of_the_table(kind):
    predicted, held_out = data(runs=2)
    table = bootstrap_scores({"m": predicted}, held_out, np.ones((1, 5), bool), block=30, draws=100, seed=0)
    chance = permutation_test(predicted, held_out, Scheme(kind))
    np.testing.assert_allclose(chance.r, table.scores["m"], atol=1e-5)  # float32 sums in another order


@pytest.mark.parametrize("kind", KINDS)
def test_a_true_prediction_is_significant_and_none_is_better_than_all_draws(kind):
    predicted, held_out = data(600)
    true = HeldOut(held_out.bold + 2 * predicted, held_out.runs)
    chance = permutation_test(predicted, true, Scheme(kind))
    # of 1,000 shifts of 600 s, one or two are none at all: p below 0.01 leaves eight, by chance less than once in 1,000
    assert (chance.p < 0.01).all()
    assert (chance.p >= 1 / 1001).all()
    assert (chance.r > chance.null_95).all()


@pytest.mark.parametrize("kind", KINDS)
def test_an_undefined_output_has_no_p_value_and_does_not_count_in_a_set(kind):
    predicted, held_out = data()
    held_out.bold[:, 2] = np.nan
    predicted[:, 3] = 1.0
    sets = np.array([[True] * 5, [False, False, True, True, False]])
    chance = permutation_test(predicted, held_out, Scheme(kind, draws=100), sets)
    assert np.isnan(chance.p).tolist() == [False, False, True, True, False]
    assert np.isnan(chance.set_p(sets)).tolist() == [False, True]
    alone = permutation_test(predicted[:, :2], HeldOut(held_out.bold[:, :2], held_out.runs), Scheme(kind, draws=100))
    np.testing.assert_array_equal(chance.p[:2], alone.p)


@pytest.mark.parametrize("kind", KINDS)
def test_a_set_is_held_against_its_own_mean_by_chance(kind):
    predicted, held_out = data()
    everything = np.ones((1, 5), bool)
    chance = permutation_test(predicted, held_out, Scheme(kind, draws=300), everything)
    each = [permutation_test(predicted[:, [k]], HeldOut(held_out.bold[:, [k]], held_out.runs), Scheme(kind, draws=300),
                             np.ones((1, 1), bool)).set_means for k in range(5)]  # fmt: skip
    np.testing.assert_allclose(chance.set_means, np.mean(each, axis=0), atol=1e-6)
    as_good = (chance.set_means[:, 0] >= chance.r.mean() - 1e-6).sum()
    assert chance.set_p(everything) == pytest.approx((as_good + 1) / 301)


@pytest.mark.parametrize("kind", KINDS)
def test_more_outputs_than_a_chunk_are_tested_alike(kind, monkeypatch):
    from tribetune.evaluate import permutation

    predicted, held_out = data(n_outputs=7)
    whole = permutation_test(predicted, held_out, Scheme(kind, draws=100))
    monkeypatch.setattr(permutation, "_CHUNK", 3)
    np.testing.assert_array_equal(permutation_test(predicted, held_out, Scheme(kind, draws=100)).p, whole.p)


@pytest.mark.parametrize(("kind", "n_samples"), [("circular shift", 39), ("block permutation", 59)])
def test_a_run_too_short_has_a_score_and_no_p_value(kind, n_samples):
    predicted, held_out = data(n_samples)
    chance = permutation_test(predicted, held_out, Scheme(kind, draws=100), np.ones((1, 5), bool))
    assert np.isfinite(chance.r).all()
    assert np.isnan(chance.p).all()
    assert np.isnan(chance.set_means).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_short_run_without_a_relation_has_no_discoveries(kind):
    found = 0
    for seed in range(20):
        predicted, held_out = data(240, 49, seed=seed)
        chance = permutation_test(predicted, held_out, Scheme(kind, seed=seed))
        found += bool((q_values(chance.p) <= 0.05).any())
    assert found <= 4  # at a level of 5 %, five or more of 20 come once in 400


def test_the_level_of_chance_is_of_far_shifts_so_that_a_true_prediction_does_not_raise_it():
    predicted, _ = data(100)
    chance = permutation_test(predicted, HeldOut(predicted, ("1",) * 100), Scheme(nearest=40), np.ones((1, 5), bool))
    products = [r_of(np.roll(predicted, shift, axis=0), predicted, ["1"] * 100) for shift in range(40, 61)]
    assert (chance.null_95 <= np.max(products, axis=0) + 1e-6).all()
    assert chance.set_null_95[0] <= np.mean(products, axis=1).max() + 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_p_values_are_uniform_when_there_is_nothing(kind):
    p = null_p_values(kind, 60, draws=200)
    assert kstest(p, "uniform").pvalue > 0.01  # 60 runs; `make evidence` takes 200
    assert 0.3 < p.mean() < 0.7  # far from uniform, by more than five standard errors of a mean of 60


@pytest.mark.parametrize(("share", "length"), [(0.4, 4), (0.5, 10)])
def test_scrubbed_stretches_do_not_make_chance_smaller(share, length):
    """Planted: of null outputs with gaps 5 % are below 0.05, where a prediction moves in time; above, where by rows."""
    rng, n = np.random.default_rng(0), 600
    at = np.flatnonzero(scrubbed(rng, n, share, length))
    x, y, runs = smooth(rng, n, 3000)[at], smooth(rng, n, 3000)[at], ("1",) * len(at)
    in_time = permutation_test(x, HeldOut(y, runs, at), Scheme(draws=300)).p
    # 3,000 outputs: 0.4 %, and all of them share one set of shifts
    assert np.mean(in_time <= 0.05) == pytest.approx(0.05, abs=0.01)
    assert np.mean(permutation_test(x, HeldOut(y, runs), Scheme(draws=300)).p <= 0.05) > 0.06
    in_blocks = permutation_test(x, HeldOut(y, runs, at), Scheme("block permutation", draws=300)).p
    assert np.mean(in_blocks <= 0.05) < 0.06


@pytest.mark.parametrize("kind", ["circular shift", "block permutation"])
def test_without_gaps_times_change_nothing_and_a_gap_of_minutes_is_a_seam(kind):
    rng = np.random.default_rng(0)
    x, y, runs = smooth(rng, 300, 5), smooth(rng, 300, 5), ("1",) * 300
    plain = permutation_test(x, HeldOut(y, runs), Scheme(kind, draws=100))
    for at in (np.arange(300) + 7, np.concatenate([np.arange(150), np.arange(400, 550)])):
        timed = permutation_test(x, HeldOut(y, runs, at), Scheme(kind, draws=100))
        np.testing.assert_array_equal(timed.p, plain.p)
        np.testing.assert_array_equal(timed.null_95, plain.null_95)
