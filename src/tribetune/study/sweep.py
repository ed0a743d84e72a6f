"""Methods refitted on parts of a study's calibration data: the trunk runs once, designs are made once."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tribetune.adapt.adapter import Adapter, readout_names
from tribetune.baselines.fir import fit_fir
from tribetune.errors import AdaptationError, BoldError
from tribetune.evaluate.predict import Cut, predict_run
from tribetune.progress import Silent
from tribetune.splits import Part, Split, check_enough, limit_calibration, windows_of
from tribetune.study.adapt import fit_adapter
from tribetune.study.baselines import fir_designs, fit_and_predict, zero_shot_calibration
from tribetune.study.ladder import stretches
from tribetune.study.prepare import Prepared
from tribetune.windows import Window, cut_windows, join

_NEARLY_ALL = 0.95
"""A length above this share of all minutes would be measured twice."""


@dataclass(frozen=True)
class Point:
    """The calibration data of one length in one order of the runs.

    Attributes
    ----------
    minutes : float
        Of valid BOLD.
    parts : tuple of Part
        In order of time, whatever the order in which they were taken.
    """

    minutes: float
    parts: tuple[Part, ...]

    @property
    def key(self) -> str:
        """Equal where the data are."""
        what = [[part.aligned.label, *part.span] for part in self.parts]
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]


def lengths_of(total: float, wanted: Sequence[float]) -> list[float]:
    """Those of the wanted minutes that the calibration data allow, and all of it.

    Raises
    ------
    BoldError
        If fewer than two lengths are left.
    """
    found = [*sorted({minutes for minutes in wanted if minutes <= _NEARLY_ALL * total}), total]
    if len(found) < 2:
        asked = min(wanted, default=float("nan"))
        raise BoldError(
            f"{total:.1f} min of calibration data, the shortest length of the plan is {asked:g} min: there is no curve",
            hint=f"give --minutes below {_NEARLY_ALL * total:.1f}, or more data.calibration_minutes",
        )
    return found


def orders_of(n_parts: int, n_random: int, seed: int) -> list[tuple[int, ...]]:
    """The chronological order, and so many distinct random ones, or as many as there are."""
    rng = np.random.default_rng(seed)
    found = {tuple(range(n_parts)): None}
    for _ in range(20 * n_random):
        if len(found) > n_random:
            break
        found[tuple(rng.permutation(n_parts).tolist())] = None
    return list(found)


def points_of(
    split: Split, lengths: Sequence[float], orders: Sequence[Sequence[int]], window_s: float
) -> list[list[Point]]:
    """Calibration data as ``points[order][length]``: the first minutes of the runs in that order.

    Raises
    ------
    BoldError
        If a length does not fill a window.
    """
    total = split.calibration_minutes
    points = []
    for order in orders:
        moved = replace(split, training=tuple(split.training[place] for place in order))
        row = []
        for minutes in lengths:
            limited = moved if minutes >= total else limit_calibration(moved, minutes)
            check_enough(limited, window_s)
            row.append(Point(minutes, _in_time(split, limited)))
        points.append(row)
    return points


def check_climbs(study: Prepared, points: Sequence[Sequence[Point]], orders: Sequence[Sequence[int]]) -> None:
    """Refuse lengths that leave a ladder nothing to judge on, before anything is fitted.

    Raises
    ------
    AdaptationError
        With the smallest length that would do.
    """
    short = [point.minutes for row in points for point in row if not _can_climb(study, point)]
    if not short:
        return
    window_s, total = study.recipe.windows.duration_s, study.calibration_minutes
    longer = range(math.floor(max(short)) + 1, math.floor(_NEARLY_ALL * total) + 1)
    would_do = (
        n for n in longer if all(_can_climb(study, row[0]) for row in points_of(study.split, [n], orders, window_s))
    )
    least = next(would_do, None)
    raise AdaptationError(
        f"{max(short):.3g} min of calibration data are too few for a ladder, which holds a third of them out",
        hint=f"give --minutes of {least} or more" if least else "give other --methods than ladder",
    )


def _can_climb(study: Prepared, point: Point) -> bool:
    windows = study.recipe.windows
    cut = [windows_of(parts, windows.duration_s, windows.stride_s) for parts in (point.parts, study.split.validation)]
    try:
        stretches(*cut)
    except AdaptationError:
        return False
    return True


def _in_time(split: Split, limited: Split) -> tuple[Part, ...]:
    place = {(part.aligned.label, part.span[0]): k for k, part in enumerate(split.training)}
    return tuple(sorted(limited.training, key=lambda part: place[part.aligned.label, part.span[0]]))


class Refitter:
    """Fits a method on some of the calibration data and predicts the test.

    Parameters
    ----------
    study : Prepared
        Its frozen checkpoint and test parts serve every fit.
    methods : mapping of str to mapping
        Each method's settings, as a recipe has them; ``zero-shot`` and ``fir`` take none.
    """

    def __init__(self, study: Prepared, methods: Mapping[str, Mapping[str, Any]]) -> None:
        self.study, self.methods = study, methods
        self._at: tuple[str, Prepared] | None = None

    def fit(self, method: str, point: Point) -> dict[str, np.ndarray]:
        """Predictions ``test`` (n_samples, n_outputs), and for baselines their ``calibration`` score per output."""
        if method == "fir":
            made = fit_and_predict(self.at(point), self._designs, fit_fir)
            return {name: made[name] for name in ("test", "calibration")}
        if method == "zero-shot":
            return {"test": self.predict(Adapter("zero-shot")), "calibration": zero_shot_calibration(self.study)}
        return {"test": self.predict(fit_adapter(self.at(point), method, self.methods[method], Silent()))}

    def at(self, point: Point) -> Prepared:
        """The study with a point's calibration data; what methods share in memory there ends with it."""
        if self._at is None or self._at[0] != point.key:
            self.study.trunk.chosen_precision(self._test[0][0])  # once for all points
            own = self.study.trunk.emptied()
            split = replace(self.study.split, training=point.parts)
            self._at = point.key, replace(self.study, trunk=own, split=split)
        return self._at[1]

    def predict(self, adapter: Adapter) -> Float[np.ndarray, "time output"]:
        """Every sample of the test parts; where the trunk is the checkpoint's own, it does not run again."""
        model, row = adapter.apply(self.study.tribe), 0 if adapter.tensors else None
        if not readout_names() >= set(adapter.tensors):
            return np.concatenate([self._through_trunk(model, row, part) for part in self.study.split.test])
        rows = None if row is None else torch.tensor([row])
        found = []
        with torch.inference_mode():
            for part, windows, values in zip(self.study.split.test, self._test, self._test_values, strict=True):
                read = [model.readout(one[None], rows)[0].float().cpu().numpy() for one in values]
                first, last = part.span
                found.append(join(read, [window.start_s - first for window in windows], last - first, "none"))
        return np.concatenate(found)

    def _through_trunk(self, model: Any, row: int | None, part: Part) -> Float[np.ndarray, "time output"]:
        window_s = self.study.recipe.windows.duration_s
        return predict_run(model, part.aligned, row, Cut(window_s, span=part.span))

    def _designs(self, parts: Sequence[Part]) -> list[Float[np.ndarray, "_ feature"]]:
        """FIR designs; those of fewer minutes are the first rows of all minutes'."""
        return [self._made[part.aligned.label, part.span[0]][: part.span[1] - part.span[0]] for part in parts]

    @cached_property
    def _made(self) -> dict[tuple[str, int], Float[np.ndarray, "_ feature"]]:
        parts = (*self.study.split.training, *self.study.split.test)
        made = fir_designs(self.study)(parts)
        return {(part.aligned.label, part.span[0]): design for part, design in zip(parts, made, strict=True)}

    @cached_property
    def _test(self) -> list[list[Window]]:
        window_s = self.study.recipe.windows.duration_s
        return [cut_windows(part.aligned, window_s, window_s, part.span) for part in self.study.split.test]

    @cached_property
    def _test_values(self) -> list[list[Tensor]]:
        """In float32, as a run scores its test, whatever the precision of the fits."""
        return [self.study.trunk.trunk_outputs(windows, "float32") for windows in self._test]
