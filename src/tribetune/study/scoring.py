"""From held-out predictions to the table of a study, what stands beside it, and its files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tribetune.errors import AdaptationError
from tribetune.evaluate.bootstrap import Bootstrap, HeldOut, bootstrap_scores
from tribetune.evaluate.null import shift_null
from tribetune.evaluate.resampling import Resampling, score_intervals
from tribetune.evaluate.selection import select_outputs
from tribetune.evaluate.table import Cost, table_rows, verdict
from tribetune.files import whole, write_json
from tribetune.study.evaluation import Clock, Evaluation, evaluate, write_rows
from tribetune.study.native import at_own_t_r
from tribetune.study.others import Others
from tribetune.study.prepare import Prepared
from tribetune.study.unique import draw_unique, of_stage, unique_scores
from tribetune.timing import OUTPUT_HZ

INTERVAL_DRAWS = 200
"""For the interval of each output's r, of which only the spread is taken: 200 draws know it to 5 %."""


@dataclass
class Fitted:
    """Methods fitted so far: their held-out predictions and costs, why a method has none; and the other subjects.

    ``without`` holds each method's predictions without each modality, where the recipe asks for them.
    """

    others: Callable[[], Others]
    without: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    predicted: dict[str, np.ndarray] = field(default_factory=dict)
    costs: dict[str, Cost] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    calibration_scores: list[np.ndarray] = field(default_factory=list)

    def add_without(self, method: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Take a stage's predictions without each modality, where it has any."""
        if found := of_stage(arrays):
            self.without[method] = found


@dataclass(frozen=True)
class Scored:
    """Scores as they are reported: their draws, what stands beside them, a row per method, and the verdict."""

    bootstrap: Bootstrap
    evaluation: Evaluation
    rows: list[dict[str, Any]]
    verdict: str
    intervals: Mapping[str, np.ndarray]
    """95 % interval of every output's r, (2, n_outputs) per method."""


def score_all(study: Prepared, fitted: Fitted, adapted: Sequence[str]) -> Scored:
    """The table and its verdict, from held-out BOLD and what is predicted; notes go to the study's."""
    clock, bootstrap, nulls = _scored(study, fitted)
    found = evaluate(study, clock, bootstrap, fitted.others, adapted)
    found = replace(found, unique={method: _unique(study, fitted, clock, method) for method in fitted.without})
    rows = found.beside(table_rows(bootstrap, fitted.costs, fitted.missing, nulls))
    block = clock.samples(study.recipe.evaluation.bootstrap_block_s)
    resampling = Resampling(block, INTERVAL_DRAWS, study.recipe.seed)
    ends = {method: score_intervals(values, clock.held_out, resampling) for method, values in clock.predicted.items()}
    return Scored(bootstrap, found, rows, verdict(bootstrap, adapted), ends)


def _scored(study: Prepared, fitted: Fitted) -> tuple[Clock, Bootstrap, dict[str, list[float]]]:
    """Scores with their intervals, and each method's 95th percentile of the mean r by chance, per set of outputs."""
    if not fitted.predicted:
        raise AdaptationError("nothing to score", hint="choose a method other than zero-shot, or add baselines")
    choice, seed = study.recipe.evaluation, study.recipe.seed
    clock = on_clock(study, fitted.predicted)
    held_out, predicted = clock.held_out, clock.predicted
    if choice.native_t_r:
        study.notes.append(f"Scores are at BOLD's own repetition time, {clock.step_s:g} s, not at 1 Hz.")
    if not fitted.calibration_scores:
        study.notes.append("Without baselines there is nothing to choose outputs by: chosen are all.")
    defined = np.asarray(np.isfinite(held_out.bold).all(0)) & study.in_means
    sets = np.stack([defined, select_outputs(fitted.calibration_scores, defined, choice.selected_share)])
    block, draws = clock.samples(choice.bootstrap_block_s), choice.bootstrap_draws
    bootstrap = bootstrap_scores(predicted, held_out, sets, block=block, draws=draws, seed=seed)
    nulls = {method: _chance(values, held_out, bootstrap.sets, draws, seed) for method, values in predicted.items()}
    everywhere, chosen = (max(levels) for levels in zip(*nulls.values(), strict=True))
    study.notes.append(
        f"By chance, that is by the same predictions at the wrong time, 95 % stay below {everywhere:.3f} (all)"
        f" and {chosen:.3f} (chosen)."
    )
    return clock, bootstrap, nulls


def on_clock(study: Prepared, predicted: Mapping[str, np.ndarray]) -> Clock:
    """Held-out BOLD and predictions on one clock, valid samples only."""
    if study.recipe.evaluation.native_t_r:
        held_out, at_volumes, t_r = at_own_t_r(study, predicted)
        return Clock(held_out, at_volumes, t_r)
    mask, bold, runs = study.held_out()
    held_out = HeldOut(bold[mask], tuple(np.asarray(runs)[mask].tolist()))
    return Clock(held_out, {method: values[mask] for method, values in predicted.items()}, 1 / OUTPUT_HZ)


def _unique(study: Prepared, fitted: Fitted, clock: Clock, method: str) -> dict[str, np.ndarray]:
    without = on_clock(study, fitted.without[method]).predicted
    return unique_scores(clock.predicted[method], without, clock)


def _chance(predicted: np.ndarray, held_out: HeldOut, sets: np.ndarray, draws: int, seed: int) -> list[float]:
    found = [shift_null(predicted, held_out, outputs, draws=draws, seed=seed) for outputs in sets]
    return [float(np.percentile(values, 95)) for values in found]


def save_scores(study: Prepared, path: Path, scored: Scored, living: Mapping[str, Any]) -> None:
    """Write ``scores.npz`` per output, ``scores.tsv`` per parcel and ``scores.json`` as the table has them.

    ``living`` is what `tribetune.study.living.live_with` found.
    """
    arrays = {name.replace("-", "_"): values for name, values in scored.bootstrap.scores.items()}
    arrays |= scored.evaluation.arrays()
    for name, ends in scored.intervals.items():
        arrays |= {f"{name.replace('-', '_')}_{key}": end for key, end in zip(("r_low", "r_high"), ends, strict=True)}
    with whole(path / "scores.npz") as part, part.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, selected=scored.bootstrap.sets[1], **arrays)
    draw_unique(scored.evaluation.unique, path)
    write_rows(path / "scores.tsv", scored.evaluation.rows())
    told = {"rows": scored.rows, "verdict": scored.verdict, "notes": study.notes, "living": living}
    write_json(path / "scores.json", told)
