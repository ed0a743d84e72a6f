import numpy as np
import pytest

from tribetune.simulate.areas import AREAS
from tribetune.simulate.cortex import centre_of, cortex, smooth_basis, turned
from tribetune.simulate.people import COLUMNS, average_person, meet, responses_of
from tribetune.simulate.settings import SPREAD

GLASSER = {"V1": 1, "V4": 6, "MT": 23, "FFA": 18, "PPA": 126, "A1": 24}
"""Numbers of V1, V4, MT, FFC, PHA1 and A1 in the atlas's order."""


@pytest.fixture(scope="module")
def atlas(data_folder):
    """One label per vertex of fsaverage5 (Glasser et al. 2016)."""
    return np.loadtxt(data_folder / "parcellations" / "glasser_360_fsa5.csv").astype(int)


def test_areas_sit_where_an_atlas_has_them(atlas):
    labels = atlas
    for area in AREAS:
        for hemisphere in (0, 1):
            vertex = int((cortex().sphere @ centre_of(area, hemisphere)).argmax()) + 10242 * hemisphere
            assert labels[vertex] > 0, area.name
            if area.name in GLASSER:
                assert labels[vertex] == GLASSER[area.name] + 180 * hemisphere, area.name


def test_the_medial_wall_is_that_of_an_atlas(atlas):
    ours, theirs = ~cortex().inside, atlas == 0
    assert 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()) > 0.85  # atlases agree among each other to 0.8-0.9


def test_the_medial_wall_is_one_twelfth_of_each_hemisphere():
    for wall in cortex().wall:
        assert 0.06 < wall.mean() < 0.10


def test_areas_are_apart():
    for hemisphere in (0, 1):
        centres = np.stack([centre_of(area, hemisphere) for area in AREAS])
        nearest = np.sort(centres @ centres.T, axis=1)[:, -2]
        assert (100 * np.arccos(nearest) > 5).all()


def test_a_smooth_field_has_unit_variance_and_like_neighbours():
    rng = np.random.default_rng(0)
    points = cortex().sphere
    fields = smooth_basis(points) @ rng.standard_normal((642, 200), np.float32)
    np.testing.assert_allclose(fields.var(1).mean(), 1, atol=0.05)  # 200 draws
    near = (points @ points[0]).argsort()
    neighbour, far = near[-2], near[0]
    assert np.corrcoef(fields[0], fields[neighbour])[0, 1] > 0.9
    assert abs(np.corrcoef(fields[0], fields[far])[0, 1]) < 0.3  # 200 draws have an SD of 0.07


def test_a_shift_moves_an_area_by_as_much_as_it_says():
    centre = centre_of(AREAS[0], 0)
    moved = turned(cortex().sphere, centre, np.array([3.0, 4.0]))
    at = cortex().sphere[(moved @ centre).argmax()]
    assert 100 * np.arccos(at @ centre) == pytest.approx(5, abs=2.5)  # vertices are 3-4 mm apart
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 1, atol=1e-12)


def test_nothing_is_planted_on_the_medial_wall():
    for person in (average_person(), meet(0, 1)):
        assert (person.loadings[:, ~cortex().inside] == 0).all()
        assert np.isnan(person.lag_s()[~cortex().inside]).all()


def test_left_visual_cortex_sees_the_right_half_of_the_screen():
    row = COLUMNS.index(("V1", "luminance_right"))
    left, right = np.split(np.abs(average_person().loadings[row]), 2)
    assert left.max() > 0
    assert right.max() == 0


def test_a_subject_is_the_same_every_time_and_unlike_the_next():
    first, again, second = meet(0, 1), meet(0, 1), meet(0, 2)
    np.testing.assert_array_equal(first.loadings, again.loadings)
    assert first.responses == again.responses
    assert not np.array_equal(first.loadings, second.loadings)
    assert first.responses != second.responses


def test_delays_differ_between_subjects_as_stated():
    lags = [np.mean([response.peak_s for response in responses_of(0, k).values()]) for k in range(1, 41)]
    assert np.mean(lags) == pytest.approx(5.4, abs=0.4)  # 40 subjects: standard error 0.12
    assert np.std(lags) == pytest.approx(SPREAD.delay_sd_s, rel=0.35)  # 40 subjects: 11 %
