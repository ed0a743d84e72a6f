"""Invariants of every method: one table, one test each."""

import dataclasses

import numpy as np
import pytest
import torch

from tribetune.adapt.adapter import BIAS, FORMS, GAIN, LEFT, RIGHT, WEIGHTS, Adapter, personal_row
from tribetune.adapt.base import Base
from tribetune.adapt.core import core_weights
from tribetune.adapt.latents import window_latents
from tribetune.adapt.lora_matrices import lora_tensors
from tribetune.adapt.methods import METHODS, fit_method
from tribetune.errors import AdaptationError, BoldError
from tribetune.scores import pearson_r
from tribetune.share.bundle import load_adapter, save_adapter
from tribetune.study.checks import check_change, weights_digest

TRAINED = [name for name in METHODS if name != "zero-shot"]
DIRECTED = [name for name in TRAINED if name != "gain"]  # a gain changes the size of a prediction, not its course

BARELY = {
    "gain": {"shrinkage": 1e30},
    "ridge": {"penalty": 1e12},
    "low-rank": {"rank": 4, "penalty": 1e12},
    "readout": {"learning_rate": 1e-12},
    "lora": {"learning_rate": 1e-12, "readout_learning_rate": 1e-12},
    "full": {"learning_rate": 1e-12, "readout_learning_rate": 1e-12},
}
"""Settings at which a method has not begun."""

FORM = {
    "gain": {GAIN, BIAS},
    "ridge": {WEIGHTS, BIAS},
    "low-rank": {LEFT, RIGHT, BIAS},
    "readout": {WEIGHTS, BIAS},
    "lora": {WEIGHTS, BIAS},
    "full": {LEFT, RIGHT, BIAS},
}
"""What each method's personal row is made of."""


@pytest.fixture(scope="module")
def adapters(base, windows):
    return {name: fit_method(name, base, windows, {}, seed=33) for name in METHODS}


def predict(model, window, row=0):
    with torch.no_grad():
        return model.readout(window_latents(model, window)[None], torch.tensor([row]))[0]


def held_out_r(model, windows, row=0):
    found = torch.cat([predict(model, window, row)[torch.from_numpy(window.mask)] for window in windows])
    measured = torch.cat([torch.from_numpy(window.bold[window.mask]) for window in windows])
    return pearson_r(found, measured)[:-1].mean()


def test_every_method_has_a_row_in_the_table():
    assert list(METHODS) == ["zero-shot", *BARELY] == ["zero-shot", *FORM]


@pytest.mark.parametrize("method", list(METHODS))
def test_fitting_leaves_the_checkpoint_bitwise_as_it_was(base, tribe, windows, method):
    before, first = weights_digest(tribe), predict(tribe, windows[0])
    fit_method(method, base, windows, {}, seed=1)
    assert weights_digest(tribe) == before
    assert torch.equal(predict(tribe, windows[0]), first)
    assert not any(weight.requires_grad for weight in tribe.parameters())


@pytest.mark.parametrize("method", list(METHODS))
def test_the_same_seed_gives_the_same_bits(tribe, windows, adapters, method):
    again = fit_method(method, Base(tribe), windows, {}, seed=33)
    assert adapters[method].tensors.keys() == again.tensors.keys()
    assert all(torch.equal(tensor, again.tensors[name]) for name, tensor in adapters[method].tensors.items())


@pytest.mark.parametrize("method", list(METHODS))
def test_the_unseen_row_predicts_as_before(tribe, windows, adapters, method):
    model = adapters[method].apply(tribe)
    assert torch.equal(model.subjects.weights[-1], tribe.subjects.weights[-1])
    if method not in ("lora", "full"):  # these change the trunk under the row, never the row
        assert torch.equal(predict(model, windows[0], model.config.rows - 1), predict(tribe, windows[0]))


@pytest.mark.parametrize("method", list(METHODS))
def test_saved_and_loaded_predicts_bitwise_the_same(tribe, windows, adapters, method, tmp_path):
    save_adapter(adapters[method], tmp_path / "adapter", {"base": {"hash": "x"}, "space": "table"})
    loaded = load_adapter(tmp_path / "adapter", "x")
    assert torch.equal(predict(loaded.apply(tribe), windows[1]), predict(adapters[method].apply(tribe), windows[1]))
    assert loaded.n_weights == adapters[method].n_weights


