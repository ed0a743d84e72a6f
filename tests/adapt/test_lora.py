"""LoRA: its gradient, its settings, what is drawn in training, and windows that begin elsewhere."""

import dataclasses

import numpy as np
import pytest
import torch

from tribetune.adapt.adapter import BIAS, LEFT, RIGHT, WEIGHTS, Adapter, personal_row
from tribetune.adapt.base import Base
from tribetune.adapt.choosing import race
from tribetune.adapt.descent import Descent, scale_of
from tribetune.adapt.float32 import fast_float32
from tribetune.adapt.forms import check_form
from tribetune.adapt.latents import run_trunk, window_latents
from tribetune.adapt.lora_matrices import inject, lora_config, lora_tensors
from tribetune.adapt.methods import fit_method
from tribetune.adapt.phases import epoch_phases, joined_runs
from tribetune.adapt.precision import halve_frozen
from tribetune.adapt.rows import share
from tribetune.model.tribe import Tribe, TribeConfig
from tribetune.share.bundle import load_adapter, save_adapter

GIVEN = {"learning_rate": 1e-3, "readout_learning_rate": 0.1}


def fit(tribe, windows, **settings):
    return fit_method("lora", Base(tribe), windows, GIVEN | settings, seed=5)


def predict(adapter, tribe, window):
    model = adapter.apply(tribe)
    with torch.no_grad():
        return model.readout(window_latents(model, window)[None], torch.tensor([0]))[0]


def same(one, other):
    return one.tensors.keys() == other.tensors.keys() and all(
        torch.equal(tensor, other.tensors[name]) for name, tensor in one.tensors.items()
    )


def test_the_pull_on_the_trunk_is_the_gradient_of_the_squared_error(tribe, windows):
    part = Base(tribe).latents(windows)[2]
    descent = Descent(tribe.subjects.weights[0], tribe.subjects.bias[0], scale_of([part], 25))
    values = part.values.clone().requires_grad_()
    (torch.nan_to_num(descent.predict(values) - part.bold).square().sum() / 2).backward()
    _, error = descent.error(part.values, part.bold)
    torch.testing.assert_close(descent.pull(error), values.grad, atol=1e-4, rtol=1e-4)  # sums in another order


def test_a_run_of_a_single_sample_leaves_every_rate_a_score(tribe, windows):
    alone = np.zeros(100, bool)
    alone[50] = True
    last = dataclasses.replace(windows[4], mask=alone)
    chosen = fit(tribe, [*windows[:4], last], learning_rate="auto").chosen["inner_scores"]
    assert all(scores and np.isfinite(scores).all() for scores in chosen.values())
    assert len(chosen) == 3


def test_the_longest_runs_are_left_out_first_so_that_a_remnant_puts_no_rate_out(tribe, windows, monkeypatch):
    few = np.arange(100) < 4
    sizes = []

    def told(rates, rounds, score):
        sizes.extend(size for _, size in rounds)
        return race(rates, rounds, score)

    monkeypatch.setattr("tribetune.adapt.with_trunk.race", told)
    fit(tribe, [dataclasses.replace(windows[0], mask=few), *windows[2:]], learning_rate="auto")
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 4


@pytest.mark.parametrize("variant", ["rslora", "dora"])
def test_every_variant_starts_as_zero_shot_learns_and_is_saved_bitwise(tribe, windows, variant, tmp_path):
    still = fit(tribe, windows, variant=variant, learning_rate=0.0, readout_learning_rate=1e-12)
    with torch.no_grad():
        expected = tribe.readout(window_latents(tribe, windows[0])[None])[0]
    # folding the readout out of standardised coordinates rounds, and so do DoRA's norms
    torch.testing.assert_close(predict(still, tribe, windows[0]), expected, atol=5e-5, rtol=0)
    found = fit(tribe, windows, variant=variant)
    plain = fit(tribe, windows)
    assert found.lora[f"use_{variant}"]
    assert not torch.equal(predict(found, tribe, windows[0]), predict(plain, tribe, windows[0]))
    save_adapter(found, tmp_path / "adapter", {"base": {"hash": "x"}, "space": "table"})
    loaded = load_adapter(tmp_path / "adapter", "x")
    assert torch.equal(predict(loaded, tribe, windows[1]), predict(found, tribe, windows[1]))
    assert any("magnitude" in name for name in found.tensors) == (variant == "dora")


def test_dora_without_a_magnitude_is_refused(tribe, windows):
    found = fit(tribe, windows[:2], variant="dora")
    check_form(found)
    name = next(name for name in found.tensors if "magnitude" in name)
    lacking = {key: tensor for key, tensor in found.tensors.items() if key != name}
    with pytest.raises(Exception, match="are not complete"):
        check_form(dataclasses.replace(found, tensors=lacking))
    with pytest.raises(Exception, match="rank is 8"):
        check_form(dataclasses.replace(found, tensors={**found.tensors, name: torch.zeros(2, 2)}))


def test_a_readout_cut_down_to_its_full_rank_is_the_readout(tribe, windows):
    full, cut = fit(tribe, windows), fit(tribe, windows, readout_rank=128)
    assert set(cut.tensors) - set(full.tensors) == {LEFT, RIGHT}
    weights, bias = personal_row(tribe, cut.tensors)
    torch.testing.assert_close(weights, full.tensors[WEIGHTS], atol=1e-4, rtol=0)  # float32 through a Cholesky factor
    torch.testing.assert_close(bias, full.tensors[BIAS], atol=1e-4, rtol=0)


