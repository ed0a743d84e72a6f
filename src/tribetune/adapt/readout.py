"""A personal readout on the frozen trunk: one epoch of gradient descent from the unseen row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tribetune.adapt.adapter import BIAS, WEIGHTS, Adapter
from tribetune.adapt.base import Base
from tribetune.adapt.choosing import choose, mean_score, over_folds
from tribetune.adapt.descent import Schedule, descend, impulse_response
from tribetune.adapt.folds import latents_where, sample_folds
from tribetune.adapt.latents import Latents, defined_outputs, drawn, take_out_shared
from tribetune.adapt.operators import Operator, readout_by
from tribetune.adapt.rows import starting_row
from tribetune.adapt.unseen import content_hash
from tribetune.windows import Window

RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.9)
"""Learning rates tried, relative to the largest stable step."""

CAUTIOUS_RATE = 0.01
"""Taken where a single window leaves nothing to choose on."""

_SEARCH_OUTPUTS = 128
"""Outputs that the learning rate is chosen on: each output descends on its own, so a random sample is unbiased."""


@dataclass(frozen=True)
class ReadoutSettings:
    """Plain arguments of `fit_readout`.

    Attributes
    ----------
    learning_rate : float or "auto"
        Relative to the largest stable step; ``auto`` leaves out each calibration run in turn (or halves of one run).
    epochs : int
        Passes over the data.
    block_trs : int
        Samples per step.
    warm_up_steps : int
        Steps in which the learning rate rises.
    correlation_weight : float
        Share of the loss that is one minus Pearson's r of each block, the rest is its squared error.
    average : bool
        Whether the readout is the mean of those after every window, instead of the last.
    """

    learning_rate: float | Literal["auto"] = "auto"
    epochs: int = 1
    block_trs: int = 25
    warm_up_steps: int = 0
    correlation_weight: float = 0.0
    average: bool = False


def fit_readout(base: Base, windows: Sequence[Window], settings: ReadoutSettings, seed: int) -> Adapter:
    """Train a personal readout row, starting from the unseen row (from zeros where the checkpoint has none).

    Parameters
    ----------
    base : Base
    windows : sequence of Window
        The subject's calibration windows.
    settings : ReadoutSettings
    seed : int
        Order of the windows.

    Raises
    ------
    BoldError
        If no sample is valid.
    """
    latents = base.latents(windows)
    start = starting_row(base.tribe, latents[0].bold.shape[1])
    take_out_shared(latents, *start)
    plan, curve = plan_readout(latents, start, settings, seed)
    weights, bias = _trained(base, latents, start, plan)
    tensors = {WEIGHTS: weights.cpu(), BIAS: bias.cpu()}
    return Adapter("readout", tensors, chosen={"learning_rate": plan.rate, "inner_scores": curve})


def _trained(
    base: Base, latents: Sequence[Latents], start: tuple[Tensor, Tensor], plan: Schedule
) -> tuple[Tensor, Tensor]:
    """The readout after the descent, which is linear in BOLD unless correlation has a share of the loss.

    It is then carried out once for all outputs, on fewer columns than these are, and serves the next subject, too.
    """
    lengths = [len(part.values) for part in latents]
    if plan.correlation or sum(lengths) >= len(start[1]):
        return descend(latents, start, plan).folded()
    key = f"descent {content_hash(*(part.values for part in latents))} {plan}"
    return readout_by(base.kept(key, lambda: Operator(*impulse_response(latents, plan))), base, latents, start)


def plan_readout(
    latents: Sequence[Latents], start: tuple[Tensor, Tensor], settings: ReadoutSettings, seed: int
) -> tuple[Schedule, dict[str, float]]:
    """The schedule, its learning rate given or chosen, and the scores that decided (empty when none did)."""
    plan = Schedule(
        CAUTIOUS_RATE,
        settings.epochs,
        settings.block_trs,
        seed,
        settings.warm_up_steps,
        settings.correlation_weight,
        settings.average,
    )
    if settings.learning_rate != "auto":
        return replace(plan, rate=settings.learning_rate), {}
    if not sample_folds(latents):
        return plan, {}
    rate, curve = choose_rate(latents, start, plan)
    return replace(plan, rate=rate), curve


def choose_rate(
    latents: Sequence[Latents], start: tuple[Tensor, Tensor], plan: Schedule
) -> tuple[float, dict[str, float]]:
    """Choose the learning rate on left-out calibration windows, on a random sample of the outputs.

    Outputs descend each on their own: those of all rates stand side by side, and one descent tries them together.
    """
    outputs = drawn(defined_outputs(latents), _SEARCH_OUTPUTS, plan.seed)
    few = [replace(part, bold=part.bold[:, outputs]) for part in latents]
    origin = start[0][:, outputs].repeat(1, len(RATES)), start[1][outputs].repeat(len(RATES))
    pace = torch.tensor(RATES).repeat_interleave(len(outputs)).to(origin[1])
    course = replace(plan, rate=1.0)
    scores = torch.stack([_rates_scored(few, fold, origin, course, pace) for fold in sample_folds(latents)])
    mean = dict(zip(RATES, over_folds(scores, latents).tolist(), strict=True))
    return choose(RATES, mean.__getitem__)


def _rates_scored(
    few: Sequence[Latents],
    left_out: Bool[np.ndarray, " time"],
    origin: tuple[Tensor, Tensor],
    plan: Schedule,
    pace: Tensor,
) -> Float[Tensor, " rate"]:
    """Mean r of every rate on the samples that are left out."""
    train, held = latents_where(few, ~left_out), latents_where(few, left_out)
    aside = [replace(part, bold=part.bold.repeat(1, len(RATES))) for part in train]
    descent = descend(aside, origin, plan, pace=pace)
    predicted = torch.cat([descent.predict(part.values) for part in held]).chunk(len(RATES), dim=1)
    return torch.tensor([mean_score([one], held) for one in predicted])
