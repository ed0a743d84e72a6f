"""Held-out BOLD and predictions at the scanner's own repetition time instead of 1 Hz."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from tribetune.bold.clean import standardise
from tribetune.errors import BoldError
from tribetune.evaluate.bootstrap import HeldOut
from tribetune.recipe.data import BlockSplit
from tribetune.study.prepare import Prepared
from tribetune.timing import to_native


def at_own_t_r(
    study: Prepared, predicted: Mapping[str, Float[np.ndarray, "time output"]]
) -> tuple[HeldOut, dict[str, Float[np.ndarray, "volume output"]], float]:
    """Put predictions at the times of the volumes, where every sample that they draw on is held out and valid.

    Parameters
    ----------
    study : Prepared
    predicted : mapping of method to array of shape (n_samples, n_outputs)
        At 1 Hz, for all samples of the test parts in order, valid and not.

    Returns
    -------
    HeldOut
        BOLD as it was cleaned, not resampled; within one run cleaned on the test block alone.
    dict of method to array of shape (n_volumes, n_outputs)
    float
        Repetition time in seconds.

    Raises
    ------
    BoldError
        If test runs differ in their repetition time.
    """
    bold, labels, places, at_volumes, t_rs, begin = [], [], [], {method: [] for method in predicted}, set(), 0
    for part in study.split.test:
        told = study.runs[part.aligned.label]
        run, start_s = told.cleaned(), told.timeline.start_s
        stop = begin + part.span[1] - part.span[0]
        clock = (run.t_r, len(run.values), start_s + part.span[0], study.recipe.windows.hemodynamic_lag_s)
        valid, keep = part.mask[slice(*part.span)], run.mask
        for method, values in predicted.items():
            moved, inside = to_native(values[begin:stop], *clock, valid)
            keep = inside & run.mask
            at_volumes[method].append(moved[keep])
        is_block = isinstance(study.recipe.data.split, BlockSplit)
        measured = standardise(run.values, keep, run.label) if is_block else run.values
        bold.append(measured[keep])
        labels += [run.label] * int(keep.sum())
        places.append(np.flatnonzero(keep))
        t_rs.add(run.t_r)
        begin = stop
    if len(t_rs) > 1:
        raise BoldError(
            f"test runs have repetition times of {' and '.join(f'{t_r:g}' for t_r in sorted(t_rs))} s",
            hint="set evaluation.native_t_r to false: at 1 Hz they are scored together",
        )
    joined = {method: np.concatenate(parts) for method, parts in at_volumes.items()}
    return HeldOut(np.concatenate(bold), tuple(labels), np.concatenate(places)), joined, t_rs.pop()
