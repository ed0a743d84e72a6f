"""`tribetune adapt --subjects`: one adaptation each for many subjects, who share what their stimuli have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tribetune.digits import signed
from tribetune.errors import AdaptationError, BoldError, SpaceError, StimulusError
from tribetune.evaluate.bootstrap import widening
from tribetune.evaluate.table import PAIRED, delta_key
from tribetune.files import write_json
from tribetune.progress import Progress, Silent
from tribetune.recipe.file import read_recipe
from tribetune.recipe.schema import Recipe
from tribetune.study.adapt import AdaptResult, adapt_methods
from tribetune.study.prepare import open_trunk
from tribetune.study.subjects import chosen_subjects

_DRAWS = 10_000

_OF_ONE = (AdaptationError, BoldError, SpaceError, StimulusError)
"""Faults of one subject's data. A leak, the checkpoint and the recipe concern everybody, and stop a cohort."""


@dataclass(frozen=True)
class CohortResult:
    """What adapting a cohort came to.

    Attributes
    ----------
    rows : list of dict
        One per method: mean over subjects of the mean r, and of its differences, with intervals over subjects.
    subjects : mapping of subject to list of dict
        Each subject's own rows.
    left_out : mapping of subject to str
        Why a subject has no result.
    folder : Path
        Where every subject has a run folder.
    """

    rows: list[dict[str, Any]]
    subjects: Mapping[str, list[dict[str, Any]]]
    left_out: Mapping[str, str]
    folder: Path


def adapt_cohort(
    recipe_path: str,
    overrides: Sequence[str],
    subjects: str,
    out: Path | None,
    progress: Progress | None = None,
    *,
    allow_leakage: str = "",
) -> CohortResult:
    """Adapt to many subjects one after the other; the checkpoint is opened once, and its trunk runs once per stimulus.

    A subject whose data are at fault is left out and told of; what was finished before a kill is not done again.

    Parameters
    ----------
    recipe_path : str
        A YAML file; its ``data.subject`` is replaced by each subject.
    overrides : sequence of str
        ``key=value``, see `read_recipe`.
    subjects : str
        ``all``, or labels with commas between them.
    out : Path, optional
        Folder of the run folders; ``runs/<name>`` when left out.
    progress : Progress, optional
    allow_leakage : str
        As for `tribetune.study.adapt.adapt`.

    Raises
    ------
    TribetuneError
        If the recipe or the checkpoint is at fault, or no subject can be adapted to.
    """
    progress = progress or Silent()
    recipe = read_recipe(recipe_path, overrides)
    labels, folder = chosen_subjects(recipe.data, subjects), out or Path("runs") / recipe.name
    trunk = open_trunk(recipe)
    found: dict[str, AdaptResult] = {}
    left_out: dict[str, str] = {}
    hints: dict[str, str] = {}
    methods: dict[str, Any] = {recipe.adaptation.method: recipe.adaptation.model_dump(exclude={"method"})}
    for number, label in enumerate(labels, 1):
        progress.step(f"Subject {label}, {number} of {len(labels)}")
        try:
            own, place = _recipe_of(recipe, label), folder / f"sub-{label}"
            found[label] = adapt_methods(own, methods, place, progress, trunk, allow_leakage=allow_leakage)
        except _OF_ONE as error:
            left_out[label], hints[label] = str(error), error.hint
    if not found:
        raise BoldError(
            f"no subject of {len(labels)} could be adapted to; sub-{labels[0]}: {left_out[labels[0]]}",
            hint=hints[labels[0]] or "tribetune bold ls RECIPE",
        )
    rows = cohort_rows({label: result.rows for label, result in found.items()}, recipe.seed)
    own = {label: result.rows for label, result in found.items()}
    write_json(folder / "cohort.json", {"rows": rows, "subjects": own, "left_out": left_out})
    return CohortResult(rows, own, left_out, folder)


def cohort_rows(subjects: Mapping[str, Sequence[Mapping[str, Any]]], seed: int) -> list[dict[str, Any]]:
    """One row per method over subjects; a subject counts where the method has a score for him.

    Parameters
    ----------
    subjects : mapping of subject to rows
        As `tribetune.evaluate.table.table_rows` gives them.
    seed : int
        Of the bootstrap over subjects.
    """
    methods = list(dict.fromkeys(str(row["method"]) for rows in subjects.values() for row in rows))
    found = []
    for method in methods:
        own = [row for rows in subjects.values() for row in rows if row["method"] == method and row["defined"]]
        row = {"method": method, **_over_subjects([row["mean_r"] for row in own], seed)}
        row["chosen"] = _over_subjects([row["mean_r_selected"] for row in own], seed)
        for name in PAIRED:
            apart = [row.get(delta_key(name)) for row in own]
            row[delta_key(name)] = _over_subjects([one["mean"] for one in apart if one], seed)
        found.append(row)
    return found


def _over_subjects(values: Sequence[float], seed: int) -> dict[str, Any]:
    """Mean, bootstrap interval over subjects (NaN for fewer than two), how many there are and how many are positive.

    As wide as Student's t asks: of two subjects who differ by chance alone, half agree in sign.
    """
    known = np.array([value for value in values if value == value])
    mean = float(known.mean()) if len(known) else float("nan")
    interval = [float("nan")] * 2
    if len(known) > 1:
        draws = np.random.default_rng(seed).choice(known, (_DRAWS, len(known))).mean(1)
        half = widening(len(known)) * float(np.std(draws, ddof=1))  # percentiles of few subjects are too narrow
        interval = [mean - half, mean + half]
    return {"mean": mean, "interval": interval, "n_subjects": len(known), "n_positive": int((known > 0).sum())}


def _recipe_of(recipe: Recipe, subject: str) -> Recipe:
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"subject": subject})})


def cohort_sentence(result: CohortResult, method: str) -> str:
    """Whether adapting helped over the cohort, in words."""
    row = next(row for row in result.rows if row["method"] == method)
    if method in PAIRED:
        return ""
    parts = []
    for name, called in PAIRED.items():
        apart = row[delta_key(name)]
        if not apart["n_subjects"]:
            continue
        low, high = apart["interval"]
        if low != low:
            parts.append(
                f"is {signed(apart['mean'])} mean r from {called}, of one subject, who says nothing about others"
            )
            continue
        verb = "beats" if low > 0 else "is worse than" if high < 0 else "does not differ reliably from"
        parts.append(
            f"{verb} {called} ({signed(apart['mean'])} mean r, 95 % interval over subjects {signed(low)} to"
            f" {signed(high)}, positive in {apart['n_positive']} of {apart['n_subjects']})"
        )
    of = f"{row['n_subjects']} subjects" if row["n_subjects"] != 1 else "one subject"
    return f"Over {of} {method} {' and '.join(parts)}." if parts else ""
