from dataclasses import replace

import numpy as np
import pytest

from tribetune.errors import BoldError
from tribetune.evaluate import group
from tribetune.evaluate.group import Cohort, group_null, score_group
from tribetune.evaluate.null import NEAREST

N, OUTPUTS, SAMPLES = 9, 7, (150, 90)


def make(seed=0, n=N, own=1.0):
    """Subjects who share a signal that the prediction knows in part, each with noise of his own."""
    rng = np.random.default_rng(seed)
    shared = [rng.standard_normal((t, OUTPUTS)) for t in SAMPLES]
    predicted = tuple((0.7 * s + rng.standard_normal(s.shape)).astype(np.float32) for s in shared)
    bold = tuple(
        tuple((3 + s + own * rng.standard_normal(s.shape)).astype(np.float32) for s in shared) for _ in range(n)
    )
    return Cohort(predicted, bold, tuple(np.ones(t, bool) for t in SAMPLES))


def zscored(runs):
    return np.concatenate([(run - run.mean(0)) / run.std(0) for run in runs])


def r(x, y):
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(x.T, y.T, strict=True)])


EVERY = np.ones(OUTPUTS, bool)


@pytest.fixture(scope="module")
def direct():
    """The definitions, word by word."""
    cohort = make()
    x = zscored(cohort.predicted)
    z = np.stack([zscored(runs) for runs in cohort.bold])
    others = [np.delete(z, s, axis=0).mean(0) for s in range(N)]
    return {
        "r_group": r(x, z.mean(0)),
        "subjects": np.stack([r(z[s], others[s]) for s in range(N)]),
        "model": np.stack([r(x, others[s]) for s in range(N)]),
        "individual": np.stack([r(x, z[s]) for s in range(N)]),
    }


def test_every_figure_is_its_definition(direct):
    found = score_group(make(), EVERY, 100, 0)
    close = {"atol": 1e-6}  # BOLD is float32
    np.testing.assert_allclose(found.maps["r_group"], direct["r_group"], **close)
    np.testing.assert_allclose(found.maps["median_subject"], np.median(direct["subjects"], axis=0), **close)
    np.testing.assert_allclose(found.maps["individual"], direct["individual"].mean(0), **close)
    for name in ("subjects", "model", "individual"):
        np.testing.assert_allclose(getattr(found, name), direct[name].mean(1), **close)
    assert found.r_group.mean == pytest.approx(direct["r_group"].mean(), abs=1e-6)
    assert found.median_subject.mean == pytest.approx(np.median(direct["subjects"].mean(1)), abs=1e-6)
    assert (found.n_subjects, found.n_samples, found.r_group.n_outputs) == (N, sum(SAMPLES), OUTPUTS)
    better = direct["model"].mean(1) > direct["subjects"].mean(1)
    assert found.out_predicted == better.mean()


def test_the_cohort_is_averaged_first_so_that_it_scores_above_individuals():
    found = score_group(make(own=3.0), EVERY, 100, 0)
    assert found.r_group.mean > 1.5 * found.individual.mean()
    assert found.curve[0].mean == pytest.approx(found.individual.mean(), abs=0.02)  # 200 draws of one subject of nine
    assert [point.n_subjects for point in found.curve] == [1, 2, 3, 4, 6, 9]
    means = [point.mean for point in found.curve]
    assert means == sorted(means)
    assert found.curve[-1].mean == found.r_group.mean


def test_a_model_of_the_shared_signal_out_predicts_noisy_subjects_only():
    exact = make(own=3.0)
    signal = tuple(np.mean([runs[k] for runs in make(own=0.0).bold], axis=0) for k in range(2))
    assert score_group(replace(exact, predicted=signal), EVERY, 100, 0).out_predicted == 1.0
    assert score_group(make(own=0.1), EVERY, 100, 0).out_predicted == 0.0


def test_only_samples_that_all_have_are_used_and_what_is_masked_may_be_anything():
    cohort = make()
    keep = tuple(mask.copy() for mask in cohort.keep)
    keep[0][20:60] = False
    short = replace(cohort, keep=keep)
    spoilt = [list(runs) for runs in cohort.bold]
    spoilt[3][0] = spoilt[3][0].copy()
    spoilt[3][0][30] = 1e6
    other = replace(short, bold=tuple(map(tuple, spoilt)))
    found = score_group(short, EVERY, 100, 0)
    assert found.n_samples == sum(SAMPLES) - 40
    assert score_group(other, EVERY, 100, 0).r_group == found.r_group


