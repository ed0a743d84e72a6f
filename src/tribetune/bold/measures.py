"""What a run's quality is judged by, as plain numbers: levels, noise, spikes, jumps, first volumes that stand out."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from tribetune.bold.regression import fitted, line_and

TO_DEVIATION = 1.4826
"""A normal distribution's deviation in units of its median absolute deviation."""

SPIKE_DEVIATIONS = 5.0
"""A spike changes by so many robust deviations more than the median volume does (ours)."""

JUMP_DEVIATIONS = 8.0
"""A jump parts two stretches of the global signal by so many robust deviations of what usually parts them (ours)."""

FIRST_Z = 3.5
"""Modified z-score above which a first volume is not steady (Iglewicz & Hoaglin 1993; nipype, and so fMRIPrep)."""

_FIRST_TRS = 50
"""Volumes that the first ones are compared with, as in nipype's ``NonSteadyStateDetector``."""

_STRETCH_S = 15.0
"""Length of the stretches before and after a jump."""

_VOLUMES = 64
"""Volumes looked at together: keeps copies small."""


@dataclass(frozen=True)
class Levels:
    """Where the outputs of a run lie and how much they vary, over its valid volumes.

    Attributes
    ----------
    mean : array of shape (n_outputs,)
        NaN where an output has a value that is not finite.
    noise : array of shape (n_outputs,)
        Deviation (ddof 1) around the output's own line; NaN also where it does not vary.
    deviation : array of shape (n_outputs,)
        Deviation around the mean, drift and all; NaN where ``noise`` is.
    """

    mean: Float[np.ndarray, " output"]
    noise: Float[np.ndarray, " output"]
    deviation: Float[np.ndarray, " output"]


def levels(values: Float[np.ndarray, "time output"], mask: Bool[np.ndarray, " time"]) -> Levels:
    """Mean and deviations of every output, over three valid volumes or more."""
    line = line_and(None, mask)
    mean, noise, deviation = np.full((3, values.shape[1]), np.nan)
    with np.errstate(invalid="ignore"):  # infinite values come out as NaN, which is what they are counted as
        for part in fitted(values, mask, line):
            mean[part.outputs] = part.weights[0] * line[0, 0]
            noise[part.outputs] = part.deviation
            deviation[part.outputs] = np.sqrt(part.deviation**2 + part.weights[1] ** 2 / (len(line) - 1))
    return Levels(mean, noise, deviation)


def not_finite(
    values: Float[np.ndarray, "time output"], mask: Bool[np.ndarray, " time"]
) -> tuple[Bool[np.ndarray, " output"], Bool[np.ndarray, " output"]]:
    """Outputs that are NaN in every valid volume, and those that are not finite in some."""
    never, sometimes = np.ones(values.shape[1], bool), np.zeros(values.shape[1], bool)
    for rows in _stretches(np.flatnonzero(mask)):
        never &= np.isnan(values[rows]).all(0)
        sometimes |= ~np.isfinite(values[rows]).all(0)
    return never, sometimes & ~never


def global_signal(
    values: Float[np.ndarray, "time output"], mask: Bool[np.ndarray, " time"], outputs: Bool[np.ndarray, " output"]
) -> Float[np.ndarray, " time"]:
    """Mean over some outputs, NaN in volumes that are masked."""
    signal = np.full(len(values), np.nan)
    weights = outputs / max(1, int(outputs.sum()))
    for rows in _stretches(np.flatnonzero(mask)):
        signal[rows] = np.where(outputs, values[rows], 0) @ weights
    return signal


def changes(
    values: Float[np.ndarray, "time output"], mask: Bool[np.ndarray, " time"], noise: Float[np.ndarray, " output"]
) -> Float[np.ndarray, " time"]:
    """How much each volume differs from the one before: median over outputs, each in units of its own noise.

    Returns
    -------
    array of shape (n_trs,)
        NaN where a volume or the one before is masked, or no output varies.

    Notes
    -----
    The idea of DVARS (Power et al. 2012), with a median so that a few outputs cannot make a spike.
    """
    outputs = np.flatnonzero(~np.isnan(noise))
    change = np.full(len(values), np.nan)
    for rows in _stretches(1 + np.flatnonzero(mask[1:] & mask[:-1] & (len(outputs) > 0))):
        steps = np.abs(values[rows][:, outputs] - values[rows - 1][:, outputs])
        change[rows] = np.median(steps / noise[outputs].astype(np.float32), axis=1)
    return change


def spikes(change: Float[np.ndarray, " time"]) -> Int[np.ndarray, " spike"]:
    """Volumes whose change from the one before stands out from the run's."""
    return np.flatnonzero(_robust(change) > SPIKE_DEVIATIONS)


def jumps(signal: Float[np.ndarray, " time"], t_r: float) -> Int[np.ndarray, " jump"]:
    """Volumes at which the global signal takes another level and keeps it for fifteen seconds."""
    valid = np.flatnonzero(~np.isnan(signal))
    width = max(3, round(_STRETCH_S / t_r))
    if len(valid) < 4 * width:
        return np.zeros(0, int)
    medians = np.median(np.lib.stride_tricks.sliding_window_view(signal[valid], width), axis=1)
    steps = np.abs(_robust(medians[width:] - medians[:-width]))
    return valid[width + _peaks(steps, width)]


def first_trs(signal: Float[np.ndarray, " time"]) -> int:
    """Valid volumes at the start whose mean is far above the following ones': magnetisation not yet steady (T1)."""
    start = signal[~np.isnan(signal)][:_FIRST_TRS]
    above = _robust(start) > FIRST_Z
    return int(np.argmin(np.append(above, False)))


def _peaks(steps: Float[np.ndarray, " step"], width: int) -> Int[np.ndarray, " peak"]:
    """The largest step of each group of steps above the limit, groups being ``width`` apart."""
    high = np.flatnonzero(steps > JUMP_DEVIATIONS)
    groups = np.split(high, 1 + np.flatnonzero(np.diff(high) > width)) if len(high) else []
    return np.array([group[np.argmax(steps[group])] for group in groups], int)


def _robust(values: Float[np.ndarray, " value"]) -> Float[np.ndarray, " value"]:
    """Distance from the median in robust deviations; zero where half of the values are one, NaN where there is none."""
    known = values[~np.isnan(values)]
    if not len(known):
        return values
    away = values - np.median(known)
    deviation = TO_DEVIATION * np.median(np.abs(known - np.median(known)))
    return away / deviation if deviation > 0 else np.zeros_like(values)


def _stretches(rows: Int[np.ndarray, " row"]) -> list[Int[np.ndarray, " some"]]:
    return [rows[first : first + _VOLUMES] for first in range(0, len(rows), _VOLUMES)]
