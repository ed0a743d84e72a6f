"""Gain, ridge and low rank against what scikit-learn and brute force say."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from tribetune.adapt.adapter import BIAS, LEFT, RIGHT, WEIGHTS
from tribetune.adapt.axes import principal_axes, standardised
from tribetune.adapt.base import Base
from tribetune.adapt.folds import sample_folds
from tribetune.adapt.gain import GainSettings, fit_gain, shrunk_gain, typical_inflation
from tribetune.adapt.latents import Latents
from tribetune.adapt.low_rank import LowRankSettings, fit_low_rank, reduced_rank_ridge
from tribetune.adapt.ridge import PENALTIES, RidgeSettings, choose_penalties, fit_ridge
from tribetune.adapt.ridge_problem import Problem, left_out_errors, pose
from tribetune.adapt.smoothing import smoothing_weights
from tribetune.errors import AdaptationError


def calibration(base, windows):
    latents = base.latents(windows)
    row = base.tribe.subjects.weights[0].detach(), base.tribe.subjects.bias[0].detach()
    values = torch.cat([part.values for part in latents])
    left = torch.cat([part.bold - part.values @ row[0] - row[1] for part in latents])
    return latents, row, values.numpy(), left[:, :-1].numpy()  # the last output is undefined


def test_ridge_is_scikit_learns_on_what_the_unseen_row_leaves(base, windows):
    _, row, values, left = calibration(base, windows)
    adapter = fit_ridge(base, windows, RidgeSettings(penalty=3.0), seed=0)
    spread = values.std(0)
    oracle = Ridge(alpha=3.0 * len(values)).fit(values / spread, left)
    # float32 against float64, with latents of a spread of 10
    np.testing.assert_allclose((adapter.tensors[WEIGHTS] - row[0])[:, :-1], oracle.coef_.T / spread[:, None], atol=1e-4)
    np.testing.assert_allclose((adapter.tensors[BIAS] - row[1])[:-1], oracle.intercept_, atol=1e-3)


def test_errors_of_left_out_runs_are_those_of_fits_without_them(base, windows):
    latents, row, values, left = calibration(base, windows)
    problem = pose(base, latents, row)
    found = left_out_errors(problem, (0.1, 10.0))[:, :-1]
    _, _, standard = standardised(torch.from_numpy(values))
    for penalty, errors in zip((0.1, 10.0), found, strict=True):
        expected = np.zeros(left.shape[1])
        for fold in sample_folds(latents):
            # the scale of the data and the size of the penalty are those of all samples
            fit = Ridge(alpha=penalty * len(values)).fit(standard[~fold], left[~fold])
            expected += ((fit.predict(standard[fold]) - left[fold]) ** 2).sum(0)
        np.testing.assert_allclose(errors, expected, rtol=2e-4)  # float32 through an inverse


def test_errors_of_left_out_runs_are_found_with_more_latents_than_samples_too():
    rng = torch.Generator().manual_seed(0)
    values, left = torch.randn(60, 200, generator=rng), torch.randn(60, 5, generator=rng)
    folds = [torch.arange(0, 20), torch.arange(20, 60)]
    problem = Problem(principal_axes(values), left, folds)
    (found,) = left_out_errors(problem, (3.0,))
    _, _, standard = standardised(values)
    expected = np.zeros(5)
    for fold in folds:
        rest = np.setdiff1d(np.arange(60), fold)
        fit = Ridge(alpha=3.0 * 60).fit(standard[rest], left[rest])
        expected += ((fit.predict(standard[fold]) - left[fold].numpy()) ** 2).sum(0)
    np.testing.assert_allclose(found, expected, rtol=2e-4)  # float32 through an inverse


def test_the_best_penalty_is_the_one_with_the_least_error_each_in_its_group(base, windows):
    latents, row, _, _ = calibration(base, windows)
    problem = pose(base, latents, row)
    errors = torch.nan_to_num(left_out_errors(problem, PENALTIES))
    alone, _ = choose_penalties(problem, RidgeSettings(penalty_per="output"))
    together, told = choose_penalties(problem, RidgeSettings())
    parcels = np.array([7] * 6 + [3] * 6)
    halves, _ = choose_penalties(problem, RidgeSettings(penalty_per="parcel", parcels=parcels))
    grid = torch.tensor(PENALTIES)
    assert torch.equal(alone, grid[errors.argmin(0)])
    assert torch.equal(together, grid[errors.sum(1).argmin()].expand(12))
    for half in (slice(0, 6), slice(6, 12)):
        assert torch.equal(halves[half], grid[errors[:, half].sum(1).argmin()].expand(6))
    assert max(told["inner_gains"].values()) > 0.1
    assert told["inner_gains"]["inf"] == 0


def test_one_penalty_for_many_outputs_is_that_of_a_random_sample_of_them():
    rng = torch.Generator().manual_seed(0)
    values = torch.randn(200, 6, generator=rng)
    left = values @ torch.randn(6, 5000, generator=rng) + 3 * torch.randn(200, 5000, generator=rng)
    left[:, 4000] = torch.nan
    folds = [torch.arange(0, 100), torch.arange(100, 200)]
    problem = Problem(principal_axes(values), left, folds)
    found, _ = choose_penalties(problem, RidgeSettings())
    everyone = torch.nan_to_num(left_out_errors(problem, PENALTIES)).sum(1)
    assert found.shape == (5000,)
    assert found.unique().item() == pytest.approx(PENALTIES[int(everyone.argmin())])


def test_the_penalty_that_is_told_is_the_median_of_those_of_defined_outputs():
    rng = torch.Generator().manual_seed(0)
    values = torch.randn(200, 6, generator=rng)
    left = values @ torch.randn(6, 15, generator=rng) + 30 * torch.randn(200, 15, generator=rng)
    left[:, 5:] = torch.nan
    problem = Problem(principal_axes(values), left, [torch.arange(0, 100), torch.arange(100, 200)])
    found, told = choose_penalties(problem, RidgeSettings(penalty_per="output"))
    assert found[5:].unique().tolist() == pytest.approx([PENALTIES[0]])
    assert told["penalty"] == float(found[:5].median()) > PENALTIES[3]


@pytest.mark.parametrize("smoothing_s", [0.0, 3.0])
def test_outputs_with_their_own_penalties_are_fitted_as_if_each_were_the_only_one_of_its_kind(
    base, windows, smoothing_s
):
    rng, noise = np.random.default_rng(0), np.linspace(0, 30, 12, dtype=np.float32)
    windows = [replace(w, bold=w.bold + noise * rng.standard_normal(w.bold.shape, np.float32)) for w in windows]
    latents, row, _, _ = calibration(base, windows)
    own = fit_ridge(base, windows, RidgeSettings(penalty_per="output", smoothing_s=smoothing_s), seed=0)
    penalties, _ = choose_penalties(pose(base, latents, row, smoothing_s), RidgeSettings(penalty_per="output"))
    assert len(penalties[:-1].unique()) > 1
    for penalty in penalties.unique().tolist():
        alike = penalties == penalty
        all_of_it = fit_ridge(base, windows, RidgeSettings(penalty=penalty, smoothing_s=smoothing_s), seed=0)
        for name in (WEIGHTS, BIAS):
            found, expected = own.tensors[name][..., alike], all_of_it.tensors[name][..., alike]
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(own.tensors[WEIGHTS][:, -1], row[0][:, -1])  # undefined: the unseen row


def test_noise_around_the_group_keeps_the_unseen_row(tribe, base, windows):
    rng = np.random.default_rng(0)
    noise = []
    for window in windows:
        with torch.no_grad():
            bold = tribe.readout(base.trunk_output(window)[None])[0].numpy()
        noise.append(replace(window, bold=bold + 30 * rng.standard_normal(bold.shape, np.float32)))
    adapter = fit_ridge(base, noise, RidgeSettings(), seed=0)
    assert float(adapter.chosen["penalty"]) >= 100  # told as "inf" where the unseen row is best
    assert (adapter.tensors[WEIGHTS] - tribe.subjects.weights[0]).abs().max() < 0.05


def test_fewer_samples_than_latents_are_solved_by_the_smaller_matrix():
    values = torch.randn(30, 200, generator=torch.Generator().manual_seed(0))
    axes = principal_axes(values)
    _, _, standard = standardised(values)
    assert axes.left.shape[1] <= 30
    torch.testing.assert_close(axes.left * axes.strength @ axes.right.T, standard, atol=1e-3, rtol=0)  # float32
    tall = principal_axes(values.T)
    torch.testing.assert_close(tall.left.T @ tall.left, torch.eye(30), atol=1e-3, rtol=0)


def test_low_rank_of_full_rank_is_ridge(base, windows):
    full = fit_low_rank(base, windows, LowRankSettings(rank=8, penalty=3.0), seed=0)
    ridge = fit_ridge(base, windows, RidgeSettings(penalty=3.0), seed=0)
    difference = ridge.tensors[WEIGHTS] - base.tribe.subjects.weights[0]
    torch.testing.assert_close((full.tensors[LEFT] @ full.tensors[RIGHT]), difference, atol=1e-4, rtol=0)  # float32
    torch.testing.assert_close(full.tensors[BIAS][:-1], ridge.tensors[BIAS][:-1], atol=1e-3, rtol=0)


def test_no_other_difference_of_its_rank_has_a_smaller_penalised_error():
    rng = torch.Generator().manual_seed(0)
    values, left = torch.randn(60, 7, generator=rng), torch.randn(60, 9, generator=rng)

    def cost(difference):
        return (left - values @ difference).square().sum() + 0.5 * 60 * difference.square().sum()

    found = reduced_rank_ridge(values, left, 0.5, 2, seed=0)
    least = cost(found.left @ found.right)
    for scale in (0.01, 0.1, 1.0):
        for _ in range(50):
            one = found.left + scale * torch.randn(7, 2, generator=rng)
            two = found.right + scale * torch.randn(2, 9, generator=rng)
            assert cost(one @ two) > least


def test_many_outputs_are_reduced_as_exactly_as_few():
    rng = torch.Generator().manual_seed(0)
    values = torch.randn(400, 90, generator=rng)
    truth = torch.randn(90, 3, generator=rng) @ torch.randn(3, 500, generator=rng)
    left = values @ truth + torch.randn(400, 500, generator=rng)
    found = reduced_rank_ridge(values, left, 0.1, 3, seed=0)
    root = torch.linalg.cholesky(values.T @ values + 0.1 * 400 * torch.eye(90))
    wanted = torch.linalg.solve_triangular(root, values.T @ left, upper=False)
    left_vectors, strength, right_vectors = torch.linalg.svd(wanted, full_matrices=False)
    best = left_vectors[:, :3] * strength[:3] @ right_vectors[:3]
    expected = torch.linalg.solve_triangular(root.T, best, upper=True)
    torch.testing.assert_close(found.left @ found.right, expected, atol=2e-3, rtol=0)  # seeded subspace iteration


def test_the_planted_rank_is_found(base, windows):
    adapter = fit_low_rank(base, windows, LowRankSettings(), seed=0)
    assert adapter.chosen["rank"] in (4, 8)
    assert max(adapter.chosen["inner_gains"].values()) > 0.1


@pytest.mark.parametrize("rank", [9, 500])
def test_a_rank_that_the_readout_cannot_have_is_refused(base, windows, rank):
    with pytest.raises(AdaptationError, match="allow at most 8"):
        fit_low_rank(base, windows, LowRankSettings(rank=rank, penalty=1.0), seed=0)


def test_planted_gains_are_found_and_noise_shrinks_them_to_one():
    rng = torch.Generator().manual_seed(0)
    predicted = torch.randn(400, 50, generator=rng)
    gains = 1 + 0.5 * torch.randn(50, generator=rng).abs()
    clear, offset = shrunk_gain(predicted, predicted * gains + 3, 1.0)
    torch.testing.assert_close(clear, gains, atol=1e-3, rtol=0)  # no noise: least squares
    torch.testing.assert_close(offset, torch.full((50,), 3.0), atol=1e-3, rtol=0)
    many = torch.randn(400, 3000, generator=rng)  # their spread is estimated over outputs: it takes many
    noise = 20 * torch.randn(400, 3000, generator=rng)
    raw, _ = shrunk_gain(many, many + noise, 0.0)
    believed, _ = shrunk_gain(many, many + noise, 1.0)
    assert (raw - 1).abs().mean() > 4 * (believed - 1).abs().mean()


@pytest.mark.parametrize("seed", range(4))
def test_an_output_whose_prediction_hardly_varies_decides_no_other_gain(seed):
    rng = torch.Generator().manual_seed(seed)
    predicted, noise = torch.randn(400, 1000, generator=rng), 20 * torch.randn(400, 1000, generator=rng)
    planted = torch.cat([torch.full((500,), 5.0), torch.full((500,), 1.0)])
    bold, dead = predicted * planted + noise, predicted.clone()
    dead[:, 0] *= 1e-5  # its own least squares is of the order of 1e5
    gain, _ = shrunk_gain(dead, bold, 1.0)
    expected, _ = shrunk_gain(predicted[:, 1:], bold[:, 1:], 1.0)
    torch.testing.assert_close(gain[1:], expected, atol=1e-2, rtol=0)  # one output of a thousand is lacking
    none, _ = shrunk_gain(dead, predicted + noise, 1.0)
    assert (none[1:] - 1).abs().mean() < 0.2


def test_slow_noise_is_not_taken_for_a_gain_of_its_own():
    """Noise as slow as BOLD's scatters least squares more than as many independent samples would."""
    rng, slow = np.random.default_rng(0), np.exp(-np.arange(60) / 12)
    predicted, noise = (
        torch.from_numpy(np.apply_along_axis(np.convolve, 0, rng.standard_normal((659, 300)), slow, "valid").copy())
        for _ in range(2)
    )
    predicted, noise = predicted.float() / predicted.std(), 3 * noise.float() / noise.std()
    parts = [
        Latents(torch.zeros(100, 1), (predicted + noise)[first : first + 100], "1", np.arange(100), float(first))
        for first in range(0, 600, 100)
    ]

    def scatter(factor):
        gain, _ = shrunk_gain(predicted, predicted + noise, factor)
        return float((gain - 1).square().mean())

    factor = typical_inflation(parts, predicted, predicted + noise)
    n = torch.arange(1, 600)
    assert factor == pytest.approx(float(1 + 2 * torch.exp(-n / 6).sum()), rel=0.3)  # an AR(1) of 12 s in both
    assert scatter(factor) < 0.2 * scatter(1.0)