def test_an_output_that_one_subject_lacks_is_undefined_and_others_may_stand_outside_of_means():
    cohort = make()
    lacking = [list(runs) for runs in cohort.bold]
    lacking[2] = [run.copy() for run in lacking[2]]
    for run in lacking[2]:
        run[:, 1] = np.nan
    lacking = replace(cohort, bold=tuple(map(tuple, lacking)))
    in_means = EVERY.copy()
    in_means[5] = False
    found, whole = score_group(lacking, in_means, 100, 0), score_group(cohort, EVERY, 100, 0)
    assert np.isnan(found.maps["r_group"][1])
    assert found.maps["r_group"][5] == whole.maps["r_group"][5]
    assert found.r_group.n_outputs == OUTPUTS - 2
    assert found.r_group.mean == pytest.approx(np.mean(whole.maps["r_group"][[0, 2, 3, 4, 6]]))


def test_chunks_of_outputs_do_not_matter(monkeypatch):
    whole = score_group(make(), EVERY, 100, 0)
    monkeypatch.setattr(group, "_CHUNK", 3)
    parts = score_group(make(), EVERY, 100, 0)
    assert parts.r_group.mean == pytest.approx(whole.r_group.mean)
    assert parts.r_group.interval == pytest.approx(whole.r_group.interval)
    np.testing.assert_array_equal(parts.maps["r_group"], whole.maps["r_group"])


def test_the_interval_holds_the_estimate_and_covers_what_other_cohorts_of_the_size_give():
    n_seeds, inside = 40, 0
    rng = np.random.default_rng(5)
    signal = tuple(rng.standard_normal((t, OUTPUTS)).astype(np.float32) for t in SAMPLES)
    gains = [rng.uniform(0.2, 2.0, (n_seeds, 12)) for _ in range(2)]

    def cohort(seed, gain):
        own = np.random.default_rng([8, seed])
        bold = tuple(tuple((g * s + 2 * own.standard_normal(s.shape)).astype(np.float32) for s in signal) for g in gain)
        return Cohort(signal, bold, tuple(np.ones(t, bool) for t in SAMPLES))

    expected = np.mean([score_group(cohort(100 + k, gains[1][k]), EVERY, 100, 0).r_group.mean for k in range(n_seeds)])
    for seed in range(n_seeds):
        found = score_group(cohort(seed, gains[0][seed]), EVERY, 300, seed).r_group
        assert found.interval[0] < found.mean < found.interval[1]
        inside += found.interval[0] < expected < found.interval[1]
    assert inside >= 0.85 * n_seeds  # 95 % are asked for; resampling 12 subjects is a little narrow


def test_one_subject_is_no_group():
    with pytest.raises(BoldError, match="1 subjects with 240 samples in common"):
        score_group(make(n=1), EVERY, 100, 0)


def test_chance_is_r_group_of_the_same_prediction_at_another_time():
    """The cohort agrees in one run only, which counts for more in R_group, and so it must by chance."""
    cohort = make()
    noise = np.random.default_rng(9).standard_normal((N, SAMPLES[1], OUTPUTS)).astype(np.float32)
    cohort = replace(cohort, bold=tuple((own[0], other) for own, other in zip(cohort.bold, noise, strict=True)))
    mean = np.stack([zscored(runs) for runs in cohort.bold]).mean(0)
    parts = np.split(mean / mean.std(0) / len(mean), [SAMPLES[0]])
    of_runs = []
    for predicted, y in zip(cohort.predicted, parts, strict=True):
        x = zscored([predicted])
        of_runs.append(np.array([(np.roll(x, shift, axis=0) * y).sum(0).mean() for shift in range(len(x))]))
    assert of_runs[0][0] + of_runs[1][0] == pytest.approx(score_group(cohort, EVERY, 100, 0).r_group.mean, abs=1e-6)
    first, second = (curve[NEAREST : len(curve) - NEAREST + 1] for curve in of_runs)
    possible = np.sort((first[:, None] + second).ravel())
    null = group_null(cohort, EVERY, draws=300, seed=0)
    apart = np.abs(possible[:, None] - null).min(0)
    assert apart.max() < 1e-6  # BOLD is float32; neighbours among the 5,661 are farther apart than that for most
