import numpy as np
import pytest

from benchmarks.honesty import coverage, planted, true_ceiling
from tribetune.evaluate.ceilings import (
    Ceiling,
    Resampling,
    inter_subject_ceiling,
    no_ceiling,
    repeat_ceiling,
    split_half_ceiling,
)
from tribetune.evaluate.others import mean_of_subjects

ONE_RUN = ("1",) * 300


def data(share=0.3, n_repeats=3, n_outputs=4, seed=0):
    return planted(np.random.default_rng(seed), share, n_repeats, 300, n_outputs)


def zscored(values):
    return (values - values.mean(-2, keepdims=True)) / values.std(-2, keepdims=True)


@pytest.mark.parametrize("n_repeats", [2, 5])
def test_the_repeat_ceiling_is_the_root_of_the_corrected_explainable_variance(n_repeats):
    """Voxel by voxel as science.md writes it: ev = 1 - var(residual) / var(y), less what the mean's noise adds."""
    repeats = zscored(data(n_repeats=n_repeats).astype(np.float64))
    residual = repeats - repeats.mean(0)
    ev = 1 - residual.var(1).mean(0) / repeats.var(1).mean(0)
    corrected = ev - (1 - ev) / (n_repeats - 1)
    np.testing.assert_allclose(repeat_ceiling(repeats, ONE_RUN).r ** 2, corrected, atol=1e-5)


def test_two_repeats_have_the_same_ceiling_by_both_ways():
    """With two repeats explainable variance is their correlation, and so is the reliability of halves of one each."""
    repeats = data(n_repeats=2)
    r = [np.corrcoef(*repeats[:, :, k])[0, 1] for k in range(4)]
    for ceiling in (repeat_ceiling(repeats, ONE_RUN), split_half_ceiling(repeats, ONE_RUN)):
        np.testing.assert_allclose(ceiling.r**2, r, atol=1e-4)


def test_halves_are_stepped_up_by_spearman_and_brown():
    repeats = zscored(data(n_repeats=4).astype(np.float64))
    halves = repeats[::2].mean(0), repeats[1::2].mean(0)
    r = np.array([np.corrcoef(halves[0][:, k], halves[1][:, k])[0, 1] for k in range(4)])
    of_all = split_half_ceiling(repeats, ONE_RUN, averaged=4).r ** 2
    np.testing.assert_allclose(of_all, 2 * r / (1 + r), atol=1e-4)
    of_one = split_half_ceiling(repeats, ONE_RUN).r ** 2
    np.testing.assert_allclose(of_one, of_all / (4 - 3 * of_all), atol=1e-4)  # stepped down again


def test_the_ceiling_of_a_mean_of_repeats_is_higher():
    repeats = data(share=0.2, n_repeats=4, n_outputs=200)
    alone, averaged = (np.mean(repeat_ceiling(repeats, ONE_RUN, averaged=k).r) for k in (1, 4))
    assert alone == pytest.approx(np.sqrt(0.2), abs=0.03)
    assert averaged == pytest.approx(np.sqrt(0.2 / (0.2 + 0.8 / 4)), abs=0.03)


def test_the_inter_subject_ceiling_is_r_with_the_mean_of_the_others():
    repeats = zscored(data(n_repeats=6).astype(np.float64))
    others = mean_of_subjects(repeats[1:].astype(np.float32), np.asarray(ONE_RUN))
    found = inter_subject_ceiling(repeats[0], others, 5, ONE_RUN)
    wanted = [np.corrcoef(repeats[0, :, k], repeats[1:, :, k].mean(0))[0, 1] for k in range(4)]
    np.testing.assert_allclose(found.r, wanted, atol=1e-4)
    assert (found.kind, found.n) == ("inter-subject", 5)


@pytest.mark.parametrize(("kind", "n_repeats"), [("repeat", 2), ("repeat", 4), ("split-half", 4), ("inter-subject", 6)])
def test_the_interval_holds_the_truth_in_nine_of_ten_seeds(kind, n_repeats):
    held = coverage(kind, 0.2, n_repeats, 40)
    assert held >= 0.85  # of 40; a true 94 % falls below that in 3 % of campaigns, and the seeds are fixed
    assert 0 < true_ceiling(kind, 0.2, n_repeats) < 1


def test_runs_are_zscored_apart():
    repeats = data()
    moved = repeats.copy()
    moved[:, 150:] = 40 + 9 * moved[:, 150:]
    runs = ("1",) * 150 + ("2",) * 150
    for make in (repeat_ceiling, split_half_ceiling):
        np.testing.assert_allclose(make(moved, runs).r, make(repeats, runs).r, atol=1e-4)


def test_noise_alone_has_no_ceiling_above_zero_and_no_normalised_score():
    ceiling = repeat_ceiling(data(share=0.0, n_outputs=200), ONE_RUN)
    assert ceiling.above_zero.mean() < 0.08  # 2.5 % expected of 200
    normalised = ceiling.normalised(np.full(200, 0.1))
    assert np.isnan(normalised[~ceiling.above_zero]).all()


def test_a_score_is_normalised_where_the_ceiling_is_above_zero():
    interval = np.array([[0.3, -0.1, np.nan], [0.5, 0.3, np.nan]])
    ceiling = Ceiling("repeat", np.array([0.4, 0.1, np.nan]), interval, 2)
    np.testing.assert_allclose(ceiling.normalised(np.array([0.2, 0.2, 0.2])), [0.5, np.nan, np.nan])


def test_an_undefined_output_has_no_ceiling_and_the_others_are_untouched():
    repeats = data()
    whole = repeat_ceiling(repeats, ONE_RUN)
    repeats[1, :, 2] = np.nan
    holed = repeat_ceiling(repeats, ONE_RUN)
    assert np.isnan(holed.r).tolist() == [False, False, True, False]
    np.testing.assert_array_equal(holed.interval[:, :2], whole.interval[:, :2])


def test_what_cannot_be_estimated_is_refused_in_words():
    for make in (repeat_ceiling, split_half_ceiling):
        ceiling = make(data(n_repeats=1), ONE_RUN)
        assert ceiling.kind == "none"
        assert ceiling.reason == "it needs at least two repeats of a test stimulus, and there is one"
        assert np.isnan(ceiling.r).all()
        assert not ceiling.above_zero.any()
    others = inter_subject_ceiling(data()[0], data()[1], 0, ONE_RUN)
    assert others.reason == "it needs at least two other subjects with the test stimulus, and there are none"
    short = repeat_ceiling(data(), ONE_RUN, resampling=Resampling(block=100))
    assert "300 samples are fewer than 4 blocks of 100" in short.reason
    assert no_ceiling(3, "no").interval.shape == (2, 3)


def test_the_mean_of_subjects_takes_those_who_were_measured():
    subjects = data(n_repeats=3)
    lacking = subjects.copy()
    lacking[2] = np.nan
    labels = np.asarray(ONE_RUN)
    np.testing.assert_allclose(mean_of_subjects(lacking, labels), mean_of_subjects(subjects[:2], labels), atol=1e-6)
    lacking[:, :10] = np.nan
    assert np.isnan(mean_of_subjects(lacking, labels)[:10]).all()
    with pytest.raises(ValueError, match="no subject"):
        mean_of_subjects([], labels)
