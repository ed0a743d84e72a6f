"""Readouts that are linear in calibration BOLD: one matrix makes them all, and serves whoever saw the same stimulus."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from tribetune.adapt.base import Base
from tribetune.adapt.latents import Latents, defined_outputs, drawn
from tribetune.adapt.precision import Precision, has_fast_bf16, product, same_prediction, spread_out
from tribetune.adapt.unseen import content_hash

CHUNK = 2048
"""Outputs at once: copies of an hour of them are small enough that the next chunk's take the same memory."""

_JUDGES = 64
"""Outputs on which products in both precisions are compared."""


@dataclass(frozen=True)
class Operator:
    """What turns BOLD less a readout's prediction into the change of that readout, the same for every output.

    Attributes
    ----------
    weights : Tensor of shape (readout_in, n_samples)
    bias : Tensor of shape (n_samples,)
    """

    weights: Float[Tensor, "readout time"]
    bias: Float[Tensor, " time"]


def readout_by(
    operator: Operator, base: Base, latents: Sequence[Latents], start: tuple[Tensor, Tensor]
) -> tuple[Float[Tensor, "readout output"], Float[Tensor, " output"]]:
    """Weights and bias of the readout that an operator makes of calibration BOLD; those of the start where undefined.

    The change ``P·(Y − X·S)`` is found as ``P·Y − (P·X)·S``: no prediction is made, and what does not depend on Y is
    kept for the next subject. Products are in bfloat16 where the base allows it and predictions stay the same.

    Parameters
    ----------
    operator : Operator
        Of these samples.
    base : Base
    latents : sequence of Latents
    start : tuple of Tensor of shape (readout_in, n_outputs) and (n_outputs,)
        The readout before training.
    """
    values = torch.cat([part.values for part in latents])
    # a few of its weights tell a row from that of other outputs
    key = content_hash(operator.weights, operator.bias, start[0][:4], start[1])
    rest = base.kept(f"rest {key}", lambda: _without_prediction(operator, base, values, start))
    weights, bias = torch.empty_like(start[0]), torch.empty_like(start[1])
    defined = defined_outputs(latents)
    precision = _precision(base, operator.weights, _joined(latents, drawn(defined, _JUDGES, 0)), values)
    for chunk in chunks(len(bias)):
        bold = _joined(latents, chunk)
        torch.add(rest.weights[:, chunk], product(operator.weights, bold, precision), out=weights[:, chunk])
        torch.add(rest.bias[chunk], operator.bias @ bold, out=bias[chunk])
    if len(defined) < len(bias):  # what diverged is not put back: it is told of
        undefined = torch.ones_like(bias, dtype=torch.bool).index_fill_(0, defined, False)
        weights[:, undefined], bias[undefined] = start[0][:, undefined], start[1][undefined]
    return weights, bias


@dataclass(frozen=True)
class _Rest:
    """A start less what an operator makes of its prediction."""

    weights: Float[Tensor, "readout output"]
    bias: Float[Tensor, " output"]


def _without_prediction(operator: Operator, base: Base, values: Tensor, start: tuple[Tensor, Tensor]) -> _Rest:
    weights, bias = start
    if not weights.any() and not bias.any():
        return _Rest(weights, bias)
    through, level = operator.weights @ values, operator.bias @ values
    precision = _precision(base, through, spread_out(weights, _JUDGES), values)
    rest = torch.empty_like(weights)
    for chunk in chunks(len(bias)):
        torch.sub(weights[:, chunk], product(through, weights[:, chunk], precision), out=rest[:, chunk])
    rest.addr_(operator.weights.sum(1), bias, alpha=-1)
    return _Rest(rest, bias - level @ weights - operator.bias.sum() * bias)


def _precision(base: Base, left: Tensor, right: Tensor, values: Tensor) -> Precision:
    """Precision of a product that gives weights, judged by the predictions of a few outputs."""
    if base.precision != "auto":
        return base.precision
    if not has_fast_bf16(base.device):
        return "float32"
    exact, fast = (values @ product(left, right, precision).float() for precision in ("float32", "bfloat16"))
    return "bfloat16" if same_prediction(exact, fast) else "float32"


def chunks(n_outputs: int) -> Iterator[slice]:
    """Outputs, some at a time."""
    for first in range(0, n_outputs, CHUNK):
        yield slice(first, first + CHUNK)


def _joined(latents: Sequence[Latents], outputs: slice | Tensor) -> Float[Tensor, "time output"]:
    return torch.cat([part.bold[:, outputs] for part in latents])
