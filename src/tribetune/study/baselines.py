"""The baselines on a study's own split: what each method is held against."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from tribetune.baselines.fir import fir_design, fit_fir
from tribetune.evaluate.predict import predict_run
from tribetune.scores import pearson_r
from tribetune.splits import Part
from tribetune.study.prepare import Prepared
from tribetune.timing import STEPS_PER_OUTPUT


def zero_shot_calibration(study: Prepared) -> Float[np.ndarray, " output"]:
    """Zero-shot r per output on the calibration data, which zero-shot has not seen."""
    window_s = study.recipe.windows.duration_s
    parts = study.split.training
    predicted = [
        predict_run(study.tribe, p.aligned, None, window_s=window_s, stride_s=window_s, span=p.span) for p in parts
    ]
    measured = [part.aligned.bold[slice(*part.span)] for part in parts]
    mask = np.concatenate([part.mask[slice(*part.span)] for part in parts])
    return pearson_r(*(torch.from_numpy(np.concatenate(side)[mask]) for side in (predicted, measured))).numpy()


def fir_baseline(study: Prepared) -> dict[str, np.ndarray]:
    """Fit the FIR model on the calibration data and predict the test.

    Returns
    -------
    dict
        ``test`` (n_samples, n_outputs), every sample of the test parts; ``calibration`` (n_outputs,), cross-validated
        R² within the calibration data; ``n_weights``.
    """
    parts = study.split.training
    masks = [part.mask[slice(*part.span)] for part in parts]
    designs = [design[mask] for design, mask in zip(_designs(study, parts), masks, strict=True)]
    bold = [part.aligned.bold[slice(*part.span)][mask] for part, mask in zip(parts, masks, strict=True)]
    runs = [part.aligned.label for part, mask in zip(parts, masks, strict=True) for _ in range(int(mask.sum()))]
    model = fit_fir(np.concatenate(designs), np.concatenate(bold), runs)
    test = [model.predict(design) for design in _designs(study, study.split.test)]
    return {
        "test": np.concatenate(test),
        "calibration": model.calibration_r2,
        "n_weights": np.asarray(model.n_weights),
    }


def _designs(study: Prepared, parts: Sequence[Part]) -> list[Float[np.ndarray, "time feature"]]:
    """Delayed features of each part, from inside its span only; a modality that a run lacks is silent there."""
    delays, lag_s = study.recipe.evaluation.fir_delays_s, study.recipe.windows.hemodynamic_lag_s
    sizes = {
        name: array.shape[:2]
        for part in (*study.split.training, *study.split.test)
        for name, array in part.aligned.features.arrays.items()
    }
    designs = []
    for part in parts:
        first, last = part.span
        seen = part.aligned.features.steps(first * STEPS_PER_OUTPUT, last * STEPS_PER_OUTPUT)
        silence = {
            name: np.zeros((*size, (last - first) * STEPS_PER_OUTPUT), np.float32) for name, size in sizes.items()
        }
        designs.append(fir_design({**silence, **seen}, delays, lag_s))
    return designs
