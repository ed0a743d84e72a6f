"""A trained readout's difference from where it started, cut down to a rank."""

import torch
from torch import Tensor

from tribetune.adapt.adapter import BIAS, LEFT, RIGHT
from tribetune.adapt.descent import Descent
from tribetune.adapt.low_rank import leading_directions

_FLOOR = 0.01
"""Added to the variance of every direction, in standard deviations of the trunk's output squared."""


def low_rank_readout(
    descent: Descent, start: tuple[Tensor, Tensor], values: Tensor, rank: int, seed: int
) -> dict[str, Tensor]:
    """The difference of this rank whose predictions for the calibration data are nearest to the trained readout's.

    Parameters
    ----------
    descent : Descent
        As trained.
    start : tuple of Tensor
        Weights (readout_in, n_outputs) and bias (n_outputs,) that the difference is from.
    values : Tensor of shape (n_samples, readout_in)
        The trunk's output for the calibration data.
    rank : int
        At most; fewer where the readout has fewer inputs or outputs.
    seed : int
        Of the randomised singular vectors.

    Returns
    -------
    dict of str to Tensor
        ``readout.left``, ``readout.right``, ``readout.bias``.

    Notes
    -----
    With ``L·L'`` the second moments of the standardised values, the error of a difference D cut down to B is
    ``|L'·(D − B)|²``: B comes from the leading singular vectors of ``L'·D`` (Eckart & Young 1936).
    """
    mean, spread = descent.scale.mean, descent.scale.spread
    standard = (values - mean) / spread
    gram = (standard.T @ standard / len(standard)).cpu()
    gram.diagonal().add_(_FLOOR)
    root = torch.linalg.cholesky(gram).to(values.device)
    wanted = root.T @ (descent.weights - start[0] * spread[:, None])
    directions = leading_directions(wanted, min(rank, *wanted.shape), seed)
    left = torch.linalg.solve_triangular(root.T, directions, upper=True) / spread[:, None]
    right = directions.T @ wanted
    return {LEFT: left, RIGHT: right, BIAS: descent.bias - mean @ start[0] - mean @ left @ right}
