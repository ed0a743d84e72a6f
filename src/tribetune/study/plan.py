"""`tribetune plan`: a run's methods refitted with fewer minutes, and what more would buy."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from tribetune.adapt.methods import METHODS
from tribetune.errors import AdaptationError, RecipeError
from tribetune.evaluate.minutes import Curve, LogLine, Saved, curve_of, log_line, minutes_saved, plain
from tribetune.evaluate.more_runs import OneMore
from tribetune.evaluate.table import ALL, SELECTED
from tribetune.files import write_json
from tribetune.progress import Progress
from tribetune.recipe.file import read_recipe
from tribetune.recipe.schema import Adaptation, Recipe
from tribetune.report.minutes import minutes_picture
from tribetune.study.buying import ASSUMPTIONS, buying
from tribetune.study.leaks import guard
from tribetune.study.plan_words import headline, one_more_sentence, saved_minutes, sentences
from tribetune.study.prepare import Prepared, prepare
from tribetune.study.refits import REFERENCES, Refits, Scorer, refit
from tribetune.study.stages import REFUSED, open_run, read_fingerprint
from tribetune.study.sweep import Refitter, check_climbs, lengths_of, orders_of, points_of

MINUTES = (5.0, 10.0, 20.0, 40.0, 60.0)
_KNOWN = (*METHODS, "ladder", "fir")
SETS = {"all": ALL, "chosen": SELECTED}

Curves = Mapping[str, Mapping[str, Curve]]
"""Set of outputs, method: curve."""


@dataclass(frozen=True)
class PlanOptions:
    """What is asked beside a run.

    Attributes
    ----------
    methods : tuple of str
        Held against zero-shot and the FIR; empty: the run's own, and ridge.
    minutes : tuple of float
        Lengths; those that the calibration data allow are taken, and all of it.
    orders : int
        Random orders of the runs, beside the chronological one.
    more : float
        Minutes whose worth is told.
    """

    methods: tuple[str, ...] = ()
    minutes: tuple[float, ...] = MINUTES
    orders: int = 3
    more: float = 20.0


@dataclass(frozen=True)
class PlanResult:
    """A plan, as it lies in the run folder.

    Attributes
    ----------
    facts : dict
        What ``plan.json`` holds: ``rows`` (one per method and length), ``words``, ``notes``, and the figures behind.
    folder, picture : Path
    """

    facts: dict[str, Any]
    folder: Path
    picture: Path


def plan(run: Path, options: PlanOptions, progress: Progress) -> PlanResult:
    """Refit a run's methods with fewer minutes, always scored on its test; a plan that was killed goes on.

    Parameters
    ----------
    run : Path
        A run folder of ``adapt``; ``plan.json`` and ``plan.png`` are written into it.
    options : PlanOptions
    progress : Progress

    Raises
    ------
    TribetuneError
        If it is no run folder, its recipe or data are at fault, or there are too few minutes.
    """
    recipe = run_recipe(run)
    methods = _methods(recipe, options.methods)
    progress.step("Reading checkpoint, BOLD and stimuli")
    study = prepare(recipe, progress)
    if not study.has_zero_shot:
        methods.pop("zero-shot")
        study.notes.append("Zero-shot is not defined: the checkpoint has no unseen row for these outputs.")
    lengths = lengths_of(study.calibration_minutes, options.minutes)
    orders = orders_of(len(study.split.training), options.orders, recipe.seed)
    points = points_of(study.split, lengths, orders, recipe.windows.duration_s)
    if "ladder" in methods:
        check_climbs(study, points, orders)
    if _changed(study, run):
        study.notes.append("Data or checkpoint are not what they were when the run was made: its table may differ.")
    guard(study, run / "plan", _allowed(run))
    folder = open_run(run / "plan", {"recipe": recipe.model_dump(mode="json"), **study.fingerprint})
    fits = Refitter(study, methods)
    refits = refit(fits, Scorer(study), points, folder, progress)
    progress.step("What one more run would buy")
    bought = buying(fits, points[0][-1], refits.bootstrap.sets, methods.get("ridge", {}))
    return _saved(study, refits, bought, options, run)


def run_recipe(run: Path) -> Recipe:
    """The recipe of a run folder of ``adapt``.

    Raises
    ------
    RecipeError
        If it is none, or its recipe is damaged.
    """
    if not run.exists():
        raise RecipeError(f"{run} is not there", hint="give the folder that `tribetune adapt` printed")
    read_fingerprint(run)
    return read_recipe(run / "recipe.yaml")


def _methods(recipe: Recipe, wanted: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Settings of every method that is refitted, the references first; the run's own are its recipe's."""
    unknown = sorted(set(wanted) - set(_KNOWN))
    if unknown:
        raise AdaptationError(f"unknown method {', '.join(unknown)}", hint=f"--methods takes {', '.join(_KNOWN)}")
    found: dict[str, dict[str, Any]] = {name: {} for name in REFERENCES}
    for name in wanted or (recipe.adaptation.method, "ridge"):
        if name not in found:
            own = name == recipe.adaptation.method
            section = recipe.adaptation if own else TypeAdapter(Adaptation).validate_python({"method": name})
            found[name] = section.model_dump(exclude={"method"})
    return found


