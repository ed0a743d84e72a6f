from dataclasses import replace

import numpy as np
import pytest
import torch

from tribetune.adapt.choosing import choose, over_folds, race
from tribetune.adapt.descent import Descent, Schedule, descend, scale_of, towards_correlation, visits
from tribetune.adapt.folds import few_folds, inner_folds
from tribetune.adapt.latents import Latents
from tribetune.adapt.readout import RATES, ReadoutSettings, choose_rate, plan_readout
from tribetune.scores import pearson_r


def planted(noise, n_windows=6, n_inputs=5, n_outputs=9, seed=0):
    rng = torch.Generator().manual_seed(seed)
    truth = torch.randn(n_inputs, n_outputs, generator=rng)
    found = []
    for place in range(n_windows):
        values = torch.randn(100, n_inputs, generator=rng) * torch.tensor([1.0, 5, 0.1, 1, 2]) + 3
        bold = values @ truth + noise * torch.randn(100, n_outputs, generator=rng)
        found.append(Latents(values, bold, f"run-{place // 2}", np.arange(100), 100.0 * (place % 2)))
    return found, truth


def test_descent_in_standardised_coordinates_is_gradient_descent_on_the_squared_error():
    latents, _ = planted(1.0)
    values, bold = latents[0].values, latents[0].bold
    scale = scale_of(latents, 25)
    descent = Descent(torch.zeros(5, 9), torch.zeros(9), scale)
    standard = (values - scale.mean) / scale.spread
    weights = torch.zeros(5, 9, requires_grad=True)
    bias = torch.zeros(9, requires_grad=True)
    loss = 0.5 * ((standard @ weights + bias - bold) ** 2).mean(0).sum()
    loss.backward()
    descent.visit(values, bold, [(torch.arange(100), 1.0)])
    torch.testing.assert_close(descent.weights, -scale.step * weights.grad)
    torch.testing.assert_close(descent.bias, -scale.step * bias.grad)


def test_folding_gives_the_same_prediction_for_the_trunks_output_as_it_is():
    latents, _ = planted(1.0)
    descent = descend(latents, (torch.zeros(5, 9), torch.zeros(9)), Schedule(0.5, 1, 25, 0))
    weights, bias = descent.folded()
    # float32 with inputs of different size
    torch.testing.assert_close(
        latents[0].values @ weights + bias, descent.predict(latents[0].values), atol=1e-4, rtol=0
    )


def test_many_epochs_recover_the_planted_readout():
    latents, truth = planted(0.0)
    weights, _ = descend(latents, (torch.zeros(5, 9), torch.zeros(9)), Schedule(0.9, 150, 25, 0)).folded()
    # relative to the small second-weakest direction, whose spread is 0.1
    torch.testing.assert_close(weights, truth, atol=0.02, rtol=0)


@pytest.mark.parametrize("rate", RATES)
def test_every_rate_that_is_tried_is_stable(rate):
    latents, _ = planted(1.0)
    descent = descend(latents, (torch.zeros(5, 9), torch.zeros(9)), Schedule(rate, 30, 25, 0))
    error = torch.cat([descent.predict(part.values) - part.bold for part in latents])
    start = torch.cat([part.bold for part in latents])
    assert error.square().mean() < start.square().mean()


def test_every_sample_is_visited_once_per_epoch_and_the_rate_is_never_zero():
    seen, rates = np.zeros((2, 3, 100), int), []
    for epoch, window, blocks in visits([[100, 100, 100], [100, 100, 40]], Schedule(0.4, 2, 30, 7)):
        for rows, rate in blocks:
            seen[epoch, window, rows.numpy()] += 1
            rates.append(rate)
    assert (seen[1, 2, 40:] == 0).all()
    assert (np.delete(seen.reshape(6, 100), 5, axis=0) == 1).all()
    assert (seen[1, 2, :40] == 1).all()
    assert rates[0] == 0.4
    assert min(rates) > 0
    assert rates == sorted(rates, reverse=True)


def test_pure_noise_chooses_a_smaller_rate_than_signal():
    start = torch.zeros(5, 9), torch.zeros(9)
    signal, _ = planted(0.5)
    noise = [
        replace(part, bold=torch.randn(100, 9, generator=torch.Generator().manual_seed(k)))
        for k, part in enumerate(signal)
    ]
    good = torch.randn(5, 9, generator=torch.Generator().manual_seed(8))
    from_signal, curve = choose_rate(signal, start, Schedule(0.1, 1, 25, 0))
    # the group's readout is right, and this subject's calibration data are noise around it
    around = [replace(part, bold=part.values @ good + 30 * part.bold) for part in noise]
    from_noise, _ = choose_rate(around, (good, torch.zeros(9)), Schedule(0.1, 1, 25, 0))
    assert list(curve) == [f"{rate:g}" for rate in RATES]
    assert from_noise < from_signal


