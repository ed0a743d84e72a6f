import torch
from hypothesis import given
from hypothesis import strategies as st

from tribetune.model.loss import masked_mse


def batch(seed=0):
    noise = torch.Generator().manual_seed(seed)
    return torch.randn(2, 6, 5, generator=noise).requires_grad_(), torch.randn(2, 6, 5, generator=noise)


@given(mask=st.lists(st.booleans(), min_size=12, max_size=12).filter(any), seed=st.integers(0, 9))
def test_the_loss_is_that_of_the_valid_samples_alone(mask, seed):
    predicted, measured = batch(seed)
    valid = torch.tensor(mask).reshape(2, 6)
    wanted = torch.nn.functional.mse_loss(predicted[valid], measured[valid])
    torch.testing.assert_close(masked_mse(predicted, measured, valid), wanted, atol=1e-6, rtol=0)  # another order


def test_what_was_not_measured_cannot_change_the_loss():
    predicted, measured = batch()
    valid = torch.ones(2, 6, dtype=torch.bool)
    valid[0, 2] = False
    before = masked_mse(predicted, measured, valid)
    measured[0, 2] = torch.nan
    assert torch.equal(masked_mse(predicted, measured, valid), before)


def test_a_batch_without_a_valid_sample_gives_zero_loss_and_zero_gradients():
    predicted, measured = batch()
    loss = masked_mse(predicted, measured, torch.zeros(2, 6, dtype=torch.bool))
    loss.backward()
    assert loss == 0
    assert predicted.grad is not None
    assert not predicted.grad.any()


def test_an_undefined_output_does_not_count():
    predicted, measured = batch()
    valid = torch.ones(2, 6, dtype=torch.bool)
    measured[..., 3] = torch.nan
    kept = [0, 1, 2, 4]
    wanted = torch.nn.functional.mse_loss(predicted[..., kept], measured[..., kept])
    loss = masked_mse(predicted, measured, valid)
    torch.testing.assert_close(loss, wanted, atol=1e-6, rtol=0)  # another order
    loss.backward()
    assert predicted.grad is not None
    assert not predicted.grad[..., 3].any()
    assert predicted.grad.isfinite().all()
