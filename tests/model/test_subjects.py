import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tribetune.errors import CheckpointError
from tribetune.model.subjects import SubjectBlock


def made(rows=5):
    torch.manual_seed(0)
    return SubjectBlock(rows, 6, 4)


def gathered(block, x, rows):
    """The reference's way: one copy of the weights per sample."""
    return torch.einsum("bti,bio->bto", x, block.weights[rows]) + block.bias[rows][:, None]


@given(rows=st.lists(st.integers(0, 4), min_size=1, max_size=8))
def test_reading_out_by_row_equals_gathering_weights(rows):
    block, x = made(), torch.randn(len(rows), 3, 6, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(block(x, rows), gathered(block, x, rows), atol=1e-6, rtol=0)  # sums in another order


@given(rows=st.lists(st.integers(0, 4), min_size=1, max_size=8))
def test_gradients_equal_those_of_gathering_and_unused_rows_have_none(rows):
    block, x = made(), torch.randn(len(rows), 3, 6, generator=torch.Generator().manual_seed(1))
    got = torch.autograd.grad(block(x, rows).square().sum(), [block.weights, block.bias])
    wanted = torch.autograd.grad(gathered(block, x, rows).square().sum(), [block.weights, block.bias])
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-5)  # sums of squares of up to 100 values
    unused = [row for row in range(5) if row not in rows]
    assert not got[0][unused].any()
    assert not got[1][unused].any()


@pytest.mark.parametrize("row", [-1, 5])
def test_a_row_that_is_not_there_is_named(row):
    with pytest.raises(CheckpointError, match=rf"row {row} .* rows 0 to 4"):
        made()(torch.randn(2, 3, 6), [0, row])
