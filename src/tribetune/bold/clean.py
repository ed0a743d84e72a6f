"""Clean a run: take out slow drift and confounds, and bring every output to one scale."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from tribetune.bold import confounds as table
from tribetune.bold.confounds import DEFAULTS, Confounds, Thresholds, loader_arguments, read_confounds
from tribetune.bold.regression import fitted, line_and
from tribetune.bold.run import Run
from tribetune.errors import BoldError

STRATEGIES = ("tribe", *table.STRATEGIES)
"""``tribe`` is what the released checkpoint's targets had: a line and a scale, no confounds (spec e.6)."""

_COSINES_S = 128.0
"""Cut-off of fMRIPrep's high-pass cosines: a longer run has at least one."""


def clean(run: Run, strategy: str = "tribe", confounds: Path | None = None, thresholds: Thresholds = DEFAULTS) -> Run:
    """Take out a line per output, and what a strategy calls confounds, in one regression; then z-score.

    Parameters
    ----------
    run : Run
        As read; not changed.
    strategy : str
        ``tribe`` (no confounds), ``simple``, ``scrubbing`` or ``compcor``; see `tribetune.bold.confounds`.
    confounds : Path or None
        fMRIPrep's table of this run, which every strategy but ``tribe`` needs.
    thresholds : Thresholds
        The strategy's choices.

    Returns
    -------
    Run
        As long as the run that came in: scrubbed volumes, and those before the steady state, are False in its mask.

    Raises
    ------
    BoldError
        If the strategy is unknown, its confounds are missing or do not fit the run, or too few volumes are valid.
    """
    if strategy not in STRATEGIES:
        raise BoldError(f"unknown cleaning {strategy!r}", hint=f"set data.cleaning to one of: {', '.join(STRATEGIES)}")
    if strategy == "tribe":
        return replace(run, values=standardise(run.values, run.mask, run.label))
    if confounds is None:
        raise BoldError(
            f"{run.label}: cleaning {strategy} needs confounds, and this run has none",
            hint="put fMRIPrep's desc-confounds_timeseries.tsv beside the run, or set data.cleaning to tribe",
        )
    found = read_confounds(confounds, len(run.values), strategy, thresholds)
    _check_high_pass(run, found, confounds, thresholds)
    mask = run.mask & found.mask
    return replace(run, values=standardise(run.values, mask, run.label, found.values), mask=mask)


def describe(strategy: str, thresholds: Thresholds = DEFAULTS) -> dict[str, Any]:
    """What a cleaning does, in plain values for the provenance: only the choices that the strategy makes use of.

    Raises
    ------
    BoldError
        If the strategy is unknown.
    """
    if strategy not in STRATEGIES:
        raise BoldError(f"unknown cleaning {strategy!r}", hint=f"set data.cleaning to one of: {', '.join(STRATEGIES)}")
    chosen = {} if strategy == "tribe" else loader_arguments(strategy, thresholds)
    regressors = chosen.pop("strategy", [])
    return {"strategy": strategy, "detrend": "linear", "regressors": regressors, **chosen, "standardise": "z-score"}


def standardise(
    values: Float[np.ndarray, "time output"],
    mask: Bool[np.ndarray, " time"],
    where: str,
    confounds: Float[np.ndarray, "time confound"] | None = None,
) -> Float[np.ndarray, "time output"]:
    """Remove what a line and the confounds explain over the valid samples, and divide by what deviation is left.

    Parameters
    ----------
    values : array of shape (n_trs, n_outputs)
        In any unit, evenly sampled; only valid rows are looked at.
    mask : array of shape (n_trs,)
        True where a sample is valid.
    where : str
        The run, for messages.
    confounds : array of shape (n_trs, n_confounds) or None
        In any unit; finite in the valid rows.

    Returns
    -------
    array of shape (n_trs, n_outputs)
        float32, deviation 1 (ddof 1); zero where masked, NaN in outputs that are undefined, or flat once the line and
        the confounds are gone.

    Raises
    ------
    BoldError
        If there are not more valid samples than regressors, the line's two among them.

    Notes
    -----
    Same as ``nilearn.signal.clean(detrend=True, standardize="zscore_sample", filter=False, confounds, sample_mask)``
    where all samples are valid. With gaps nilearn fits its line over what is left pushed together; here every sample
    keeps its time. Regressors that repeat others are dropped (1e-9), where nilearn keeps their rounding (1e-14).
    """
    basis = line_and(confounds, mask)
    n_valid = len(basis)
    if n_valid <= basis.shape[1]:
        raise BoldError(
            f"{where}: {n_valid} valid samples, expected at least {basis.shape[1] + 1}"
            + (f" for {basis.shape[1]} regressors" if confounds is not None else ""),
            hint="leave this run out" + (", or clean it with fewer confounds" if confounds is not None else ""),
        )
    cleaned = np.zeros(values.shape, np.float32)
    for part in fitted(values, mask, basis):
        np.divide(part.rest, part.deviation, out=part.rest)
        cleaned[mask, part.outputs] = part.rest
    return cleaned


def _check_high_pass(run: Run, found: Confounds, path: Path, thresholds: Thresholds) -> None:
    """Refuse what nilearn passes over: a filter that was asked for and is not in the table."""
    if thresholds.high_pass and len(run.values) * run.t_r >= _COSINES_S and not any("cosine" in n for n in found.names):
        raise BoldError(
            f"{path}: no cosine columns, so the high-pass filter that was asked for is not there",
            hint="set data.thresholds.high_pass to false, or take fMRIPrep's own table",
        )
