"""`tribetune bold lag`: does BOLD follow the stimulus at the recipe's lag? Calibration runs only."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from tribetune.bold.sensory import Sensory, sensory_outputs, sensory_vertices
from tribetune.errors import BoldError
from tribetune.evaluate.lag import LagCurve, LagRange, LagSweep, sweep_lags
from tribetune.progress import Progress
from tribetune.recipe.file import read_recipe
from tribetune.spaces import FSAVERAGE5
from tribetune.study.alignment import is_contradicted, sentences
from tribetune.study.bold import Reader
from tribetune.study.prepare import Prepared, bold_cache, prepare


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
    senses = _senses(study)
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


def _senses(study: Prepared) -> Sensory | None:
    """Auditory and visual outputs: by the vertices of fsaverage5, or by the names of parcels."""
    data, n_outputs = study.recipe.data, study.split.training[0].aligned.bold.shape[1]
    beyond = n_outputs - FSAVERAGE5.n_outputs
    if FSAVERAGE5.name in data.space.split("+") and beyond >= 0:
        found = sensory_vertices()
        return Sensory(np.pad(found.auditory, (0, beyond)), np.pad(found.visual, (0, beyond)), found.source)
    if data.parcellation is None or data.parcellation.of_volumes:
        return None
    names = Reader(data, bold_cache(study.recipe)).parcellation.names
    return sensory_outputs(names) if len(names) == n_outputs else None


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
