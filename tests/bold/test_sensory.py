"""Auditory and visual cortex, by names, by numbers and by coordinates."""

from pathlib import Path

import numpy as np
import pytest

from tribetune.bold.parcellation import Parcellation, read_parcellation
from tribetune.bold.sensory import sensory_outputs, sensory_vertices

N = 10242


def glasser(folder: Path) -> np.ndarray:
    """Glasser's areas, 1 to 180 in both hemispheres."""
    values = np.loadtxt(folder / "parcellations" / "glasser_360_fsa5.csv", dtype=int)
    return np.where(values > 180, values - 180, values)


def test_coordinates_find_early_auditory_and_visual_cortex(data_folder: Path) -> None:
    area = glasser(data_folder)
    found = sensory_vertices()
    assert np.isin(area[found.visual], [1, 4]).all()  # V1, V2
    assert np.isin(area[found.auditory], [24, 104, 124, 173, 174]).mean() > 0.9  # A1, RI, PBelt, MBelt, LBelt
    for mask in (found.auditory, found.visual):
        assert all(25 < half.sum() < 200 for half in mask.reshape(2, N))
    assert "by coordinates of fsaverage" in found.source


def test_numbers_of_glassers_parcels_are_known(data_folder: Path) -> None:
    found = sensory_vertices(read_parcellation(data_folder / "parcellations" / "glasser_360_fsa5.csv"))
    area = glasser(data_folder)
    np.testing.assert_array_equal(found.visual, area == 1)
    np.testing.assert_array_equal(found.auditory, area == 24)
    assert found.source == "parcels of glasser_360_fsa5"


def test_numbers_and_names_of_desikan_killiany_agree(data_folder: Path) -> None:
    by_numbers = read_parcellation(data_folder / "parcellations" / "aparc_fsa5.csv")
    names = list(by_numbers.names)
    for first, side in ((0, "L"), (35, "R")):
        names[first + 33], names[first + 20] = f"{side}_transversetemporal", f"{side}_pericalcarine"
    found = [sensory_vertices(by_numbers), sensory_vertices(Parcellation("aparc", tuple(names), by_numbers.labels))]
    assert [sensory.source for sensory in found] == ["parcels of aparc_fsa5", "parcels of aparc"]
    np.testing.assert_array_equal(found[0].auditory, found[1].auditory)
    np.testing.assert_array_equal(found[0].visual, found[1].visual)
    assert (found[0].auditory.sum(), found[0].visual.sum()) == (116, 224)


def test_parcels_in_the_wrong_place_are_not_believed(data_folder: Path) -> None:
    parcels = read_parcellation(data_folder / "parcellations" / "glasser_360_fsa5.csv")
    renamed = np.roll(np.array(parcels.names), 50)
    moved = Parcellation("moved", tuple(renamed.tolist()), parcels.labels)
    found = sensory_vertices(moved)
    assert "by coordinates" in found.source
    np.testing.assert_array_equal(found.auditory, sensory_vertices().auditory)


def test_a_parcellation_without_auditory_parcels_leaves_it_to_coordinates(data_folder: Path) -> None:
    schaefer = read_parcellation(data_folder / "parcellations" / "schaefer_400_fsa5.csv")
    assert "by coordinates" in sensory_vertices(schaefer).source


@pytest.mark.parametrize(
    ("names", "auditory", "visual"),
    [
        (("L_V1_ROI", "L_A1_ROI", "L_V1a_ROI", "R_A10_ROI", "R_TA1_ROI"), [1], [0]),
        (("lh_transversetemporal", "lh_precuneus", "rh_pericalcarine"), [0], [2]),
        (("L_G_temp_sup-G_T_transv", "L_G_temp_sup-Lateral", "L_S_calcarine"), [0], [2]),
        (("17Networks_LH_VisCent_Striate_1", "17Networks_LH_SomMotB_Aud_1", "17Networks_LH_SomMotA_1"), [1], [0]),
        (("Heschl_L", "Calcarine_R", "Temporal_Sup_L"), [0], [1]),
    ],
)
def test_outputs_are_known_by_their_names(names: tuple[str, ...], auditory: list[int], visual: list[int]) -> None:
    found = sensory_outputs(names)
    assert found is not None
    assert np.flatnonzero(found.auditory).tolist() == auditory
    assert np.flatnonzero(found.visual).tolist() == visual


def test_names_that_say_nothing_give_nothing() -> None:
    assert sensory_outputs(("LATL", "RATL", "LPTL")) is None
    assert sensory_outputs(()) is None
