"""The nuisance model: what low-level stimulation, head motion and the position in the run predict."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from tribetune.baselines.fir import fir_design
from tribetune.timing import STEPS_PER_OUTPUT


def nuisance_design(
    stimulus: Mapping[str, Float[np.ndarray, " step"]],
    names: Sequence[str],
    motion: Float[np.ndarray, "time parameter"] | None,
    delays_s: Sequence[float],
    lag_s: float,
    n_samples: int,
) -> Float[np.ndarray, "time feature"]:
    """Columns of the nuisance model at 1 Hz, for BOLD that is already shifted by the lag.

    Parameters
    ----------
    stimulus : mapping of str to array of shape (n_steps,)
        Low-level measures at 2 Hz; each gets a column per delay.
    names : sequence of str
        Measures that any run of the study has: those that this one lacks are silent.
    motion : array of shape (n_samples, n_parameters) or None
        Head motion at the times of BOLD; none of the runs, or all of them, have it.
    delays_s, lag_s
        See `fir_design`.
    n_samples : int
        Rows; the position in the run is a line and a square over them.

    Returns
    -------
    array of shape (n_samples, n_features)
        float32: delayed measures; motion and its change from sample to sample; position.
    """
    steps = STEPS_PER_OUTPUT * n_samples
    given = {}
    for name in names:
        values = stimulus.get(name, np.zeros(0, np.float32))[:steps]
        given[name] = np.pad(values, (0, steps - len(values)))[None, None]
    place = np.linspace(-1, 1, n_samples, dtype=np.float32)[:, None]
    columns = [place, place**2]
    if given:
        columns.insert(0, fir_design(given, delays_s, lag_s))
    if motion is not None:
        columns += [motion, np.diff(motion, axis=0, prepend=motion[:1])]
    return np.concatenate(columns, axis=1).astype(np.float32)
