"""Held-out BOLD and predictions on the clock on which they are scored: 1 Hz, or that of the volumes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tribetune.evaluate.bootstrap import HeldOut
from tribetune.study.native import at_own_t_r
from tribetune.study.prepare import Prepared
from tribetune.timing import OUTPUT_HZ


@dataclass(frozen=True)
class Clock:
    """Held-out data as they are scored.

    Attributes
    ----------
    held_out : HeldOut
    predicted : mapping of method to array of shape (n_samples, n_outputs)
    step_s : float
        Seconds from sample to sample.
    """

    held_out: HeldOut
    predicted: Mapping[str, np.ndarray]
    step_s: float

    def samples(self, seconds: float) -> int:
        """A duration in samples, at least one."""
        return max(1, round(seconds / self.step_s))


def on_clock(study: Prepared, predicted: Mapping[str, np.ndarray]) -> Clock:
    """Held-out BOLD and predictions on one clock, valid samples only."""
    if study.recipe.evaluation.native_t_r:
        held_out, at_volumes, t_r = at_own_t_r(study, predicted)
        return Clock(held_out, at_volumes, t_r)
    mask, bold, runs = study.held_out()
    at = np.concatenate([np.arange(*part.span) for part in study.split.test])
    held_out = HeldOut(bold[mask], tuple(np.asarray(runs)[mask].tolist()), at[mask])
    return Clock(held_out, {method: values[mask] for method, values in predicted.items()}, 1 / OUTPUT_HZ)
