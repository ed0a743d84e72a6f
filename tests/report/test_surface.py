"""Maps on the cortical surface."""

import matplotlib.image
import numpy as np
import pytest

from tribetune.errors import SpaceError
from tribetune.report import surface
from tribetune.report.surface import VIEWS, drawing, score_maps, surface_map
from tribetune.spaces import N_HEMISPHERE


def warm_pixels(path):
    """Pixels far redder than blue, in the left and the right half of the picture."""
    picture = matplotlib.image.imread(path)[..., :3]
    warm = (picture[..., 0] - picture[..., 2] > 0.3)[: int(0.75 * len(picture))]  # the colour bar is below
    middle = warm.shape[1] * 547 // 1000  # the rows' names take the left margin
    return int(warm[:, :middle].sum()), int(warm[:, middle:].sum())


@pytest.mark.parametrize(("hemisphere", "share"), [("left", 0), ("right", 1)])
def test_a_score_is_drawn_on_its_own_hemisphere(tmp_path, hemisphere, share):
    values = np.zeros(2 * N_HEMISPHERE, dtype=np.float32)
    values[share * N_HEMISPHERE :][:N_HEMISPHERE] = 0.15  # the middle of the scale: orange
    values[share * N_HEMISPHERE :][:300] = 0.3  # its top
    surface_map(values, "half", tmp_path / "map.png")
    warm = warm_pixels(tmp_path / "map.png")
    assert warm[share] > 50_000
    assert warm[1 - share] < 500  # what is left are edges of letters


def test_each_view_shows_about_half_of_the_hemisphere_and_no_triangle_twice():
    for hemisphere in ("left", "right"):
        lateral, medial = (drawing(hemisphere, view) for view in ("lateral", "medial"))
        seen = np.concatenate([lateral.vertices, medial.vertices])
        assert len(np.unique(seen, axis=0)) == len(seen)
        assert len(seen) > 0.99 * 20480  # a few triangles are seen edge-on


def test_the_frontal_pole_points_left_in_the_left_lateral_view_and_right_in_the_right_one():
    # vertex 0 of nilearn's inflated mesh is not named, so the test takes the foremost one of each hemisphere
    from nilearn.datasets import load_fsaverage

    for hemisphere, side in (("left", -1), ("right", 1)):
        foremost = load_fsaverage("fsaverage5")["inflated"].parts[hemisphere].coordinates[:, 1].argmax()
        view = drawing(hemisphere, "lateral")
        place = view.corners[view.vertices == foremost]
        assert len(place)
        assert np.sign(place[:, 0]).tolist() == [side] * len(place)


def test_what_is_not_defined_is_grey_and_not_the_lowest_colour(tmp_path):
    brightness = {}
    for name, value in (("nan", np.nan), ("zero", 0.0)):
        surface_map(np.full(2 * N_HEMISPHERE, value), name, tmp_path / f"{name}.png")
        brightness[name] = np.median(matplotlib.image.imread(tmp_path / f"{name}.png")[100:250, 300:400, :3])
    assert 0.5 < brightness["nan"] < 0.75 < brightness["zero"]


def test_a_triangle_with_one_undefined_corner_keeps_the_mean_of_the_others():
    corners = np.array([[1.0, 3.0, np.nan], [1.0, np.nan, np.nan], [1.0, 2.0, 3.0]])
    np.testing.assert_equal(surface._face_means(corners), [2.0, np.nan, 2.0])


def test_all_maps_share_one_colour_scale_so_a_weak_one_looks_weak(tmp_path):
    strong = np.full(2 * N_HEMISPHERE, 0.4)
    score_maps({"strong": strong, "weak": 0.02 * strong}, tmp_path / "two.png")
    picture = matplotlib.image.imread(tmp_path / "two.png")[..., :3]
    upper, lower = np.split(picture[: 2 * (len(picture) // 2)], 2)
    dark = [(half.min(axis=2) < 0.3).sum() for half in (upper, lower)]
    assert dark[0] > 5 * dark[1]


def test_a_map_of_another_space_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(SpaceError, match="10,242 outputs"):
        surface_map(np.zeros(N_HEMISPHERE), "half a brain", tmp_path / "map.png")
    assert list(tmp_path.iterdir()) == []


def test_no_map_is_an_error_and_four_views_are_drawn(tmp_path):
    with pytest.raises(ValueError, match="no map"):
        score_maps({}, tmp_path / "map.png")
    assert len(set(VIEWS)) == 4


def test_the_values_are_left_as_they_were(tmp_path):
    values = np.linspace(-1, 1, 2 * N_HEMISPHERE)
    before = values.copy()
    surface_map(values, "difference", tmp_path / "map.png", scale="symmetric")
    np.testing.assert_array_equal(values, before)
