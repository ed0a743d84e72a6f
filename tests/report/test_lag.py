"""The picture of a lag sweep."""

import matplotlib.image
import numpy as np
import pytest

from tribetune.evaluate.bootstrap import Estimate
from tribetune.evaluate.lag import LagCurve, LagSweep
from tribetune.report.lag import lag_picture

LAGS = np.arange(-2, 12.5, 0.5)


def curve(best_s: float, null_95: float = 0.02) -> LagCurve:
    r = 0.1 * np.exp(-((LAGS - best_s) ** 2) / 8)
    return LagCurve(r, r - 0.01, r + 0.01, best_s, (best_s - 0.4, best_s + 0.4), False, null_95, 100)


def drawn(path, **curves) -> np.ndarray:
    sweep = LagSweep(LAGS, 5.0, curves, Estimate(0.0, (0.0, 0.0), 1), (), 20.0)
    lag_picture(sweep, path, title="mine", senses="names of parcels")
    return matplotlib.image.imread(path)[..., :3]


def pixels(image: np.ndarray, colour: str) -> np.ndarray:
    """Where the plot has exactly this colour; the legend below does not count."""
    wanted = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    return np.abs(image[: int(0.7 * len(image))] - wanted).max(2) < 0.02


def place(image: np.ndarray, lag_s: float) -> float:
    """Column of a lag: the line of zero, the longest that is light grey, goes from the first lag to the last."""
    grey = pixels(image, "#cccccc")
    line = np.flatnonzero(grey[grey.sum(1).argmax()])
    return line[0] + (lag_s - LAGS[0]) / (LAGS[-1] - LAGS[0]) * (line[-1] - line[0])


def test_the_recipes_lag_is_drawn_where_it_is(tmp_path):
    image = drawn(tmp_path / "lag.png", all=curve(5.0))
    dashed = pixels(image, "#bb2649").sum(0).argmax()
    assert dashed == pytest.approx(place(image, 5.0), abs=0.01 * image.shape[1])


def test_auditory_and_visual_cortex_have_colours_of_their_own(tmp_path):
    alone = drawn(tmp_path / "new" / "all.png", all=curve(5.0))
    both = drawn(tmp_path / "both.png", all=curve(5.0), auditory=curve(4.0), visual=curve(6.0))
    for colour in ("#d9822b", "#3f8f5f"):
        assert not pixels(alone, colour).any()
        assert pixels(both, colour).any(0).sum() > 0.5 * both.shape[1]


def test_without_a_null_there_is_no_line_of_chance(tmp_path):
    with_null = drawn(tmp_path / "with.png", all=curve(5.0))
    without = drawn(tmp_path / "without.png", all=curve(5.0, null_95=float("nan")))
    assert not np.array_equal(with_null, without)
