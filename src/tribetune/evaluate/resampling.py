"""Intervals per output from resampled blocks of time: on Fisher's scale, Student's t for the number of blocks."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from tribetune.evaluate.bootstrap import (
    FEWEST_BLOCKS,
    HeldOut,
    block_members,
    block_moments,
    r_of_moments,
    widening,
    zscore_by_run,
)

_CHUNK = 2048


@dataclass(frozen=True)
class Resampling:
    """Blocks of time drawn with replacement.

    Attributes
    ----------
    block : int
        Samples per block; at least the autocorrelation of BOLD.
    draws, seed : int
    """

    block: int = 30
    draws: int = 1000
    seed: int = 0


DEFAULT = Resampling()


def score_intervals(
    predicted: Float[np.ndarray, "time output"], held_out: HeldOut, resampling: Resampling = DEFAULT
) -> Float[np.ndarray, "2 output"]:
    """Ends of the 95 % interval of every output's r.

    Parameters
    ----------
    predicted : array of shape (n_samples, n_outputs)
    held_out : HeldOut
        What was measured.
    resampling : Resampling, optional

    Returns
    -------
    array of shape (2, n_outputs)
        NaN where there is no score, or where there are fewer than 4 blocks.

    Notes
    -----
    Both sides are z-scored per run, blocks never cross runs. Percentiles of so few blocks would be too narrow: the
    spread of Fisher's z over the draws is widened as Student's t asks for the number of blocks.
    """
    labels = np.asarray(held_out.runs)
    members = block_members(labels, resampling.block) if len(labels) else []
    n_outputs = held_out.bold.shape[1]
    if len(members) < FEWEST_BLOCKS:
        return np.full((2, n_outputs), np.nan)

    def statistic(part: slice) -> tuple[list[np.ndarray], Callable]:
        x, y = (zscore_by_run(values[:, part], labels) for values in (predicted, held_out.bold))
        return block_moments(x, y, members), lambda drawn: fisher(r_of_moments(drawn))

    z, half = bootstrapped(statistic, n_outputs, len(members), resampling)
    return np.tanh(np.stack([z - half, z + half]))


def bootstrapped(
    statistic: Callable[[slice], tuple[list[np.ndarray], Callable]],
    n_outputs: int,
    n_blocks: int,
    resampling: Resampling,
) -> tuple[np.ndarray, np.ndarray]:
    """A statistic on Fisher's scale per output, and half of its 95 % interval, from moments per block.

    Parameters
    ----------
    statistic : callable
        From some outputs to their moments per block, each (n_blocks, n_outputs or 1), and to what sums of moments
        become.
    n_outputs, n_blocks : int
    resampling : Resampling
    """
    rng = np.random.default_rng(resampling.seed)
    weights = rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=resampling.draws).astype(np.float32)
    z, half = np.full(n_outputs, np.nan), np.full(n_outputs, np.nan)
    for first in range(0, n_outputs, _CHUNK):
        part = slice(first, first + _CHUNK)
        moments, transform = statistic(part)
        z[part] = transform([moment.sum(0, dtype=np.float64) for moment in moments])
        half[part] = widening(n_blocks) * np.std(transform([weights @ moment for moment in moments]), axis=0, ddof=1)
    return z, half


def fisher(r: np.ndarray) -> np.ndarray:
    """Fisher's z of a correlation."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.arctanh(r)
