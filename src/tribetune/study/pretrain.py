"""`tribetune pretrain`: a simulated cohort, its features, and a trunk for all of its subjects."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tribetune.datamodule import Cutting, WindowDataModule
from tribetune.evaluate.duplicates import plain_words, word_sketch
from tribetune.features.encoders import Encoders, encoders
from tribetune.features.extract import extract
from tribetune.files import hash_file, write_json
from tribetune.model.checkpoint import TRAINING, save_checkpoint
from tribetune.model.tribe import TribeConfig
from tribetune.pretrain.fit import Training, keep_unseen, pretrain_tribe
from tribetune.progress import Progress, Silent
from tribetune.recipe.data import Data, RunSplit
from tribetune.recipe.file import read_pretrain_recipe
from tribetune.recipe.pretraining import PretrainRecipe
from tribetune.simulate.cohort import simulate
from tribetune.simulate.dataset import Layout
from tribetune.simulate.settings import CohortSettings
from tribetune.splits import Split, split_by_run
from tribetune.stimulus.words import read_words
from tribetune.study.runs import aligned_run, study_runs
from tribetune.windows import AlignedRun


def pretrain(recipe_path: str, overrides: Sequence[str], out: Path | None, progress: Progress | None = None) -> Path:
    """Make a checkpoint as a recipe says.

    Parameters
    ----------
    recipe_path : str
        A YAML file with ``cohort`` and ``pretraining``.
    overrides : sequence of str
        ``key=value``, see `read_pretrain_recipe`.
    out : Path, optional
        Folder of the checkpoint; ``checkpoints/<name>`` when left out.
    progress : Progress, optional

    Returns
    -------
    Path
        The checkpoint's folder.
    """
    recipe, progress = read_pretrain_recipe(recipe_path, overrides), progress or Silent()
    folder, begin = out or Path("checkpoints") / recipe.name, time.perf_counter()
    cohort = recipe.cohort
    progress.step(f"Simulating {cohort.subjects} subjects × {cohort.runs} runs × {cohort.minutes:g} min")
    settings = CohortSettings(cohort.subjects, cohort.runs, cohort.minutes, cohort.seed)
    bids = simulate(cohort.folder, settings, progress.advance)
    progress.step("Reading BOLD and extracting features")
    chosen = encoders(recipe.features.encoders)
    aligned = [
        run for subject in _subjects(cohort.subjects) for run in _aligned_runs(recipe, bids, subject, chosen, progress)
    ]
    config = _config(recipe, aligned, chosen)
    data = WindowDataModule(
        _split(recipe, aligned),
        Cutting(recipe.windows.duration_s, recipe.windows.stride_s, recipe.windows.random_phase),
        recipe.pretraining.batch_size,
        recipe.seed,
        {run.label: _row(run) for run in aligned},
    )
    choice = recipe.pretraining
    progress.step(f"Training for {choice.epochs} epochs")
    history: list[dict[str, Any]] = []

    def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
        history.append({"epoch": epoch, **metrics})
        shown = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        progress.advance(f"epoch {epoch}: {shown}", epoch / choice.epochs)

    tribe = pretrain_tribe(config, data, Training(choice.epochs, choice.learning_rate, recipe.seed), on_epoch)
    tribe = keep_unseen(tribe) if choice.keep == "unseen" else tribe
    save_checkpoint(tribe, folder, half=True)
    facts = {"recipe": hash_file(Path(recipe_path)), "seconds": time.perf_counter() - begin, "history": history}
    shown = film_stimuli(bids, [run for run in range(1, cohort.runs + 1) if run not in recipe.validation_runs])
    write_json(folder / TRAINING, {**facts, "stimuli": shown})
    return folder


def film_stimuli(bids: Path, films: Sequence[int]) -> list[dict[str, Any]]:
    """Films of a simulated cohort as a checkpoint's training list names them."""
    layout, found = Layout(bids), []
    for film in films:
        words = plain_words([event.text for event in read_words(layout.words(film))])
        name, content = layout.film(film).name, hash_file(layout.film(film))
        found.append({"name": name, "files": [content], "words": list(word_sketch(words))})
    return found


def encoder_facts(chosen: Encoders, modalities: Sequence[str]) -> dict[str, Any]:
    """Per modality, what made the features: kept in the checkpoint's config, so that others use the same."""
    return {
        name: {"encoders": chosen.name, "name": chosen[name].name, "setting": chosen[name].options.setting}
        for name in modalities
    }


def _subjects(count: int) -> list[str]:
    return [f"{number:02d}" for number in range(1, count + 1)]


def _aligned_runs(
    recipe: PretrainRecipe, bids: Path, subject: str, chosen: Encoders, progress: Progress
) -> list[AlignedRun]:
    data = Data(bids=bids, subject=subject, task="movie", split=RunSplit(test=["none"]))
    cache, aligned = recipe.features.store.parent / "bold", []
    for run in study_runs(data, cache):
        progress.advance(run.label, 0.0)
        features = extract(
            run.timeline, chosen, recipe.features.modalities, recipe.features.store, recipe.features.device, None
        )
        aligned.append(aligned_run(run, features, recipe.windows.hemodynamic_lag_s, cache))
    return aligned


def _row(run: AlignedRun) -> int:
    """Subjects are numbered from 01 in their order."""
    return int(run.label.split("_")[0].removeprefix("sub-")) - 1


def _split(recipe: PretrainRecipe, aligned: list[AlignedRun]) -> Split:
    """Whole runs per subject; the validation runs are also the ones reported, and nothing is chosen on them."""
    parts = []
    for label in dict.fromkeys(_row(run) for run in aligned):
        runs = [run for run in aligned if _row(run) == label]
        parts.append(split_by_run(runs, [], recipe.validation_runs))
    training = tuple(part for split in parts for part in split.training)
    held_out = tuple(part for split in parts for part in split.test)
    return Split(training, held_out, ())


def _config(recipe: PretrainRecipe, aligned: list[AlignedRun], chosen: Encoders) -> TribeConfig:
    arrays = aligned[0].features.arrays
    return TribeConfig(
        modalities={name: arrays[name].shape[:2] for name in recipe.features.modalities},
        n_outputs=aligned[0].bold.shape[1],
        rows=recipe.cohort.subjects + 1,
        unseen_row=True,
        space="fsaverage5",
        subjects=[f"sub-{name}" for name in _subjects(recipe.cohort.subjects)],
        lag_s=recipe.windows.hemodynamic_lag_s,
        licence="apache-2.0",  # trained on our own simulation
        encoders=encoder_facts(chosen, recipe.features.modalities),
        **recipe.model.model_dump(),
    )
