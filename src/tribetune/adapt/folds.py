"""What is left out of calibration data, and what is left of it: runs, or the halves of a single one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float

from tribetune.adapt.latents import Latents
from tribetune.windows import Window

Item = TypeVar("Item")


def inner_folds(runs: Sequence[str]) -> list[Bool[np.ndarray, " window"]]:
    """Which windows are left out in each fold: a run each, or the two halves of a single run; none for one window."""
    labels = np.asarray(runs)
    names = list(dict.fromkeys(runs))
    if len(names) > 1:
        return [labels == name for name in names]
    half = np.arange(len(labels)) >= len(labels) / 2
    return [half, ~half] if len(labels) > 1 else []


def few_folds(folds: Sequence[Bool[np.ndarray, " window"]], most: int) -> list[Bool[np.ndarray, " window"]]:
    """At most so many folds: runs share one where there are more."""
    groups = [folds[start::most] for start in range(min(most, len(folds)))]
    return [np.any(group, axis=0) for group in groups]


def sample_folds(latents: Sequence[Latents]) -> list[Bool[np.ndarray, " time"]]:
    """`folds_at` of windows that have been through the trunk."""
    return folds_at([part.run for part in latents], [part.start_s + part.place for part in latents])


def folds_at(runs: Sequence[str], times_s: Sequence[Float[np.ndarray, " _"]]) -> list[Bool[np.ndarray, " time"]]:
    """`inner_folds` of windows as folds of their samples, one after the other.

    A sample that windows of both halves of a single run hold, because they overlap, is of the later half: no half is
    predicted by a fit that saw it. None where no sample is left to the earlier half.

    Parameters
    ----------
    runs : sequence of str
        Of every window.
    times_s : sequence of array of shape (n_samples,)
        When its valid samples were, in their run.
    """
    lengths = [len(times) for times in times_s]
    folds = [np.repeat(fold, lengths) for fold in inner_folds(runs)]
    if len(set(runs)) > 1 or not folds:
        return folds
    times = np.concatenate(times_s)
    later = folds[0] | np.isin(times, times[folds[0]])
    return [] if later.all() else [later, ~later]


def latents_where(latents: Sequence[Latents], chosen: Bool[np.ndarray, " time"]) -> list[Latents]:
    """The chosen samples of windows that have been through the trunk; no window without any."""
    found = []
    for part, kept in _by_window(latents, [len(part.place) for part in latents], chosen):
        if not kept.all():
            index = torch.from_numpy(np.flatnonzero(kept)).to(part.values.device)
            part = replace(part, values=part.values[index], bold=part.bold[index], place=part.place[kept])
        found.append(part)
    return found


def windows_where(windows: Sequence[Window], chosen: Bool[np.ndarray, " time"]) -> list[Window]:
    """Windows in which the chosen of all valid samples are valid; no window without any."""
    found = []
    for window, kept in _by_window(windows, [int(window.mask.sum()) for window in windows], chosen):
        mask = np.zeros_like(window.mask)
        mask[window.mask] = kept
        found.append(replace(window, mask=mask))
    return found


def _by_window(items: Sequence[Item], lengths: Sequence[int], chosen: np.ndarray) -> list[tuple[Item, np.ndarray]]:
    """Windows of so many samples, each with its part of what was chosen; those of which nothing was are left out."""
    parts = np.split(chosen, np.cumsum(lengths)[:-1])
    return [(item, part) for item, part in zip(items, parts, strict=True) if part.any()]
