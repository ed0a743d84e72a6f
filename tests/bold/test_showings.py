"""Tables that are the mean of several showings."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from tribetune.bold.showings import read_showings
from tribetune.bold.tables import TableSpec, read_table
from tribetune.errors import BoldError


def write(path: Path, data: np.ndarray, **arrays: np.ndarray) -> TableSpec:
    with h5py.File(path / "story.hf5", "w") as file:
        file["data"] = data
        for name, values in arrays.items():
            file[name] = values
    return TableSpec(str(path / "{run}.hf5"), bold="data", t_r=2.0, first_volume_s=10.0)


@pytest.fixture
def showings() -> np.ndarray:
    made = np.random.default_rng(0).standard_normal((3, 20, 4)).astype(np.float32)
    made[..., 0] = np.nan
    return made


def test_each_showing_is_a_run_like_their_mean(tmp_path: Path, showings: np.ndarray) -> None:
    spec = write(tmp_path, showings.mean(0), individual_repeats=showings)
    found = read_showings(spec, "individual_repeats", "UTS01", "story")
    np.testing.assert_array_equal([run.values for run in found], showings)
    whole = read_table(spec, "UTS01", "story")
    assert {(run.label, run.t_r, run.first_volume_s) for run in found} == {(whole.label, 2.0, 10.0)}


def test_a_run_that_was_shown_once_has_no_showings(tmp_path: Path, showings: np.ndarray) -> None:
    assert read_showings(write(tmp_path, showings[0]), "individual_repeats", "UTS01", "story") == []


def test_showings_of_another_run_are_refused(tmp_path: Path, showings: np.ndarray) -> None:
    spec = write(tmp_path, showings.mean(0)[:10], again=showings)
    with pytest.raises(BoldError, match="again is 3 × 20 × 4, expected showings of data, which is 10 × 4"):
        read_showings(spec, "again", "UTS01", "story")
    spec = write(tmp_path, showings.mean(0)[::-1], again=showings)
    with pytest.raises(BoldError, match=r"data correlates by -?0\.\d+ with the mean of again") as caught:
        read_showings(spec, "again", "UTS01", "story")
    assert caught.value.hint


def test_a_showing_with_holes_is_refused_by_its_number(tmp_path: Path, showings: np.ndarray) -> None:
    mean = showings.mean(0)
    showings[1, 5, 2] = np.inf
    with pytest.raises(BoldError, match="showing 2 of again: 1 values are not finite"):
        read_showings(write(tmp_path, mean, again=showings), "again", "UTS01", "story")
