"""What a study's modalities contribute: predictions of the test from every set of them, scored and parted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from tribetune.evaluate.parcels import Parcels, set_means
from tribetune.evaluate.unique import Subset, contributions, subsets
from tribetune.report.modalities import modality_map
from tribetune.scores import pearson_r
from tribetune.spaces import FSAVERAGE5
from tribetune.splits import Part
from tribetune.study.clock import Clock
from tribetune.study.prepare import Prepared

_PREFIX, _AND = "from-", "+"

_KEPT = np.float16
"""What is predicted from some modalities is kept in half precision: r moves by less than 1e-4."""


@dataclass(frozen=True)
class ByModality:
    """What a model predicts from every set of modalities.

    Attributes
    ----------
    r : mapping of modalities to array of shape (n_outputs,)
        Held-out r of predictions from them, each run z-scored.
    """

    r: Mapping[Subset, Float[np.ndarray, " output"]]

    @property
    def parts(self) -> dict[Subset, Float[np.ndarray, " output"]]:
        """As `tribetune.evaluate.unique.contributions`."""
        return contributions(self.r)

    @property
    def unique(self) -> dict[str, Float[np.ndarray, " output"]]:
        """What each modality alone adds."""
        return {subset[0]: values for subset, values in self.parts.items() if len(subset) == 1}

    def arrays(self) -> dict[str, Float[np.ndarray, " output"]]:
        """What ``scores.npz`` gains, per output."""
        arrays = {f"r_{_AND.join(subset)}": values for subset, values in self.r.items()}
        return arrays | {f"{_kind(subset)}_{_AND.join(subset)}": values for subset, values in self.parts.items()}

    def rows(self, parcels: Parcels) -> list[dict[str, Any]]:
        """A row of ``modalities.tsv`` per parcel and set of modalities; each mean with the outputs that entered it."""
        rows, parts = [], self.parts
        for subset, r in self.r.items():
            means, counts = set_means(r, parcels)
            own, n_own = set_means(parts[subset], parcels)
            for k, name in enumerate(parcels.names):
                row: dict[str, Any] = {"parcel": name, "from": _AND.join(subset)}
                row |= {"mean_r": float(means[k]), "n_outputs": int(counts[k]), "kind": _kind(subset)}
                rows.append(row | {"contribution": float(own[k]), "n_contribution": int(n_own[k])})
        return rows


def modalities_of(study: Prepared) -> list[str]:
    """Modalities that every test part shows, in the recipe's order: one that a part lacks cannot be taken from it."""
    shown = [set(part.aligned.features.arrays) for part in study.split.test]
    return [name for name in study.recipe.features.modalities if all(name in names for names in shown)]


def wanted_subsets(study: Prepared) -> list[Subset]:
    """Sets of modalities to predict from beside all of them; none unless the recipe asks, or where there is one."""
    return subsets(modalities_of(study))[1:] if study.recipe.evaluation.unique_contribution else []


def unique_note(study: Prepared) -> list[str]:
    """Why nothing is said of modalities though the recipe asks."""
    names = modalities_of(study)
    if not study.recipe.evaluation.unique_contribution or len(names) > 1:
        return []
    found = f"only {names[0]}" if names else "no modality"
    return [f"Unique contributions are not defined: every run of the test shows {found}, and it takes two or more."]


def from_subsets(
    study: Prepared, predict: Callable[[Part], Float[np.ndarray, "time output"]]
) -> dict[str, Float[np.ndarray, "time output"]]:
    """Predictions of the test from every set of modalities but all, named for a stage; none unless the recipe asks.

    Parameters
    ----------
    study : Prepared
    predict : callable
        Predicts one part of the test.
    """
    predicted = {
        _PREFIX + _AND.join(subset): np.concatenate([predict(_only(part, subset)) for part in study.split.test])
        for subset in wanted_subsets(study)
    }
    return {name: values.astype(_KEPT) for name, values in predicted.items()}


def of_stage(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What is predicted from each set of modalities, by its name, from a stage's arrays."""
    found = {name.removeprefix(_PREFIX): values for name, values in arrays.items() if name.startswith(_PREFIX)}
    return {name: values.astype(np.float32) for name, values in found.items()}


def by_modality(
    full: Float[np.ndarray, "time output"], some: Mapping[str, np.ndarray], clock: Clock, names: Sequence[str]
) -> ByModality:
    """Scores of predictions from every set of modalities, each run z-scored, on the samples of the table.

    Parameters
    ----------
    full : array of shape (n_samples, n_outputs)
        Predicted from all modalities.
    some : mapping of str to array of shape (n_samples, n_outputs)
        Predicted from these, as `of_stage` names them, on the clock of ``full``.
    clock : Clock
    names : sequence of str
        All modalities.
    """
    bold, runs = torch.from_numpy(np.ascontiguousarray(clock.held_out.bold)), clock.held_out.runs
    predicted = {_AND.join(names): full, **some}
    sides = {subset: torch.from_numpy(np.ascontiguousarray(predicted[_AND.join(subset)])) for subset in subsets(names)}
    return ByModality({subset: pearson_r(side, bold, runs=runs).numpy() for subset, side in sides.items()})


def draw_unique(found: Mapping[str, ByModality], path: Path) -> None:
    """Write ``unique-METHOD.png`` for every method whose outputs are fsaverage5's."""
    for method, of_method in found.items():
        maps = of_method.unique
        if all(len(values) == FSAVERAGE5.n_outputs for values in maps.values()):
            modality_map(maps, path / f"unique-{method}.png", title=f"What each modality alone adds: {method}")


def _kind(subset: Subset) -> str:
    return "unique" if len(subset) == 1 else "shared"


def _only(part: Part, subset: Subset) -> Part:
    features = part.aligned.features
    kept = {name: values for name, values in features.arrays.items() if name in subset}
    return replace(part, aligned=replace(part.aligned, features=replace(features, arrays=kept)))
