"""Unique contributions of a study's modalities: predictions of the test with each one taken away."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from tribetune.evaluate.bootstrap import zscore_by_run
from tribetune.evaluate.unique import subsets_needed, unique_contribution
from tribetune.report.modalities import modality_map
from tribetune.spaces import FSAVERAGE5
from tribetune.splits import Part
from tribetune.study.evaluation import Clock
from tribetune.study.prepare import Prepared

_PREFIX = "without-"


def modalities_of(study: Prepared) -> list[str]:
    """Modalities that every test part shows, in the recipe's order: one that a part lacks cannot be taken from it."""
    shown = [set(part.aligned.features.arrays) for part in study.split.test]
    return [name for name in study.recipe.features.modalities if all(name in names for names in shown)]


def without_each(
    study: Prepared, predict: Callable[[Part], Float[np.ndarray, "time output"]]
) -> dict[str, Float[np.ndarray, "time output"]]:
    """Predictions of the test with each modality absent, named for a stage; none unless the recipe asks for them.

    Parameters
    ----------
    study : Prepared
    predict : callable
        Predicts one part of the test.
    """
    names = modalities_of(study)
    if not study.recipe.evaluation.unique_contribution or len(names) < 2:
        return {}
    return {
        _PREFIX + name: np.concatenate([predict(_without(part, name)) for part in study.split.test]) for name in names
    }


def of_stage(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Modality to what is predicted without it, from a stage's arrays."""
    return {name.removeprefix(_PREFIX): values for name, values in arrays.items() if name.startswith(_PREFIX)}


def unique_scores(
    full: Float[np.ndarray, "time output"], without: Mapping[str, np.ndarray], clock: Clock
) -> dict[str, Float[np.ndarray, " output"]]:
    """Unique contribution of each modality, each run z-scored, on the samples of the table.

    Parameters
    ----------
    full : array of shape (n_samples, n_outputs)
        Predicted from all modalities.
    without : mapping of modality to array of shape (n_samples, n_outputs)
        Predicted without it, on the clock of ``full``.
    clock : Clock
    """
    if not without:
        return {}
    labels = np.asarray(clock.held_out.runs)
    measured, names = zscore_by_run(clock.held_out.bold, labels), list(without)
    whole, *parts = subsets_needed(names)
    predicted = {whole: full} | dict(zip(parts, without.values(), strict=True))
    r = {subset: (zscore_by_run(values, labels) * measured).mean(0) for subset, values in predicted.items()}
    return unique_contribution(r, names)


def draw_unique(unique: Mapping[str, Mapping[str, np.ndarray]], path: Path) -> None:
    """Write ``unique-METHOD.png`` for every method whose outputs are fsaverage5's."""
    for method, maps in unique.items():
        if maps and all(len(values) == FSAVERAGE5.n_outputs for values in maps.values()):
            modality_map(maps, path / f"unique-{method}.png", title=f"What each modality alone adds: {method}")


def _without(part: Part, name: str) -> Part:
    features = part.aligned.features
    kept = {other: values for other, values in features.arrays.items() if other != name}
    return replace(part, aligned=replace(part.aligned, features=replace(features, arrays=kept)))
