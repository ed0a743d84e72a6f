"""Predicted BOLD of a whole stimulus: cut into windows, run through the model, joined again."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float

from tribetune.adapt.latents import window_latents
from tribetune.adapt.uncertainty import Uncertainty
from tribetune.model.tribe import Tribe
from tribetune.windows import AlignedRun, Window, cut_windows, join


def predict_run(
    tribe: Tribe,
    aligned: AlignedRun,
    row: int | None,
    *,
    window_s: float = 100.0,
    stride_s: float = 100.0,
    span: tuple[int, int] | None = None,
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
    window_s, stride_s : float
        Length and spacing of windows, in seconds.
    span : (int, int), optional
        Part of the stimulus, in whole seconds; features outside it are not seen.

    Returns
    -------
    array of shape (n_samples, n_outputs)
        At 1 Hz; sample t is BOLD at t seconds after the start of the span, plus the lag.
    """
    return _by_window(aligned, (window_s, stride_s), span, lambda window: _predict_window(tribe, window, row))


def predict_deviation(
    tribe: Tribe, uncertainty: Uncertainty, aligned: AlignedRun, *, window_s: float = 100.0, stride_s: float = 100.0
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
    window_s, stride_s : float
        Length and spacing of windows, in seconds.
    """

    def deviation(window: Window) -> Float[np.ndarray, "time output"]:
        return uncertainty.deviation(window_latents(tribe, window).cpu()).numpy()

    return _by_window(aligned, (window_s, stride_s), None, deviation)


def _by_window(
    aligned: AlignedRun,
    windowing: tuple[float, float],
    span: tuple[int, int] | None,
    predict: Callable[[Window], Float[np.ndarray, "time output"]],
) -> Float[np.ndarray, "time output"]:
    """What is predicted for windows of a length and spacing in seconds, joined."""
    window_s, stride_s = windowing
    first, last = span or (0, len(aligned.mask))
    windows = cut_windows(aligned, window_s, stride_s, span)
    parts = [predict(window) for window in windows]
    overlap = "average" if stride_s < window_s else "none"
    return join(parts, [window.start_s - first for window in windows], last - first, overlap)


def _predict_window(tribe: Tribe, window: Window, row: int | None) -> Float[np.ndarray, "time output"]:
    device = next(tribe.parameters()).device
    features = {name: torch.from_numpy(np.ascontiguousarray(x))[None].to(device) for name, x in window.features.items()}
    with torch.inference_mode():
        subjects = None if row is None else torch.tensor([row])
        return tribe(features, subjects, n_trs=len(window.mask))[0].float().cpu().numpy()
