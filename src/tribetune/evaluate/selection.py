"""One set of outputs for all methods, fixed on calibration data."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import rankdata


def select_outputs(
    scores: Sequence[Float[np.ndarray, " output"]], defined: Bool[np.ndarray, " output"], share: float
) -> Bool[np.ndarray, " output"]:
    """The outputs that calibration data predict best: the top share by mean rank over several scores.

    Parameters
    ----------
    scores : sequence of array of shape (n_outputs,)
        Each from calibration data only, one per baseline, so that none is favoured; an undefined score ranks last.
        Without any there is nothing to choose by, and all defined outputs are taken.
    defined : array of shape (n_outputs,)
        Outputs that may be selected.
    share : float
        Of the defined outputs; at least one is selected.
    """
    if not scores:
        return defined.copy()
    ranks = np.zeros(len(defined))
    for score in scores:
        ranks += rankdata(np.where(np.isfinite(score), score, -np.inf))
    ranks[~defined] = -1
    wanted = max(1, round(share * int(defined.sum())))
    chosen = np.zeros(len(defined), bool)
    chosen[np.argsort(-ranks, kind="stable")[:wanted]] = True
    return chosen & defined
