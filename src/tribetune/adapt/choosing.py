"""How a candidate is chosen by its scores on left-out calibration data."""

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tribetune.adapt.folds import sample_folds
from tribetune.adapt.latents import Latents
from tribetune.scores import pearson_r

Round = TypeVar("Round")


def over_folds(scores: Float[Tensor, "fold candidate"], latents: Sequence[Latents]) -> Float[Tensor, " candidate"]:
    """Mean over `inner_folds`, each weighted by its samples, so that a remnant of a run decides little.

    A fold in which no candidate has a score, such as a single sample, decides nothing.
    """
    sizes = torch.tensor([int(fold.sum()) for fold in sample_folds(latents)]).to(scores)
    known = scores.isfinite().any(1)
    return sizes[known] @ scores[known] / sizes[known].sum()


def choose(candidates: Sequence[float], score: Callable[[float], float]) -> tuple[float, dict[str, float]]:
    """The candidate with the best score on left-out calibration data, and every candidate's score.

    An undefined score never wins; among equals the first (smallest) does.
    """
    scores = {candidate: score(candidate) for candidate in candidates}
    defined = {candidate: value for candidate, value in scores.items() if value == value}
    best = max(defined, key=defined.__getitem__) if defined else candidates[0]
    return best, {f"{candidate:g}": value for candidate, value in scores.items()}


def race(
    candidates: Sequence[float], rounds: Sequence[tuple[Round, int]], score: Callable[[float, Round], float]
) -> tuple[float, dict[str, list[float]]]:
    """The candidate that is left when after every round the one behind is out, and each one's scores by round.

    What decides is the mean over all rounds so far: those still in the race have run them all. An undefined one is
    behind every other; among equals the last (largest) is out. Where none has a score, none is out.

    Parameters
    ----------
    candidates : sequence of float
    rounds : sequence of (any, int)
        What ``score`` is told, and the samples that it is of: its weight.
    score : callable
    """
    scores: dict[float, list[float]] = {candidate: [] for candidate in candidates}
    running, weights = list(candidates), []

    def mean(candidate: float) -> float:
        found = float(np.average(scores[candidate], weights=weights))
        return found if found == found else -math.inf

    for this, weight in rounds:
        if len(running) == 1:
            break
        found = [score(candidate, this) for candidate in running]
        if all(value != value for value in found):
            continue
        weights.append(weight)
        for candidate, value in zip(running, found, strict=True):
            scores[candidate].append(value)
        running = sorted(running, key=mean, reverse=True)[:-1]  # equals stay in their order
    return running[0], {f"{candidate:g}": found for candidate, found in scores.items()}


def mean_score(predicted: Sequence[Tensor], latents: Sequence[Latents]) -> float:
    """Mean r over outputs of left-out windows; NaN where no output has a score."""
    r = pearson_r(torch.cat(list(predicted)), torch.cat([part.bold for part in latents]))
    return float(r.nanmean())
