"""`tribetune demo`: the whole main job on one simulated subject that the shipped checkpoint never met."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tribetune.progress import Progress, Silent
from tribetune.recipe import Data, FeatureChoice, Readout, Recipe, RunSplit
from tribetune.report.surface import score_maps
from tribetune.simulate.cohort import simulate
from tribetune.simulate.settings import CohortSettings
from tribetune.study.adapt import AdaptResult, adapt_methods

SEED = 33
"""Of the demo's subject and films; the shipped checkpoint was trained on others."""


@dataclass(frozen=True)
class DemoResult(AdaptResult):
    """What the demo came to, and where its picture is."""

    picture: Path


def demo(out: Path, progress: Progress | None = None, seed: int = SEED) -> DemoResult:
    """Simulate a subject (4 runs × 8 min), adapt the shipped checkpoint by readout and LoRA, score on run 4, draw.

    Parameters
    ----------
    out : Path
        Folder for the data, the adapters, the table and the picture.
    progress : Progress, optional
    seed : int
        Another seed is another subject who saw other films.
    """
    progress = progress or Silent()
    progress.step("Simulating a new subject: 4 runs × 8 min")
    bids = simulate(out / "bids", CohortSettings(subjects=1, runs=4, minutes=8.0, seed=seed), progress.advance)
    recipe = Recipe(
        name="demo",
        data=Data(bids=bids, subject="01", task="movie", split=RunSplit(test=["4"])),
        features=FeatureChoice(store=out / "features"),
        adaptation=Readout(method="readout"),
    )
    result = adapt_methods(recipe, {"readout": {}, "lora": {}}, out / "run", progress)
    progress.step("Drawing held-out scores on the cortex")
    picture = out / "scores.png"
    maps = {method: np.asarray(result.scores[method]) for method in ("zero-shot", "fir", "readout", "lora")}
    score_maps(maps, picture)
    return DemoResult(result.rows, result.verdict, result.folder, result.notes, result.scores, picture)
