"""Every method at every length and order of a plan, fitted once, kept as stages and scored on one test."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool

from tribetune.evaluate.bootstrap import (
    Bootstrap,
    block_members,
    block_moments,
    bootstrap_moments,
    zscore_by_run,
)
from tribetune.evaluate.selection import select_outputs
from tribetune.progress import Progress
from tribetune.study.clock import on_clock
from tribetune.study.prepare import Prepared
from tribetune.study.stages import RunFolder
from tribetune.study.sweep import Point, Refitter

REFERENCES = ("zero-shot", "fir")
"""What methods are held against, and what outputs are chosen by."""

_STEP = "Refitting with fewer minutes"


@dataclass(frozen=True)
class Refits:
    """Everything that was refitted.

    Attributes
    ----------
    names : mapping of method to list of list of str
        ``names[method][order][length]``: the fit's name in the bootstrap.
    minutes : list of float
        Of every length.
    bootstrap : Bootstrap
        Of all fits; its sets are all outputs, and those chosen on calibration data.
    """

    names: Mapping[str, list[list[str]]]
    minutes: list[float]
    bootstrap: Bootstrap


class Scorer:
    """The held-out BOLD that every fit is scored on, cut into blocks.

    Parameters
    ----------
    study : Prepared
    """

    def __init__(self, study: Prepared) -> None:
        self.study = study
        n_samples = sum(last - first for first, last in (part.span for part in study.split.test))
        # which volumes a prediction reaches decides which are scored at their own times
        clock = on_clock(study, {"": np.zeros((n_samples, 1), np.float32)})
        held_out = clock.held_out
        self.labels = np.asarray(held_out.runs)
        self.members = block_members(self.labels, clock.samples(study.recipe.evaluation.bootstrap_block_s))
        self.measured = zscore_by_run(held_out.bold, self.labels)
        self.defined: Bool[np.ndarray, " output"] = np.asarray(np.isfinite(held_out.bold).all(0)) & study.in_means

    def moments(self, test: np.ndarray) -> dict[str, np.ndarray]:
        """What a fit's scores come from, per block of time: a tenth of its predictions or less."""
        standard = zscore_by_run(on_clock(self.study, {"": test}).predicted[""], self.labels)
        _, x, _, xx, _, xy = block_moments(standard, self.measured, self.members)
        return {"x": x, "xx": xx, "xy": xy}

    def whole(self, kept: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """A fit's moments in the order of `block_moments`; BOLD's own are shared by all fits."""
        n, y, yy = self._own
        return [n, kept["x"], y, kept["xx"], yy, kept["xy"]]

    @cached_property
    def _own(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        n, y, _, yy, _, _ = block_moments(self.measured, self.measured, self.members)
        return n, y, yy


def refit(
    fits: Refitter, scorer: Scorer, points: Sequence[Sequence[Point]], folder: RunFolder, progress: Progress
) -> Refits:
    """Fit what was not fitted before the plan was stopped, and score all of it on the same resampled blocks.

    Parameters
    ----------
    fits : Refitter
    scorer : Scorer
    points : sequence of sequence of Point
        ``points[order][length]``.
    folder : RunFolder
        Where finished fits are kept.
    progress : Progress
    """
    progress.step(_STEP)
    tasks = _tasks(fits, points)
    kept = {}
    for done, (name, method, point) in enumerate(tasks):
        progress.advance(_STEP, done / len(tasks))
        progress.advance(f"{method}, {point.minutes:.3g} min", 0.0)
        found = folder.load(name)
        if found is None:
            found = _fitted(fits, scorer, method, point)
            folder.save(name, found)
        kept[name] = found
    names = {method: [[stage_of(method, point) for point in row] for row in points] for method in fits.methods}
    decides = [kept[names[method][0][-1]]["calibration"] for method in REFERENCES if method in names]
    choice, seed = fits.study.recipe.evaluation, fits.study.recipe.seed
    sets = np.stack([scorer.defined, select_outputs(decides, scorer.defined, choice.selected_share)])
    moments = {name: scorer.whole(arrays) for name, arrays in kept.items()}
    scored = bootstrap_moments(moments, sets, draws=choice.bootstrap_draws, seed=seed)
    return Refits(names, [point.minutes for point in points[0]], scored)


def stage_of(method: str, point: Point) -> str:
    """Name of a fit: the same for the same data, whatever the order in which they were taken."""
    return method if method == "zero-shot" else f"{method}-{point.key}"


def _fitted(fits: Refitter, scorer: Scorer, method: str, point: Point) -> dict[str, np.ndarray]:
    made = fits.fit(method, point)
    return scorer.moments(made.pop("test")) | made


def _tasks(fits: Refitter, points: Sequence[Sequence[Point]]) -> list[tuple[str, str, Point]]:
    """Every fit once, the shortest first: stage, method, data."""
    distinct = {point.key: point for length in zip(*points, strict=True) for point in length}

    def each() -> Iterator[tuple[str, str, Point]]:
        for point in distinct.values():
            for method in fits.methods:
                yield stage_of(method, point), method, point

    return list({task[0]: task for task in each()}.values())
