"""The picture of a plan."""

import matplotlib.image
import numpy as np

from tribetune.evaluate.minutes import Curve
from tribetune.report.minutes import minutes_picture

MINUTES = np.array([5.0, 10.0, 20.0])
COLOURS = {"fir": "#d9822b", "ridge": "#3f8f5f", "readout": "#1b3a6b", "zero-shot": "#777777", "new-method": "#8c6d31"}


def curve(r):
    r = np.asarray(r, float)
    draws = r + 0.002 * np.random.default_rng(0).standard_normal((100, 3))
    return Curve(MINUTES, r, draws, np.stack([r - 0.001, r + 0.001]), 50, 16)


def drawn(path, **curves):
    minutes_picture({"all": curves, "chosen": curves}, path, title="mine")
    return matplotlib.image.imread(path)[..., :3]


def pixels(image, colour):
    """Where the plot has exactly this colour; the legend below does not count."""
    wanted = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    return np.abs(image[: int(0.85 * len(image))] - wanted).max(2) < 0.02


def test_every_method_is_drawn_in_both_panels_in_a_colour_of_its_own(tmp_path):
    curves = {"fir": curve([0.01, 0.02, 0.03]), "ridge": curve([0.05, 0.06, 0.07]), "readout": curve([0.1, 0.11, 0.12])}
    image = drawn(tmp_path / "deep" / "plan.png", **curves, **{"new-method": curve([0.15, 0.16, 0.17])})
    half = image.shape[1] // 2
    for name in (*curves, "new-method"):
        for panel in (image[:, :half], image[:, half:]):
            assert pixels(panel, COLOURS[name]).any(0).sum() > 0.5 * half, name


def test_a_higher_score_is_drawn_higher_and_zero_shot_is_a_level_line(tmp_path):
    image = drawn(tmp_path / "plan.png", **{"zero-shot": curve([0.05] * 3), "fir": curve([0.01, 0.02, 0.03])})
    # grey is also at the edges of letters: a curve is where a colour fills many columns, or most of its row
    dashes, fir = (pixels(image, COLOURS[name]) for name in ("zero-shot", "fir"))
    level = dashes.sum(1).argmax()
    assert dashes[level].sum() > 0.2 * image.shape[1]
    assert level < np.flatnonzero(fir.any(1)).min()
