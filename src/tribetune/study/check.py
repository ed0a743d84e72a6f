"""`tribetune recipe check`: read everything that a recipe names, train nothing."""

from collections.abc import Sequence

import numpy as np

from tribetune.model.tribe import Tribe
from tribetune.progress import Silent
from tribetune.recipe.file import read_any_recipe
from tribetune.recipe.group import GroupRecipe
from tribetune.recipe.pretraining import PretrainRecipe
from tribetune.recipe.schema import Recipe
from tribetune.splits import Split
from tribetune.study.alignment import lag_note
from tribetune.study.group_data import read_cohort
from tribetune.study.leaks import enforce, find_leaks
from tribetune.study.prepare import bold_cache, open_trunk, prepare
from tribetune.study.runs import read_all


def check(recipe_path: str, overrides: Sequence[str] = ()) -> list[str]:
    """What a recipe would do, read from its files.

    Returns
    -------
    list of str
        One line per thing found.

    Raises
    ------
    TribetuneError
        If the recipe or anything that it names is at fault.
    """
    recipe = read_any_recipe(recipe_path, overrides)
    if isinstance(recipe, PretrainRecipe):
        return _check_pretraining(recipe)
    return _check_group(recipe) if isinstance(recipe, GroupRecipe) else _check_study(recipe)


def _check_group(recipe: GroupRecipe) -> list[str]:
    cohort, left_out = read_cohort(recipe, Silent())
    lines = [f"recipe: {recipe.name}, group prediction", f"checkpoint: {recipe.checkpoint}"]
    lines.append(f"subjects: {len(cohort)}: {', '.join(cohort)}")
    lines += [f"left out: sub-{label}: {reason}" for label, reason in left_out.items()]
    for key, (_, aligned) in next(iter(cohort.values())).items():
        every = np.all([runs[key][1].mask for runs in cohort.values()], axis=0)
        lines.append(f"run {key}: {len(aligned.mask)} s, {int(every.sum())} samples that all subjects have")
    return lines


def _check_pretraining(recipe: PretrainRecipe) -> list[str]:
    cohort, choice = recipe.cohort, recipe.pretraining
    hours = cohort.subjects * cohort.runs * cohort.minutes / 60
    return [
        f"recipe: {recipe.name}, pretraining",
        f"cohort: {cohort.subjects} simulated subjects × {cohort.runs} runs × {cohort.minutes:g} min = {hours:.1f} h",
        f"training: {choice.epochs} epochs, batches of {choice.batch_size}, rate up to {choice.learning_rate:g}",
    ]


def _check_study(recipe: Recipe) -> list[str]:
    # Everything wrong is told at once, and before the hours that features may take.
    runs = read_all(recipe.data, bold_cache(recipe))
    trunk = open_trunk(recipe)
    study = prepare(
        recipe, Silent(), trunk, None if recipe.data.tables else runs
    )  # tables tell how many subjects they have
    split, start = study.split, "zero" if study.trunk.space is None else "what it has of them"
    lines = [
        f"recipe: {recipe.name}, method {recipe.adaptation.method}",
        f"checkpoint: {recipe.checkpoint}, {_count(trunk.tribe)} weights, {trunk.tribe.config.n_outputs:,} outputs",
        *_parts(split),
        f"calibration: {study.calibration_minutes:.1f} min in {len(study.calibration)} windows"
        f" of {recipe.windows.duration_s:g} s",
        f"zero-shot: {'defined' if study.has_zero_shot else f'not defined, readouts start from {start}'}",
    ]
    leakage = find_leaks(study)
    enforce(leakage)
    lines += [f"repeat: {leak.test} and {leak.training}: {leak.told}" for leak in leakage.repeats]
    lines.append("leaks from test to training: none" + "".join(f"; {told}" for told in leakage.unchecked))
    contradiction = lag_note(split, recipe.windows.hemodynamic_lag_s)
    return [*lines, *study.notes, *([contradiction] if contradiction else [])]


def _parts(split: Split) -> list[str]:
    lines = []
    for name in ("training", "validation", "test"):
        for part in getattr(split, name):
            arrays = part.aligned.features.arrays
            lines.append(
                f"{name}: {part.aligned.label}, {part.span[0]} to {part.span[1]} s,"
                f" {int(part.mask.sum())} valid samples, {', '.join(arrays)}"
            )
    return lines


def _count(tribe: Tribe) -> str:
    return f"{sum(weight.numel() for weight in tribe.parameters()):,}"
