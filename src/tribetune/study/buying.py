"""What one more run would buy ridge on a study's calibration data."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool

from tribetune.adapt.axes import Axes
from tribetune.adapt.latents import take_out_shared
from tribetune.adapt.ridge import RidgeSettings, choose_penalties
from tribetune.adapt.ridge_problem import Problem, pose
from tribetune.adapt.rows import starting_row
from tribetune.evaluate.more_runs import Calibration, OneMore, one_more
from tribetune.study.sweep import Point, Refitter

_MOST_OUTPUTS = 1024
"""Outputs that the mean is taken over: a random sample of a set is unbiased."""

_DRAWS = 200

_VARIANCE_KEPT, _MOST_AXES = 0.999, 256
"""Share of the trunk output's variance that the axes in use hold: the rest moves no figure."""

ASSUMPTIONS = (
    "What one more run would buy is an estimate, not a measurement: ridge's skill on left-out calibration runs, moved"
    " along the closed form of a linear model with weights of equal variance and noise that is new at every showing."
    " New stimuli are taken to move the trunk as a stretch of these runs does that the others have not seen; attention,"
    " boredom and learning are left out."
)


def buying(
    fits: Refitter, point: Point, sets: Bool[np.ndarray, "set output"], settings: Mapping[str, Any]
) -> list[OneMore | None]:
    """Estimates for each set of outputs from all calibration data; None where nothing can be told.

    Parameters
    ----------
    fits : Refitter
    point : Point
        All calibration data.
    sets : array of shape (n_sets, n_outputs)
        Only outputs that are defined.
    settings : mapping
        Ridge's, as a recipe has them; one penalty is taken for all outputs, and nothing is smoothed.
    """
    study = fits.at(point)
    base = study.trunk
    latents = base.latents(study.calibration)
    start = starting_row(base.tribe, int(latents[0].bold.shape[1]))
    values, bold = torch.cat([part.values for part in latents]), torch.cat([part.bold for part in latents])
    take_out_shared(latents, *start)
    problem = pose(base, latents, start)
    penalties, _ = choose_penalties(problem, RidgeSettings(penalty=settings.get("penalty", "auto")))
    runs = [part.run for part in latents for _ in range(len(part.values))]
    kept = _leading(problem.axes)
    scores = _array(problem.axes.left[:, kept] * problem.axes.strength[kept])
    folds = [fold.cpu().numpy() for fold in problem.folds]
    penalty = float(penalties.median()) * len(runs)
    choice, seed = study.recipe.evaluation, study.recipe.seed
    found = []
    for chosen in sets:
        columns = _sample(chosen, problem, seed)
        group = values @ start[0][:, columns]
        left, measured = problem.left[:, columns], bold[:, columns]
        data = Calibration(scores, *map(_array, (left, group, measured)), runs, folds, penalty)
        found.append(one_more(data, block=max(1, round(choice.bootstrap_block_s)), draws=_DRAWS, seed=seed))
    return found


def _sample(chosen: Bool[np.ndarray, " output"], problem: Problem, seed: int) -> torch.Tensor:
    """Some outputs of a set, in order."""
    among = np.flatnonzero(chosen & problem.left.isfinite().all(0).cpu().numpy())
    drawn = np.sort(np.random.default_rng(seed).permutation(among)[:_MOST_OUTPUTS])
    return torch.from_numpy(drawn).to(problem.left.device)


def _leading(axes: Axes) -> slice:
    """The largest axes, which are the last."""
    power = axes.strength.square().flip(0).cumsum(0)
    wanted = int((power < _VARIANCE_KEPT * power[-1]).sum()) + 1
    return slice(len(power) - min(wanted, _MOST_AXES), None)


def _array(values: torch.Tensor) -> np.ndarray:
    return values.detach().cpu().numpy().astype(float)
