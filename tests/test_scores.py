import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn.metrics import r2_score

from tribetune.errors import SpaceError
from tribetune.scores import PearsonR, RSquared, pearson_r, r_squared


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_r_is_scipys_per_output():
    predicted, measured = noise(50, 6), noise(50, 6, seed=1) + 0.3 * noise(50, 6)
    wanted = [pearsonr(x, y).statistic for x, y in zip(predicted.T.numpy(), measured.T.numpy(), strict=True)]
    # both in double precision; the result is rounded to float32
    np.testing.assert_allclose(pearson_r(predicted, measured), wanted, atol=1e-6)


@given(st.floats(0.01, 100), st.floats(-1000, 1000))
def test_r_ignores_scale_and_offset(scale, offset):
    predicted, measured = noise(40, 3), noise(40, 3, seed=1)
    moved = (predicted.double() * scale + offset).float()
    # an offset 1e5 times the spread costs float32 input five of its seven digits
    torch.testing.assert_close(pearson_r(moved, measured), pearson_r(predicted, measured), atol=2e-2, rtol=0)


def test_a_flat_vertex_has_no_score():
    predicted, measured = noise(40, 3), noise(40, 3, seed=1)
    measured[:, 1] = 7.3
    predicted[:, 2] = 0.0
    assert torch.isnan(pearson_r(predicted, measured)).tolist() == [False, True, True]


def test_what_is_not_finite_has_no_score():
    predicted, measured = noise(40, 2), noise(40, 2, seed=1)
    measured[3, 1] = torch.nan
    assert torch.isnan(pearson_r(predicted, measured)).tolist() == [False, True]


def test_masked_samples_do_not_count():
    predicted, measured, mask = noise(40, 3), noise(40, 3, seed=1), torch.arange(40) < 30
    spoilt = measured.clone()
    spoilt[30:] = 1e6
    torch.testing.assert_close(pearson_r(predicted, spoilt, mask), pearson_r(predicted[:30], measured[:30]))


RUNS = ("1",) * 30 + ("2",) * 50


def two_runs():
    """A prediction that knows which run it is and nothing else, beside BOLD that moved between the runs."""
    predicted, measured = noise(80, 4), noise(80, 4, seed=1)
    predicted[30:], measured[30:] = 3 * predicted[30:] + 40, 2 * measured[30:] + 70
    return predicted, measured


def test_runs_are_zscored_apart_so_that_r_is_the_weighted_mean_of_scipys():
    predicted, measured = two_runs()
    of_runs = [[pearsonr(predicted[rows, k], measured[rows, k]).statistic for k in range(4)]
               for rows in (slice(30), slice(30, 80))]  # fmt: skip
    found = pearson_r(predicted, measured, runs=RUNS)
    np.testing.assert_allclose(found, np.average(of_runs, axis=0, weights=[30, 50]), atol=1e-6)  # float32
    assert (pearson_r(predicted, measured) > 0.9).all()  # what pooling would call a score
    mask = torch.arange(80) < 60
    torch.testing.assert_close(
        pearson_r(predicted, measured, mask, RUNS), pearson_r(predicted[:60], measured[:60], runs=RUNS[:60])
    )


def test_a_run_of_one_sample_has_no_weight_and_a_flat_run_leaves_no_score():
    predicted, measured = two_runs()
    one_more = pearson_r(predicted[:31], measured[:31], runs=RUNS[:31])
    torch.testing.assert_close(one_more, pearson_r(predicted[:30], measured[:30]))
    measured[30:, 2] = 7.0
    assert torch.isnan(pearson_r(predicted, measured, runs=RUNS)).tolist() == [False, False, True, False]


@pytest.mark.parametrize("cuts", [(80,), (7, 25, 40, 80)])
def test_streaming_tells_runs_apart(cuts):
    predicted, measured = two_runs()
    metric, start, numbers = PearsonR(4, n_runs=3), 0, torch.tensor([int(run) for run in RUNS])
    for stop in cuts:
        metric.update(predicted[start:stop], measured[start:stop], runs=numbers[start:stop])
        start = stop
    # the same sums merged in another order; run 0 was never seen
    torch.testing.assert_close(metric.compute(), pearson_r(predicted, measured, runs=RUNS), atol=1e-6, rtol=0)


