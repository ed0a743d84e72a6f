"""Splits by whole runs or by blocks of one run: what is trained on, chosen on and reported."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool

from tribetune.bold.clean import standardise
from tribetune.bold.run import is_named
from tribetune.errors import BoldError, LeakageError
from tribetune.timing import OUTPUT_HZ, n_steps
from tribetune.windows import WINDOW_S, AlignedRun, Window, cut_windows

_SHORTEST = 20
"""Samples below which a line and a scale say little: a shorter remainder of training data is left out."""


@dataclass(frozen=True)
class Part:
    """A stretch of one run that is on one side of a split.

    Attributes
    ----------
    aligned : AlignedRun
        A run; where only a stretch of it is used, cleaned on that stretch alone and masked elsewhere.
    span : tuple of int
        Start and stop, seconds from the timeline's start.
    cleaned_on : tuple of int or None
        The samples whose line and scale were taken out of the stretch; None: those of the whole run.
    """

    aligned: AlignedRun
    span: tuple[int, int]
    cleaned_on: tuple[int, int] | None = None

    @property
    def mask(self) -> Bool[np.ndarray, " time"]:
        """Valid samples of the run that are in the stretch, shape (n_samples,)."""
        inside = np.zeros_like(self.aligned.mask)
        inside[slice(*self.span)] = True
        return inside & self.aligned.mask


@dataclass(frozen=True)
class Split:
    """What is trained on, what is chosen on, and what is reported; no sample is in two of them."""

    training: tuple[Part, ...]
    validation: tuple[Part, ...]
    test: tuple[Part, ...]

    @property
    def calibration_minutes(self) -> float:
        """Minutes of valid BOLD that are trained on."""
        return sum(int(part.mask.sum()) for part in self.training) / OUTPUT_HZ / 60


def split_by_run(aligned: Sequence[AlignedRun], validation: Sequence[str | int], test: Sequence[str | int]) -> Split:
    """Split by whole runs; what is not named is trained on.

    Parameters
    ----------
    aligned : sequence of AlignedRun
        In order of time.
    validation, test : sequence of str or int
        Names of runs, see `tribetune.bold.run.is_named`.

    Raises
    ------
    LeakageError
        If a run is named twice.
    BoldError
        If a name is unknown or stands for several runs, two runs share a label, or no run is left for training or test.
    """
    labels = [run.label for run in aligned]
    doubled = {label for label in labels if labels.count(label) > 1}
    if doubled:
        raise BoldError(f"two runs are called {', '.join(sorted(doubled))}", hint="read every run once")
    held_out = {"validation": _chosen(aligned, validation), "test": _chosen(aligned, test)}
    named = [run.label for runs in held_out.values() for run in runs]
    twice = sorted({label for label in named if named.count(label) > 1})
    if twice:
        raise LeakageError(
            f"{', '.join(twice)} is named more than once in validation {list(validation)} and test {list(test)}",
            hint="name every run in one part of data.split",
        )
    parts = {"training": [run for run in aligned if run.label not in named], **held_out}
    for name in ("training", "test"):
        if not parts[name]:
            raise BoldError(f"no run is left for {name}; the runs are {_names(aligned)}", hint="change data.split")
    return Split(**{name: tuple(Part(run, (0, len(run.mask))) for run in runs) for name, runs in parts.items()})


def split_by_block(
    aligned: AlignedRun,
    test: float | tuple[float, float] = 0.25,
    validation: float = 0.0,
    gap_s: float = 110.0,
    window_s: float = WINDOW_S,
) -> Split:
    """Split one run into contiguous blocks with gaps between them; each block is detrended and z-scored on its own.

    Parameters
    ----------
    aligned : AlignedRun
        Its whole-run cleaning would carry the test's mean, drift and scale into training; cleaning every block again
        undoes that exactly, because it ignores any line and scale.
    test : float or tuple of float
        Share of the measured samples, at the end; or start and stop in seconds from the timeline's start.
    validation : float
        Share of the measured samples, at the end of the longest stretch that the test leaves.
    gap_s, window_s : float
        Seconds between two blocks, at least a window and the lag; the window's duration.

    Raises
    ------
    LeakageError
        If the gap is too small.
    BoldError
        If a block has no valid sample or nothing is left for training.
    """
    needed = window_s + max(0.0, aligned.lag_s)
    if gap_s < needed:
        raise LeakageError(
            f"{aligned.label}: a gap of {gap_s:g} s between blocks, expected at least {needed:g} s"
            f" ({window_s:g} s of context and {max(0.0, aligned.lag_s):g} s lag)",
            hint=f"set data.split.gap_s to {needed:g} or more",
        )
    gap, end = n_steps(gap_s, OUTPUT_HZ), len(aligned.mask)
    measured = np.flatnonzero(aligned.mask)
    extent = int(measured[-1]) + 1 - int(measured[0])
    if isinstance(test, tuple):
        held_out = max(0, n_steps(test[0], OUTPUT_HZ)), min(end, n_steps(test[1], OUTPUT_HZ))
    else:
        held_out = int(measured[-1]) + 1 - round(test * extent), end
    blocks = {"test": [held_out]}
    left = _without([(0, end)], held_out, gap)
    if validation and left:
        longest = max(left, key=lambda span: span[1] - span[0])
        chosen = max(longest[0], longest[1] - round(validation * extent)), longest[1]
        blocks["validation"] = [chosen]
        left = _without(left, chosen, gap)
    left = [span for span in left if aligned.mask[slice(*span)].sum() >= _SHORTEST]
    if not left:
        raise BoldError(
            f"{aligned.label}: nothing is left for training of {extent} s, with test {held_out[0]}-{held_out[1]} s,"
            f" validation {validation:g} and gaps of {gap} s",
            hint="hold out less, or split by run",
        )
    parts = {name: tuple(_own_part(aligned, span) for span in spans) for name, spans in blocks.items()}
    return Split(tuple(_own_part(aligned, span) for span in left), parts.get("validation", ()), parts["test"])


def without_stretches(split: Split, stretches: Mapping[str, tuple[int, int]]) -> Split:
    """Leave a stretch out of runs on every side of a split; a remainder of fewer than 20 samples is left out, too.

    Parameters
    ----------
    split : Split
    stretches : mapping of run label to (int, int)
        Start and stop, seconds from the timeline's start.
    """

    def kept(part: Part) -> tuple[Part, ...]:
        taken = stretches.get(part.aligned.label)
        spans = [part.span] if taken is None else _without([part.span], taken, 0)
        return tuple(
            replace(part, span=span)
            for span in spans
            if taken is None or part.aligned.mask[slice(*span)].sum() >= _SHORTEST
        )

    sides = (split.training, split.validation, split.test)
    return Split(*(tuple(piece for part in parts for piece in kept(part)) for parts in sides))


def limit_calibration(split: Split, minutes: float) -> Split:
    """Keep the first minutes of valid training samples, in order; the run that is cut is cleaned again on what is kept.

    A remainder of a run too short to be cleaned (below 20 samples) is left out.
    """
    left, kept = n_steps(minutes * 60, OUTPUT_HZ), []
    for part in split.training:
        valid = np.flatnonzero(part.mask)
        if len(valid) <= left:
            kept.append(part)
        elif left >= _SHORTEST:
            kept.append(_own_part(part.aligned, (part.span[0], int(valid[left - 1]) + 1)))
        left -= min(left, len(valid))
    return replace(split, training=tuple(kept))


def check_enough(split: Split, window_s: float = WINDOW_S) -> None:
    """Refuse a split whose training data do not fill a window, or whose parts hold no valid sample.

    Raises
    ------
    BoldError
        With what there is and what is needed.
    """
    seconds = sum(stop - start for start, stop in (part.span for part in split.training))
    if seconds < window_s:
        raise BoldError(
            f"{seconds:g} s of training data, expected at least one window of {window_s:g} s",
            hint="give more data.calibration_minutes, or hold out less",
        )
    for name in ("training", "validation", "test"):
        parts = getattr(split, name)
        if parts and not any(part.mask.any() for part in parts):
            raise BoldError(
                f"no valid sample is left for {name} in {', '.join(part.aligned.label for part in parts)}",
                hint="check the onsets, the lag and the masks, or split otherwise",
            )


def windows_of(parts: Sequence[Part], window_s: float = WINDOW_S, stride_s: float = WINDOW_S) -> list[Window]:
    """Windows of every part that have a valid sample, in order; none reaches beyond its part."""
    windows = [window for part in parts for window in cut_windows(part.aligned, window_s, stride_s, part.span)]
    return [window for window in windows if window.mask.any()]


def _chosen(aligned: Sequence[AlignedRun], names: Sequence[str | int]) -> list[AlignedRun]:
    found = []
    for name in names:
        runs = [run for run in aligned if is_named(run.label, name)]
        if len(runs) != 1:
            fault = "stands for " + _names(runs) if runs else "is not there"
            raise BoldError(
                f"run {name!r} {fault}; the runs are {_names(aligned)}", hint="name one of them in data.split"
            )
        found += runs
    return found


def _names(aligned: Sequence[AlignedRun]) -> str:
    return ", ".join(f"{run.run} ({run.label})" if run.run else run.label for run in aligned)


def _without(spans: Sequence[tuple[int, int]], taken: tuple[int, int], gap: int) -> list[tuple[int, int]]:
    """What a block and its gaps leave of some stretches."""
    pieces = []
    for start, stop in spans:
        pieces += [(start, min(stop, taken[0] - gap)), (max(start, taken[1] + gap), stop)]
    return [(start, stop) for start, stop in pieces if start < stop]


def _own_part(aligned: AlignedRun, span: tuple[int, int]) -> Part:
    """A stretch of a run, cleaned by its own valid samples; masked everywhere else."""
    rows = slice(*span)
    bold, mask = np.zeros_like(aligned.bold), np.zeros_like(aligned.mask)
    mask[rows] = aligned.mask[rows]
    where = f"{aligned.label}, {span[0]}-{span[1]} s"
    bold[rows] = standardise(aligned.bold[rows], aligned.mask[rows], where)
    return Part(replace(aligned, bold=bold, mask=mask), span, span)
