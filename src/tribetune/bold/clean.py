"""Clean a run: take out slow drift, and bring every output to one scale."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from tribetune.bold.run import Run
from tribetune.errors import BoldError

_BLOCK = 2048
"""Outputs cleaned at once: keeps the double-precision copy small."""

_FLAT = 1e-6
"""Deviation below this share of an output's largest value is float32 rounding, not signal."""

_FEWEST = 3
"""A line takes two samples; a scale needs one more."""


def clean(run: Run, strategy: str = "tribe") -> Run:
    """Clean a run as TRIBE's targets were: linear detrend and z-score per output, no confounds (spec e.6).

    Parameters
    ----------
    run : Run
        As read; not changed.
    strategy : str
        ``tribe`` is the only one.

    Raises
    ------
    BoldError
        If the strategy is unknown or fewer than three volumes are valid.
    """
    if strategy != "tribe":
        raise BoldError(f"unknown cleaning {strategy!r}", hint="set data.cleaning to tribe")
    return replace(run, values=standardise(run.values, run.mask, run.label))


def standardise(
    values: Float[np.ndarray, "time output"], mask: Bool[np.ndarray, " time"], where: str
) -> Float[np.ndarray, "time output"]:
    """Remove the line fitted over the valid samples and divide by their deviation (ddof 1), one output at a time.

    Parameters
    ----------
    values : array of shape (n_trs, n_outputs)
        In any unit, evenly sampled; only valid rows are looked at.
    mask : array of shape (n_trs,)
        True where a sample is valid.
    where : str
        The run, for messages.

    Returns
    -------
    array of shape (n_trs, n_outputs)
        float32; zero where masked, NaN in outputs that are undefined or flat once the line is gone.

    Raises
    ------
    BoldError
        If fewer than three samples are valid.

    Notes
    -----
    Same as ``nilearn.signal.clean(detrend=True, standardize="zscore_sample", filter=False)`` where all samples are
    valid. With gaps nilearn fits its line over what is left pushed together; here every sample keeps its time.
    """
    times = np.flatnonzero(mask).astype(np.float64)
    if len(times) < _FEWEST:
        raise BoldError(f"{where}: {len(times)} valid samples, expected at least {_FEWEST}", hint="leave this run out")
    times -= times.mean()
    times /= np.linalg.norm(times)
    cleaned = np.zeros(values.shape, np.float32)
    for first in range(0, values.shape[1], _BLOCK):
        block = slice(first, first + _BLOCK)
        part = values[:, block].astype(np.float64) if mask.all() else values[mask, block].astype(np.float64)
        flat = _FLAT * np.abs(part).max(0)
        part -= part.mean(0)
        part -= np.outer(times, times @ part)
        deviation = np.sqrt(np.einsum("tv,tv->v", part, part) / (len(part) - 1))
        part /= np.where(deviation > flat, deviation, np.nan)
        cleaned[mask, block] = part
    return cleaned
