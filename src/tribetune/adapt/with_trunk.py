"""Trunk and readout fitted together, whatever of the trunk is trained: rates chosen, course run, adapter made."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tribetune.adapt.adapter import BIAS, WEIGHTS, Adapter
from tribetune.adapt.base import Base
from tribetune.adapt.choosing import mean_score, race
from tribetune.adapt.course import Course, train
from tribetune.adapt.descent import Descent
from tribetune.adapt.folds import few_folds, latents_where, sample_folds, windows_where
from tribetune.adapt.latents import Latents, take_out_shared, window_latents
from tribetune.adapt.readout import ReadoutSettings, plan_readout
from tribetune.adapt.rows import starting_row
from tribetune.adapt.truncation import low_rank_readout
from tribetune.model.tribe import Tribe
from tribetune.windows import Window

_ROUNDS = 4
"""Rounds of the race between learning rates at most; runs share one where there are more."""


@dataclass(frozen=True, kw_only=True)
class TrunkSettings:
    """What every method that trains the trunk can be told; each method's own settings go on from here.

    Attributes
    ----------
    learning_rate : float or "auto"
        Of Adam for the trunk's weights; ``auto`` leaves out a quarter of the calibration runs (half of one run), then
        others, and after each the rate that is behind is no longer tried.
    readout_learning_rate : float or "auto"
        Of the readout, as ``learning_rate`` in `ReadoutSettings`.
    readout_rank : int or "full"
        The trained readout's difference from the unseen row is cut down to this rank at the end, by the singular value
        decomposition that keeps its predictions.
    epochs, block_trs
        As in `ReadoutSettings`.
    warm_up_steps, correlation_weight, average
        As in `ReadoutSettings`, for trunk and readout.
    random_phase : bool
        Whether windows begin elsewhere in every epoch; each sample still comes once.
    modality_dropout : float
        Probability, in training, that a window loses a modality.
    """

    learning_rate: float | Literal["auto"] = "auto"
    readout_learning_rate: float | Literal["auto"] = "auto"
    readout_rank: int | Literal["full"] = "full"
    epochs: int = 1
    block_trs: int = 25
    warm_up_steps: int = 0
    correlation_weight: float = 0.0
    average: bool = False
    random_phase: bool = False
    modality_dropout: float = 0.0

    @property
    def readout(self) -> ReadoutSettings:
        """The readout's share of the settings."""
        shared = {name: getattr(self, name) for name in _SHARED}
        return ReadoutSettings(learning_rate=self.readout_learning_rate, **shared)


_SHARED = ("epochs", "block_trs", "warm_up_steps", "correlation_weight", "average")


class Kind(NamedTuple):
    """What of the trunk is trained.

    Attributes
    ----------
    method : str
    config : mapping
        For peft; empty where every weight is trained.
    rates : sequence of float
        Adam learning rates to choose from; the first is taken where there is nothing to choose on.
    tensors : callable
        Takes what was trained out of a model.
    """

    method: str
    config: Mapping[str, Any]
    rates: Sequence[float]
    tensors: Callable[[Tribe], dict[str, Tensor]]


def fit_with_trunk(base: Base, windows: Sequence[Window], settings: TrunkSettings, kind: Kind, seed: int) -> Adapter:
    """Choose the readout's learning rate as for a readout alone, then the trunk's in the same way, and train both.

    At a trunk's rate of zero the course is that of a readout alone.

    Raises
    ------
    BoldError
        If no sample is valid.
    """
    windows = [window for window in windows if window.mask.any()]
    latents = base.latents(windows)
    start = starting_row(base.tribe, latents[0].bold.shape[1])
    take_out_shared(latents, *start)
    plan, found = plan_readout(latents, start, settings.readout, seed)
    precision = base.chosen_precision(windows[0])
    course = Course(kind.rates[0], kind.config, plan, precision, settings.random_phase, settings.modality_dropout)
    chosen: dict[str, Any] = {"readout_learning_rate": plan.rate, "readout_inner_scores": found}
    if settings.learning_rate != "auto":
        course = replace(course, trunk_rate=settings.learning_rate)
    elif sample_folds(latents):
        rate, chosen["inner_scores"] = _choose_rate(base.tribe, windows, latents, course, kind.rates)
        course = replace(course, trunk_rate=rate)
    model, descent = train(base.tribe, windows, latents, course, start)
    tensors = _readout_tensors(descent, start, latents, settings.readout_rank, seed) | kind.tensors(model)
    chosen["learning_rate"] = course.trunk_rate
    return Adapter(kind.method, {name: tensor.cpu() for name, tensor in tensors.items()}, kind.config, chosen)


def _readout_tensors(
    descent: Descent, start: tuple[Tensor, Tensor], latents: Sequence[Latents], rank: int | Literal["full"], seed: int
) -> dict[str, Tensor]:
    if rank == "full":
        weights, bias = descent.folded()
        return {WEIGHTS: weights, BIAS: bias}
    return low_rank_readout(descent, start, torch.cat([part.values for part in latents]), rank, seed)


def _choose_rate(
    tribe: Tribe, windows: Sequence[Window], latents: Sequence[Latents], course: Course, rates: Sequence[float]
) -> tuple[float, dict[str, list[float]]]:
    """The rate that wins a race over left-out runs, and every rate's scores: each fit is an epoch of the trunk."""
    start = starting_row(tribe, latents[0].bold.shape[1])

    def score(rate: float, left_out: np.ndarray) -> float:
        fold = replace(course, trunk_rate=rate)
        model, descent = train(tribe, windows_where(windows, ~left_out), latents_where(latents, ~left_out), fold, start)
        predicted = _predicted(model, descent, windows_where(windows, left_out), course)
        return mean_score(predicted, latents_where(latents, left_out))

    rounds = [(fold, int(fold.sum())) for fold in few_folds(sample_folds(latents), _ROUNDS)]
    return race(rates, sorted(rounds, key=lambda each: each[1], reverse=True), score)  # a remnant puts nothing out


def _predicted(model: Tribe, descent: Descent, windows: Sequence[Window], course: Course) -> list[Tensor]:
    """Predicted BOLD of every window's valid samples."""
    found = []
    for window in windows:
        values = window_latents(model, window, course.precision)
        found.append(descent.predict(values[torch.from_numpy(window.mask).to(values.device)]))
    return found
