"""`tribetune adapt`: prepare, fit each method, score all of them on identical held-out samples, save."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tribetune.adapt.adapter import Adapter
from tribetune.adapt.base import Base
from tribetune.adapt.methods import fit_method
from tribetune.bold.write import write_prediction
from tribetune.evaluate.predict import Cut, predict_run
from tribetune.evaluate.table import Cost, verdict
from tribetune.files import write_json, write_text
from tribetune.model.tribe import Tribe
from tribetune.progress import Progress, Silent
from tribetune.recipe.file import dump_recipe, read_recipe
from tribetune.recipe.schema import Recipe
from tribetune.report.surface import score_maps
from tribetune.share.bundle import add_scores, load_adapter, save_adapter
from tribetune.share.probe import record_probe
from tribetune.spaces import FSAVERAGE5
from tribetune.splits import Part
from tribetune.study.alignment import lag_note
from tribetune.study.baselines import banded_baseline, fir_baseline, zero_shot_calibration
from tribetune.study.checks import check_change, weights_digest
from tribetune.study.damaged import fit_damaged_again
from tribetune.study.facts import adapter_facts, ceiling_facts
from tribetune.study.ladder import climb_sentence, climbed
from tribetune.study.leaks import guard, made_decisions, record_decisions
from tribetune.study.living import Lived, live_with
from tribetune.study.nuisance import nuisance_baseline
from tribetune.study.others import others_baseline, others_once
from tribetune.study.prepare import Prepared, prepare
from tribetune.study.provenance import provenance
from tribetune.study.scoring import Fitted, save_scores, score_all
from tribetune.study.settings import plain_settings
from tribetune.study.stages import Stages, check_run, open_run
from tribetune.study.unique import from_subsets
from tribetune.windows import joined_how


@dataclass(frozen=True)
class AdaptResult:
    """What an adaptation came to.

    Attributes
    ----------
    rows : list of dict
        One per method: its scores, intervals and costs.
    verdict : str
        Whether adapting helped, in words.
    folder : Path
        The run folder.
    notes : list of str
        What a reader of the table must know.
    scores : mapping of method to array of shape (n_outputs,)
        Held-out r per output.
    picture : Path, optional
        These scores on the cortex; none for other spaces than fsaverage5.
    """

    rows: list[dict[str, Any]]
    verdict: str
    folder: Path
    notes: list[str]
    scores: Mapping[str, np.ndarray]
    picture: Path | None = None


@dataclass(frozen=True)
class Wanted:
    """A method to fit, its settings in the recipe, and the folder of its adapter."""

    method: str
    settings: dict[str, Any]
    place: Path


def adapt(
    recipe_path: str,
    overrides: Sequence[str],
    out: Path | None,
    progress: Progress | None = None,
    *,
    allow_leakage: str = "",
) -> AdaptResult:
    """Adapt to one subject as a recipe says; a run that was killed goes on where it stopped.

    Parameters
    ----------
    recipe_path : str
        A YAML file.
    overrides : sequence of str
        ``key=value``, see `read_recipe`.
    out : Path, optional
        Run folder; ``runs/<name>`` when left out.
    progress : Progress, optional
    allow_leakage : str
        Why to go on in spite of leaks from test to training; empty: they are refused.

    Raises
    ------
    TribetuneError
        If the recipe, the data or the checkpoint are at fault.
    """
    recipe = read_recipe(recipe_path, overrides)
    settings = recipe.adaptation.model_dump(exclude={"method"})
    folder = out or Path("runs") / recipe.name
    methods: Mapping[str, Mapping[str, Any]] = {recipe.adaptation.method: settings}
    progress = progress or Silent()
    result = adapt_methods(recipe, methods, folder, progress, allow_leakage=allow_leakage)
    if recipe.data.space != FSAVERAGE5.name:
        return result
    progress.step("Drawing held-out scores on the cortex")
    maps = {method: np.asarray(r) for method, r in result.scores.items()}
    score_maps(maps, folder / "scores.png", title=f"Encoding score on held-out data, sub-{recipe.data.subject}")
    return replace(result, picture=folder / "scores.png")


def adapt_methods(
    recipe: Recipe,
    methods: Mapping[str, Mapping[str, Any]],
    path: Path,
    progress: Progress,
    trunk: Base | None = None,
    *,
    allow_leakage: str = "",
) -> AdaptResult:
    """Fit several methods on the same calibration data; each has its settings, and its ``adapter`` folder.

    ``trunk`` is the recipe's checkpoint where it is open already.
    """
    progress.step("Reading checkpoint, BOLD and stimuli")
    study = prepare(recipe, progress, trunk)
    if note := lag_note(study.split, recipe.windows.hemodynamic_lag_s):
        study.notes.append(note)
    told = {"recipe": recipe.model_dump(mode="json"), "methods": list(methods), **study.fingerprint}
    check_run(path, told)
    progress.step("Looking for leaks from test to training")
    leakage = guard(study, path, allow_leakage)
    folder = open_run(path, told)
    write_text(path / "recipe.yaml", dump_recipe(recipe))
    facts = provenance(recipe.seed, study.base, study.inputs, study.timelines)
    write_json(path / "provenance.json", facts | {"cleaning": study.cleaning})
    places = adapter_places(path, methods)
    study.notes.extend(fit_damaged_again(folder, places))
    fitted = fit_all(study, folder, {m: Wanted(m, dict(methods[m]), place) for m, place in places.items()}, progress)
    record_decisions(study, leakage, path, made_decisions(study, places))
    progress.step("Scoring on held-out data")
    scored = score_all(study, fitted, list(places))
    for row in scored.rows:
        if row["method"] in places:
            told = verdict(scored.bootstrap, [row["method"]])
            add_scores(places[row["method"]], row, told, ceiling_facts(row))
    lived = [Lived(method, methods[method], place, fitted.predicted[method]) for method, place in places.items()]
    save_scores(study, path, scored, live_with(study, lived, progress))
    folder.log("all", "finished")
    return AdaptResult(scored.rows, scored.verdict, path, study.notes, scored.bootstrap.scores)


def adapter_places(path: Path, methods: Iterable[str]) -> dict[str, Path]:
    """Folder of each method's adapter in a run folder; zero-shot has none."""
    methods = list(methods)
    single = "adapter" if len(methods) == 1 else "adapter-{}"
    return {method: path / single.format(method) for method in methods if method != "zero-shot"}