def test_a_lower_rank_keeps_what_predicts_most(tribe, windows):
    start, values = tribe.subjects.weights[0], torch.cat([part.values for part in Base(tribe).latents(windows)])
    values = values - values.mean(0)
    full = fit(tribe, windows).tensors[WEIGHTS] - start
    lost = []
    for rank in (1, 2, 4):
        cut = fit(tribe, windows, readout_rank=rank).tensors
        assert cut[LEFT].shape[1] == rank
        best = torch.linalg.svdvals(values @ full)[rank:].norm()
        lost.append((values @ (full - cut[LEFT] @ cut[RIGHT])).norm())
        assert lost[-1] <= 1.05 * best + 1e-4  # the floor under small directions costs a little
    assert lost[0] > lost[1] > lost[2]


def test_full_size_lora_with_a_readout_of_rank_128_is_at_most_17_megabytes():
    sizes = {"text": (2, 3072), "audio": (2, 1024), "video": (2, 1408)}
    config = TribeConfig(modalities=sizes, hidden=1152, depth=8, heads=8, low_rank=2048, n_outputs=20484, rows=1)
    with torch.device("meta"):
        tribe = Tribe(config)
        inject(tribe, lora_config(8, 16.0))
        left, right = torch.empty(config.readout_in, 128), torch.empty(128, config.n_outputs)
    tensors = {**lora_tensors(tribe), LEFT: left, RIGHT: right, BIAS: torch.empty(config.n_outputs, device="meta")}
    assert Adapter("lora", tensors, lora_config(8, 16.0)).n_weights * 4 <= 17e6
    assert len(tensors) == 2 * 6 * 8 + 3


def test_the_rate_is_raced_for_on_left_out_runs_and_what_every_round_gave_is_told(tribe, windows):
    chosen = fit(tribe, windows, learning_rate="auto").chosen
    rounds = {name: len(scores) for name, scores in chosen["inner_scores"].items()}
    assert sorted(rounds.values()) == [1, 2, 2]
    assert rounds[f"{chosen['learning_rate']:g}"] == 2


def test_modality_dropout_is_drawn_from_the_seed_alone(tribe, windows):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    once = fit(tribe, windows, modality_dropout=0.5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert same(once, fit(tribe, windows, modality_dropout=0.5))
    assert not same(once, fit(tribe, windows))
    assert not tribe.training


@pytest.mark.parametrize("epoch", range(5))
def test_windows_of_any_phase_hold_every_sample_once(epoch):
    rng = np.random.default_rng(epoch)
    seen = np.zeros(730, int)
    spans = list(epoch_phases(730, 100, rng))
    for first, last in spans:
        seen[first:last] += 1
    assert (seen == 1).all()
    assert len(spans) <= 9


def test_joined_windows_are_the_run_they_were_cut_from(tribe, windows):
    shuffled = [windows[k] for k in (4, 1, 0, 5, 2)]
    runs = joined_runs(shuffled, Base(tribe).latents(shuffled))
    assert [(run.run, len(run.mask)) for run in runs] == [
        ("sub-01_run-1", 200),
        ("sub-01_run-2", 100),
        ("sub-01_run-3", 200),
    ]
    np.testing.assert_array_equal(runs[0].bold, np.concatenate([windows[0].bold, windows[1].bold]))
    np.testing.assert_array_equal(runs[1].mask, windows[2].mask)
    both = runs[2].features.steps(0, 400)["audio"]
    np.testing.assert_array_equal(
        both, np.concatenate([windows[4].features["audio"], windows[5].features["audio"]], -1)
    )


def test_windows_with_a_gap_between_them_are_not_joined(tribe, windows):
    apart = [windows[0], dataclasses.replace(windows[1], start_s=150.0)]
    assert [len(run.mask) for run in joined_runs(apart, Base(tribe).latents(apart))] == [100, 100]


def test_random_phases_change_training_and_learn(tribe, windows):
    moved = fit(tribe, windows, random_phase=True, epochs=2)
    assert same(moved, fit(tribe, windows, random_phase=True, epochs=2))
    assert not same(moved, fit(tribe, windows, epochs=2))
    measured = torch.from_numpy(windows[0].bold[:, :-1])
    before = tribe.readout(window_latents(tribe, windows[0])[None])[0, :, :-1]
    assert (predict(moved, tribe, windows[0])[:, :-1] - measured).square().mean() < (before - measured).square().mean()


def test_halved_weights_are_what_autocast_rounds_them_to(tribe, windows):
    model = share(tribe)
    inject(model, lora_config(2, 4.0))
    expected = window_latents(model, windows[0], "bfloat16")
    halve_frozen(model)
    assert torch.equal(window_latents(model, windows[0], "bfloat16"), expected)
    assert all(weight.dtype == torch.float32 for weight in tribe.trunk.parameters())
    assert all(tensor.dtype == torch.float32 for tensor in lora_tensors(model).values())
    run_trunk(model, windows[0], "bfloat16").square().mean().backward()
    assert all(weight.grad is not None for weight in model.parameters() if weight.requires_grad)


def test_torchs_own_precision_is_put_back_whatever_happens():
    before = torch.get_float32_matmul_precision()
    with pytest.raises(ValueError, match="inside"), fast_float32(torch.device("cpu")):
        raise ValueError("inside")
    assert torch.get_float32_matmul_precision() == before
    with fast_float32(torch.device("cuda")):
        assert torch.get_float32_matmul_precision() == before
