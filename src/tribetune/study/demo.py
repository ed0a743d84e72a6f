"""`tribetune demo`: the whole main job on one simulated subject that the shipped checkpoint never met."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from tribetune.progress import Progress, Silent
from tribetune.recipe.data import Data, RunSplit
from tribetune.recipe.schema import FeatureChoice, Readout, Recipe
from tribetune.report.surface import score_maps
from tribetune.simulate.cohort import simulate
from tribetune.simulate.settings import CohortSettings
from tribetune.study.adapt import AdaptResult, adapt_methods

SEED = 33
"""Of the demo's subject and films; the shipped checkpoint was trained on others."""

TEST_RUN = 4
"""Held out."""

MINUTES = 8.0
"""Of each of the four runs."""


@dataclass(frozen=True, kw_only=True)
class DemoResult(AdaptResult):
    """What the demo came to.

    Attributes
    ----------
    picture : Path
        Held-out scores on the cortex.
    ideal : float
        Mean r of the planted signal itself with the test run: what a perfect model would reach.
    """

    picture: Path
    ideal: float


def demo(out: Path, progress: Progress | None = None, seed: int = SEED, minutes: float = MINUTES) -> DemoResult:
    """Simulate a subject (4 runs), adapt the shipped checkpoint by readout and LoRA, score on run 4, draw.

    Parameters
    ----------
    out : Path
        Folder for the data, the adapters, the table and the picture.
    progress : Progress, optional
    seed : int
        Another seed is another subject who saw other films.
    minutes : float
        Of each run.
    """
    progress = progress or Silent()
    progress.step(f"Simulating a new subject: 4 runs × {minutes:g} min")
    bids = simulate(out / "bids", CohortSettings(subjects=1, runs=4, minutes=minutes, seed=seed), progress.advance)
    recipe = Recipe(
        name="demo",
        data=Data(bids=bids, subject="01", task="movie", split=RunSplit(test=[TEST_RUN])),
        features=FeatureChoice(store=out / "features"),
        adaptation=Readout(method="readout"),
    )
    result = adapt_methods(recipe, {"readout": {}, "lora": {}}, out / "run", progress)
    progress.step("Drawing held-out scores on the cortex")
    picture = out / "scores.png"
    maps = {method: np.asarray(result.scores[method]) for method in ("zero-shot", "fir", "readout", "lora")}
    score_maps(maps, picture, title=f"Encoding score of run {TEST_RUN}, a simulated subject")
    ideal = ideal_score(bids, np.isfinite(maps["zero-shot"]))
    told = f"A perfect model of this simulated subject would reach a mean r of {ideal:.3f}: noise is most of BOLD."
    notes = [*result.notes, told]
    found = (result.rows, result.verdict, result.folder, notes, result.scores)
    return DemoResult(*found, picture=picture, ideal=ideal)


def ideal_score(bids: Path, outputs: Bool[np.ndarray, " output"]) -> float:
    """Mean over outputs of the planted signal's r with the test run; zero where nothing is planted."""
    with np.load(bids / "truth" / "sub-01.npz") as truth:
        run = truth["runs"].tolist().index(TEST_RUN)
        return float(np.nan_to_num(truth["ideal_r"][run])[outputs].mean())