def fit_all(study: Prepared, folder: Stages, wanted: Mapping[str, Wanted], progress: Progress) -> Fitted:
    """Baselines and methods with their held-out predictions; what the stages have already is not made again."""
    fitted = _baselines(study, folder, progress)
    for method, one in wanted.items():
        progress.step(f"Adapting: {method}")
        _adapted(study, folder, fitted, one, progress)
    return fitted


_LINEAR: dict[str, tuple[str, Callable[[Prepared], dict[str, np.ndarray]]]] = {
    "fir": ("FIR baseline: ridge on delayed features", fir_baseline),
    "banded": ("Banded FIR baseline: a penalty per modality", banded_baseline),
    "nuisance": ("Nuisance baseline: low-level stimulation and head motion", nuisance_baseline),
}
"""Linear baselines in the order of the table: what is said while each is fitted, and what fits it."""


def _baselines(study: Prepared, folder: Stages, progress: Progress) -> Fitted:
    fitted, wanted = Fitted(others_once(study)), study.recipe.evaluation.baselines
    if study.has_zero_shot:
        progress.step("Zero-shot: the unseen subject's prediction")
        arrays, seconds = folder.stage("zero-shot", lambda: _zero_shot(study))
        fitted.calibration_scores.append(arrays["calibration"])
        if "zero-shot" in wanted or study.recipe.adaptation.method == "zero-shot":
            fitted.predicted["zero-shot"], fitted.costs["zero-shot"] = arrays["test"], Cost(0.0, 0, seconds)
            fitted.add_from_some("zero-shot", arrays)
    else:
        fitted.missing["zero-shot"] = "the checkpoint has no unseen row for these outputs"
        fitted.costs["zero-shot"] = Cost(0.0, 0, 0.0)
    for name, (told, make) in _LINEAR.items():
        if name in wanted:
            progress.step(told)
            arrays, seconds = folder.stage(name, lambda make=make: make(study))
            fitted.predicted[name] = arrays["test"]
            fitted.costs[name] = Cost(study.calibration_minutes, int(arrays["n_weights"]), seconds)
            if name == "fir":  # the chosen outputs do not depend on what else they are held against
                fitted.calibration_scores.append(arrays["calibration"])
    if "others" in wanted:
        progress.step("The mean of the other subjects")
        arrays, seconds = folder.stage("others", lambda: others_baseline(study, fitted.others()))
        fitted.predicted["others"], fitted.costs["others"] = arrays["test"], Cost(0.0, 0, seconds)
    return fitted


