import dataclasses

import pytest
import torch

from tribetune.adapt.adapter import BIAS, GAIN, LEFT, RIGHT, WEIGHTS, Adapter
from tribetune.adapt.combine import AVERAGE, average, merge
from tribetune.adapt.latents import window_latents
from tribetune.adapt.methods import fit_method
from tribetune.errors import AdaptationError
from tribetune.model.checkpoint import load_checkpoint, save_checkpoint
from tribetune.study.checks import weights_digest

ROUNDING = 2e-5
"""Of sums in another order, in float32, through two blocks; predictions are of size 1."""

SETTINGS = {
    "gain": {},
    "ridge": {"penalty": 1.0},
    "low-rank": {"rank": 3, "penalty": 1.0},
    "readout": {"learning_rate": 0.1},
    "lora": {"learning_rate": 1e-3, "readout_learning_rate": 0.1, "rank": 2},
    "full": {"learning_rate": 1e-4, "readout_learning_rate": 0.1, "readout_rank": 3},
}


@pytest.fixture(scope="module")
def pairs(base, windows):
    """Two adapters of every method, fitted on different halves of the data."""
    return {
        method: [fit_method(method, base, part, settings, seed) for seed, part in enumerate((windows[:3], windows[3:]))]
        for method, settings in SETTINGS.items()
    }


def predict(model, window, row=0):
    with torch.no_grad():
        return model.readout(window_latents(model, window)[None], torch.tensor([row]))[0]


@pytest.mark.parametrize("method", [name for name in SETTINGS if name not in ("lora", "full")])
def test_an_average_predicts_the_average_and_keeps_its_form(tribe, windows, pairs, method):
    one, other = pairs[method]
    mean = average([one, other], [0.25, 0.75])
    wanted = 0.25 * predict(one.apply(tribe), windows[0]) + 0.75 * predict(other.apply(tribe), windows[0])
    torch.testing.assert_close(predict(mean.apply(tribe), windows[0]), wanted, atol=ROUNDING, rtol=0)
    assert (mean.method, mean.tensors.keys()) == (method, one.tensors.keys())
    assert not torch.allclose(predict(one.apply(tribe), windows[0]), wanted, atol=100 * ROUNDING)


def test_low_rank_differences_are_put_side_by_side(pairs):
    mean = average(pairs["low-rank"], [0.5, 0.5])
    assert (mean.tensors[LEFT].shape, mean.tensors[RIGHT].shape) == ((8, 6), (6, 12))


def test_averaged_lora_moves_every_weight_by_the_mean_update(tribe, pairs):
    one, other = pairs["lora"]
    other = dataclasses.replace(other, lora={**other.lora, "lora_alpha": 3.0})  # another scale than the first's
    merged = [merge(tribe, adapter, "sub-01").state_dict() for adapter in (one, other)]
    mean = merge(tribe, average([one, other], [0.25, 0.75]), "sub-01").state_dict()
    before, moved = tribe.state_dict(), 0
    for name, weight in mean.items():
        if not name.startswith("trunk"):
            continue
        torch.testing.assert_close(weight, 0.25 * merged[0][name] + 0.75 * merged[1][name], atol=1e-6, rtol=0)
        moved += not torch.equal(weight, before[name])
    assert moved == 12
    assert torch.allclose(mean["subjects.weights"][0], 0.25 * merged[0]["subjects.weights"][0]
                          + 0.75 * merged[1]["subjects.weights"][0], atol=1e-6)  # fmt: skip


def test_averaged_weights_are_the_mean_of_every_weight_and_do_not_mix_with_other_kinds(tribe, pairs):
    merged = [merge(tribe, adapter, "s").state_dict() for adapter in pairs["full"]]
    mean = merge(tribe, average(pairs["full"], [0.25, 0.75]), "s").state_dict()
    for name, weight in mean.items():
        torch.testing.assert_close(weight, 0.25 * merged[0][name] + 0.75 * merged[1][name], atol=1e-6, rtol=0)
    assert sum(not torch.equal(mean[name], weight) for name, weight in tribe.state_dict().items()
               if weight.shape == mean[name].shape) > 12  # fmt: skip
    with pytest.raises(AdaptationError, match="of every weight"):
        average([pairs["full"][0], pairs["low-rank"][0]], [0.5, 0.5])


def test_beside_an_adapter_without_lora_the_update_is_shrunk(tribe, pairs):
    alone, mean = pairs["lora"][0], average([pairs["lora"][0], pairs["readout"][0]], [0.5, 0.5])
    assert mean.method == AVERAGE
    merged, before = (merge(tribe, adapter, "s").state_dict() for adapter in (alone, mean)), tribe.state_dict()
    name = next(key for key in before if key.endswith("to_q.weight"))
    whole, half = (state[name] - before[name] for state in merged)
    torch.testing.assert_close(half, whole / 2, atol=1e-6, rtol=0)
    assert whole.abs().max() > 1e-4


def test_rows_of_several_forms_are_averaged_in_full(tribe, windows, pairs):
    mixed = [pairs["gain"][0], pairs["low-rank"][0], pairs["ridge"][0], Adapter("zero-shot")]
    mean = average(mixed, [0.25] * 4, lambda: tribe)
    wanted = sum(predict(adapter.apply(tribe), windows[0]) for adapter in mixed[:3]) + predict(tribe, windows[0])
    torch.testing.assert_close(predict(mean.apply(tribe), windows[0]), wanted / 4, atol=ROUNDING, rtol=0)
    assert (mean.method, set(mean.tensors)) == (AVERAGE, {WEIGHTS, BIAS})
    assert GAIN in mixed[0].tensors
    with pytest.raises(AdaptationError, match="several forms"):
        average(mixed, [0.25] * 4)


def test_lora_of_another_kind_is_refused(pairs):
    strange = dataclasses.replace(pairs["lora"][0], lora={**pairs["lora"][0].lora, "use_dora": True})
    with pytest.raises(AdaptationError, match="use_dora"):
        average([strange, pairs["lora"][1]], [0.5, 0.5])


@pytest.mark.parametrize("method", list(SETTINGS))
def test_a_merged_checkpoint_predicts_what_the_adapter_does(tribe, windows, pairs, method, tmp_path):
    before, adapter = weights_digest(tribe), pairs[method][0]
    save_checkpoint(merge(tribe, adapter, "sub-01"), tmp_path / "merged")
    merged, unmerged = load_checkpoint(tmp_path / "merged"), adapter.apply(tribe)
    for row in (0, 1):  # the subject's, and the unseen one through the same trunk
        torch.testing.assert_close(predict(merged, windows[0], row), predict(unmerged, windows[0], row),
                                   atol=ROUNDING, rtol=0)  # fmt: skip
    assert (merged.config.subjects, merged.config.rows, merged.config.unseen_row) == (["sub-01"], 2, True)
    assert set(merged.state_dict()) == set(tribe.state_dict())
    assert weights_digest(tribe) == before


def test_what_changes_nothing_is_not_merged(tribe):
    with pytest.raises(AdaptationError, match="changes nothing"):
        merge(tribe, Adapter("zero-shot"), "sub-01")
