"""Predicted BOLD of a whole stimulus: cut into windows, run through the model, joined again."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from tribetune.adapt.base import Base
from tribetune.adapt.latents import window_latents
from tribetune.adapt.uncertainty import Uncertainty
from tribetune.model.tribe import Tribe
from tribetune.windows import WINDOW_S, AlignedRun, Window, cut_windows, join


@dataclass(frozen=True)
class Cut:
    """How a stimulus is cut into windows.

    Attributes
    ----------
    window_s : float
        Length of a window in seconds.
    stride_s : float, optional
        From one window to the next; a window's length when left out.
    span : (int, int), optional
        Part of the stimulus, in whole seconds; features outside it are not seen.
    """

    window_s: float = WINDOW_S
    stride_s: float | None = None
    span: tuple[int, int] | None = None


def predict_run(
    tribe: Tribe,
    aligned: AlignedRun,
    row: int | None,
    cut: Cut | None = None,
    trunk: Base | None = None,
) -> Float[np.ndarray, "time output"]:
    """Predict with one readout row.

    Windows go through the model one at a time, so that a stimulus gives the same bits whatever else is predicted.
    The last window is padded with silence, as in the reference. Non-overlapping windows are joined end to end (the
    reference's way); with a stride below the window, overlapping predictions are averaged.

    Parameters
    ----------
    tribe : Tribe
        In evaluation mode.
    aligned : AlignedRun
        Of one stimulus; its BOLD is not looked at.
    row : int or None
        Readout row: 0 is the personal one of an adapted model, None the unseen subject's.
    cut : Cut, optional
        Windows of 100 s, joined end to end, over the whole stimulus when left out.
    trunk : Base, optional
        The frozen checkpoint whose trunk the model has: what it has computed before is not computed again.

    Returns
    -------
    array of shape (n_samples, n_outputs)
        At 1 Hz; sample t is BOLD at t seconds after the start of the span, plus the lag.
    """
    return _by_window(aligned, cut or Cut(), lambda window: _predict_window(tribe, window, row, trunk))


def predict_deviation(
    tribe: Tribe, uncertainty: Uncertainty, aligned: AlignedRun, cut: Cut | None = None
) -> Float[np.ndarray, "time output"]:
    """Standard deviation of BOLD about an adapter's prediction, in windows as of `predict_run`.

    Where windows overlap it is their average, which is a little more than that of the average of predictions.

    Parameters
    ----------
    tribe : Tribe
        With the adapter.
    uncertainty : Uncertainty
        Of the adapter.
    aligned : AlignedRun
        Of one stimulus.
    cut : Cut, optional
        As for `predict_run`.
    """

    def deviation(window: Window) -> Float[np.ndarray, "time output"]:
        return uncertainty.deviation(window_latents(tribe, window).cpu()).numpy()

    return _by_window(aligned, cut or Cut(), deviation)


def _by_window(
    aligned: AlignedRun, cut: Cut, predict: Callable[[Window], Float[np.ndarray, "time output"]]
) -> Float[np.ndarray, "time output"]:
    """What is predicted for every window, joined."""
    stride_s = cut.stride_s or cut.window_s
    first, last = cut.span or (0, len(aligned.mask))
    windows = cut_windows(aligned, cut.window_s, stride_s, cut.span)
    parts = [predict(window) for window in windows]
    overlap = "average" if stride_s < cut.window_s else "none"
    return join(parts, [window.start_s - first for window in windows], last - first, overlap)


def _predict_window(
    tribe: Tribe, window: Window, row: int | None, trunk: Base | None
) -> Float[np.ndarray, "time output"]:
    values = trunk.trunk_output(window, "float32") if trunk else window_latents(tribe, window)
    with torch.no_grad():
        return tribe.readout(values[None], None if row is None else torch.tensor([row]))[0].cpu().numpy()
