"""`tribetune evaluate`: a run's scores again, from what it saved; with ``--verify`` from BOLD and adapters."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tribetune.errors import AdaptationError, BoldError, CheckpointError, RecipeError
from tribetune.files import hash_file
from tribetune.progress import Progress, Silent
from tribetune.recipe.file import read_recipe
from tribetune.recipe.schema import Recipe
from tribetune.study.adapt import Wanted, adapter_places, fit_all
from tribetune.study.damaged import check_readable
from tribetune.study.prepare import Prepared, prepare
from tribetune.study.provenance import short_names
from tribetune.study.scoring import Scored, score_all
from tribetune.study.stages import RunFolder, read_fingerprint
from tribetune.study.stored import Difference, differences, size_of_r, values_found, values_stored

_SHOWN = 3
"""Differences that an error names."""

_AGAIN = "run the same `tribetune adapt` command again: it makes what is not finished, or damaged"


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
class Kept:
    """Stages as a run saved them; nothing is made."""

    folder: RunFolder

    @property
    def path(self) -> Path:
        """The run folder."""
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

    kept: Kept
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
        If the run is not finished, or a score, or anything beside it, is another than the one stored: all numbers of
        ``scores.json``, ``scores.npz``, ``scores.tsv`` and ``modalities.tsv`` are compared. What is told of living with
        an adapter is not made again.
    RecipeError, CheckpointError, BoldError
        If its recipe, the checkpoint or an input has changed.
    """
    progress = progress or Silent()
    told = read_fingerprint(path)
    stored = _stored(path)
    recipe = _recipe(path, told)
    progress.step("Reading checkpoint, BOLD and stimuli")
    study = prepare(recipe, progress)
    _check_same(study, path, told)
    places = adapter_places(path, told["methods"])
    wanted = {method: Wanted(method, {}, place) for method, place in places.items()}
    check_readable(places, _AGAIN)
    kept = Kept(RunFolder(path))
    with tempfile.TemporaryDirectory(prefix="tribetune-") as scratch:
        stages = _Remade(kept, Path(scratch)) if verify else kept
        progress.step("Predicting and fitting baselines again" if verify else "Scoring what was predicted")
        scored = score_all(study, fit_all(study, stages, wanted, progress), list(places))
    told = _compared(scored, path, verify)
    if not verify and scored.verdict != stored["verdict"]:
        raise AdaptationError(f"{path}: the verdict is not the one stored", hint=_AGAIN)
    largest = {method: size_of_r(told, method) for method in scored.bootstrap.scores}
    return Rescored(scored.rows, scored.verdict, path, [*stored["notes"], _sentence(told, largest, verify)], largest)


def _stored(path: Path) -> dict[str, Any]:
    for name in ("recipe.yaml", "provenance.json", "scores.json", "scores.npz", "scores.tsv"):
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


def _compared(scored: Scored, path: Path, remade: bool) -> list[Difference]:
    """Every number's difference from the one stored.

    Raises
    ------
    AdaptationError
        If one is beyond its tolerance.
    """
    told = differences(values_found(scored), values_stored(path, scored), remade=remade)
    beyond = [one for one in told if not one.size <= one.allowed]
    if beyond:
        shown = "; ".join(one.told for one in beyond[:_SHOWN])
        raise AdaptationError(
            f"{path}: {len(beyond)} of {len(told)} scores are not those stored: {shown}",
            hint="provenance.json names the versions that the run was made with",
        )
    return told


def _sentence(told: Sequence[Difference], largest: Mapping[str, float], verify: bool) -> str:
    files = list(dict.fromkeys(one.file for one in told))
    compared = f"{len(told):,} numbers and arrays of {', '.join(files)}"
    if not verify:
        return f"Scored again from what was saved: the same {compared}."
    parts = ", ".join(f"{method} {value:.1g}" for method, value in largest.items())
    worst = [max((one for one in told if one.file == file), key=lambda one: one.size) for file in files]
    others = "; ".join(one.told for one in worst if one.size) or "nothing differs"
    return (
        f"Predicted again from features and adapters; largest difference of any output's r: {parts}."
        f" Of {compared}: {others}."
    )
