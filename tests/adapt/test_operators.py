"""A readout carried out once for all outputs is the one that each output would get by itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tribetune.adapt import readout
from tribetune.adapt.base import Base
from tribetune.adapt.descent import Schedule, descend, impulse_response
from tribetune.adapt.latents import Latents
from tribetune.adapt.operators import Operator, readout_by
from tribetune.adapt.precision import has_fast_bf16


def calibration(n_windows=3, n_inputs=8, n_outputs=400, seed=0):
    rng = torch.Generator().manual_seed(seed)
    truth, found = torch.randn(n_inputs, n_outputs, generator=rng), []
    spread = torch.logspace(0, 1, n_inputs)
    for place in range(n_windows):
        values = 2 + spread * torch.randn(50 - place, n_inputs, generator=rng)
        bold = values @ truth + torch.randn(len(values), n_outputs, generator=rng)
        bold[:, 7] = torch.nan
        found.append(Latents(values, bold, f"run-{place}", np.arange(len(values)), 0.0))
    start = truth + torch.randn(truth.shape, generator=rng), torch.randn(n_outputs, generator=rng)
    return found, start


@pytest.fixture
def fast_bf16(monkeypatch):
    monkeypatch.setattr("tribetune.adapt.operators.has_fast_bf16", lambda _: True)


@pytest.mark.parametrize(
    "options", [{}, {"epochs": 3}, {"average": True}, {"warm_up": 3, "block": 60}, {"epochs": 2, "average": True}]
)
def test_a_descent_of_all_outputs_is_what_its_impulses_tell(tribe, options):
    latents, start = calibration()
    plan = replace(Schedule(0.3, 1, 20, 5), **options)
    expected = descend(latents, start, plan).folded()
    found = readout_by(Operator(*impulse_response(latents, plan)), Base(tribe), latents, start)
    for ours, theirs, before in zip(found, expected, start, strict=True):
        assert (theirs - before).abs().max() > 0.1
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)  # float32, sums in another order


def test_an_undefined_output_keeps_its_start_bit_by_bit(tribe):
    latents, start = calibration()
    operator = Operator(*impulse_response(latents, Schedule(0.3, 1, 20, 5)))
    weights, bias = readout_by(operator, Base(tribe), latents, start)
    assert torch.equal(weights[:, 7], start[0][:, 7])
    assert bias[7] == start[1][7]


def test_what_diverges_is_not_taken_for_undefined(tribe):
    latents, start = calibration()
    plan = Schedule(50.0, 9, 5, 5)
    assert descend(latents, start, plan).folded()[1].isfinite().nonzero().tolist() == [[7]]
    weights, bias = readout_by(Operator(*impulse_response(latents, plan)), Base(tribe), latents, start)
    assert bias.isfinite().nonzero().tolist() == [[7]]  # the output without data
    assert not weights[:, 0].isfinite().any()


def test_from_zeros_an_operator_is_a_plain_product(tribe):
    latents, start = calibration()
    operator = Operator(*impulse_response(latents, Schedule(0.3, 1, 20, 5)))
    nothing = tuple(torch.zeros_like(part) for part in start)
    weights, bias = readout_by(operator, Base(tribe), latents, nothing)
    bold = torch.cat([part.bold for part in latents]).nan_to_num()
    torch.testing.assert_close(weights, operator.weights @ bold)
    torch.testing.assert_close(bias, operator.bias @ bold)


@pytest.mark.usefixtures("fast_bf16")
def test_bfloat16_is_taken_where_predictions_stay_the_same(tribe):
    latents, start = calibration()
    operator = Operator(*impulse_response(latents, Schedule(0.3, 1, 20, 5)))
    exact, found = (readout_by(operator, Base(tribe, precision=name), latents, start) for name in ("float32", "auto"))
    forced = readout_by(operator, Base(tribe, precision="bfloat16"), latents, start)
    assert torch.equal(found[0], forced[0])
    assert not torch.equal(found[0], exact[0])
    torch.testing.assert_close(found[0], exact[0], atol=0.05, rtol=0)  # 8 bits of the change


@pytest.mark.usefixtures("fast_bf16")
def test_weights_that_cancel_in_the_prediction_are_not_rounded(tribe):
    """Two latents that hardly differ get large weights of opposite sign: rounding would be all that is left of them."""
    latents, start = calibration()
    twins = [replace(part, values=part.values.repeat(1, 2)) for part in latents]
    start = start[0].repeat(2, 1), start[1]
    rng = torch.Generator().manual_seed(1)
    large = 1e4 * torch.randn(8, 147, generator=rng)
    operator = Operator(torch.cat([large, -large + torch.randn(8, 147, generator=rng)]), torch.zeros(147))
    exact, found = (readout_by(operator, Base(tribe, precision=name), twins, start) for name in ("float32", "auto"))
    assert torch.equal(found[0], exact[0])


def test_subjects_of_one_stimulus_share_the_descent(tribe, monkeypatch):
    made = []
    monkeypatch.setattr(readout, "impulse_response", lambda *given: made.append(1) or impulse_response(*given))
    base, (latents, start) = Base(tribe), calibration()
    other = [replace(part, bold=part.bold + 1) for part in latents]
    plan = Schedule(0.3, 1, 20, 5)
    first, again, second = (readout._trained(base, data, start, plan) for data in (latents, latents, other))
    assert len(made) == 1
    assert torch.equal(first[0], again[0])
    torch.testing.assert_close(second[0], descend(other, start, plan).folded()[0], atol=1e-4, rtol=0)  # float32
    readout._trained(base, latents, start, replace(plan, rate=0.1))
    assert len(made) == 2
    readout._trained(base, latents, start, replace(plan, correlation=0.5))  # not linear: descends by itself
    assert len(made) == 2


def test_where_bfloat16_is_not_fast_nothing_is_rounded(tribe, monkeypatch):
    latents, start = calibration()
    operator = Operator(*impulse_response(latents, Schedule(0.3, 1, 20, 5)))
    monkeypatch.setattr("tribetune.adapt.operators.has_fast_bf16", lambda _: False)
    exact, found = (readout_by(operator, Base(tribe, precision=name), latents, start) for name in ("float32", "auto"))
    assert torch.equal(found[0], exact[0])
    assert not has_fast_bf16(torch.device("mps"))
