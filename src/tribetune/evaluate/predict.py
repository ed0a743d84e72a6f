"""Predicted BOLD of a whole stimulus: cut into windows, run through the model, joined again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tribetune.adapt.base import Base
from tribetune.adapt.latents import windows_latents
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

    Each window goes through the trunk on its own, on a CPU in a thread of its own, so that a stimulus gives the same
    bits whatever else is predicted. The last window is padded with silence, as in the reference. Non-overlapping
    windows are joined end to end (the reference's way); with a stride below the window, overlapping predictions are
    averaged.

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
    rows = None if row is None else torch.tensor([row])

    @torch.no_grad()
    def read(values: Float[Tensor, "time readout"]) -> Float[np.ndarray, "time output"]:
        return tribe.readout(values[None], rows)[0].cpu().numpy()

    def predict(windows: Sequence[Window]) -> list[Float[np.ndarray, "_ output"]]:
        found = trunk.trunk_outputs(windows, "float32") if trunk else windows_latents(tribe, windows)
        return [read(values) for values in found]

    return _by_window(aligned, cut or Cut(), predict)


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

    def deviations(windows: Sequence[Window]) -> list[Float[np.ndarray, "_ output"]]:
        return [uncertainty.deviation(values.cpu()).numpy() for values in windows_latents(tribe, windows)]

    return _by_window(aligned, cut or Cut(), deviations)


def _by_window(
    aligned: AlignedRun, cut: Cut, predict: Callable[[Sequence[Window]], list[Float[np.ndarray, "_ output"]]]
) -> Float[np.ndarray, "time output"]:
    """What is predicted for every window, joined."""
    stride_s = cut.stride_s or cut.window_s
    first, last = cut.span or (0, len(aligned.mask))
    windows = cut_windows(aligned, cut.window_s, stride_s, cut.span)
    overlap = "average" if stride_s < cut.window_s else "none"
    return join(predict(windows), [window.start_s - first for window in windows], last - first, overlap)