def test_a_gain_changes_no_score(base, tribe, windows):
    adapter = fit_gain(base, windows, GainSettings(), seed=0)
    model = adapter.apply(tribe)
    values = base.trunk_output(windows[0])[None]
    personal, group = model.readout(values, torch.tensor([0]))[0], tribe.readout(values)[0]
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(personal.T.detach(), group.T.detach(), strict=True)]
    np.testing.assert_allclose(r, 1, atol=1e-5)


def test_smoothing_keeps_the_mean_and_passes_no_gap():
    place = np.array([0, 1, 2, 3, 7, 8, 9])
    values = torch.zeros(7, 1)
    values[:4] = 5.0
    torch.testing.assert_close(smoothing_weights(place, 3.0) @ values, values)
    bump = torch.zeros(7, 1)
    bump[5] = 1.0
    wide = smoothing_weights(place, 2.0) @ bump
    assert 0 < wide[4] == wide[6] < wide[5] < 1
    assert (wide[:4] == 0).all()


def test_smoothed_ridge_is_scikit_learns_on_data_and_latents_that_were_smoothed(base, windows):
    latents, row, values, left = calibration(base, windows)
    adapter = fit_ridge(base, windows, RidgeSettings(penalty=3.0, smoothing_s=4.0), seed=0)
    place = np.cumsum([0, *(len(part.values) for part in latents)])
    for part, first in zip(latents, place, strict=False):
        weights, rows = smoothing_weights(part.place, 4.0).numpy(), slice(first, first + len(part.values))
        values[rows], left[rows] = weights @ values[rows], weights @ left[rows]
    spread = values.std(0)
    oracle = Ridge(alpha=3.0 * len(values)).fit(values / spread, left)
    np.testing.assert_allclose((adapter.tensors[WEIGHTS] - row[0])[:, :-1], oracle.coef_.T / spread[:, None], atol=1e-4)
    np.testing.assert_allclose((adapter.tensors[BIAS] - row[1])[:-1], oracle.intercept_, atol=1e-3)


def test_subjects_of_one_stimulus_share_the_axes(tribe, windows, monkeypatch):
    base, made = Base(tribe), []
    monkeypatch.setattr(
        "tribetune.adapt.ridge_problem.principal_axes", lambda values: made.append(1) or principal_axes(values)
    )
    fit_ridge(base, windows, RidgeSettings(), seed=0)
    fit_ridge(base, [replace(w, bold=w.bold + 1) for w in windows], RidgeSettings(smoothing_s=0.0), seed=0)
    assert len(made) == 1
    fit_ridge(base, windows[:4], RidgeSettings(), seed=0)
    assert len(made) == 2
