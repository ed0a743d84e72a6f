"""What a method predicts for calibration runs that it did not see: by refits, in closed form for ridge."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from tribetune.adapt.adapter import Adapter
from tribetune.adapt.axes import Axes
from tribetune.adapt.base import Base
from tribetune.adapt.folds import few_folds, folds_at, windows_where
from tribetune.adapt.latents import take_out_shared, windows_latents
from tribetune.adapt.methods import METHODS, fit_method
from tribetune.adapt.ridge import INFINITE, RidgeSettings, choose_penalties
from tribetune.adapt.ridge_problem import left_out_residuals, pose
from tribetune.adapt.rows import starting_row
from tribetune.windows import Window

FOLDS, FOLDS_OF_TRUNK = 4, 2
"""Refits at most: runs share a fold where there are more; half as many where each refit trains the trunk."""


@dataclass(frozen=True)
class Made:
    """An adapter and how it was made.

    Attributes
    ----------
    adapter : Adapter
    settings : mapping
        Plain arguments of its method.
    seed : int
    """

    adapter: Adapter
    settings: Mapping[str, Any]
    seed: int

    @property
    def method(self) -> str:
        """Its name in the table of methods."""
        return self.adapter.method

    @property
    def fixed(self) -> dict[str, Any]:
        """The settings with what was chosen on all calibration data in place of ``auto``."""
        given = {**vars(METHODS[self.method].settings()), **self.settings}
        # where each output has its own penalty, it is found again
        again = {"penalty"} if given.get("penalty_per", "all") != "all" else set()
        auto = [name for name, value in given.items() if isinstance(value, str) and value == "auto"]
        chosen = {name: self.adapter.chosen.get(name) for name in auto if name not in again}
        chosen = {name: math.inf if value == INFINITE else value for name, value in chosen.items()}
        return given | {name: value for name, value in chosen.items() if isinstance(value, int | float)}

    @property
    def is_closed_form_ridge(self) -> bool:
        """Whether leaving out costs no refit."""
        return self.method == "ridge" and not self.settings.get("smoothing_s", 0.0)


@dataclass(frozen=True)
class ClosedForm:
    """What is known of ridge's uncertainty without a refit.

    Attributes
    ----------
    axes : Axes
        Of all calibration samples.
    penalties : Tensor of shape (n_outputs,)
    share : Tensor of shape (n_outputs,)
        Mean variance of left-out predictions by the fits' own uncertainty, relative to that of the noise.
    """

    axes: Axes
    penalties: Float[torch.Tensor, " output"]
    share: Float[torch.Tensor, " output"]


@dataclass(frozen=True)
class LeftOut:
    """Predictions for the valid samples of calibration windows by fits that did not see their run.

    Attributes
    ----------
    predicted, measured : array of shape (n_samples, n_outputs)
    runs : tuple of str
        The run of each sample.
    closed_form : ClosedForm, optional
        Ridge's only.
    """

    predicted: Float[np.ndarray, "time output"]
    measured: Float[np.ndarray, "time output"]
    runs: tuple[str, ...]
    closed_form: ClosedForm | None = None


def left_out(base: Base, windows: Sequence[Window], made: Made) -> LeftOut | None:
    """Predict every calibration run, or half of a single one, by a fit to the others; None where there is but one.

    Parameters
    ----------
    base : Base
    windows : sequence of Window
        The calibration windows.
    made : Made
    """
    windows = [window for window in windows if window.mask.any()]
    if not (folds := _folds(windows)):
        return None
    if made.is_closed_form_ridge:
        predicted, closed_form = _ridge(base, windows, made)
    else:
        predicted, closed_form = _refitted(base, windows, folds, made), None
    once = np.repeat(_seen_once(windows), [int(window.mask.sum()) for window in windows])
    measured = np.concatenate([window.bold[window.mask] for window in windows])
    runs = np.repeat([window.run for window in windows], [int(window.mask.sum()) for window in windows])
    return LeftOut(predicted[once], measured[once], tuple(runs[once].tolist()), closed_form)


def predict_windows(base: Base, adapter: Adapter, windows: Sequence[Window]) -> Float[np.ndarray, "time output"]:
    """An adapter's prediction for the valid samples of some windows; the trunk's kept output serves where it can."""
    model = adapter.apply(base.tribe)
    rows = torch.tensor([0]) if adapter.tensors else None
    outputs = windows_latents(model, windows) if adapter.changes_trunk else base.trunk_outputs(windows, "float32")
    parts = []
    for window, values in zip(windows, outputs, strict=True):
        with torch.no_grad():
            found = model.readout(values[None], rows)[0]
        parts.append(found.cpu().numpy()[window.mask])
    return np.concatenate(parts)


def _ridge(base: Base, windows: Sequence[Window], made: Made) -> tuple[np.ndarray, ClosedForm]:
    latents = base.latents(windows)
    start = starting_row(base.tribe, latents[0].bold.shape[1])
    take_out_shared(latents, *start)
    problem = pose(base, latents, start)
    penalties, _ = choose_penalties(problem, RidgeSettings(**made.fixed))
    errors, share = left_out_residuals(problem, penalties)
    bold = torch.cat([part.bold for part in latents])
    return (bold - errors).cpu().numpy(), ClosedForm(problem.axes, penalties, share.cpu())


def _refitted(
    base: Base, windows: Sequence[Window], folds: Sequence[np.ndarray], made: Made
) -> Float[np.ndarray, "time output"]:
    most = FOLDS_OF_TRUNK if made.adapter.changes_trunk else FOLDS
    found = np.empty((len(folds[0]), windows[0].bold.shape[1]), np.float32)
    for fold in few_folds(folds, most):
        rest = windows_where(windows, ~fold)
        adapter = fit_method(made.method, base, rest, fitting(made, rest), made.seed)
        found[fold] = predict_windows(base, adapter, windows_where(windows, fold))
    return found


def _folds(windows: Sequence[Window]) -> list[Bool[np.ndarray, " time"]]:
    times = [window.start_s + np.flatnonzero(window.mask) for window in windows]
    return folds_at([window.run for window in windows], times)


def fitting(made: Made, windows: Sequence[Window]) -> dict[str, Any]:
    """The fixed settings as far as fewer windows and outputs allow: a difference's rank is at most that of its data."""
    most = min(sum(int(window.mask.sum()) for window in windows), windows[0].bold.shape[1])
    if made.method != "low-rank" or not isinstance(made.fixed["rank"], int):
        return made.fixed
    return made.fixed | {"rank": min(made.fixed["rank"], most)}


def _seen_once(windows: Sequence[Window]) -> Bool[np.ndarray, " window"]:
    """False for a window that overlaps one before it, whose samples would count twice."""
    ends: dict[str, float] = {}
    kept = []
    for window in windows:
        kept.append(window.start_s >= ends.get(window.run, -np.inf))
        if kept[-1]:
            ends[window.run] = window.start_s + len(window.mask)
    return np.array(kept)
