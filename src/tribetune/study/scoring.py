"""From held-out predictions to the table of a study, what stands beside it, and its files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tribetune.digits import rounded
from tribetune.errors import AdaptationError
from tribetune.evaluate.bootstrap import Bootstrap, HeldOut, bootstrap_scores
from tribetune.evaluate.null import shift_null
from tribetune.evaluate.resampling import Resampling, score_intervals
from tribetune.evaluate.selection import select_outputs
from tribetune.evaluate.table import Cost, table_rows, verdict
from tribetune.files import whole, write_json, write_text
from tribetune.study.clock import Clock, on_clock
from tribetune.study.evaluation import Evaluation, evaluate, table_text
from tribetune.study.others import Others
from tribetune.study.prepare import Prepared
from tribetune.study.unique import ByModality, by_modality, draw_unique, modalities_of, of_stage, unique_note

INTERVAL_DRAWS = 200
"""For the interval of each output's r, of which only the spread is taken: 200 draws know it to 5 %."""


@dataclass
class Fitted:
    """Methods fitted so far: their held-out predictions and costs, why a method has none; and the other subjects.

    ``from_some`` holds each method's predictions from every set of modalities but all, where the recipe asks for them.
    """

    others: Callable[[], Others]
    from_some: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    predicted: dict[str, np.ndarray] = field(default_factory=dict)
    costs: dict[str, Cost] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    calibration_scores: list[np.ndarray] = field(default_factory=list)

    def add_from_some(self, method: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Take a stage's predictions from sets of modalities, where it has any."""
        if found := of_stage(arrays):
            self.from_some[method] = found


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
    found = replace(found, modalities=_modalities(study, fitted, clock))
    study.notes.extend(unique_note(study))

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
        f"By chance, that is by the same predictions at the wrong time, 95 % stay below {rounded(everywhere)} (all)"
        f" and {rounded(chosen)} (chosen)."
    )
    return clock, bootstrap, nulls


def _modalities(study: Prepared, fitted: Fitted, clock: Clock) -> dict[str, ByModality]:
    names, found = modalities_of(study), fitted.from_some.items()
    return {
        method: by_modality(clock.predicted[method], on_clock(study, some).predicted, clock, names)
        for method, some in found
    }


def _chance(predicted: np.ndarray, held_out: HeldOut, sets: np.ndarray, draws: int, seed: int) -> list[float]:
    found = [shift_null(predicted, held_out, outputs, draws=draws, seed=seed) for outputs in sets]
    return [float(np.percentile(values, 95)) for values in found]


def save_scores(study: Prepared, path: Path, scored: Scored, living: Mapping[str, Any]) -> None:
    """Write ``scores.npz`` per output, ``scores.tsv`` per parcel and ``scores.json`` as the table has them.

    With contributions of modalities, ``modalities.tsv`` too, and their maps.

    ``living`` is what `tribetune.study.living.live_with` found.
    """
    with whole(path / "scores.npz") as part, part.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **score_arrays(scored))
    draw_unique(scored.evaluation.modalities, path)
    for name, text in score_tables(scored).items():
        write_text(path / name, text)
    told = {"rows": scored.rows, "verdict": scored.verdict, "notes": study.notes, "living": living}
    write_json(path / "scores.json", told)


def score_arrays(scored: Scored) -> dict[str, np.ndarray]:
    """What ``scores.npz`` holds."""
    arrays = {name.replace("-", "_"): values for name, values in scored.bootstrap.scores.items()}
    arrays |= scored.evaluation.arrays()
    for name, ends in scored.intervals.items():
        arrays |= {f"{name.replace('-', '_')}_{key}": end for key, end in zip(("r_low", "r_high"), ends, strict=True)}
    return {"selected": scored.bootstrap.sets[1], **arrays}


def score_tables(scored: Scored) -> dict[str, str]:
    """What ``scores.tsv``, and ``modalities.tsv`` where there is one, hold."""
    tables = {"scores.tsv": scored.evaluation.rows(), "modalities.tsv": scored.evaluation.modality_rows()}
    return {name: table_text(rows) for name, rows in tables.items() if rows}
