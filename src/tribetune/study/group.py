"""`tribetune group`: the unseen subject's prediction for a cohort who saw the same, held against its mean BOLD."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from tribetune.adapt.base import Base
from tribetune.bold.write import write_prediction
from tribetune.digits import rounded
from tribetune.evaluate.group import Cohort, GroupScores, group_null, score_group
from tribetune.evaluate.predict import Cut, predict_run
from tribetune.files import whole, write_json, write_text
from tribetune.progress import Progress, Silent
from tribetune.recipe.file import dump_recipe, read_group_recipe
from tribetune.recipe.group import GroupRecipe
from tribetune.spaces import FSAVERAGE5, Space
from tribetune.splits import Part
from tribetune.study.bold import Reader
from tribetune.study.fitting import mismatches
from tribetune.study.group_data import Runs, read_cohort
from tribetune.study.leaks import Leakage, enforce, find_in_checkpoint, shown
from tribetune.study.prepare import bold_cache, open_trunk
from tribetune.study.provenance import provenance
from tribetune.study.stages import REFUSED, open_run
from tribetune.study.stimuli import timeline_digest
from tribetune.study.subjects import ALL
from tribetune.windows import joined_how

_FEW_SUBJECTS = 5
"""Below so many a bootstrap over subjects is not to be trusted (``LOG.md``)."""


@dataclass(frozen=True)
class GroupResult:
    """What a group prediction came to.

    Attributes
    ----------
    scores : GroupScores
    null_95 : float
        R_group that 95 % of the same predictions at the wrong time stay below.
    subjects : list of str
        In the order of the scores.
    left_out : dict of str to str
        Why a subject is not among them.
    folder : Path
    notes : list of str
    pictures : list of Path
    """

    scores: GroupScores
    null_95: float
    subjects: list[str]
    left_out: dict[str, str]
    folder: Path
    notes: list[str]
    pictures: list[Path]

    @property
    def facts(self) -> dict[str, Any]:
        """Plain values; means of subjects by their label."""
        scores = self.scores
        own = zip(self.subjects, scores.subjects, scores.model, scores.individual, strict=True)
        return {
            "n_subjects": scores.n_subjects,
            "n_samples": scores.n_samples,
            "n_outputs": scores.r_group.n_outputs,
            "r_group": scores.r_group.mean,
            "r_group_interval": list(scores.r_group.interval),
            "null_95": self.null_95,
            "median_subject": scores.median_subject.mean,
            "median_subject_interval": list(scores.median_subject.interval),
            "out_predicted": scores.out_predicted,
            "individual_r": {"mean": float(scores.individual.mean()), "median": float(np.median(scores.individual))},
            "curve": [asdict(point) for point in scores.curve],
            "subjects": {
                label: {"with_others": float(a), "model_with_others": float(b), "individual_r": float(c)}
                for label, a, b, c in own
            },
            "left_out": self.left_out,
            "notes": self.notes,
            "folder": str(self.folder),
            "pictures": [str(picture) for picture in self.pictures],
        }


def predict_group(
    recipe_path: str,
    overrides: Sequence[str],
    out: Path | None,
    progress: Progress | None = None,
    *,
    allow_leakage: str = "",
) -> GroupResult:
    """Predict a cohort's mean response without any training, and score it.

    Parameters
    ----------
    recipe_path : str
        A YAML file of a group recipe.
    overrides : sequence of str
        ``key=value``.
    out : Path, optional
        Run folder; ``runs/<name>`` when left out.
    progress : Progress, optional
    allow_leakage : str
        Why to go on where the checkpoint was trained on a stimulus; empty: it is refused.

    Raises
    ------
    TribetuneError
        If the recipe, the checkpoint or the data are at fault, or fewer than two subjects are left.
    """
    progress, recipe = progress or Silent(), read_group_recipe(recipe_path, overrides)
    path = out or Path("runs") / recipe.name
    trunk = open_trunk(recipe.of(ALL))
    notes = mismatches(recipe.of(ALL), trunk.tribe)
    cohort, left_out = read_cohort(recipe, progress, trunk)
    first = next(iter(cohort.values()))
    open_run(path, {"recipe": recipe.model_dump(mode="json"), "checkpoint": trunk.name, "subjects": list(cohort)})
    base = {"name": Path(recipe.checkpoint).name, "hash": trunk.name, "licence": trunk.tribe.config.licence}
    _guard(recipe, base, first, path, allow_leakage, notes)
    write_text(path / "recipe.yaml", dump_recipe(recipe))
    inputs = [file for runs in cohort.values() for run, _ in runs.values() for file in run.inputs]
    timelines = {run.label: timeline_digest(run.timeline) for runs in cohort.values() for run, _ in runs.values()}
    write_json(path / "provenance.json", provenance(recipe.seed, base, inputs, timelines))
    progress.step("Predicting the unseen subject")
    predicted = _predictions(recipe, trunk, first, path)
    progress.step(f"Scoring against {len(cohort)} subjects")
    together = _together(predicted, cohort)
    in_means = _in_means(recipe, predicted[0].shape[1])
    draws = recipe.evaluation.bootstrap_draws
    scores = score_group(together, in_means, draws, recipe.seed)
    counted = in_means & np.isfinite(scores.maps["r_group"])
    null_95 = float(np.percentile(group_null(together, counted, draws=draws, seed=recipe.seed), 95))
    pictures = _draw(recipe, scores, path)
    result = GroupResult(scores, null_95, list(cohort), left_out, path, notes, pictures)
    _save(result)
    return result


def group_words(result: GroupResult) -> list[str]:
    """What the scores mean, a sentence each."""
    scores, n = result.scores, result.scores.n_subjects
    low, high = scores.r_group.interval
    found = [
        f"R_group is {rounded(scores.r_group.mean)} [{rounded(low)}, {rounded(high)}] with the mean of N = {n}"
        f" subjects; it grows with N (one subject: {rounded(scores.curve[0].mean)}).",
        f"The prediction meets the mean of the others better than the subject himself in {scores.out_predicted:.0%} of"
        f" {n} subjects.",
    ]
    if n < _FEW_SUBJECTS:
        found.append(
            f"With fewer than {_FEW_SUBJECTS} subjects these intervals are too narrow: of simulated cohorts of 2, 3 and"
            " 4 they held the truth in 51, 81 and 87 %, not in 95 %. Whether R_group exceeds chance is not told."
        )
    elif not low > result.null_95:
        found.append("R_group does not exceed chance reliably.")
    return found


def _guard(
    recipe: GroupRecipe,
    base: dict[str, Any],
    first: Runs,
    path: Path,
    allowed: str,
    notes: list[str],
) -> None:
    """Refuse stimuli that the checkpoint was trained on: nothing else can leak where nothing is trained."""
    test = [shown(Part(aligned, (0, len(aligned.mask))), run) for run, aligned in first.values()]
    leaks, unchecked = find_in_checkpoint(recipe.checkpoint, base, test)
    found = Leakage(leaks, unchecked=unchecked, allowed=allowed.strip())
    write_json(path / REFUSED, found.facts)
    enforce(found)
    if leaks:
        notes.append(f"Leakage was allowed (in-checkpoint): {found.allowed}. The checkpoint was trained on this.")
    notes.extend(unchecked)


def _predictions(recipe: GroupRecipe, trunk: Base, first: Runs, path: Path) -> list[np.ndarray]:
    """The unseen subject's prediction of each run, also written beside the scores."""
    windows, found = recipe.windows, []
    _, any_run = next(iter(first.values()))
    trunk = trunk.in_space(Space(recipe.data.space, any_run.bold.shape[1]))
    told = {"HemodynamicLag": windows.hemodynamic_lag_s, "Windows": joined_how(windows.duration_s, 0.0)}
    for key, (_, aligned) in first.items():
        values = predict_run(trunk.tribe, aligned, None, Cut(windows.duration_s), trunk)
        write_prediction(values, recipe.data.space, path / "predictions", f"{key}_desc-zero-shot", told)
        found.append(values)
    return found


