"""Seconds, TRs, the 2 Hz feature grid and the hemodynamic lag: all rounding lives here."""

import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float

FEATURE_HZ = 2.0
"""Steps per second of every feature (TRIBE v2)."""

OUTPUT_HZ = 1.0
"""Samples per second of the model's prediction and of resampled BOLD."""

STEPS_PER_OUTPUT = 2
"""Feature steps that one output sample pools."""

_ROUNDING_S = 1e-6
"""Times closer than this are one."""


def to_step(seconds: float, hz: float = FEATURE_HZ) -> int:
    """Nearest step of a grid; halves go to the even step, as in the reference (spec e.1)."""
    return round(seconds * hz)


def box(onset_s: float, duration_s: float, hz: float = FEATURE_HZ) -> slice:
    """Steps that an event covers, at least one (spec e.1): onset and duration are rounded apart."""
    start = to_step(onset_s, hz)
    return slice(start, start + max(1, to_step(duration_s, hz)))


def n_steps(duration_s: float, hz: float) -> int:
    """Samples needed to cover a duration; a remainder below a microsecond is rounding, not time."""
    return math.ceil(round(duration_s * hz, 6))


def window_starts(duration_s: float, window_s: float, stride_s: float) -> list[float]:
    """Window onsets covering a stretch: the last window may be incomplete, none is missing (spec e.1).

    Returns
    -------
    list of float
        ``ceil(duration / stride)`` onsets in seconds; one for a stretch shorter than a window. With a stride shorter
        than the window, windows that would only repeat the stretch's end are left out.
    """
    if min(duration_s, window_s, stride_s) <= 0:
        raise ValueError(f"durations must be positive, got {duration_s=}, {window_s=}, {stride_s=}")
    wanted = math.ceil(round(duration_s / stride_s, 6))
    if stride_s < window_s:
        wanted = 1 + math.ceil(round(max(0.0, duration_s - window_s) / stride_s, 6))
    return [k * stride_s for k in range(wanted)]


def window_phases(duration_s: int, stride_s: int) -> range:
    """How many seconds earlier the first window may begin, so that any phase needs as many windows.

    The windows of phase p begin at ``k * stride - p``. Of the phases from 0 to a stride, some need one window more than
    the others; those that are more are returned.
    """
    idle = -duration_s % stride_s
    return range(idle + 1) if 2 * (idle + 1) >= stride_s else range(idle + 1, stride_s)


def window_spans(duration_s: int, window_s: int, stride_s: int, phase_s: int = 0) -> Iterator[tuple[int, int]]:
    """From when to when each window reaches into a stretch, the first beginning ``phase_s`` before it.

    A window that begins before the stretch is cut off at its start, the last at its end.
    """
    for start in window_starts(duration_s + phase_s, window_s, stride_s):
        begin = int(start) - phase_s
        if begin + window_s > 0:
            yield max(begin, 0), min(begin + window_s, duration_s)


def sample_times(n_trs: int, t_r: float, hz: float = OUTPUT_HZ) -> Float[np.ndarray, " time"]:
    """Times at which a run is resampled: from its first volume to ``n_trs * t_r - 1 / hz``, excluded (spec e.6)."""
    return np.arange(0.0, (n_trs - 1) * t_r + t_r - 1.0 / hz, 1.0 / hz)


def interpolate(
    values: Float[np.ndarray, "time output"], t_r: float, times: Float[np.ndarray, " sample"]
) -> Float[np.ndarray, "sample output"]:
    """Linear interpolation over time of every column, edges held; as ``numpy.interp`` per column.

    Parameters
    ----------
    values : array of shape (n_trs, n_outputs)
        Volume k is at ``k * t_r`` seconds.
    t_r : float
        Repetition time in seconds.
    times : array of shape (n_samples,)
        Seconds from the first volume.
    """
    place = np.clip(np.asarray(times) / t_r, 0, len(values) - 1)
    low = np.minimum(np.floor(place).astype(int), len(values) - 1)
    high = np.minimum(low + 1, len(values) - 1)
    share = (place - low).astype(values.dtype)[:, None]
    return values[low] * (1 - share) + values[high] * share


def inside_run(n_trs: int, t_r: float, times: Float[np.ndarray, " sample"]) -> Bool[np.ndarray, " sample"]:
    """Which times were measured: not before the first volume nor more than ``t_r - 1`` s after the last (spec e.6)."""
    last = sample_times(n_trs, t_r)
    return (times >= 0) & (times <= (last[-1] if len(last) else -1.0) + _ROUNDING_S)


def to_native(
    predicted: Float[np.ndarray, "sample output"],
    t_r: float,
    n_trs: int,
    start_s: float = 0.0,
    lag_s: float = 0.0,
    valid: Bool[np.ndarray, " sample"] | None = None,
) -> tuple[Float[np.ndarray, "time output"], Bool[np.ndarray, " time"]]:
    """Prediction at the times of a run's volumes: for scores at BOLD's own rate, with BOLD as it was measured.

    Parameters
    ----------
    predicted : array of shape (n_samples, n_outputs)
        At 1 Hz; sample k is for the stimulus at ``start_s + k`` seconds and so for BOLD ``lag_s`` later.
    t_r : float
        Repetition time in seconds; volume k is at ``k * t_r``.
    n_trs : int
        Volumes of the run.
    start_s : float
        Where the stimulus begins, seconds from the first volume.
    lag_s : float
        Seconds from stimulus to BOLD.
    valid : array of shape (n_samples,) or None
        True where there is a prediction; everywhere when None.

    Returns
    -------
    array of shape (n_trs, n_outputs), array of shape (n_trs,)
        Linear interpolation, and where it draws on predictions alone: elsewhere it is zero.
    """
    times = np.arange(n_trs) * t_r - (start_s + lag_s)
    values = np.zeros((n_trs, predicted.shape[1]), predicted.dtype)
    known = np.ones(len(predicted), bool) if valid is None else valid
    inside = (times >= -_ROUNDING_S) & (times <= (len(predicted) - 1) / OUTPUT_HZ + _ROUNDING_S)
    if inside.any():
        inside[inside] = interpolate((~known).astype(float)[:, None], 1 / OUTPUT_HZ, times[inside])[:, 0] <= _ROUNDING_S
        values[inside] = interpolate(np.where(known[:, None], predicted, 0), 1 / OUTPUT_HZ, times[inside])
    return values, inside


def delayed(features: Float[np.ndarray, "time dim"], delay: int) -> Float[np.ndarray, "time dim"]:
    """Features moved ``delay`` samples later (earlier when negative), zeros where nothing is known."""
    moved = np.zeros_like(features)
    if abs(delay) >= len(features):
        return moved
    if delay >= 0:
        moved[delay:] = features[: len(features) - delay]
    else:
        moved[:delay] = features[-delay:]
    return moved
