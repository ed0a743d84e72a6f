"""One method's scores with everything they have to stand beside: chance, false discoveries, retrieval, controls."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float

from tribetune.evaluate.bootstrap import HeldOut
from tribetune.evaluate.parcels import Parcels
from tribetune.evaluate.permutation import Chance, Scheme, permutation_test
from tribetune.evaluate.resampling import Resampling, score_intervals
from tribetune.evaluate.retrieval import retrieve
from tribetune.evaluate.significance import LEVEL, effective_samples, q_values
from tribetune.scores import r_squared


@dataclass(frozen=True)
class Assessment:
    """What a method's held-out predictions amount to.

    Attributes
    ----------
    chance : Chance
        Score, p-value and level of chance per output.
    q : array of shape (n_outputs,)
        Smallest false discovery rate at which an output is discovered, over the outputs that count.
    r2 : array of shape (n_outputs,)
    set_p, set_null_95 : array of shape (n_parcels,)
        Of the mean r of each parcel.
    interval : array of shape (2, n_outputs)
        95 %, of every output's r.
    effective : array of shape (n_outputs,)
        Effective samples.
    retrieval : dict
        ``top_1``, ``median_percentile`` and ``n`` of segments; empty where there are fewer than two.
    n_samples : int
    """

    chance: Chance
    q: Float[np.ndarray, " output"]
    r2: Float[np.ndarray, " output"]
    set_p: Float[np.ndarray, " parcel"]
    set_null_95: Float[np.ndarray, " parcel"]
    interval: Float[np.ndarray, "2 output"]
    effective: Float[np.ndarray, " output"]
    retrieval: dict[str, float]
    n_samples: int

    @property
    def n_tested(self) -> int:
        """Outputs in the family of tests."""
        return int(np.isfinite(self.q).sum())

    @property
    def n_significant(self) -> int:
        """Discoveries at a false discovery rate of 5 %."""
        return int((self.q <= LEVEL).sum())


def assess(
    predicted: Float[np.ndarray, "time output"], held_out: HeldOut, parcels: Parcels, scheme: Scheme, segment: int
) -> Assessment:
    """Hold one method's predictions against chance.

    Parameters
    ----------
    predicted : array of shape (n_samples, n_outputs)
    held_out : HeldOut
    parcels : Parcels
        The first one holds the outputs that count: the family of tests, and what retrieval goes by.
    scheme : Scheme
    segment : int
        Samples per segment that is retrieved.
    """
    chance = permutation_test(predicted, held_out, scheme, parcels.sets)
    counted = parcels.sets[0]
    r2 = r_squared(*(torch.from_numpy(np.ascontiguousarray(side)) for side in (predicted, held_out.bold))).numpy()
    return Assessment(
        chance,
        q_values(np.where(counted, chance.p, np.nan)),
        r2,
        chance.set_p(parcels.sets),
        chance.set_null_95,
        score_intervals(predicted, held_out, Resampling(scheme.block, scheme.draws, scheme.seed)),
        effective_samples(predicted, held_out),
        _retrieval(predicted, held_out, counted, segment),
        len(predicted),
    )


def shuffled_runs(
    predicted: Float[np.ndarray, "time output"], held_out: HeldOut, stimuli: Mapping[str, Hashable]
) -> tuple[np.ndarray, HeldOut] | None:
    """A negative control: each run's prediction beside BOLD of the next run with another stimulus, cut to the shorter.

    Parameters
    ----------
    predicted : array of shape (n_samples, n_outputs)
    held_out : HeldOut
    stimuli : mapping of run to what it shows
        Equal for repeats: a prediction beside the same stimulus, shown again, is no control.

    Returns
    -------
    array of shape (n_samples, n_outputs), HeldOut
        What was predicted for one run, and what was measured in another; None where all runs show the same.
    """
    labels, names = np.asarray(held_out.runs), list(dict.fromkeys(held_out.runs))
    wrong, bold, runs = [], [], []
    for place, name in enumerate(names):
        following = next((one for one in names[place:] + names[:place] if stimuli[one] != stimuli[name]), None)
        if following is None:
            return None
        one, other = predicted[labels == name], held_out.bold[labels == following]
        n = min(len(one), len(other))
        wrong.append(one[:n])
        bold.append(other[:n])
        runs += [name] * n
    # the gaps of two runs are in other places: what is left of each is taken one after the other
    return np.concatenate(wrong), HeldOut(np.concatenate(bold), tuple(runs))


def _retrieval(predicted: np.ndarray, held_out: HeldOut, counted: np.ndarray, segment: int) -> dict[str, float]:
    labels = np.asarray(held_out.runs)
    n_segments = sum(int((labels == name).sum()) // segment for name in dict.fromkeys(held_out.runs))
    if n_segments < 2 or not counted.any():
        return {}
    return retrieve(predicted[:, counted], replace(held_out, bold=held_out.bold[:, counted]), segment)
