"""The linear (FIR) encoding model: delayed features, ridge by himalaya, λ per output by leaving runs out."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from tribetune.baselines.backend import torch_backend
from tribetune.errors import BoldError
from tribetune.timing import FEATURE_HZ, STEPS_PER_OUTPUT, delayed, to_step

logger = logging.getLogger(__name__)

ALPHAS = np.logspace(0, 7, 15)
"""Ridge penalties tried; wide, so that the best is inside."""

_FOLDS = 5
_EDGE_SHARE = 0.5


@dataclass(frozen=True)
class FirRidge:
    """A fitted FIR model.

    Attributes
    ----------
    mean, scale : array of shape (n_features,)
        Standardisation of the delayed features, from the training samples.
    weights : array of shape (n_features, n_outputs) or (n_samples, n_outputs)
        On standardised features; on their products with ``samples`` where there are fewer samples than features.
    samples : array of shape (n_samples, n_features), optional
        The standardised training samples; their few weights say what a huge matrix (gigabytes for the released
        encoders) would.
    alphas : array of shape (n_outputs,)
        Chosen penalty per output.
    calibration_r2 : array of shape (n_outputs,)
        Cross-validated R² within the training samples, at the chosen penalty.
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    alphas: np.ndarray
    calibration_r2: np.ndarray
    samples: np.ndarray | None = None

    def predict(self, design: Float[np.ndarray, "time feature"]) -> Float[np.ndarray, "time output"]:
        """Predicted BOLD of a design made by `fir_design`."""
        standard = (design - self.mean) / self.scale
        return (standard if self.samples is None else standard @ self.samples.T) @ self.weights

    @property
    def n_weights(self) -> int:
        """Trained weights of the linear model, however they are kept."""
        return len(self.mean) * self.weights.shape[1]


def fir_design(
    features: Mapping[str, Float[np.ndarray, "layer dim step"]], delays_s: Sequence[float], lag_s: float
) -> Float[np.ndarray, "time feature"]:
    """Delayed features at 1 Hz for BOLD that is already shifted by the lag.

    Row t predicts BOLD at stimulus time ``t + lag_s`` from the features ``delay`` seconds before it: features move by
    ``delay - lag`` on their own 2 Hz grid, then pairs of steps are averaged.

    Parameters
    ----------
    features : mapping of modality to array of shape (n_layers, n_dims, n_steps)
        One run's features at 2 Hz; zeros stand for silence.
    delays_s : sequence of float
        Seconds from stimulus to BOLD (2, 4, 6 and 8 s are usual).
    lag_s : float
        Lag already applied to the BOLD.

    Returns
    -------
    array of shape (n_samples, n_modalities * n_layers * n_dims * n_delays)
    """
    columns = [np.asarray(features[name], np.float32).reshape(-1, features[name].shape[-1]).T for name in features]
    steps = np.concatenate(columns, axis=1)
    steps = np.pad(steps, ((0, -len(steps) % STEPS_PER_OUTPUT), (0, 0)))
    moved = [delayed(steps, to_step(delay - lag_s, FEATURE_HZ)) for delay in delays_s]
    design = np.concatenate(moved, axis=1)
    return design.reshape(-1, STEPS_PER_OUTPUT, design.shape[1]).mean(1)


def fit_fir(
    design: Float[np.ndarray, "time feature"],
    bold: Float[np.ndarray, "time output"],
    runs: Sequence[str],
    name: str = "FIR",
) -> FirRidge:
    """Ridge with λ per output by leave-one-run-out, or by contiguous fifths within a single run.

    Parameters
    ----------
    design : array of shape (n_samples, n_features)
        Valid training samples only.
    bold : array of shape (n_samples, n_outputs)
        Z-scored per run; a column with NaN gets NaN weights.
    runs : sequence of str, one per sample
    name : str
        What messages call it.

    Raises
    ------
    BoldError
        If fewer than two folds of samples are left.
    """
    folds = enough_folds(runs, name)
    mean, scale = column_scale(design)
    standard = (design - mean) / scale
    defined = np.asarray(np.isfinite(bold).all(0))
    found, alphas, r2 = _ridge(standard, np.ascontiguousarray(bold[:, defined]), folds)
    warn_at_edge(alphas, name)
    weights = np.full((len(found), bold.shape[1]), np.nan, np.float32)
    weights[:, defined] = found
    samples = standard if _by_kernel(standard) else None
    return FirRidge(mean, scale, weights, _spread(alphas, defined), _spread(r2, defined), samples)


def enough_folds(runs: Sequence[str], name: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Folds of `run_folds`.

    Raises
    ------
    BoldError
        If there are fewer than two, or too few samples.
    """
    folds = list(run_folds(runs))
    if len(folds) < 2 or len(runs) < 2 * _FOLDS:
        raise BoldError(f"{len(runs)} samples are too few for a {name} baseline", hint="give more calibration minutes")
    return folds


def column_scale(design: Float[np.ndarray, "time feature"]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of every column; 1 where it does not vary."""
    mean, scale = design.mean(0), design.std(0)
    return mean, np.where(scale > 0, scale, 1.0).astype(design.dtype)


def _by_kernel(design: np.ndarray) -> bool:
    """Whether there are no more samples than features: then the kernel is the smaller matrix."""
    return design.shape[0] <= design.shape[1]


def _ridge(design: np.ndarray, bold: np.ndarray, folds: list) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights (of samples, where the kernel is smaller), penalties and cross-validated R²."""
    from himalaya.kernel_ridge import KernelRidgeCV
    from himalaya.ridge import RidgeCV
    from himalaya.scoring import r2_score

    solver = {"n_targets_batch": 2048, "score_func": r2_score}
    with torch_backend() as torch:
        x, y = torch.from_numpy(design), torch.from_numpy(bold)
        if _by_kernel(design):
            model = KernelRidgeCV(alphas=ALPHAS, cv=folds, solver_params=solver).fit(x, y)
            weights = model.dual_coef_
        else:
            model = RidgeCV(alphas=ALPHAS, cv=folds, solver_params={**solver, "warn": False}).fit(x, y)
            weights = model.coef_
        return weights.numpy(), model.best_alphas_.numpy(), model.cv_scores_.numpy()


def _spread(values: np.ndarray, defined: np.ndarray) -> np.ndarray:
    """Values of the defined outputs among all outputs, NaN elsewhere."""
    out = np.full(len(defined), np.nan)
    out[defined] = values
    return out


def run_folds(runs: Sequence[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Leave-one-run-out folds as (training, left out) sample indices; contiguous fifths where there is one run."""
    labels = np.asarray(runs)
    names = list(dict.fromkeys(runs))
    if len(names) > 1:
        groups: Bool[np.ndarray, "fold time"] = np.stack([labels == name for name in names])
    else:
        place = np.arange(len(labels)) * _FOLDS // max(1, len(labels))
        groups = np.stack([place == fold for fold in np.unique(place)])
    for left_out in groups:
        yield np.flatnonzero(~left_out), np.flatnonzero(left_out)


def warn_at_edge(alphas: Float[np.ndarray, " output"], name: str = "FIR") -> None:
    """Say so when most outputs would take a penalty at an edge of the grid."""
    for edge, side in ((ALPHAS[0], "smallest"), (ALPHAS[-1], "largest")):
        share = float(np.isclose(alphas, edge).mean())
        # The largest penalty is the honest answer for an output without signal, so only a majority is a warning.
        if share > _EDGE_SHARE:
            logger.warning(
                "%s: the %s penalty is best for %.0f %% of outputs: the grid may be too narrow", name, side, 100 * share
            )
