"""LoRA on the trunk's linears together with a personal readout: one epoch, each window once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from tribetune.adapt.adapter import BIAS, WEIGHTS, Adapter, share, starting_row
from tribetune.adapt.base import Base
from tribetune.adapt.latents import (
    Latents,
    choose,
    inner_folds,
    mean_score,
    run_trunk,
    window_latents,
    without_shared,
)
from tribetune.adapt.readout import Descent, ReadoutSettings, Schedule, plan_readout, scale_of, visits
from tribetune.errors import AdaptationError
from tribetune.model.tribe import Tribe
from tribetune.model.trunk import ATTENTION_LINEARS, FEEDFORWARD_LINEARS
from tribetune.windows import Window

RATES = (1e-4, 3e-4, 1e-3)
"""Adam learning rates tried for the LoRA weights."""

_CAUTIOUS_LORA_RATE = 1e-4


@dataclass(frozen=True)
class LoraSettings:
    """Plain arguments of `fit_lora`.

    Attributes
    ----------
    rank, alpha : int, float
        Of the low-rank update, which is scaled by ``alpha / rank``.
    learning_rate : float or "auto"
        Of Adam for the LoRA matrices.
    readout_learning_rate, epochs, block_trs
        As in `ReadoutSettings`.
    """

    rank: int = 8
    alpha: float = 16.0
    learning_rate: float | Literal["auto"] = "auto"
    readout_learning_rate: float | Literal["auto"] = "auto"
    epochs: int = 1
    block_trs: int = 25

    @property
    def readout(self) -> ReadoutSettings:
        """The readout's share of the settings."""
        return ReadoutSettings(self.readout_learning_rate, self.epochs, self.block_trs)


@dataclass(frozen=True)
class Course:
    """How LoRA and readout are trained together.

    Attributes
    ----------
    lora_rate : float
        Adam's learning rate; full from the first step on, falling linearly.
    rank : int
    alpha : float
        The update is scaled by ``alpha / rank``.
    readout : Schedule
        Of the readout; its epochs are the course's.
    """

    lora_rate: float
    rank: int
    alpha: float
    readout: Schedule


def fit_lora(base: Base, windows: Sequence[Window], settings: LoraSettings, seed: int) -> Adapter:
    """Train LoRA matrices on every attention and feed-forward linear, and a personal readout.

    The readout's learning rate is chosen first, as for `fit_readout`; then LoRA's in the same way. At a LoRA rate of
    zero the course is `fit_readout`'s.

    Parameters
    ----------
    base : Base
    windows : sequence of Window
        The subject's calibration windows.
    settings : LoraSettings
    seed : int
        Order of the windows, and the first LoRA matrices.

    Raises
    ------
    BoldError
        If no sample is valid.
    """
    windows = [window for window in windows if window.mask.any()]
    tribe, latents = base.tribe, base.latents(windows)
    start = starting_row(tribe, latents[0].bold.shape[1])
    latents = without_shared(latents, *start)
    plan, found = plan_readout(latents, start, settings.readout, seed)
    course = Course(_CAUTIOUS_LORA_RATE, settings.rank, settings.alpha, plan)
    chosen: dict[str, Any] = {"readout_learning_rate": plan.rate, "readout_inner_scores": found}
    if settings.learning_rate != "auto":
        course = replace(course, lora_rate=settings.learning_rate)
    elif len(latents) > 1:
        rate, chosen["inner_scores"] = _choose_lora_rate(tribe, windows, latents, course)
        course = replace(course, lora_rate=rate)
    model, descent = train(tribe, windows, latents, course)
    weights, bias = descent.folded()
    tensors = {WEIGHTS: weights, BIAS: bias, **lora_tensors(model)}
    return Adapter("lora", tensors, lora_config(course), {"learning_rate": course.lora_rate, **chosen})


