"""False discoveries, effective samples, and what so much test data can tell apart."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

from tribetune.autocorrelation import inflation
from tribetune.evaluate.bootstrap import FEWEST_BLOCKS, HeldOut, widening

LEVEL = 0.05
"""Of every test."""

POWER = 0.8
"""Share of true effects of the size called resolvable that a test finds."""


def q_values(p: Float[np.ndarray, " output"]) -> Float[np.ndarray, " output"]:
    """Smallest false discovery rate at which each output is one of the discoveries (Benjamini and Hochberg 1995).

    Parameters
    ----------
    p : array of shape (n_outputs,)
        NaN where there is no test; such an output is no part of the family.

    Returns
    -------
    array of shape (n_outputs,)
        NaN where p is.
    """
    from scipy.stats import false_discovery_control

    found = np.full(len(p), np.nan)
    tested = np.isfinite(p)
    if tested.any():
        found[tested] = false_discovery_control(p[tested])
    return found


def effective_samples(predicted: Float[np.ndarray, "time output"], held_out: HeldOut) -> Float[np.ndarray, " output"]:
    """Independent samples that would give r as much spread as these autocorrelated ones, where there is no relation.

    Parameters
    ----------
    predicted : array of shape (n_samples, n_outputs)
    held_out : HeldOut
        What was measured, in order of time within each run.

    Returns
    -------
    array of shape (n_outputs,)
        At least 2 and at most n_samples; NaN where a side does not vary.

    Notes
    -----
    Bartlett 1935, see `inflation`. Afyouni, Smith and Nichols 2019 (NeuroImage 199) compare such ways; their own
    estimator is for related series, too. To end the sum at the first lag within noise instead misses the undershoot of
    the response and gave a tenth too many samples on such series, where this way is 3 % off. Where autocorrelation is
    strong (0.95 at one sample) it counts a fifth too many, because a mean was removed. With a quarter of the samples
    scrubbed it is 3 % off; valid ones taken for neighbours were a sixth too many. Runs are pooled as r is: weighted by
    their samples.
    """
    labels = np.asarray(held_out.runs)
    total = np.zeros(predicted.shape[1])
    for label in dict.fromkeys(labels.tolist()):
        rows = np.flatnonzero(labels == label)
        n, found = len(rows), inflation(predicted[rows], held_out.bold[rows], held_out.places(rows))
        total += n**2 / np.clip(n / found, 2, n)
    return len(labels) ** 2 / total


def smallest_score(n_effective: float) -> float:
    """Pearson's r at one output that a two-sided test at 5 % finds in four of five cases (Fisher 1921)."""
    if not n_effective > 3:
        return float("nan")
    return float(np.tanh((ndtri(1 - LEVEL / 2) + ndtri(POWER)) / np.sqrt(n_effective - 3)))


def smallest_difference(draws: Float[np.ndarray, " draw"], n_blocks: int) -> float:
    """Difference of mean r that a two-sided test at 5 % finds in four of five cases, from its bootstrap draws.

    The test is whether `block_interval` of so many blocks excludes zero; NaN where there are too few for one.
    """
    if n_blocks < FEWEST_BLOCKS:
        return float("nan")
    beyond = widening(n_blocks) + widening(n_blocks, POWER)
    return float(beyond * np.std(draws, ddof=1))


def resolution(minutes: float, n_effective: float, method: str, differences: Mapping[str, float]) -> str:
    """What so much test data can tell apart, in words.

    Parameters
    ----------
    minutes : float
        Of valid test data.
    n_effective : float
        Of a typical output.
    method : str
    differences : mapping of other method to float
        `smallest_difference` of the method and each other.
    """
    samples = "effective samples: not known"
    if np.isfinite(n_effective):
        samples = f"{n_effective:.0f} effective samples at the median output"
    at_one = smallest_score(n_effective)
    told = f"an r of {at_one:.2f} at one output" if np.isfinite(at_one) else "no score at a single output"
    if apart := ", ".join(f"{name} {value:.3f}" for name, value in differences.items() if np.isfinite(value)):
        told += f", and differences in mean r between {method} and {apart}"
    return (
        f"{minutes:.1f} min of test data ({samples}) resolve {told}:"
        " what is smaller is found in fewer than four of five cases."
    )
