"""The carpet plot of a run."""

from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from tribetune.bold.run import Run
from tribetune.errors import BoldError
from tribetune.report import carpet as module
from tribetune.report.carpet import carpet
from tribetune.spaces import N_HEMISPHERE

N_TRS = 60
LEFT, RIGHT = 0.13, 0.91
"""Where the carpet begins and ends across the picture: labels to its left, the colour bar to its right."""


def made(n_outputs: int = 50, space: str = "table") -> Run:
    values = np.random.default_rng(0).standard_normal((N_TRS, n_outputs)).astype(np.float32)
    return Run("01", "", "movie", "1", values, 2.0, space, np.ones(N_TRS, bool))


def picture(path: Path) -> np.ndarray:
    return matplotlib.image.imread(path)[..., :3]


def tinted(image: np.ndarray) -> np.ndarray:
    """Share of each column of pixels that has the colour of an invalid volume."""
    return (np.abs(image - [0xF2 / 255, 0xD3 / 255, 0xD0 / 255]).max(2) < 0.02).mean(0)


def test_each_hemisphere_is_drawn_in_its_own_half(tmp_path):
    run = made(2 * N_HEMISPHERE, "fsaverage5")
    late = np.where(np.arange(N_TRS) < N_TRS // 2, -4, 4)[:, None] * np.where(np.arange(2), -1, 1)
    # Left is dark, then bright, right the other way round; a line takes some of it away, the turn in the middle stays.
    values = run.values / 5 + np.repeat(late, N_HEMISPHERE, axis=1).astype(np.float32)
    carpet(replace(run, values=values), tmp_path / "carpet.png")
    image = picture(tmp_path / "carpet.png").mean(2)
    height, width = image.shape
    middle = int(width * (LEFT + RIGHT) / 2)
    before, after = slice(middle - width // 20, middle - 20), slice(middle + 20, middle + width // 20)
    upper, lower = slice(int(0.35 * height), int(0.5 * height)), slice(int(0.65 * height), int(0.8 * height))
    assert image[upper, before].mean() < 0.2 < 0.8 < image[upper, after].mean()
    assert image[lower, after].mean() < 0.2 < 0.8 < image[lower, before].mean()


def test_invalid_volumes_have_a_colour_of_their_own_at_their_time(tmp_path):
    run = made()
    carpet(run, tmp_path / "all.png")
    assert tinted(picture(tmp_path / "all.png")).max() == 0
    mask = (np.arange(N_TRS) < 45) | (np.arange(N_TRS) >= 51)
    spoilt = run.values.copy()
    spoilt[~mask] = np.nan
    carpet(replace(run, values=spoilt, mask=mask), tmp_path / "some.png")
    columns = np.flatnonzero(tinted(picture(tmp_path / "some.png")) > 0.5)
    width = picture(tmp_path / "some.png").shape[1] * (RIGHT - LEFT)
    assert len(columns) / width == pytest.approx(6 / N_TRS, abs=0.015)
    centre = (columns.mean() / picture(tmp_path / "some.png").shape[1] - LEFT) / (RIGHT - LEFT)
    assert centre == pytest.approx(48 / N_TRS, abs=0.03)  # the margins are known to about a hundredth


def test_head_motion_and_its_limit_are_drawn_where_they_are_known(tmp_path):
    run = made()
    moved = np.full(N_TRS, 0.1)
    moved[0], moved[30] = np.nan, 1.2
    carpet(run, tmp_path / "without.png")
    carpet(run, tmp_path / "with.png", displacement_mm=moved)
    red = {
        name: ((image[..., 0] - image[..., 1] > 0.4).sum(), len(image))
        for name in ("with", "without")
        for image in [picture(tmp_path / f"{name}.png")]
    }
    assert red["without"][0] == 0
    assert red["with"][0] > 300  # the dashed line of the limit
    assert red["with"][1] > red["without"][1]
    carpet(run, tmp_path / "unknown.png", displacement_mm=np.full(N_TRS, np.nan))
    assert (tmp_path / "unknown.png").stat().st_size > 10_000


def test_the_outputs_that_follow_the_rest_are_on_top():
    rng = np.random.default_rng(1)
    common = rng.standard_normal((200, 1))
    weights = rng.permutation(np.linspace(0, 1, 40))
    values = (weights * common + 0.05 * rng.standard_normal((200, 40))).astype(np.float32)
    order = module._by_likeness(values, np.flatnonzero(weights > 0.1))
    assert len(order) == 36
    np.testing.assert_array_equal(order, sorted(np.flatnonzero(weights > 0.1), key=lambda k: -weights[k]))


def test_what_is_drawn_is_evenly_chosen_and_never_more_than_there_is():
    values = np.arange(5.0)[:, None] + 10 * np.arange(8)
    rows = module._rows(values.astype(np.float32), np.arange(8)[::-1], 3)
    assert rows[:, 0].tolist() == [70, 30, 0]
    assert module._rows(values.astype(np.float32), np.arange(8), 100).shape == (8, 5)


def test_time_is_in_minutes_once_there_are_three():
    short = module._figure(made(), made().values, {"outputs": np.arange(50)}, None, "short")
    assert "time in seconds, from the first volume; 60 volumes of 2 s" in [axes.get_xlabel() for axes in short.axes]
    run = replace(made(), t_r=4.0)
    long = module._figure(run, run.values, {"outputs": np.arange(50)}, None, "long")
    assert "time in minutes, from the first volume; 60 volumes of 4 s" in [axes.get_xlabel() for axes in long.axes]
    assert long.axes[-2].get_xlim() == pytest.approx((-2 / 60, 238 / 60))  # a column is centred on its volume's time


def test_a_run_without_signal_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ValueError, match="sub-01_task-movie_run-1: no output varies"):
        carpet(replace(made(), values=np.ones((N_TRS, 50), np.float32)), tmp_path / "carpet.png")
    with pytest.raises(BoldError, match="2 valid samples"):
        carpet(replace(made(), mask=np.arange(N_TRS) < 2), tmp_path / "carpet.png")
    assert list(tmp_path.iterdir()) == []


def test_a_hemisphere_without_signal_leaves_the_other(tmp_path):
    run = made(2 * N_HEMISPHERE, "fsaverage5")
    values = run.values.copy()
    values[:, :N_HEMISPHERE] = np.nan
    carpet(replace(run, values=values), tmp_path / "carpet.png")
    assert (tmp_path / "carpet.png").stat().st_size > 10_000


def test_the_run_is_left_as_it_was(tmp_path):
    run = made()
    before = run.values.copy()
    carpet(run, tmp_path / "carpet.png")
    np.testing.assert_array_equal(run.values, before)