def _together(predicted: list[np.ndarray], cohort: Mapping[str, Runs]) -> Cohort:
    subjects = [[aligned for _, aligned in runs.values()] for runs in cohort.values()]
    keep = [np.all([runs[k].mask for runs in subjects], axis=0) for k in range(len(predicted))]
    bold = tuple(tuple(aligned.bold for aligned in runs) for runs in subjects)
    return Cohort(tuple(predicted), bold, tuple(keep))


def _in_means(recipe: GroupRecipe, n_outputs: int) -> Bool[np.ndarray, " output"]:
    one = recipe.of(ALL)
    return Space(recipe.data.space, n_outputs, Reader(one.data, bold_cache(one)).labels()).in_means


def _draw(recipe: GroupRecipe, scores: GroupScores, path: Path) -> list[Path]:
    """The curve, and maps where there is a cortex."""
    from tribetune.report.group import curve_picture
    from tribetune.report.surface import score_maps

    pictures = [path / "curve.png"]
    title = f"{recipe.name}: zero-shot group prediction, N = {scores.n_subjects}"
    curve_picture(scores, pictures[0], title=title)
    if FSAVERAGE5.name in recipe.data.space.split("+"):
        names = {"r_group": "R_group", "median_subject": "median subject", "individual": "individual r"}
        maps = {name: scores.maps[key][: FSAVERAGE5.n_outputs].astype(float) for key, name in names.items()}
        pictures.append(path / "maps.png")
        score_maps(maps, pictures[1], title=title)
    return pictures


def _save(result: GroupResult) -> None:
    with whole(result.folder / "group.npz") as part, part.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **result.scores.maps)
    write_json(
        result.folder / "group.json",
        {**result.facts, "folder": result.folder.name, "pictures": [picture.name for picture in result.pictures]},
    )