@pytest.mark.parametrize("method", TRAINED)
def test_step_zero_is_zero_shot_but_for_the_level_of_what_is_solved(base, tribe, windows, method):
    model = fit_method(method, base, windows, BARELY[method], seed=1).apply(tribe)
    found, expected = predict(model, windows[0]), predict(tribe, windows[0])
    if method in ("gain", "ridge", "low-rank"):  # the level is not penalised
        found, expected = found - found.mean(0), expected - expected.mean(0)
    # a readout is folded out of standardised coordinates: rounding of float32 is left
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("method", TRAINED)
def test_only_named_weights_are_trained(tribe, adapters, method):
    names = set(adapters[method].tensors)
    matrices, core = ({name for name in names if part in name} for part in ("lora_", "core."))
    assert names - matrices - core == FORM[method]
    assert FORM[method] in FORMS
    # two matrices for each of the four attention and two feed-forward linears of each of the two blocks
    assert len(matrices) == (2 * 6 * 2 if method == "lora" else 0)
    assert core == ({"core." + name for name in core_weights(tribe)} if method == "full" else set())
    assert adapters[method].n_weights == sum(tensor.numel() for tensor in adapters[method].tensors.values())


@pytest.mark.parametrize("method", DIRECTED)
def test_a_subject_with_a_readout_of_his_own_is_learned(tribe, windows, adapters, method):
    assert held_out_r(adapters[method].apply(tribe), windows) > held_out_r(tribe, windows) + 0.1


@pytest.mark.parametrize("method", TRAINED)
def test_an_undefined_output_stays_where_it_was(tribe, windows, adapters, method):
    weights, _ = personal_row(tribe, adapters[method].tensors)
    torch.testing.assert_close(
        weights[:, -1], tribe.subjects.weights[0, :, -1], atol=1e-6, rtol=0
    )  # folding in and out of standardised coordinates rounds


@pytest.mark.parametrize("method", TRAINED)
@pytest.mark.parametrize("n_windows", [1, 2])
def test_any_number_of_windows_is_enough(base, tribe, windows, method, n_windows):
    adapter = fit_method(method, base, windows[:n_windows], {}, seed=1)
    assert all(torch.isfinite(tensor).all() for tensor in adapter.tensors.values())
    check_change(tribe, adapter, windows[0], weights_digest(tribe))


@pytest.mark.parametrize("method", TRAINED)
def test_no_valid_sample_is_refused(base, windows, method):
    empty = [dataclasses.replace(window, mask=np.zeros(100, bool)) for window in windows]
    with pytest.raises(BoldError, match="no valid sample"):
        fit_method(method, base, empty, {}, seed=1)


@pytest.mark.parametrize("method", TRAINED)
def test_bold_without_a_defined_output_is_refused(base, windows, method):
    nothing = [dataclasses.replace(window, bold=np.full_like(window.bold, np.nan)) for window in windows]
    with pytest.raises(BoldError, match="none of 12 outputs is defined"):
        fit_method(method, base, nothing, {}, seed=0)


@pytest.mark.parametrize("method", DIRECTED)
def test_outputs_that_the_checkpoint_lacks_start_from_zero(base, tribe, windows, method):
    few = [dataclasses.replace(window, bold=window.bold[:, :5]) for window in windows]
    adapter = fit_method(method, base, few, {}, seed=1)
    model = adapter.apply(tribe)
    assert predict(model, windows[0]).shape == (100, 5)
    assert not model.config.unseen_row
    assert held_out_r(model, few) > 0.3


@pytest.mark.parametrize("method", ["zero-shot", "gain"])
def test_what_needs_the_unseen_row_is_refused_where_there_is_none(base, windows, method):
    few = [dataclasses.replace(window, bold=window.bold[:, :5]) for window in windows]
    with pytest.raises(AdaptationError, match="not defined"):
        fit_method(method, base, few, {}, seed=1)


def test_a_check_refuses_an_adapter_that_changes_nothing_or_diverged(tribe, windows):
    before = weights_digest(tribe)
    start = {WEIGHTS: tribe.subjects.weights[0].clone(), BIAS: tribe.subjects.bias[0].clone()}
    with pytest.raises(AdaptationError, match="changed nothing"):
        check_change(tribe, Adapter("readout", start), windows[0], before)
    with pytest.raises(AdaptationError, match="diverged"):
        check_change(tribe, Adapter("readout", {**start, BIAS: start[BIAS] * torch.nan}), windows[0], before)
    for size in (1e14, 1e4):
        with pytest.raises(AdaptationError, match=r"diverged: .* times the spread of BOLD") as refused:
            check_change(tribe, Adapter("readout", {**start, WEIGHTS: size * start[WEIGHTS]}), windows[0], before)
        assert "lower adaptation.learning_rate" in refused.value.hint
    check_change(tribe, Adapter("readout", {**start, WEIGHTS: 10 * start[WEIGHTS]}), windows[0], before)
    with pytest.raises(RuntimeError, match="checkpoint's own weights"):
        check_change(tribe, Adapter("readout", start), windows[0], "another digest")


