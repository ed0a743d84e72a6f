"""`tribetune adapt`: prepare, fit each method, score all of them on identical held-out samples, save."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tribetune.adapt.adapter import Adapter
from tribetune.adapt.base import Base
from tribetune.adapt.methods import fit_method
from tribetune.bold.write import write_prediction
from tribetune.errors import AdaptationError
from tribetune.evaluate.bootstrap import Bootstrap, HeldOut, bootstrap_scores
from tribetune.evaluate.null import shift_null
from tribetune.evaluate.predict import predict_run
from tribetune.evaluate.selection import select_outputs
from tribetune.evaluate.table import Cost, table_rows, verdict
from tribetune.files import whole, write_json, write_text
from tribetune.model.tribe import Tribe
from tribetune.progress import Progress, Silent
from tribetune.recipe.file import dump_recipe, read_recipe
from tribetune.recipe.schema import Recipe
from tribetune.share.bundle import add_scores, load_adapter, save_adapter
from tribetune.share.probe import record_probe
from tribetune.splits import Part
from tribetune.study.alignment import lag_note
from tribetune.study.baselines import fir_baseline, zero_shot_calibration
from tribetune.study.checks import check_change, weights_digest
from tribetune.study.facts import adapter_facts
from tribetune.study.ladder import climb_sentence, climbed
from tribetune.study.leaks import guard, made_decisions, record_decisions
from tribetune.study.native import at_own_t_r
from tribetune.study.prepare import Prepared, prepare
from tribetune.study.provenance import provenance
from tribetune.study.settings import plain_settings
from tribetune.study.stages import Stages, check_run, open_run
from tribetune.timing import OUTPUT_HZ
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
    """

    rows: list[dict[str, Any]]
    verdict: str
    folder: Path
    notes: list[str]
    scores: Mapping[str, np.ndarray]


@dataclass
class Fitted:
    """Methods fitted so far: their held-out predictions and costs, and why a method has none."""

    predicted: dict[str, np.ndarray] = field(default_factory=dict)
    costs: dict[str, Cost] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    calibration_scores: list[np.ndarray] = field(default_factory=list)


@dataclass(frozen=True)
class Scored:
    """Scores as they are reported: their draws, a row per method, and the verdict."""

    bootstrap: Bootstrap
    rows: list[dict[str, Any]]
    verdict: str


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
    return adapt_methods(recipe, methods, folder, progress or Silent(), allow_leakage=allow_leakage)


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
    fitted = fit_all(study, folder, {m: Wanted(m, dict(methods[m]), place) for m, place in places.items()}, progress)
    record_decisions(study, leakage, path, made_decisions(study, places))
    progress.step("Scoring on held-out data")
    scored = score_all(study, fitted, list(places))
    for row in scored.rows:
        if row["method"] in places:
            add_scores(places[row["method"]], row, verdict(scored.bootstrap, [row["method"]]))
    _save(study, path, scored)
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


def score_all(study: Prepared, fitted: Fitted, adapted: Sequence[str]) -> Scored:
    """The table and its verdict, from held-out BOLD and what is predicted; notes go to the study's."""
    bootstrap, nulls = _scored(study, fitted)
    rows = table_rows(bootstrap, fitted.costs, fitted.missing, nulls)
    return Scored(bootstrap, rows, verdict(bootstrap, adapted))


def _baselines(study: Prepared, folder: Stages, progress: Progress) -> Fitted:
    fitted, wanted = Fitted(), study.recipe.evaluation.baselines
    if study.has_zero_shot:
        progress.step("Zero-shot: the unseen subject's prediction")
        arrays, seconds = folder.stage("zero-shot", lambda: _zero_shot(study))
        fitted.calibration_scores.append(arrays["calibration"])
        if "zero-shot" in wanted or study.recipe.adaptation.method == "zero-shot":
            fitted.predicted["zero-shot"], fitted.costs["zero-shot"] = arrays["test"], Cost(0.0, 0, seconds)
    else:
        fitted.missing["zero-shot"] = "the checkpoint has no unseen row for these outputs"
        fitted.costs["zero-shot"] = Cost(0.0, 0, 0.0)
    if "fir" in wanted:
        progress.step("FIR baseline: ridge on delayed features")
        arrays, seconds = folder.stage("fir", lambda: fir_baseline(study))
        fitted.calibration_scores.append(arrays["calibration"])
        fitted.predicted["fir"] = arrays["test"]
        fitted.costs["fir"] = Cost(study.calibration_minutes, int(arrays["n_weights"]), seconds)
    return fitted