def test_one_sample_has_no_score():
    assert torch.isnan(pearson_r(noise(1, 4), noise(1, 4, seed=1))).all()


def test_other_outputs_are_refused():
    with pytest.raises(SpaceError, match="predicted BOLD is"):
        pearson_r(noise(10, 3), noise(10, 4))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6))
def test_streaming_over_batches_is_one_pass(cuts):
    predicted, measured = noise(60, 4) + 5, noise(60, 4, seed=1) - 3
    metric, start = PearsonR(4), 0
    for cut in [*cuts, 60]:
        stop = min(60, start + cut)
        metric.update(predicted[start:stop], measured[start:stop])
        start = stop
    # the same sums merged in another order
    torch.testing.assert_close(metric.compute(), pearson_r(predicted, measured), atol=1e-6, rtol=0)


def test_streaming_takes_batches_with_masks():
    predicted, measured = noise(2, 30, 4), noise(2, 30, 4, seed=1)
    mask = torch.ones(2, 30, dtype=torch.bool)
    mask[1, 10:] = False
    metric = PearsonR(4)
    metric.update(predicted, measured, mask)
    torch.testing.assert_close(metric.compute(), pearson_r(predicted[mask], measured[mask]), atol=1e-6, rtol=0)


def test_streaming_nothing_is_undefined():
    metric = PearsonR(2)
    metric.update(torch.zeros(0, 2), torch.zeros(0, 2))
    assert torch.isnan(metric.compute()).all()


def test_states_gathered_from_two_processes_merge():
    predicted, measured = noise(60, 4), noise(60, 4, seed=1)
    parts = [PearsonR(4), PearsonR(4)]
    for part, rows in zip(parts, (slice(0, 25), slice(25, 60)), strict=True):
        part.update(predicted[rows], measured[rows])
    both = PearsonR(4)
    both.update(predicted[:0], measured[:0])
    for name in ("count", "mean", "scatter"):
        setattr(both, name, torch.stack([getattr(part, name) for part in parts]))
    torch.testing.assert_close(both.compute(), pearson_r(predicted, measured), atol=1e-6, rtol=0)


def test_r2_is_scikit_learns_per_output():
    predicted, measured = noise(50, 6) + 0.2, noise(50, 6, seed=1) + 0.3 * noise(50, 6)
    wanted = r2_score(measured.double().numpy(), predicted.double().numpy(), multioutput="raw_values")
    np.testing.assert_allclose(r_squared(predicted, measured), wanted, atol=1e-5)  # the result is rounded to float32


def test_r2_asks_for_the_scale_that_r_ignores():
    measured = noise(50, 2)
    assert torch.allclose(pearson_r(3 * measured, measured), torch.ones(2))
    torch.testing.assert_close(r_squared(3 * measured, measured * 1.0)[0] < -2, torch.tensor(True))
    torch.testing.assert_close(r_squared(measured.mean(0).expand(50, 2), measured), torch.zeros(2), atol=1e-6, rtol=0)


def test_r2_of_flat_bold_is_undefined_but_not_of_a_flat_prediction():
    predicted, measured = noise(40, 3), noise(40, 3, seed=1)
    measured[:, 1], predicted[:, 2] = 7.3, 0.0
    assert torch.isnan(r_squared(predicted, measured)).tolist() == [False, True, False]


def test_streaming_r2_over_batches_is_one_pass():
    predicted, measured = noise(60, 4) + 0.5, noise(60, 4, seed=1) - 3
    metric = RSquared(4)
    for rows in (slice(0, 7), slice(7, 40), slice(40, 60)):
        metric.update(predicted[rows], measured[rows])
    # the same sums merged in another order
    torch.testing.assert_close(metric.compute(), r_squared(predicted, measured), atol=1e-4, rtol=0)
