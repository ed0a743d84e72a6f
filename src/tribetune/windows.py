"""Features and BOLD of one run on one clock, and the masked windows cut from them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Bool, Float

from tribetune.bold.run import Run
from tribetune.errors import BoldError, FeatureError, SpaceError
from tribetune.features.extract import Features
from tribetune.stimulus.timeline import Timeline
from tribetune.timing import OUTPUT_HZ, STEPS_PER_OUTPUT, inside_run, interpolate, n_steps, window_starts

if TYPE_CHECKING:
    from torch import Tensor

WINDOW_S = 100.0
"""What the model sees at once (TRIBE v2)."""


@dataclass(frozen=True)
class AlignedRun:
    """Features and BOLD of one run on the stimulus clock.

    Attributes
    ----------
    label, run : str
        The run's BIDS name (``sub-01_task-movie_run-2``), and its run entity alone.
    features : Features
        At 2 Hz; step 0 is the timeline's start.
    bold : array of shape (n_samples, n_outputs)
        Row t is BOLD at ``timeline.start_s + t + lag_s`` seconds after the first volume. A row that is not valid is
        zero; an undefined output is NaN in every valid row.
    mask : array of shape (n_samples,)
        True where a sample was measured.
    lag_s : float
        Hemodynamic lag in seconds.
    """

    label: str
    run: str
    features: Features
    bold: Float[np.ndarray, "time output"]
    mask: Bool[np.ndarray, " time"]
    lag_s: float


@dataclass(frozen=True)
class Window:
    """A stretch of aligned data.

    Attributes
    ----------
    features : dict of modality to array of shape (n_layers, n_dims, n_steps)
        At 2 Hz; zeros after the stretch's end.
    bold : array of shape (n_samples, n_outputs)
        At 1 Hz; zeros where not valid, NaN columns where undefined. A view of the run where it can be.
    mask : array of shape (n_samples,)
        True where a sample is valid.
    run : str
        Label of the run it was cut from.
    start_s : float
        Its onset, seconds from the timeline's start.
    """

    features: dict[str, Float[np.ndarray, "layer dim step"]]
    bold: Float[np.ndarray, "time output"]
    mask: Bool[np.ndarray, " time"]
    run: str
    start_s: float


def align(run: Run, timeline: Timeline, features: Features, lag_s: float) -> AlignedRun:
    """Resample BOLD to 1 Hz on the stimulus clock, ``lag_s`` later than the features: one linear interpolation.

    Parameters
    ----------
    run : Run
        Cleaned, at its own repetition time.
    timeline : Timeline
        Its stimulus, in seconds from the run's first volume; may begin before it and end after the last.
    features : Features
        Of that timeline.
    lag_s : float
        Seconds from stimulus to BOLD.

    Raises
    ------
    FeatureError
        If the features are of another duration than the timeline.
    BoldError
        If nothing of the stimulus was measured.

    Notes
    -----
    Equals resampling to whole seconds by ``numpy.interp`` and shifting by the lag, as the reference does, where onset
    and lag are whole seconds; elsewhere it keeps the fraction that the reference rounds away. A sample whose value
    would draw on an invalid volume is invalid.
    """
    n_samples = n_steps(timeline.duration_s, OUTPUT_HZ)
    if n_steps(features.duration_s, OUTPUT_HZ) != n_samples:
        raise FeatureError(
            f"{run.label}: features of {features.duration_s:g} s, but its stimulus lasts {timeline.duration_s:g} s",
            hint="extract the features of this timeline again",
        )
    times = timeline.start_s + lag_s + np.arange(n_samples) / OUTPUT_HZ
    mask = inside_run(len(run.values), run.t_r, times)
    values = run.values
    if not run.mask.all():
        values = np.where(run.mask[:, None], values, 0)  # what is masked may be anything, NaN included
        mask &= interpolate((~run.mask).astype(np.float32)[:, None], run.t_r, times)[:, 0] == 0
    if not mask.any():
        raise BoldError(
            f"{run.label}: no valid sample: its stimulus lasts from {timeline.start_s:g} to {timeline.end_s:g} s, at a"
            f" lag of {lag_s:g} s, and the run from 0 to {len(run.values) * run.t_r:g} s"
            f" ({int(run.mask.sum())} of {len(run.mask)} volumes valid)",
            hint="check the onsets (seconds from the first volume), the lag and the run's masks",
        )
    bold = np.zeros((n_samples, values.shape[1]), np.float32)
    bold[mask] = interpolate(values, run.t_r, times[mask])
    return AlignedRun(run.label, run.run, features, bold, mask, lag_s)


def without_bold(features: Features, label: str = "stimulus") -> AlignedRun:
    """A run of features alone, to cut windows for prediction from: no outputs, every sample valid."""
    n_samples = n_steps(features.duration_s, OUTPUT_HZ)
    return AlignedRun(label, "", features, np.zeros((n_samples, 0), np.float32), np.ones(n_samples, bool), 0.0)


def first_seconds(window: Window, seconds: int) -> Window:
    """The beginning of a window; all of it where it is no longer."""
    features = {name: values[..., : seconds * STEPS_PER_OUTPUT] for name, values in window.features.items()}
    return replace(window, features=features, bold=window.bold[:seconds], mask=window.mask[:seconds])


def cut_windows(
    aligned: AlignedRun,
    duration_s: float = WINDOW_S,
    stride_s: float = WINDOW_S,
    span: tuple[float, float] | None = None,
) -> list[Window]:
    """Cut a run, or a stretch of it, into windows that cover it; the last may be incomplete.

    Parameters
    ----------
    aligned : AlignedRun
        Not changed.
    duration_s, stride_s : float
        Whole seconds.
    span : tuple of float, optional
        Start and stop in seconds from the timeline's start. Outside it no sample is valid and every feature is zero,
        so that nothing crosses the edge of a split.

    Raises
    ------
    BoldError
        If a duration is not in whole seconds, or the span lies outside the run.
    """
    first, last = _span_samples(aligned, span)
    n_samples, stride = _whole(duration_s), _whole(stride_s)
    starts = window_starts(last - first, n_samples, stride)
    return [_cut_window(aligned, first + int(start), n_samples, last) for start in starts]


def _cut_window(aligned: AlignedRun, start: int, n_samples: int, last: int) -> Window:
    """Samples ``start`` to ``start + n_samples``, of which those before ``last`` are used."""
    stop = min(start + n_samples, last)
    features = aligned.features.steps(start * STEPS_PER_OUTPUT, stop * STEPS_PER_OUTPUT)
    bold, mask = aligned.bold[start:stop], aligned.mask[start:stop]
    lacking = start + n_samples - stop
    if lacking:
        tail = ((0, 0), (0, 0), (0, lacking * STEPS_PER_OUTPUT))
        features = {name: np.pad(array, tail) for name, array in features.items()}
        bold, mask = np.pad(bold, ((0, lacking), (0, 0))), np.pad(mask, (0, lacking))
    return Window(features, bold, mask, aligned.label, float(start))


def _span_samples(aligned: AlignedRun, span: tuple[float, float] | None) -> tuple[int, int]:
    """First sample of a span and the one after its last; a span is rounded inwards to whole seconds.

    Raises
    ------
    BoldError
        If no sample is inside.
    """
    n_samples = len(aligned.mask)
    if span is None:
        return 0, n_samples
    first = max(0, n_steps(span[0], OUTPUT_HZ))
    last = min(n_samples, -n_steps(-span[1], OUTPUT_HZ))
    if first >= last:
        raise BoldError(
            f"{aligned.label}: nothing between {span[0]:g} and {span[1]:g} s of a stimulus of {n_samples} s",
            hint="a span is in seconds from the stimulus onset",
        )
    return first, last


def join(
    parts: Sequence[Float[np.ndarray, "time output"]],
    starts_s: Sequence[float],
    n_samples: int,
    overlap: Literal["none", "average"] = "none",
) -> Float[np.ndarray, "sample output"]:
    """Join what was predicted window by window.

    Parameters
    ----------
    parts : sequence of arrays of shape (n_window_samples, n_outputs)
        Predictions at 1 Hz.
    starts_s : sequence of float
        The windows' onsets, whole seconds.
    n_samples : int
        Length of the whole; what a window predicts beyond it is left out.
    overlap : str
        ``none``: windows must not share samples, as in the reference; ``average``: shared samples are averaged.

    Returns
    -------
    array of shape (n_samples, n_outputs)
        float32; NaN where no window reaches.

    Raises
    ------
    ValueError
        If windows overlap and ``overlap`` is ``none``, or nothing is given.
    """
    if not parts:
        raise ValueError("no windows to join")
    total = np.zeros((n_samples, parts[0].shape[1]), np.float32)
    times_seen = np.zeros(n_samples, np.float32)
    for part, start_s in zip(parts, starts_s, strict=True):
        start = _whole(start_s)
        rows = slice(start, min(n_samples, start + len(part)))
        total[rows] += part[: max(0, rows.stop - start)]
        times_seen[rows] += 1
    if overlap == "none" and times_seen.max(initial=0) > 1:
        raise ValueError("windows overlap: join them with overlap='average'")
    total[times_seen == 0] = np.nan
    return total / np.maximum(times_seen, 1)[:, None]


def joined_how(window_s: float, overlap_s: float) -> str:
    """How predictions are joined, in words for a reader."""
    if overlap_s:
        return f"windows of {window_s:g} s that overlap by {overlap_s:g} s, averaged"
    return f"windows of {window_s:g} s, joined end to end"


def stack(windows: Sequence[Window]) -> "dict[str, Tensor]":
    """Stack windows to a batch: modalities (batch, layer, dim, step), ``bold`` (batch, time, output), ``mask``.

    Raises
    ------
    FeatureError
        If a modality is in some windows only, or of different sizes: absent is not silent (spec a.2).
    SpaceError
        If windows differ in samples or outputs.
    """
    import torch

    names = [sorted(window.features) for window in windows]
    if any(found != names[0] for found in names):
        raise FeatureError(
            f"a batch with modalities {_either(names)}: absent and silent differ",
            hint="batch windows of the same modalities together",
        )
    batch = {}
    for name in windows[0].features:
        arrays = [window.features[name] for window in windows]
        if len({array.shape for array in arrays}) > 1:
            sizes = _either([array.shape for array in arrays])
            raise FeatureError(f"{name} features of shape {sizes} in one batch", hint="extract them by one encoder")
        batch[name] = torch.from_numpy(np.stack(arrays))
    if len({window.bold.shape for window in windows}) > 1:
        sizes = _either([window.bold.shape for window in windows])
        raise SpaceError(f"BOLD of shape {sizes} in one batch", hint="batch runs of one space, windows of one length")
    batch["bold"] = torch.from_numpy(np.stack([window.bold for window in windows]))
    batch["mask"] = torch.from_numpy(np.stack([window.mask for window in windows]))
    return batch


def _either(found: Sequence[object]) -> str:
    return " and ".join(dict.fromkeys(str(item) for item in found))


def _whole(seconds: float) -> int:
    if seconds != round(seconds) or seconds < 0:
        raise BoldError(f"{seconds:g} s is not in whole seconds", hint="set windows.duration_s and stride_s to whole s")
    return int(seconds)
