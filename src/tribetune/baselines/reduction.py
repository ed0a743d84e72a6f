"""Features reduced to their principal components, fitted on training runs alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from tribetune.baselines.fir import column_scale
from tribetune.errors import FeatureError


@dataclass(frozen=True)
class Reduction:
    """Principal components of one modality.

    Attributes
    ----------
    mean, scale : array of shape (n_layers * n_dims,)
        Standardisation, from the training steps.
    components : array of shape (n_components, n_layers * n_dims)
    explained : float
        Share of the training steps' variance that they keep.
    """

    mean: np.ndarray
    scale: np.ndarray
    components: Float[np.ndarray, "component feature"]
    explained: float

    def apply(self, features: Float[np.ndarray, "layer dim step"]) -> Float[np.ndarray, "one component step"]:
        """Components over time, as features of one layer."""
        return (self.components @ ((_columns(features) - self.mean) / self.scale).T)[None]


def fit_reduction(features: Sequence[Float[np.ndarray, "layer dim _"]], n_components: int, seed: int = 0) -> Reduction:
    """Fit the components of one modality; the caller hands over training runs and nothing else.

    Parameters
    ----------
    features : sequence of array of shape (n_layers, n_dims, n_steps)
        One per training run.
    n_components : int
        All are kept where there are fewer features or steps.
    seed : int
        Of scikit-learn's randomised solver, which is used for large features.

    Raises
    ------
    FeatureError
        If there are fewer than two steps.
    """
    from sklearn.decomposition import PCA

    steps = np.concatenate([_columns(part) for part in features])
    if len(steps) < 2:
        raise FeatureError(f"{len(steps)} steps of features are too few for PCA", hint="give more calibration minutes")
    mean, scale = column_scale(steps)
    wanted = min(n_components, *steps.shape)
    found = PCA(wanted, random_state=seed).fit((steps - mean) / scale)
    explained = float(found.explained_variance_ratio_.sum())
    return Reduction(mean, scale, found.components_.astype(np.float32), explained)


def _columns(features: Float[np.ndarray, "layer dim step"]) -> Float[np.ndarray, "step feature"]:
    return np.asarray(features, np.float32).reshape(-1, features.shape[-1]).T