def test_rates_tried_side_by_side_score_as_one_by_one():
    latents, _ = planted(2.0)
    start, plan = (torch.zeros(5, 9), torch.zeros(9)), Schedule(1.0, 1, 25, 3)
    _, curve = choose_rate(latents, start, plan)
    for rate in RATES:
        scores = []
        for fold in inner_folds([part.run for part in latents]):
            train, held = ([part for part, out in zip(latents, fold, strict=True) if out == side] for side in (0, 1))
            descent = descend(train, start, replace(plan, rate=rate))
            r = pearson_r(torch.cat([descent.predict(part.values) for part in held]), torch.cat([p.bold for p in held]))
            scores.append(float(r.mean()))
        assert curve[f"{rate:g}"] == pytest.approx(np.mean(scores), abs=1e-5)  # products in another order


def test_a_given_rate_is_taken_and_one_window_leaves_nothing_to_choose_on():
    latents, _ = planted(1.0)
    start = torch.zeros(5, 9), torch.zeros(9)
    given, none = plan_readout(latents, start, ReadoutSettings(learning_rate=0.2), 1)
    alone, _ = plan_readout(latents[:1], start, ReadoutSettings(), 1)
    assert (given.rate, none) == (0.2, {})
    assert alone.rate in RATES


def test_inner_folds_leave_out_runs_or_halves_of_one_run():
    assert [fold.tolist() for fold in inner_folds(["a", "a", "b"])] == [[True, True, False], [False, False, True]]
    assert [fold.tolist() for fold in inner_folds(["a"] * 3)] == [[False, False, True], [True, True, False]]
    assert inner_folds(["a"]) == []


def test_a_fold_decides_as_much_as_it_has_samples_and_nothing_without_a_score():
    latents, _ = planted(1.0)
    few = [latents[0], part_of(latents[2], 25), part_of(latents[4], 1)]
    scores = torch.tensor([[0.1, 0.3], [0.6, 0.3], [torch.nan, torch.nan]])
    torch.testing.assert_close(over_folds(scores, few), torch.tensor([0.2, 0.3]))
    diverged = torch.tensor([[0.1, 0.3], [torch.nan, 0.3], [torch.nan, torch.nan]])
    assert over_folds(diverged, few).isnan().tolist() == [True, False]  # a candidate without a score in a run


def test_a_run_of_a_single_sample_does_not_choose_the_rate():
    latents, _ = planted(1.0)
    start, plan = (torch.zeros(5, 9), torch.zeros(9)), Schedule(1.0, 1, 25, 0)
    whole = choose_rate(latents[:4], start, plan)
    alone = choose_rate([*latents[:4], part_of(latents[4], 1)], start, plan)
    assert whole[0] == alone[0] > RATES[0]


def part_of(part, n_samples):
    return replace(part, values=part.values[:n_samples], bold=part.bold[:n_samples], place=part.place[:n_samples])


def test_an_undefined_score_never_wins():
    scores = {0.1: float("nan"), 0.2: 0.3, 0.4: 0.3, 0.8: 0.1}
    assert choose(list(scores), scores.__getitem__)[0] == 0.2
    assert choose([0.1, 0.2], lambda _: float("nan"))[0] == 0.1


def test_the_one_behind_over_all_rounds_so_far_leaves_the_race():
    table = {1.0: [0.5, 0.1, 0.9], 2.0: [0.4, 0.6, 0.9], 3.0: [0.3, 0.9, 0.9], 4.0: [0.35, 0.35, 0.9]}
    best, told = race(list(table), [(0, 9), (1, 9), (2, 9)], lambda candidate, this: table[candidate][this])
    assert told == {"1": [0.5, 0.1], "2": [0.4, 0.6, 0.9], "3": [0.3], "4": [0.35, 0.35, 0.9]}
    assert best == 2.0


def test_a_short_round_decides_little():
    table = {1.0: [0.5, 0.1], 2.0: [0.4, 0.6], 3.0: [0.3, 0.9]}
    assert race(list(table), [(0, 100), (1, 5)], lambda candidate, this: table[candidate][this])[0] == 1.0


def test_a_race_ends_when_one_is_left_or_no_round_is():
    rounds = [("any", 9)] * 5
    assert race([1.0, 2.0], rounds, lambda candidate, _: candidate) == (2.0, {"1": [1.0], "2": [2.0]})
    best, told = race([1.0, 2.0, 3.0], rounds[:1], lambda candidate, _: candidate)
    assert (best, told["3"]) == (3.0, [3.0])


