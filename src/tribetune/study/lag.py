"""`tribetune bold lag`: does BOLD follow the stimulus at the recipe's lag? Calibration runs only."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from tribetune.errors import BoldError
from tribetune.evaluate.lag import LagCurve, LagRange, LagSweep, sweep_lags
from tribetune.progress import Progress
from tribetune.recipe.file import read_recipe
from tribetune.study.alignment import is_contradicted, sentences
from tribetune.study.areas import sensory
from tribetune.study.prepare import prepare


@dataclass(frozen=True)
class LagResult:
    """A sweep and what it says.

    Attributes
    ----------
    name : str
        The recipe's.
    subject : str
    sweep : LagSweep
    words : list of str
        The best lag first, then what is wrong.
    senses : str
        Where auditory and visual outputs are known from; empty where they are not.
    """

    name: str
    subject: str
    sweep: LagSweep
    words: list[str]
    senses: str

    @property
    def facts(self) -> dict[str, Any]:
        """The same as plain values."""
        sweep = self.sweep
        return {
            "recipe": self.name,
            "subject": self.subject,
            "recipe_lag_s": sweep.recipe_lag_s,
            "minutes": sweep.minutes,
            "contradicted": is_contradicted(sweep),
            "lags_s": sweep.lags_s.tolist(),
            "curves": {name: _plain(curve) for name, curve in sweep.curves.items()},
            "halves": [_plain(curve) for curve in sweep.halves],
            "senses": self.senses,
            "words": self.words,
        }


def find_lag(recipe_path: str, overrides: Sequence[str], within: LagRange, progress: Progress) -> LagResult:
    """Sweep the lag of a recipe's study.

    Raises
    ------
    TribetuneError
        If anything that the recipe names is at fault, or the calibration data are too short.
    """
    recipe = read_recipe(recipe_path, overrides)
    within.moves(recipe.windows.hemodynamic_lag_s)  # a wrong range is told before minutes of work
    study = prepare(recipe, progress)
    senses = sensory(study)
    sets: dict[str, Bool[np.ndarray, " output"]] = (
        {"auditory": senses.auditory, "visual": senses.visual} if senses else {}
    )
    progress.advance("Sweeping the lag", 0.0)
    sweep = sweep_lags(study.split.training, within, sets, seed=recipe.seed)
    if sweep is None:
        raise BoldError(
            f"{study.calibration_minutes:.1f} min of calibration data in {len(study.split.training)} stretches are too"
            f" short for lags from {within.from_s:g} to {within.to_s:g} s",
            hint="give more data.calibration_minutes, or a narrower --from and --to",
        )
    return LagResult(recipe.name, recipe.data.subject, sweep, sentences(sweep), senses.source if senses else "")


def draw_lag(result: LagResult, path: Path) -> None:
    """Write the picture: r against the lag."""
    from tribetune.report.lag import lag_picture

    lag_picture(result.sweep, path, title=f"{result.name}, sub-{result.subject}", senses=result.senses)


def _plain(curve: LagCurve) -> dict[str, Any]:
    return {
        "best_s": curve.best_s,
        "interval_s": list(curve.interval_s),
        "at_edge": curve.at_edge,
        "above_null": curve.above_null,
        "null_95": curve.null_95,
        "n_outputs": curve.n_outputs,
        "r": curve.r.tolist(),
    }
