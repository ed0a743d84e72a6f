"""`tribetune evaluate`: a run's scores again, from what it saved; with ``--verify`` from BOLD and adapters."""

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tribetune.errors import AdaptationError, BoldError, CheckpointError, RecipeError, TribetuneError
from tribetune.files import hash_file
from tribetune.progress import Progress, Silent
from tribetune.recipe.file import read_recipe
from tribetune.recipe.schema import Recipe
from tribetune.study.adapt import Wanted, adapter_places, fit_all
from tribetune.study.prepare import Prepared, prepare
from tribetune.study.provenance import short_names
from tribetune.study.scoring import Scored, score_all
from tribetune.study.stages import RunFolder, read_fingerprint

R_TOLERANCE, MEAN_TOLERANCE = 1e-3, 1e-4
"""Largest difference of one output's r, and of the mean r, that float32 may make on another machine: a penalty that is
as good as its neighbour may be chosen there. On the same machine there is none."""

_AGAIN = "run the same `tribetune adapt` command again: it continues with what is not finished"


@dataclass(frozen=True)
class Rescored:
    """A run's scores, found again.

    Attributes
    ----------
    rows : list of dict
        As the table of `adapt`.
    verdict : str
    folder : Path
    notes : list of str
        Those of the run, then how the scores were found again.
    largest : mapping of method to float
        Largest difference from the stored r over outputs.
    """

    rows: list[dict[str, Any]]
    verdict: str
    folder: Path
    notes: list[str]
    largest: Mapping[str, float]


@dataclass(frozen=True)
class _Kept:
    """Stages as a run saved them; nothing is made."""

    folder: RunFolder

    @property
    def path(self) -> Path:
        return self.folder.path

    def stage(self, name: str, make: Callable[[], Mapping[str, np.ndarray]]) -> tuple[dict[str, np.ndarray], float]:
        """The stage's arrays.

        Raises
        ------
        AdaptationError
            If the run did not finish it, or its file is damaged.
        """
        del make  # nothing is made
        kept = self.folder.load(name)
        if kept is None:
            raise AdaptationError(f"{self.path}: {name} is not finished, or damaged", hint=_AGAIN)
        return kept, float(kept["seconds"])


@dataclass(frozen=True)
class _Remade:
    """Predictions made again from features, BOLD and adapters; what was fitted into an adapter is taken from it."""

    kept: _Kept
    path: Path = field(default_factory=Path)

    def stage(self, name: str, make: Callable[[], Mapping[str, np.ndarray]]) -> tuple[dict[str, np.ndarray], float]:
        """The stage's arrays, made again unless they are an adapter's; its seconds are those of the run."""
        kept, seconds = self.kept.stage(name, make)
        if name.startswith("fit-"):
            return kept, seconds
        return {key: np.asarray(values) for key, values in make().items()}, seconds


def rescore(path: Path, verify: bool = False, progress: Progress | None = None) -> Rescored:
    """Score a finished run again, and hold the scores against those it stored. Nothing in it is changed.

    Parameters
    ----------
    path : Path
        A run folder of `adapt`; the files that its recipe names must be where they were.
    verify : bool
        Whether to predict again from features and adapters, and fit the baselines again, instead of reading what was
        predicted.
    progress : Progress, optional

    Raises
    ------
    AdaptationError
        If the run is not finished, or the scores are others than those stored.
    RecipeError, CheckpointError, BoldError
        If its recipe, the checkpoint or an input has changed.
    """
    progress = progress or Silent()
    told = read_fingerprint(path)
    if "methods" not in told:
        raise RecipeError(f"{path} holds a group prediction, no run of adapt", hint="run `tribetune group` again")
    stored = _stored(path)
    recipe = _recipe(path, told)
    progress.step("Reading checkpoint, BOLD and stimuli")
    study = prepare(recipe, progress)
    _check_same(study, path, told)
    places = adapter_places(path, told["methods"])
    wanted = {method: Wanted(method, {}, place) for method, place in places.items()}
    kept = _Kept(RunFolder(path))
    with tempfile.TemporaryDirectory(prefix="tribetune-") as scratch:
        stages = _Remade(kept, Path(scratch)) if verify else kept
        progress.step("Predicting and fitting baselines again" if verify else "Scoring what was predicted")
        scored = score_all(study, fit_all(study, stages, wanted, progress), list(places))
    largest = _compared(scored, path, stored, (R_TOLERANCE, MEAN_TOLERANCE) if verify else (0.0, 0.0))
    return Rescored(scored.rows, scored.verdict, path, [*stored["notes"], _sentence(largest, verify)], largest)