def _allowed(run: Path) -> str:
    """Why leaks were allowed when the run was made; empty where they were not."""
    told = run / REFUSED
    return str(json.loads(told.read_text(encoding="utf-8"))["allowed"]) if told.is_file() else ""


def _changed(study: Prepared, run: Path) -> bool:
    before = read_fingerprint(run)
    return any(before.get(name) != value for name, value in study.fingerprint.items())


def _saved(
    study: Prepared, refits: Refits, bought: list[OneMore | None], options: PlanOptions, run: Path
) -> PlanResult:
    curves: Curves = {
        where: {
            method: curve_of(refits.bootstrap, names, refits.minutes, of, seed=study.recipe.seed)
            for method, names in refits.names.items()
        }
        for where, of in SETS.items()
    }
    lines = {method: log_line(curve) for method, curve in curves["all"].items() if method != "zero-shot"}
    lines = {method: line for method, line in lines.items() if line is not None}
    saved = {method: _saving(curves["all"], method, headline(refits.minutes)) for method in curves["all"]}
    saved.pop("fir")
    words = sentences(saved, lines, refits.minutes[-1], options.more)
    facts = {
        "minutes": refits.minutes,
        "orders": len(refits.names["fir"]),
        "rows": [row for method in refits.names for row in _rows(method, curves)],
        "log_lines": {method: _line(line, refits.minutes[-1], options.more) for method, line in lines.items()},
        "one_more_run": {where: one and asdict(one) for where, one in zip(SETS, bought, strict=True)},
        "words": [*words, one_more_sentence(bought[ALL])],
        "notes": [*study.notes, *_notes(study, refits, curves["all"]), ASSUMPTIONS],
    }
    picture = run / "plan.png"
    minutes_picture(curves, picture, title=f"{study.recipe.name}: encoding score against calibration minutes")
    write_json(run / "plan.json", facts)
    return PlanResult(facts, run, picture)


def _rows(method: str, curves: Curves) -> list[dict[str, Any]]:
    """A row per length; zero-shot has one, of 0 minutes."""
    rows = []
    for length in range(1 if method == "zero-shot" else len(curves["all"][method].minutes)):
        minutes = 0.0 if method == "zero-shot" else float(curves["all"][method].minutes[length])
        row: dict[str, Any] = {"method": method, "minutes": minutes}
        for where, of_set in curves.items():
            curve, fir = of_set[method], of_set["fir"]
            row[where] = dict(plain(curve.at(length))) | {"by_order": curve.by_order[:, length].tolist()}
            if method != "fir":
                row[where]["saved"] = _plain_saved(_saving(of_set, method, length))
            if method not in REFERENCES:
                row[where]["beyond_fir"] = plain(curve.beyond(fir, length))
        rows.append(row)
    return rows


def _saving(curves: Mapping[str, Curve], method: str, length: int) -> Saved:
    return minutes_saved(curves[method], curves["fir"], length, spent=0.0 if method == "zero-shot" else None)


def _plain_saved(saved: Saved) -> dict[str, Any]:
    """JSON knows no infinity: null, where the FIR never reaches the score within its own minutes, and for none."""
    needed, *interval = (value if math.isfinite(value) else None for value in (saved.needed, *saved.interval))
    told = {"spent": saved.spent, "fir_minutes": needed, "fir_longest": saved.longest, "interval": interval}
    return told | {"minutes": None if needed is None else saved.minutes, "words": saved_minutes(saved)}


def _line(line: LogLine, minutes: float, more: float) -> dict[str, Any]:
    gain = plain(line.gain(minutes, more))
    return {"a": line.a, "b": line.b, "per_doubling": plain(line.per_doubling), "more": more, "gain": gain}


def _notes(study: Prepared, refits: Refits, curves: Mapping[str, Curve]) -> list[str]:
    n_orders, counts = len(refits.names["fir"]), refits.bootstrap.sets.sum(1)
    n_runs = len({part.aligned.label for part in study.split.training})
    orders = f"the chronological and {n_orders - 1} random orders of {n_runs} runs" if n_orders > 1 else "one order"
    notes = [
        f"Mean r over {counts[ALL]:,} outputs, and over {counts[SELECTED]:,} chosen on calibration data; mean over"
        f" {orders}; 95 % intervals resample blocks of the test and these orders, the same for all methods.",
    ]
    if len(refits.minutes) == 2:
        notes.append("Two lengths make a line but cannot contradict it: give --minutes more of them.")
    undefined = [method for method, curve in curves.items() if not np.isfinite(curve.r).all()]
    if undefined:
        notes.append(f"Not defined, because a prediction does not vary: {', '.join(undefined)}.")
    return notes
