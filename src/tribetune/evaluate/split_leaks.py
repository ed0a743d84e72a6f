"""Leaks of a split: windows over its edges, statistics fitted across it, values chosen on its test."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tribetune.evaluate.leaks import Kind, Leak
from tribetune.splits import Part, Split
from tribetune.timing import STEPS_PER_OUTPUT
from tribetune.windows import Window


@dataclass(frozen=True)
class Decision:
    """Something that was fitted or chosen, and the stretches of BOLD that decided.

    Attributes
    ----------
    what : str
        ``windows.hemodynamic_lag_s``, ``FIR penalty``.
    how : {"chosen", "fitted"}
        A value among several, or statistics such as means, scales and components.
    stretches : tuple of (str, int, int)
        Run label, and start and stop in seconds from the start of its stimulus.
    """

    what: str
    how: Literal["chosen", "fitted"]
    stretches: tuple[tuple[str, int, int], ...]


def edge_leaks(split: Split, windows: Iterable[Window], window_s: float, lag_s: float) -> list[Leak]:
    """Windows that reach over the edge of their part, and parts of one run that are closer than a window and the lag.

    Parameters
    ----------
    split : Split
    windows : iterable of Window
        All that is trained on.
    window_s, lag_s : float
        Seconds of context of a prediction; seconds from stimulus to BOLD.
    """
    found = [leak for window in windows for leak in _crossing(split, window)]
    needed = window_s + max(0.0, lag_s)
    for test in split.test:
        for part in (*split.training, *split.validation):
            gap = max(part.span[0] - test.span[1], test.span[0] - part.span[1])
            if part.aligned.label == test.aligned.label and 0 <= gap < needed:
                told = f"{gap} s apart, expected at least {needed:g} s (a window and the lag)"
                found.append(Leak("split-edge", where(test), where(part), told))
    return found


def fit_leaks(split: Split) -> list[Leak]:
    """Parts whose line and scale were fitted on samples of the other side."""
    found = []
    for test in split.test:
        for part in (*split.training, *split.validation):
            if part.aligned.label != test.aligned.label:
                continue
            for mine, others in ((part, test), (test, part)):
                begin, end = mine.cleaned_on or (0, len(mine.aligned.mask))
                if begin < others.span[1] and others.span[0] < end and _apart(part, test):
                    told = f"{where(mine)} was z-scored on {begin}-{end} s"
                    found.append(Leak("fitted-across", where(test), where(part), told))
    return found


def decision_leaks(decisions: Iterable[Decision], test: Sequence[Part]) -> list[Leak]:
    """Values that were chosen, and statistics that were fitted, with test data."""
    found = []
    for decision in decisions:
        for label, begin, end in decision.stretches:
            for part in test:
                if part.aligned.label == label and begin < part.span[1] and part.span[0] < end:
                    kind: Kind = "chosen-on-test" if decision.how == "chosen" else "fitted-across"
                    told = f"{decision.what} was {decision.how} on {label}, {begin}-{end} s"
                    found.append(Leak(kind, where(part), decision.what, told))
    return found


def stretches_of(parts: Iterable[Part]) -> tuple[tuple[str, int, int], ...]:
    """Parts as a `Decision` names them."""
    return tuple((part.aligned.label, *part.span) for part in parts)


def stretches_of_windows(windows: Iterable[Window]) -> tuple[tuple[str, int, int], ...]:
    """The valid samples of windows as a `Decision` names them."""
    found = []
    for window in windows:
        valid = np.flatnonzero(window.mask)
        if len(valid):
            begin = int(window.start_s)
            found.append((window.run, begin + int(valid[0]), begin + int(valid[-1]) + 1))
    return tuple(found)


def where(part: Part) -> str:
    """A part, for a reader."""
    return f"{part.aligned.label}, {part.span[0]}-{part.span[1]} s"


def _apart(one: Part, other: Part) -> bool:
    return one.span[1] <= other.span[0] or other.span[1] <= one.span[0]


def _crossing(split: Split, window: Window) -> list[Leak]:
    """A leak where what a window shows or measures reaches beyond the part that it was cut from."""
    begin = int(window.start_s)
    parts = [p for p in split.training if p.aligned.label == window.run and p.span[0] <= begin < p.span[1]]
    inside = parts[0].span[1] - begin if parts else 0
    seen = any(bool(array[..., inside * STEPS_PER_OUTPUT :].any()) for array in window.features.values())
    if not (seen or window.mask[inside:].any()):
        return []
    told = f"the window at {begin} s of {window.run} reaches beyond what is trained on"
    return [Leak("split-edge", ", ".join(where(part) for part in split.test), f"{window.run}, from {begin} s", told)]