def _zero_shot(study: Prepared) -> dict[str, np.ndarray]:
    predict = partial(_predicted, study, study.tribe, None, trunk=study.trunk)
    test = [predict(part) for part in study.split.test]
    made = {"test": np.concatenate(test), "calibration": zero_shot_calibration(study)}
    return made | from_subsets(study, predict)


def _adapted(study: Prepared, folder: Stages, fitted: Fitted, wanted: Wanted, progress: Progress) -> None:
    method, place = wanted.method, wanted.place
    arrays, seconds = folder.stage(
        f"fit-{method}", lambda: _fit_and_save(study, method, wanted.settings, place, progress)
    )
    adapter = load_adapter(place, study.base["hash"])
    if "ladder" in adapter.chosen:
        study.notes.append(climb_sentence(adapter.chosen["ladder"]))

    def predict() -> dict[str, np.ndarray]:
        model = adapter.apply(study.tribe)
        row, trunk = 0 if adapter.tensors else None, None if adapter.changes_trunk else study.trunk
        of_part = partial(_predicted, study, model, row, trunk=trunk)
        parts = [of_part(part) for part in study.split.test]
        for part, values in zip(study.split.test, parts, strict=True):
            stem = f"{part.aligned.label}_desc-{method}"
            write_prediction(values, study.recipe.data.space, folder.path / "predictions", stem, _stated(study, part))
        return {"test": np.concatenate(parts)} | from_subsets(study, of_part)

    predicted, _ = folder.stage(f"predict-{method}", predict)
    fitted.predicted[method] = predicted["test"]
    fitted.add_from_some(method, predicted)
    fitted.costs[method] = Cost(study.calibration_minutes, int(arrays["n_weights"]), seconds)


def _fit_and_save(
    study: Prepared, method: str, settings: dict[str, Any], place: Path, progress: Progress
) -> dict[str, np.ndarray]:
    before = weights_digest(study.tribe)
    adapter = fit_adapter(study, method, settings, progress)
    if adapter.tensors:
        check_change(study.tribe, adapter, study.calibration[0], before)
    save_adapter(adapter, place, {**adapter_facts(study), "probe": record_probe(adapter, study.tribe)})
    return {"n_weights": np.asarray(adapter.n_weights)}


def fit_adapter(study: Prepared, method: str, settings: Mapping[str, Any], progress: Progress) -> Adapter:
    """Fit a method, or climb the ladder, on a study's calibration data; ``settings`` are the recipe's."""
    if method == "ladder":
        return climbed(study, settings["rungs"], progress)
    plain = plain_settings(settings, study.calibration[0].bold.shape[1])
    return fit_method(method, study.trunk, study.calibration, plain, study.recipe.seed)


def _stated(study: Prepared, part: Part) -> dict[str, Any]:
    """What the sidecar of a prediction says: its clock, and how windows were joined."""
    windows = study.recipe.windows
    said = joined_how(windows.duration_s, 0.0)
    return {"HemodynamicLag": windows.hemodynamic_lag_s, "StartTime": part.span[0], "Windows": said}


def _predicted(study: Prepared, model: Tribe, row: int | None, part: Part, *, trunk: Base | None) -> np.ndarray:
    """Held-out predictions of one part of the split, valid samples and those that are not."""
    window_s = study.recipe.windows.duration_s
    return predict_run(model, part.aligned, row, Cut(window_s, span=part.span), trunk)