def _stored(path: Path) -> dict[str, Any]:
    for name in ("recipe.yaml", "provenance.json", "scores.json", "scores.npz"):
        if not (path / name).is_file():
            raise AdaptationError(f"{path} has no {name}: the run is not finished", hint=_AGAIN)
    return json.loads((path / "scores.json").read_text(encoding="utf-8"))


def _recipe(path: Path, told: Mapping[str, Any]) -> Recipe:
    recipe = read_recipe(path / "recipe.yaml")
    if recipe != Recipe.model_validate(told["recipe"]):
        raise RecipeError(
            f"{path / 'recipe.yaml'} has changed since the run", hint="put it back, or run `tribetune adapt` with it"
        )
    return recipe


def _check_same(study: Prepared, path: Path, told: Mapping[str, Any]) -> None:
    """Refuse a checkpoint, events, words or files that are not those of the run, by their content."""
    if study.base["hash"] != told["checkpoint"]:
        raise CheckpointError(
            f"{study.base['name']} is not the checkpoint that {path} was made with (the hashes differ)",
            hint="give checkpoint its place in recipe.yaml again",
        )
    changed = [run for run, digest in study.timelines.items() if told["timelines"].get(run) != digest]
    if changed:
        raise BoldError(f"events or words of {', '.join(changed)} have changed since the run", hint="put them back")
    hashes = json.loads((path / "provenance.json").read_text(encoding="utf-8"))["inputs"]
    found = short_names(study.inputs)
    other = [name for name, file in found.items() if hashes.get(name) != hash_file(file)]
    if other or len(found) != len(hashes):
        names = other or sorted(set(hashes) - set(found))
        raise BoldError(f"{', '.join(names)}: not the file of the run", hint="put it back, or adapt again")


def _compared(
    scored: Scored, path: Path, stored: Mapping[str, Any], tolerances: tuple[float, float]
) -> dict[str, float]:
    """Largest difference of r per method.

    Raises
    ------
    AdaptationError
        If one is beyond its tolerance.
    """
    largest: dict[str, float] = {}
    with np.load(path / "scores.npz") as arrays:
        for method, r in scored.bootstrap.scores.items():
            before = arrays[method.replace("-", "_")]
            if before.shape != r.shape or (np.isfinite(before) != np.isfinite(r)).any():
                raise _differs(method, "other outputs have a score")
            largest[method] = float(np.nanmax(np.abs(before - r), initial=0.0)) if np.isfinite(r).any() else 0.0
            if largest[method] > tolerances[0]:
                raise _differs(method, f"r differs by up to {largest[method]:.2g}, expected {tolerances[0]:g} at most")
    means = {row["method"]: row["mean_r"] for row in stored["rows"] if row["defined"]}
    for row in scored.rows:
        if row["defined"] and not abs(row["mean_r"] - (means.get(row["method"]) or np.nan)) <= tolerances[1]:
            raise _differs(row["method"], f"mean r is {row['mean_r']:.6f}, stored is {means.get(row['method'])}")
    return largest


def _differs(method: str, how: str) -> TribetuneError:
    return AdaptationError(
        f"{method}: the scores are not those stored: {how}",
        hint="provenance.json names the versions that the run was made with",
    )


def _sentence(largest: Mapping[str, float], verify: bool) -> str:
    if not verify:
        return "Scored again from what was saved: the same figures."
    parts = ", ".join(f"{method} {value:.1g}" for method, value in largest.items())
    return f"Predicted again from features and adapters; largest difference of any output's r: {parts}."
