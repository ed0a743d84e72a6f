import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tribetune.errors import FeatureError
from tribetune.model.pooling import pool_time


@given(n_steps=st.integers(1, 40), n_trs=st.integers(1, 40), seed=st.integers(0, 9))
def test_bins_are_those_of_adaptive_average_pooling(n_steps, n_trs, seed):
    x = torch.randn(2, n_steps, 3, generator=torch.Generator().manual_seed(seed))
    wanted = torch.nn.functional.adaptive_avg_pool1d(x.mT, n_trs).mT
    torch.testing.assert_close(pool_time(x, n_trs), wanted, atol=1e-6, rtol=0)  # sums in another order


def test_two_steps_make_one_sample():
    x = torch.arange(8.0).reshape(1, 8, 1)
    assert pool_time(x, 4).flatten().tolist() == [0.5, 2.5, 4.5, 6.5]


def test_no_sample_is_no_window():
    with pytest.raises(FeatureError, match="at least one"):
        pool_time(torch.zeros(1, 8, 1), 0)


def test_uneven_bins_are_full_precision_under_autocast():
    x = torch.randn(1, 13, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(pool_time(x, 10), pool_time(x, 10).float())
        assert pool_time(x, 10).dtype == torch.float32
