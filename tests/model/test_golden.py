"""The model agrees with the reference: outputs, one training step, both fine-tuning initialisations."""

import pytest
import torch

from tribetune.model.loss import masked_mse
from tribetune.model.module import adam, one_cycle
from tribetune.model.official import official_key
from tribetune.model.surgery import train_only, with_low_rank, with_mean_rows

# Outputs are up to 7; float32 rounding through the layers is 4e-6. A tanh GELU is off by 4e-4, a full-head RoPE by 0.9.
TOLERANCE = 1e-5

CASES = [
    ("public-released-like", case) for case in ("average", "no_video", "odd_T7")
] + [
    ("public-small", case)
    for case in (
        "subjects", "average", "no_text", "zero_text", "only_audio", "odd_T13", "odd_T13_average", "unseen_id",
    )
]  # fmt: skip


def close(got, wanted):
    torch.testing.assert_close(got.detach(), wanted, atol=TOLERANCE, rtol=0)


def test_every_case_of_the_fixtures_is_tested(golden):
    for name in ("public-released-like", "public-small"):
        assert set(golden(name).meta["cases"]) == {case for folder, case in CASES if folder == name}


@pytest.mark.parametrize(("name", "case"), CASES)
@torch.no_grad()
def test_predictions_agree_with_the_reference(golden, name, case):
    reference = golden(name)
    tribe = reference.tribe()
    features, rows = reference.inputs(case)
    n_steps = next(iter(features.values())).shape[-1]
    close(tribe(features, rows, n_trs=10), reference.array(f"{case}/out"))
    close(tribe(features, rows, n_trs=n_steps), reference.array(f"{case}/out_unpooled"))
    close(tribe.latents(features, n_steps), reference.array(f"{case}/pred_in"))


@pytest.mark.parametrize(("name", "case"), CASES)
def test_the_benchmarks_reference_agrees_with_the_reference(golden, benchmark, name, case):
    reference = golden(name)
    tribe = reference.tribe()
    features, rows = reference.inputs(case)
    batch = len(next(iter(features.values())))
    got = benchmark.reference_forward(tribe, features, tribe.rows_of(rows, batch), 10)
    close(got, reference.array(f"{case}/out"))


@pytest.fixture
def training(golden):
    """The reference's first step: 100 steps planned, no dropout drawn, all-zero target rows are not measured."""
    reference = golden("public-small")
    tribe = reference.tribe()
    features, rows = reference.inputs("subjects")
    target = reference.array("train_step/target")
    optimizer = adam(tribe.parameters(), 1e-4)
    schedule = one_cycle(optimizer, 100)
    loss = masked_mse(tribe(features, rows, n_trs=10), target, target.ne(0).any(-1))
    loss.backward()
    return reference, tribe, optimizer, schedule, loss


def test_loss_and_gradients_of_a_training_step_agree_with_the_reference(training):
    reference, tribe, _, _, loss = training
    close(loss.double(), reference.array("train_step/loss"))
    prefix = "train_step/gradnorm/"
    wanted = {key.removeprefix(prefix): value for key, value in reference.arrays.items() if key.startswith(prefix)}
    got = {official_key(key).removeprefix("model."): weight.grad.norm() for key, weight in tribe.named_parameters()}
    assert set(got) == set(wanted)
    for key, norm in got.items():
        assert norm.item() == pytest.approx(float(wanted[key]), abs=TOLERANCE), key


def test_learning_rate_and_beta1_agree_with_the_reference(training):
    reference, tribe, optimizer, schedule, _ = training
    group = optimizer.param_groups[0]
    assert group["lr"] == pytest.approx(float(reference.arrays["train_step/lr_first_step"]), rel=1e-12)
    assert group["betas"][0] == float(reference.arrays["train_step/beta1_first_step"])
    optimizer.step()
    schedule.step()
    assert group["lr"] == pytest.approx(float(reference.arrays["train_step/lr_second_step"]), rel=1e-12)
    assert group["betas"][0] == pytest.approx(float(reference.arrays["train_step/beta1_second_step"]), rel=1e-12)
    weights = {official_key(key).removeprefix("model."): weight for key, weight in tribe.named_parameters()}
    after = [key for key in reference.arrays if key.startswith("train_step/after_step/")]
    assert len(after) == 3
    for key in after:
        # a step of Adam moves a weight by 4e-6: only a tolerance well below that sees it
        torch.testing.assert_close(
            weights[key.split("/")[2]].detach(), torch.tensor(reference.arrays[key]), atol=1e-7, rtol=0
        )


@pytest.mark.parametrize("case", ["resize", "resize_svd8"])
@torch.no_grad()
def test_both_fine_tuning_initialisations_agree_with_the_reference(golden, case):
    reference = golden("public-small")
    old = reference.tribe()
    tribe = with_mean_rows(old, ["a", "b"]) if case == "resize" else with_low_rank(old, 8, ["a", "b"])
    features, _ = reference.inputs("subjects")
    assert list(tribe.subjects.weights.shape) == reference.arrays[f"{case}/shape_predictor"].tolist()
    close(tribe.subjects.bias, torch.tensor(reference.arrays[f"{case}/predictor_bias"]))
    close(tribe(features, torch.tensor([0, 1, 0]), n_trs=10), reference.array(f"{case}/out"))
    close(tribe(features, None, n_trs=10), reference.array(f"{case}/average_out"))
    train_only(tribe, "subjects", *(["low_rank"] if case == "resize_svd8" else []))
    trained = {
        official_key(key).removeprefix("model.") for key, weight in tribe.named_parameters() if weight.requires_grad
    }
    assert trained == set(reference.arrays[f"{case}/trainable"].tolist())
