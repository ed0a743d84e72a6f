import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tribetune.model.config import TribeConfig
from tribetune.model.trunk import ScaleNorm, Trunk, rotary_frequencies, rotary_table, rotate


def config(hidden=96, heads=3, **changes):
    return TribeConfig(modalities={"text": (1, 4)}, hidden=hidden, depth=2, heads=heads, n_outputs=2, rows=1, **changes)


@given(dim_head=st.integers(32, 200))
def test_half_of_a_head_turns_but_at_least_32_channels(dim_head):
    turned = 2 * len(rotary_frequencies(dim_head))
    wanted = max(dim_head // 2, 32)
    assert turned == wanted + wanted % 2
    assert turned <= dim_head


def test_the_released_model_turns_72_of_144_channels_at_the_published_frequencies():
    frequencies = rotary_frequencies(144)
    assert len(frequencies) == 36
    wanted = torch.tensor([10000 ** (-2 * i / 72) for i in range(36)])
    torch.testing.assert_close(frequencies, wanted, atol=0, rtol=1e-6)  # float32 rounding


def test_channels_beyond_the_rotation_stay():
    x = torch.randn(1, 1, 5, 144)
    turned = rotate(x, rotary_table(rotary_frequencies(144), 5))
    assert torch.equal(turned[..., 72:], x[..., 72:])
    assert not torch.equal(turned[:, :, 1:, :72], x[:, :, 1:, :72])


@given(early=st.integers(0, 20), later=st.integers(0, 20), shift=st.integers(0, 40))
def test_attention_sees_only_how_far_apart_two_steps_are(early, later, shift):
    q, k = torch.randn(2, 64, generator=torch.Generator().manual_seed(0))
    turn = rotary_table(rotary_frequencies(64), 64)

    def product(a, b):
        turned = [rotate(x.expand(1, 1, 64, 64), turn)[0, 0, t] for x, t in ((q, a), (k, b))]
        return turned[0] @ turned[1]

    # products of 64 values of size 1, in float32
    torch.testing.assert_close(product(early, later), product(early + shift, later + shift), atol=2e-4, rtol=0)


def test_rotation_keeps_lengths():
    x = torch.randn(2, 3, 10, 48)
    turned = rotate(x, rotary_table(rotary_frequencies(48), 10))
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1), atol=1e-5, rtol=0)  # float32 rounding


def test_scale_norm_gives_every_vector_one_length():
    norm = ScaleNorm(50)
    norm.g.data.fill_(1.5)
    lengths = norm(torch.randn(4, 50) * torch.tensor([1e-3, 1.0, 10.0, 1e3])[:, None]).norm(dim=-1)
    torch.testing.assert_close(lengths, torch.full((4,), 1.5 * math.sqrt(50)), atol=1e-4, rtol=0)  # float32 rounding
    assert norm(torch.zeros(1, 50)).abs().max() == 0


def test_the_residual_scale_multiplies_the_stream_and_not_the_branch():
    torch.manual_seed(0)
    trunk, x = Trunk(config()), torch.randn(1, 6, 96)
    sublayer = trunk.feedforwards[0]
    branch = sublayer(x) - x
    sublayer.residual_scale.data.fill_(0.25)
    torch.testing.assert_close(sublayer(x), branch + 0.25 * x, atol=1e-5, rtol=0)  # float32 rounding


def test_a_window_alone_and_in_a_batch_are_the_same():
    torch.manual_seed(0)
    trunk, x = Trunk(config(144, 2)).eval(), torch.randn(4, 10, 144)
    torch.testing.assert_close(trunk(x)[2:3], trunk(x[2:3]), atol=1e-5, rtol=0)  # sums in another order


def test_bf16_autocast_keeps_the_residual_stream_in_float32_and_the_result_close():
    torch.manual_seed(0)
    trunk, x = Trunk(config(144, 2)).eval(), torch.randn(2, 40, 144)
    with torch.autocast("cpu", torch.bfloat16):
        short = trunk(x)
    assert short.dtype == torch.float32
    r = torch.corrcoef(torch.stack([short.flatten(), trunk(x).flatten()]))[0, 1]
    assert r >= 0.9999  # bf16 keeps 8 bits: errors of 0.4 %


def test_dropout_needs_training_and_then_drops():
    torch.manual_seed(0)
    trunk, x = Trunk(config(dropout=0.3)), torch.randn(1, 6, 96)
    trunk.eval()
    assert torch.equal(trunk(x), trunk(x))
    trunk.train()
    assert not torch.equal(trunk(x), trunk(x))


@pytest.mark.parametrize("layers", ["to_q", "to_k", "to_v", "to_out", "ff_in", "ff_out"])
def test_peft_finds_every_linear_layer_by_its_name(layers):
    names = [name for name, part in Trunk(config()).named_modules() if isinstance(part, torch.nn.Linear)]
    assert sum(name.endswith(layers) for name in names) == 2
    assert len(names) == 12
