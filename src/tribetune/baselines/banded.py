"""Banded ridge: a penalty per modality and output, so that a modality that says nothing is not in the way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from tribetune.baselines.backend import torch_backend
from tribetune.baselines.fir import ALPHAS, column_scale, enough_folds, warn_at_edge

N_ITER = 20
"""Weightings of the bands that are tried: equal ones, then random ones, sparse and even (Dirichlet)."""

_BATCH = 2048


@dataclass(frozen=True)
class Band:
    """The training samples of one modality.

    Attributes
    ----------
    mean, scale : array of shape (n_features,)
        Standardisation, from the training samples.
    samples : array of shape (n_samples, n_features)
        Standardised.
    """

    mean: np.ndarray
    scale: np.ndarray
    samples: np.ndarray

    def products(self, design: Float[np.ndarray, "time feature"]) -> Float[np.ndarray, "time sample"]:
        """Products of a design's standardised rows with the training samples."""
        return ((design - self.mean) / self.scale) @ self.samples.T


@dataclass(frozen=True)
class BandedRidge:
    """A fitted banded model.

    Attributes
    ----------
    bands : mapping of modality to Band
    log_weights : array of shape (n_bands, n_outputs)
        Logarithm of each band's weight, the inverse of its penalty; NaN for an undefined output.
    dual : array of shape (n_samples, n_outputs)
        Weights of the training samples.
    calibration_r2 : array of shape (n_outputs,)
        Cross-validated R² within the training samples, at the chosen penalties.
    """

    bands: Mapping[str, Band]
    log_weights: Float[np.ndarray, "band output"]
    dual: Float[np.ndarray, "sample output"]
    calibration_r2: Float[np.ndarray, " output"]

    def predict(self, designs: Mapping[str, Float[np.ndarray, "time _"]]) -> Float[np.ndarray, "time output"]:
        """Predicted BOLD of one design per modality."""
        parts = [
            (band.products(designs[name]) @ self.dual) * np.exp(log_weight)
            for (name, band), log_weight in zip(self.bands.items(), self.log_weights, strict=True)
        ]
        return np.sum(parts, axis=0)

    @property
    def n_weights(self) -> int:
        """Trained weights of the linear model, however they are kept."""
        return sum(len(band.mean) for band in self.bands.values()) * self.dual.shape[1]


def fit_banded(
    designs: Mapping[str, Float[np.ndarray, "time _"]],
    bold: Float[np.ndarray, "time output"],
    runs: Sequence[str],
    seed: int = 0,
) -> BandedRidge:
    """Ridge with a penalty per modality and output, by leave-one-run-out as `fit_fir` has it.

    Parameters
    ----------
    designs : mapping of modality to array of shape (n_samples, n_features)
        Valid training samples only, delayed as by `fir_design`.
    bold : array of shape (n_samples, n_outputs)
        Z-scored per run; a column with NaN gets NaN weights.
    runs : sequence of str, one per sample
    seed : int
        Of the weightings that are tried.

    Raises
    ------
    BoldError
        If fewer than two folds of samples are left.

    Notes
    -----
    Random search of Dupré la Tour, Eickenberg, Nunez-Elizalde and Gallant 2022 (NeuroImage 264), himalaya's
    ``MultipleKernelRidgeCV`` on one linear kernel per modality.
    """
    folds = enough_folds(runs, "banded")
    bands = {name: _band(design) for name, design in designs.items()}
    defined = np.asarray(np.isfinite(bold).all(0))
    kernels = np.stack([band.samples @ band.samples.T for band in bands.values()])
    log_weights, dual, r2 = _search(kernels, np.ascontiguousarray(bold[:, defined]), folds, seed)
    # Weights sum to 1 / λ, so that the edges of the grid show in the sum.
    warn_at_edge(1 / np.exp(log_weights).sum(0), "banded ridge")
    spread = [np.full((*part.shape[:-1], len(defined)), np.nan, np.float32) for part in (log_weights, dual, r2)]
    for whole, part in zip(spread, (log_weights, dual, r2), strict=True):
        whole[..., defined] = part
    return BandedRidge(bands, *spread)


def _band(design: Float[np.ndarray, "time feature"]) -> Band:
    mean, scale = column_scale(design)
    return Band(mean, scale, (design - mean) / scale)


def _search(
    kernels: Float[np.ndarray, "band time time"], bold: Float[np.ndarray, "time output"], folds: list, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log weights of the bands, weights of the samples, and the best cross-validated R²."""
    from himalaya.kernel_ridge import MultipleKernelRidgeCV
    from himalaya.scoring import r2_score

    solver = {
        "n_iter": N_ITER,
        "alphas": ALPHAS,
        "score_func": r2_score,
        "n_targets_batch": _BATCH,
        "n_targets_batch_refit": _BATCH,
        "progress_bar": False,
    }
    with torch_backend() as torch:
        model = MultipleKernelRidgeCV(
            "precomputed", solver="random_search", solver_params=solver, cv=folds, random_state=seed
        ).fit(torch.from_numpy(kernels), torch.from_numpy(bold))
        return model.deltas_.numpy(), model.dual_coef_.numpy(), model.cv_scores_.numpy().max(0)
