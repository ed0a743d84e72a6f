"""LoRA on the trunk's linears together with a personal readout: one epoch, each window once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from tribetune.adapt.adapter import BIAS, WEIGHTS, Adapter, starting_row
from tribetune.adapt.base import Base
from tribetune.adapt.latents import Latents, choose, inner_folds, mean_score, window_latents, without_shared
from tribetune.adapt.lora_course import Course, train
from tribetune.adapt.lora_matrices import Variant, lora_config, lora_tensors
from tribetune.adapt.readout import Descent, ReadoutSettings, plan_readout
from tribetune.adapt.truncation import low_rank_readout
from tribetune.model.tribe import Tribe
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
    variant : str
        ``lora``; ``rslora``: the update is scaled by ``alpha / sqrt(rank)``; ``dora``: magnitudes are learned, too.
    learning_rate : float or "auto"
        Of Adam for the LoRA matrices.
    readout_learning_rate, epochs, block_trs
        As in `ReadoutSettings`.
    readout_rank : int or "full"
        The trained readout's difference from the unseen row is cut down to this rank at the end.
    random_phase : bool
        Whether windows begin elsewhere in every epoch; each sample still comes once.
    modality_dropout : float
        Probability, in training, that a window loses a modality.
    """

    rank: int = 8
    alpha: float = 16.0
    variant: Variant = "lora"
    learning_rate: float | Literal["auto"] = "auto"
    readout_learning_rate: float | Literal["auto"] = "auto"
    readout_rank: int | Literal["full"] = "full"
    epochs: int = 1
    block_trs: int = 25
    random_phase: bool = False
    modality_dropout: float = 0.0

    @property
    def readout(self) -> ReadoutSettings:
        """The readout's share of the settings."""
        return ReadoutSettings(self.readout_learning_rate, self.epochs, self.block_trs)


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
        Order of the windows, the first LoRA matrices, and what is drawn in training.

    Raises
    ------
    BoldError
        If no sample is valid.
    """
    windows = [window for window in windows if window.mask.any()]
    latents = base.latents(windows)
    start = starting_row(base.tribe, latents[0].bold.shape[1])
    latents = without_shared(latents, *start)
    plan, found = plan_readout(latents, start, settings.readout, seed)
    course = Course(
        _CAUTIOUS_LORA_RATE,
        lora_config(settings.rank, settings.alpha, settings.variant),
        plan,
        base.chosen_precision(windows[0]),
        settings.random_phase,
        settings.modality_dropout,
    )
    chosen: dict[str, Any] = {"readout_learning_rate": plan.rate, "readout_inner_scores": found}
    if settings.learning_rate != "auto":
        course = replace(course, lora_rate=settings.learning_rate)
    elif len(latents) > 1:
        rate, chosen["inner_scores"] = _choose_lora_rate(base.tribe, windows, latents, course)
        course = replace(course, lora_rate=rate)
    model, descent = train(base.tribe, windows, latents, course, start)
    tensors = _readout_tensors(descent, start, latents, settings.readout_rank, seed) | lora_tensors(model)
    chosen["learning_rate"] = course.lora_rate
    return Adapter("lora", {name: tensor.cpu() for name, tensor in tensors.items()}, course.config, chosen)


def _readout_tensors(
    descent: Descent, start: tuple[Tensor, Tensor], latents: Sequence[Latents], rank: int | Literal["full"], seed: int
) -> dict[str, Tensor]:
    if rank == "full":
        weights, bias = descent.folded()
        return {WEIGHTS: weights, BIAS: bias}
    return low_rank_readout(descent, start, torch.cat([part.values for part in latents]), rank, seed)


def _choose_lora_rate(
    tribe: Tribe, windows: Sequence[Window], latents: Sequence[Latents], course: Course
) -> tuple[float, dict[str, float]]:
    start = starting_row(tribe, latents[0].bold.shape[1])

    def score(rate: float) -> float:
        scores = []
        for left_out in inner_folds([part.run for part in latents]):
            fold = replace(course, lora_rate=rate)
            model, descent = train(tribe, _pick(windows, ~left_out), _pick(latents, ~left_out), fold, start)
            held = _pick(latents, left_out)
            predicted = _predicted(model, descent, _pick(windows, left_out), course)
            scores.append(mean_score(predicted, held))
        return float(np.mean(scores))

    return choose(RATES, score)


def _predicted(model: Tribe, descent: Descent, windows: Sequence[Window], course: Course) -> list[Tensor]:
    """Predicted BOLD of every window's valid samples."""
    found = []
    for window in windows:
        values = window_latents(model, window, course.precision)
        found.append(descent.predict(values[torch.from_numpy(window.mask).to(values.device)]))
    return found


def _pick(items: Sequence[Any], chosen: np.ndarray) -> list[Any]:
    return [item for item, wanted in zip(items, chosen, strict=True) if wanted]
