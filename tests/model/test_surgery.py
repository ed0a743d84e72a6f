import pytest
import torch

from tribetune.errors import AdaptationError
from tribetune.model.surgery import train_only, with_low_rank, with_mean_rows


@torch.no_grad()
def test_every_new_row_is_the_mean_of_all_old_ones_and_the_rest_is_kept(small):
    old = small()
    new = with_mean_rows(old, ["a", "b", "c"])
    assert (new.config.rows, new.config.subjects, new.config.unseen_row) == (4, ["a", "b", "c"], True)
    for row in range(4):
        assert torch.equal(new.subjects.weights[row], old.subjects.weights.mean(0))
        assert torch.equal(new.subjects.bias[row], old.subjects.bias.mean(0))
    kept = {key: weight for key, weight in old.state_dict().items() if not key.startswith("subjects.")}
    assert len(kept) > 10
    assert all(torch.equal(new.state_dict()[key], weight) for key, weight in kept.items())


@torch.no_grad()
def test_training_the_new_model_leaves_the_old_one_alone(small):
    old = small()
    before = {key: weight.clone() for key, weight in old.state_dict().items()}
    for new in (with_mean_rows(old, ["a"]), with_low_rank(old, 4, ["a"])):
        for weight in new.parameters():
            weight.add_(1.0)
    assert all(torch.equal(weight, before[key]) for key, weight in old.state_dict().items())


@pytest.mark.parametrize("low_rank", [None, 16])
@torch.no_grad()
def test_a_rank_that_is_high_enough_changes_no_prediction(small, features_for, low_rank):
    old = small(low_rank=low_rank)
    same = with_mean_rows(old, ["a"])
    refactorised = with_low_rank(old, 7, ["a"])  # seven outputs have no higher rank
    features = features_for(old)
    # float32 rounding of a product and its SVD
    torch.testing.assert_close(refactorised(features, n_trs=10), same(features, n_trs=10), atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_lower_rank_is_the_closest_one(small):
    old = small(low_rank=None)
    product = old.subjects.weights.mean(0)
    new = with_low_rank(old, 3, ["a"])
    error = (new.low_rank.weight.T @ new.subjects.weights[0] - product).norm()
    # Eckart-Young: what is lost are the remaining singular values; float32 rounding
    torch.testing.assert_close(error, torch.linalg.svdvals(product)[3:].norm(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("rank", [0, 8])
def test_a_rank_that_the_readout_cannot_have_is_refused(small, rank):
    with pytest.raises(AdaptationError, match=f"rank {rank} .*"):
        with_low_rank(small(), rank, ["a"])


def test_a_model_without_any_row_is_refused(small):
    with pytest.raises(AdaptationError, match="nothing to read out"):
        with_mean_rows(small(unseen_row=False), [])


def test_only_the_named_parts_train(small):
    tribe = small()
    train_only(tribe, "subjects", "low_rank")
    trained = {key for key, weight in tribe.named_parameters() if weight.requires_grad}
    assert trained == {"subjects.weights", "subjects.bias", "low_rank.weight"}
    train_only(tribe)
    assert not any(weight.requires_grad for weight in tribe.parameters())
    with pytest.raises(AdaptationError, match="'readouts'"):
        train_only(tribe, "readouts")