def train(tribe: Tribe, windows: Sequence[Window], latents: Sequence[Latents], course: Course) -> tuple[Tribe, Descent]:
    """One course: per window one Adam step on the LoRA matrices, then readout steps on the same trunk output.

    The readout's scale is taken from the latents of the trunk before LoRA, which moves them little.
    """
    model, plan = share(tribe), course.readout
    inject(model, lora_config(course), seed=plan.seed)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=course.lora_rate)
    descent = Descent(*starting_row(tribe, latents[0].bold.shape[1]), scale_of(latents, plan.block))
    for window, blocks in visits(latents, plan):
        _, rate = blocks[0]
        optimizer.param_groups[0]["lr"] = course.lora_rate * rate / plan.rate
        values = _trunk_step(model, optimizer, windows[window], descent, latents[window].bold)
        for rows, readout_rate in blocks:
            descent.step(values[rows], latents[window].bold[rows], readout_rate)
    return model, descent


def _trunk_step(
    model: Tribe, optimizer: torch.optim.Optimizer, window: Window, descent: Descent, bold: Tensor
) -> Tensor:
    """Adam step on the mean squared error through the readout as it stands; the trunk's output before the step."""
    values = run_trunk(model, window)[torch.from_numpy(window.mask)]
    error = torch.nan_to_num(descent.predict(values) - bold)
    optimizer.zero_grad(set_to_none=True)
    error.square().mean().backward()
    optimizer.step()
    return values.detach()


def _choose_lora_rate(
    tribe: Tribe, windows: Sequence[Window], latents: Sequence[Latents], course: Course
) -> tuple[float, dict[str, float]]:
    def score(rate: float) -> float:
        scores = []
        for left_out in inner_folds([part.run for part in latents]):
            fold = replace(course, lora_rate=rate)
            model, descent = train(tribe, _pick(windows, ~left_out), _pick(latents, ~left_out), fold)
            held = _pick(latents, left_out)
            predicted = _predicted(model, descent, _pick(windows, left_out))
            scores.append(mean_score(predicted, held))
        return float(np.mean(scores))

    return choose(RATES, score)


def _predicted(model: Tribe, descent: Descent, windows: Sequence[Window]) -> list[Tensor]:
    """Predicted BOLD of every window's valid samples."""
    with torch.no_grad():
        return [descent.predict(window_latents(model, window)[torch.from_numpy(window.mask)]) for window in windows]


def _pick(items: Sequence[Any], chosen: np.ndarray) -> list[Any]:
    return [item for item, wanted in zip(items, chosen, strict=True) if wanted]


def lora_config(course: Course) -> dict[str, Any]:
    """Configuration for peft of a course, as plain values."""
    return {
        "r": course.rank,
        "lora_alpha": course.alpha,
        "target_modules": list(ATTENTION_LINEARS + FEEDFORWARD_LINEARS),
        "lora_dropout": 0.0,
        "bias": "none",
    }


def inject(model: Tribe, config: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None, seed: int = 0) -> None:
    """Put LoRA matrices into the trunk in place: seeded fresh ones (which change nothing yet), or trained ones.

    Raises
    ------
    AdaptationError
        If trained matrices do not fit the trunk.
    """
    from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(LoraConfig(**config), model)
    if tensors is None:
        return
    if {name: tuple(t.shape) for name, t in tensors.items()} != {
        n: tuple(t.shape) for n, t in lora_tensors(model).items()
    }:
        raise AdaptationError(
            "the adapter's LoRA matrices do not fit this checkpoint's trunk",
            hint="use the checkpoint that the adapter was trained on",
        )
    set_peft_model_state_dict(model, dict(tensors))
    model.requires_grad_(False)


def lora_tensors(model: Tribe) -> dict[str, Tensor]:
    """The LoRA matrices of a model under the names that peft saves."""
    from peft import get_peft_model_state_dict

    return {name: tensor.detach().clone() for name, tensor in get_peft_model_state_dict(model).items()}
