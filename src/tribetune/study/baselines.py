"""The baselines on a study's own split: what each method is held against."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float

from tribetune.baselines.banded import BandedRidge, fit_banded
from tribetune.baselines.fir import FirRidge, fir_design, fit_fir
from tribetune.baselines.reduction import fit_reduction
from tribetune.evaluate.predict import Cut, predict_run
from tribetune.scores import pearson_r
from tribetune.splits import Part
from tribetune.study.prepare import Prepared
from tribetune.timing import STEPS_PER_OUTPUT


def zero_shot_calibration(study: Prepared) -> Float[np.ndarray, " output"]:
    """Zero-shot r per output on the calibration data, which zero-shot has not seen; each run z-scored, as in scores."""
    window_s, trunk = study.recipe.windows.duration_s, study.trunk
    parts, measured = study.split.training, training_samples(study)
    predicted = [predict_run(study.tribe, part.aligned, None, Cut(window_s, span=part.span), trunk) for part in parts]
    valid = np.concatenate([values[mask] for values, mask in zip(predicted, measured.masks, strict=True)])
    return pearson_r(*(torch.from_numpy(side) for side in (valid, measured.bold)), runs=measured.runs).numpy()


def fir_baseline(study: Prepared) -> dict[str, np.ndarray]:
    """Fit the FIR model on the calibration data and predict the test; returns what `fit_and_predict` does."""
    return fit_and_predict(study, fir_designs(study), fit_fir)


def fir_designs(study: Prepared) -> Callable[[Sequence[Part]], list[Float[np.ndarray, "_ feature"]]]:
    """What makes the designs of some parts, a row per second of each one's span."""
    seen = _features(study)
    return lambda parts: [_delayed(study, seen(part)) for part in parts]


def banded_baseline(study: Prepared) -> dict[str, np.ndarray]:
    """As `fir_baseline` with a penalty per modality."""
    seen, training = _features(study), training_samples(study)
    bands = list(seen(study.split.training[0]))

    def design(name: str, part: Part) -> Float[np.ndarray, "time feature"]:
        return _delayed(study, {name: seen(part)[name]})

    fitted_on = {
        name: np.concatenate(
            [design(name, part)[mask] for part, mask in zip(study.split.training, training.masks, strict=True)]
        )
        for name in bands
    }
    model = fit_banded(fitted_on, training.bold, training.runs, study.recipe.seed)
    test = [model.predict({name: design(name, part) for name in bands}) for part in study.split.test]
    return _kept(test, model)


@dataclass(frozen=True)
class Training:
    """Valid calibration samples of all parts.

    Attributes
    ----------
    masks : list of array of shape (n_samples of the part's span,)
        True where a sample is valid.
    bold : array of shape (n_samples, n_outputs)
    runs : list of str
        The run of each sample.
    """

    masks: list[Bool[np.ndarray, " _"]]
    bold: Float[np.ndarray, "time output"]
    runs: list[str]


def training_samples(study: Prepared) -> Training:
    """Valid calibration samples of a study."""
    parts = study.split.training
    masks = [part.mask[slice(*part.span)] for part in parts]
    bold = [part.aligned.bold[slice(*part.span)][mask] for part, mask in zip(parts, masks, strict=True)]
    runs = [part.aligned.label for part, mask in zip(parts, masks, strict=True) for _ in range(int(mask.sum()))]
    return Training(masks, np.concatenate(bold), runs)


def fit_and_predict(
    study: Prepared,
    designs: Callable[[Sequence[Part]], list[Float[np.ndarray, "time feature"]]],
    fit: Callable[..., FirRidge],
) -> dict[str, np.ndarray]:
    """Fit a linear model on the calibration data and predict the test.

    Parameters
    ----------
    study : Prepared
    designs : callable
        Designs of some parts, a row per second of each one's span.
    fit : callable
        From design, BOLD and runs to a model.

    Returns
    -------
    dict
        ``test`` (n_samples, n_outputs), every sample of the test parts; ``calibration`` (n_outputs,), cross-validated
        R² within the calibration data; ``n_weights``.
    """
    training = training_samples(study)
    rows = [design[mask] for design, mask in zip(designs(study.split.training), training.masks, strict=True)]
    model = fit(np.concatenate(rows), training.bold, training.runs)
    return _kept([model.predict(design) for design in designs(study.split.test)], model)


def _kept(test: Sequence[np.ndarray], model: FirRidge | BandedRidge) -> dict[str, np.ndarray]:
    return {
        "test": np.concatenate(test),
        "calibration": model.calibration_r2,
        "n_weights": np.asarray(model.n_weights),
    }


def _delayed(
    study: Prepared, features: Mapping[str, Float[np.ndarray, "_ _ step"]]
) -> Float[np.ndarray, "time feature"]:
    return fir_design(features, study.recipe.evaluation.fir_delays_s, study.recipe.windows.hemodynamic_lag_s)


def _features(study: Prepared) -> Callable[[Part], dict[str, Float[np.ndarray, "_ _ step"]]]:
    """What a part shows, from inside its span only: reduced where the recipe says so; silent where a run lacks it."""
    sizes = {
        name: array.shape[:2]
        for part in (*study.split.training, *study.split.test)
        for name, array in part.aligned.features.arrays.items()
    }

    def seen(part: Part) -> dict[str, Float[np.ndarray, "_ _ step"]]:
        first, last = (second * STEPS_PER_OUTPUT for second in part.span)
        there = part.aligned.features.steps(first, last)
        return {name: there.get(name, np.zeros((*size, last - first), np.float32)) for name, size in sizes.items()}

    wanted = study.recipe.evaluation.fir_components
    if wanted is None:
        return seen
    training = [seen(part) for part in study.split.training]
    reductions = {name: fit_reduction([one[name] for one in training], wanted, study.recipe.seed) for name in sizes}
    return lambda part: {name: reductions[name].apply(values) for name, values in seen(part).items()}
