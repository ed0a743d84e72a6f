"""Least squares over the valid samples of a run: what a line and confounds explain, and what they leave."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

_BLOCK = 256
"""Outputs taken at once: in double precision they stay in the processor's cache."""

_FLAT = 1e-6
"""Deviation below this share of an output's largest value is float32 rounding, not signal."""

_SAME = 1e-9
"""A regressor whose own part is below this share of it repeats the ones before."""


@dataclass(frozen=True)
class Fitted:
    """Some outputs of a run, fitted.

    Attributes
    ----------
    outputs : slice
        Which.
    weights : array of shape (n_columns, n_block)
        Of the basis.
    rest : array of shape (n_valid, n_block)
        What the basis leaves; the reader may write into it.
    deviation : array of shape (n_block,)
        Of the rest (ddof 1); NaN in outputs that are not finite, or that the basis explains but for rounding.
    """

    outputs: slice
    weights: Float[np.ndarray, "column block"]
    rest: Float[np.ndarray, "sample block"]
    deviation: Float[np.ndarray, " block"]


def line_and(
    confounds: Float[np.ndarray, "time confound"] | None, mask: Bool[np.ndarray, " time"]
) -> Float[np.ndarray, "sample column"]:
    """Orthonormal columns on the valid samples: a constant, a line over time, then what else the confounds span.

    Regressors that repeat others, to one part in 1e9, add no column.
    """
    from scipy.linalg import qr

    times = np.flatnonzero(mask).astype(np.float64)
    line = np.stack([np.ones_like(times), times - times.mean() if len(times) else times], axis=1)
    line /= np.maximum(np.linalg.norm(line, axis=0), np.finfo(float).tiny)
    if confounds is None or not len(times):
        return line
    columns = confounds[mask].astype(np.float64)
    scale = np.linalg.norm(columns, axis=0)
    columns -= line @ (line.T @ columns)
    own = np.linalg.norm(columns, axis=0)
    columns = columns[:, own > _SAME * scale] / own[own > _SAME * scale]
    rotated, upper, _ = qr(columns, mode="economic", pivoting=True)
    rotated = rotated[:, np.abs(np.diag(upper)) > _SAME]
    # Once more, because regressors that are nearly one (a mean and its square) bring rounding back along the line.
    return np.hstack([line, qr(rotated - line @ (line.T @ rotated), mode="economic")[0]])


def fitted(
    values: Float[np.ndarray, "time output"],
    mask: Bool[np.ndarray, " time"],
    basis: Float[np.ndarray, "sample column"],
) -> Iterator[Fitted]:
    """Fit all outputs, some at a time in double precision; ``values`` stays as it is.

    Parameters
    ----------
    values : array of shape (n_trs, n_outputs)
        Only valid rows are looked at.
    mask : array of shape (n_trs,)
        True where a sample is valid; at least two are.
    basis : array of shape (n_valid, n_columns)
        As `line_and` makes it.
    """
    basis = np.ascontiguousarray(basis)
    rows = slice(None) if mask.all() else mask
    for first in range(0, values.shape[1], _BLOCK):
        outputs = slice(first, first + _BLOCK)
        part = values[rows, outputs].astype(np.float64)
        rounding = _FLAT * np.maximum(part.max(0), -part.min(0))
        weights = basis.T @ part
        part -= basis @ weights
        deviation = np.sqrt(np.einsum("tv,tv->v", part, part) / (len(part) - 1))
        yield Fitted(outputs, weights, part, np.where(deviation > rounding, deviation, np.nan))