def test_an_undefined_score_never_wins_a_race_and_of_equals_the_first_does():
    rounds = [("long", 9), ("a single sample", 1), ("short", 3)]

    def score(candidate, this):
        return np.nan if candidate == 1 or this == "a single sample" else 0.5

    assert race([1.0, 2.0, 3.0], rounds, score) == (2.0, {"1": [np.nan], "2": [0.5, 0.5], "3": [0.5, 0.5]})
    assert race([1.0, 2.0, 3.0], rounds, lambda *_: np.nan) == (1.0, {"1": [], "2": [], "3": []})


def test_runs_share_a_fold_where_there_are_more_of_them():
    folds = few_folds(inner_folds(list("abcde")), 4)
    assert [fold.tolist() for fold in folds[:2]] == [[True, False, False, False, True], [False, True] + [False] * 3]
    assert np.sum(folds, 0).tolist() == [1] * 5
    assert len(few_folds(inner_folds(["a", "b"]), 4)) == 2


def test_steps_taken_together_are_the_steps_taken_one_by_one():
    (part, *_), _ = planted(1.0)
    start = torch.zeros(5, 9), torch.zeros(9)
    scale, blocks = scale_of([part], 30), [(torch.arange(k, min(k + 30, 100)), 0.5 / (k + 1)) for k in (60, 0, 90, 30)]
    together, alone = Descent(*start, scale), Descent(*start, scale)
    together.visit(part.values, part.bold, blocks)
    for rows, rate in blocks:
        standard = (part.values[rows] - scale.mean) / scale.spread
        error = alone.predict(part.values[rows]) - part.bold[rows]
        alone.weights -= rate * scale.step / len(rows) * standard.T @ error
        alone.bias -= rate * scale.step / len(rows) * error.sum(0)
    torch.testing.assert_close(together.weights, alone.weights, atol=1e-5, rtol=0)  # sums in another order
    torch.testing.assert_close(together.bias, alone.bias, atol=1e-5, rtol=0)


def test_the_warm_up_rises_and_what_follows_falls():
    rates = [rate for *_, blocks in visits([[100] * 4], Schedule(0.4, 1, 25, 0, warm_up=5)) for _, rate in blocks]
    rising = rates[:6]
    assert rising == sorted(rising)
    assert rates[0] == pytest.approx(0.4 / 6)
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[5] == pytest.approx(0.4 * (1 - 5 / 16))


def test_the_correlations_direction_is_that_of_its_gradient_and_of_the_errors_size():
    rng = torch.Generator().manual_seed(0)
    bold, predicted = torch.randn(30, 4, generator=rng), torch.randn(30, 4, generator=rng).requires_grad_()
    x, y = predicted - predicted.mean(0), bold - bold.mean(0)
    r = (x * y).sum(0) / (x.square().sum(0).sqrt() * y.square().sum(0).sqrt())
    (1 - r).sum().backward()
    found = towards_correlation((predicted - bold).detach(), bold, 1.0)
    scale = x.square().sum(0).sqrt() * y.square().sum(0).sqrt()
    torch.testing.assert_close(found, (predicted.grad * scale).detach(), atol=1e-5, rtol=0)  # float32
    error = (predicted - bold).detach()
    assert torch.equal(towards_correlation(error, bold, 0.0), error)
    nothing = towards_correlation(-bold, bold, 1.0)  # a prediction that does not vary
    torch.testing.assert_close(nothing, -y, atol=1e-6, rtol=0)


def test_an_undefined_output_has_no_direction():
    bold = torch.full((10, 2), torch.nan)
    assert (towards_correlation(torch.zeros(10, 2), bold, 0.5) == 0).all()


def test_the_mean_along_the_epoch_is_the_mean_of_the_readouts_after_every_window():
    latents, _ = planted(0.5, n_windows=3)
    plan, start = Schedule(0.3, 1, 25, 0), (torch.zeros(5, 9), torch.zeros(9))
    descent, seen = Descent(*start, scale_of(latents, 25)), []
    for _, window, blocks in visits([[100] * 3], plan):
        descent.visit(latents[window].values, latents[window].bold, blocks)
        seen.append(descent.weights.clone())
    averaged = descend(latents, start, replace(plan, average=True))
    torch.testing.assert_close(averaged.weights, torch.stack(seen).mean(0), atol=1e-6, rtol=0)  # float32
    assert not torch.equal(averaged.weights, descent.weights)


def test_the_correlation_alone_learns_the_planted_readout_up_to_its_size():
    latents, truth = planted(0.5)
    plan = Schedule(0.9, 100, 100, 0, correlation=1.0)
    start = 0.1 * truth + 0.05 * torch.randn(5, 9, generator=torch.Generator().manual_seed(3)), torch.zeros(9)
    descent = descend(latents, start, plan)
    predicted = torch.cat([descent.predict(part.values) for part in latents])
    ideal = torch.cat([part.values @ truth for part in latents])
    assert pearson_r(predicted, ideal).min() > 0.95