def _zero_shot(study: Prepared) -> dict[str, np.ndarray]:
    test = [_predicted(study, study.tribe, None, part) for part in study.split.test]
    return {"test": np.concatenate(test), "calibration": zero_shot_calibration(study)}


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
        row = 0 if adapter.tensors else None
        parts = [_predicted(study, model, row, part) for part in study.split.test]
        for part, values in zip(study.split.test, parts, strict=True):
            stem = f"{part.aligned.label}_desc-{method}"
            write_prediction(values, study.recipe.data.space, folder.path / "predictions", stem, _stated(study, part))
        return {"test": np.concatenate(parts)}

    predicted, _ = folder.stage(f"predict-{method}", predict)
    fitted.predicted[method] = predicted["test"]
    fitted.costs[method] = Cost(study.calibration_minutes, int(arrays["n_weights"]), seconds)


def _fit_and_save(
    study: Prepared, method: str, settings: dict[str, Any], place: Path, progress: Progress
) -> dict[str, np.ndarray]:
    before = weights_digest(study.tribe)
    adapter = _fitted(study, method, settings, progress)
    if adapter.tensors:
        check_change(study.tribe, adapter, study.calibration[0], before)
    save_adapter(adapter, place, {**adapter_facts(study), "probe": record_probe(adapter, study.tribe)})
    return {"n_weights": np.asarray(adapter.n_weights)}


def _fitted(study: Prepared, method: str, settings: dict[str, Any], progress: Progress) -> Adapter:
    if method == "ladder":
        return climbed(study, settings["rungs"], progress)
    plain = plain_settings(settings, study.calibration[0].bold.shape[1])
    return fit_method(method, study.trunk, study.calibration, plain, study.recipe.seed)


def _stated(study: Prepared, part: Part) -> dict[str, Any]:
    """What the sidecar of a prediction says: its clock, and how windows were joined."""
    windows = study.recipe.windows
    said = joined_how(windows.duration_s, 0.0)
    return {"HemodynamicLag": windows.hemodynamic_lag_s, "StartTime": part.span[0], "Windows": said}


def _predicted(study: Prepared, model: Tribe, row: int | None, part: Part) -> np.ndarray:
    """Held-out predictions of one part of the split, valid samples and those that are not."""
    windows = study.recipe.windows
    return predict_run(
        model, part.aligned, row, window_s=windows.duration_s, stride_s=windows.duration_s, span=part.span
    )


def _scored(study: Prepared, fitted: Fitted) -> tuple[Bootstrap, dict[str, list[float]]]:
    """Scores with their intervals, and each method's 95th percentile of the mean r by chance, per set of outputs."""
    if not fitted.predicted:
        raise AdaptationError("nothing to score", hint="choose a method other than zero-shot, or add baselines")
    choice, seed = study.recipe.evaluation, study.recipe.seed
    held_out, predicted, step_s = _on_clock(study, fitted.predicted)
    if not fitted.calibration_scores:
        study.notes.append("Without baselines there is nothing to choose outputs by: chosen are all.")
    defined = np.asarray(np.isfinite(held_out.bold).all(0)) & study.in_means
    sets = np.stack([defined, select_outputs(fitted.calibration_scores, defined, choice.selected_share)])
    block, draws = max(1, round(choice.bootstrap_block_s / step_s)), choice.bootstrap_draws
    bootstrap = bootstrap_scores(predicted, held_out, sets, block=block, draws=draws, seed=seed)
    nulls = {method: _chance(values, held_out, bootstrap.sets, draws, seed) for method, values in predicted.items()}
    everywhere, chosen = (max(levels) for levels in zip(*nulls.values(), strict=True))
    study.notes.append(
        f"By chance, that is by the same predictions at the wrong time, 95 % stay below {everywhere:.3f} (all)"
        f" and {chosen:.3f} (chosen)."
    )
    return bootstrap, nulls


def _on_clock(study: Prepared, predicted: Mapping[str, np.ndarray]) -> tuple[HeldOut, Mapping[str, np.ndarray], float]:
    """Held-out BOLD and predictions on one clock, valid samples only, and the seconds from sample to sample."""
    if study.recipe.evaluation.native_t_r:
        held_out, at_volumes, t_r = at_own_t_r(study, predicted)
        study.notes.append(f"Scores are at BOLD's own repetition time, {t_r:g} s, not at 1 Hz.")
        return held_out, at_volumes, t_r
    mask, bold, runs = study.held_out()
    held_out = HeldOut(bold[mask], tuple(np.asarray(runs)[mask].tolist()))
    return held_out, {method: values[mask] for method, values in predicted.items()}, 1 / OUTPUT_HZ


def _chance(predicted: np.ndarray, held_out: HeldOut, sets: np.ndarray, draws: int, seed: int) -> list[float]:
    found = [shift_null(predicted, held_out, outputs, draws=draws, seed=seed) for outputs in sets]
    return [float(np.percentile(values, 95)) for values in found]


def _save(study: Prepared, path: Path, scored: Scored) -> None:
    arrays = {name.replace("-", "_"): values for name, values in scored.bootstrap.scores.items()}
    with whole(path / "scores.npz") as part, part.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, selected=scored.bootstrap.sets[1], **arrays)
    write_json(path / "scores.json", {"rows": scored.rows, "verdict": scored.verdict, "notes": study.notes})