def test_an_adapter_of_another_width_is_refused(tribe):
    with pytest.raises(AdaptationError, match="takes 9 inputs, the trunk gives 8"):
        Adapter("readout", {WEIGHTS: torch.zeros(9, 12), BIAS: torch.zeros(12)}).apply(tribe)


def test_lora_of_another_rank_is_refused(tribe, adapters):
    wrong = {name: t[:3] if "lora_A" in name else t for name, t in adapters["lora"].tensors.items()}
    with pytest.raises(AdaptationError, match="do not fit"):
        dataclasses.replace(adapters["lora"], tensors=wrong).apply(tribe)


def test_full_moves_every_weight_before_the_readout_and_one_of_another_size_is_refused(tribe, adapters):
    own = core_weights(tribe)
    moved = [name for name, weight in own.items() if not torch.equal(adapters["full"].tensors["core." + name], weight)]
    assert len(moved) > 0.9 * len(own)  # a norm's gain may stay where float32 cannot tell
    name = "core.low_rank.weight"
    for tensors in (
        {**adapters["full"].tensors, name: adapters["full"].tensors[name][:3]},
        {key: tensor for key, tensor in adapters["full"].tensors.items() if key != name},
    ):
        with pytest.raises(AdaptationError, match=r"the adapter's core\.low_rank\.weight is"):
            dataclasses.replace(adapters["full"], tensors=tensors).apply(tribe)


TRAINING = [{}, {"warm_up_steps": 5}, {"correlation_weight": 0.5}, {"average": True}, {"epochs": 2, "block_trs": 30}]
"""What readout, LoRA and full are told alike."""


@pytest.mark.parametrize("told", TRAINING, ids=lambda told: next(iter(told), "defaults"))
def test_full_at_rate_zero_is_the_readout(base, tribe, windows, told):
    rates = {"learning_rate": 0.0, "readout_learning_rate": 0.1, "readout_rank": "full"}
    full = fit_method("full", base, windows, rates | told, seed=4)
    readout = fit_method("readout", base, windows, {"learning_rate": 0.1} | told, seed=4)
    # all samples of a window go through the trunk at once, and in the readout only valid ones are kept: same values
    assert torch.equal(full.tensors[WEIGHTS], readout.tensors[WEIGHTS])
    for name, weight in core_weights(tribe).items():
        torch.testing.assert_close(full.tensors["core." + name], weight, rtol=1e-6, atol=1e-7)  # a mean of equals
    if told:
        plain = fit_method("readout", base, windows, {"learning_rate": 0.1}, seed=4)
        assert not torch.equal(readout.tensors[WEIGHTS], plain.tensors[WEIGHTS])


def test_a_trunk_follows_its_warm_up_its_loss_and_its_mean(base, windows):
    rates = {"learning_rate": 1e-3, "readout_learning_rate": 0.1}
    found = [fit_method("lora", base, windows, rates | told, seed=4).tensors for told in TRAINING[:4]]
    trained = [{name: tensor for name, tensor in one.items() if "lora_" in name} for one in found]
    for told, one in zip(TRAINING[1:4], trained[1:], strict=True):
        moved = [name for name, tensor in one.items() if not torch.equal(tensor, trained[0][name])]
        assert len(moved) > 0.9 * len(one), told


def test_lora_at_rate_zero_is_the_readout(base, windows):
    rates = {"learning_rate": 0.0, "readout_learning_rate": 0.1}
    lora = fit_method("lora", base, windows, rates, seed=4)
    readout = fit_method("readout", base, windows, {"learning_rate": 0.1}, seed=4)
    assert len(lora.tensors) > len(readout.tensors)
    assert torch.equal(lora.tensors[WEIGHTS], readout.tensors[WEIGHTS])


def test_merged_lora_predicts_as_unmerged(tribe, windows, adapters):
    from peft.tuners.tuners_utils import BaseTunerLayer

    model = adapters["lora"].apply(tribe)
    unmerged, merged = predict(model, windows[0]), 0
    assert lora_tensors(model)
    for module in list(model.modules()):
        if isinstance(module, BaseTunerLayer):
            # peft adds to the weight in place, and ours are shared with the checkpoint
            module.get_base_layer().weight = torch.nn.Parameter(module.get_base_layer().weight.clone())
            module.merge(safe_merge=True)
            merged += 1
    assert merged == 12
    torch.testing.assert_close(predict(model, windows[0]), unmerged, atol=1e-4, rtol=0)  # float32 through two blocks
