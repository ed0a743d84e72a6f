"""BOLD that is already a table, in every format it comes in."""

import logging
from pathlib import Path

import h5py
import numpy as np
import pandas
import pytest

from tribetune.bold.tables import TableSpec, list_table_runs, list_table_subjects, read_table
from tribetune.errors import BoldError, SpaceError


@pytest.fixture
def values() -> np.ndarray:
    """Two subjects, 40 volumes, three regions."""
    return np.random.default_rng(2).standard_normal((2, 40, 3)).astype(np.float32)


def test_the_listeners_of_alice_are_read(data_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = data_folder / "alice/alice_brennan2016_rois.npz"
    spec = TableSpec(str(path), bold="bold_6mm")
    with caplog.at_level(logging.WARNING):
        subjects = list_table_subjects(spec)
    assert len(subjects) == 27
    assert "sub-s33 left out, no output varies; 27 of 28 subjects are usable" in caplog.text
    run = read_table(spec, "s18")
    with np.load(path) as raw:
        np.testing.assert_array_equal(run.values, raw["bold_6mm"][0])
    assert (run.t_r, run.first_volume_s, run.space, run.label) == (2.0, 20.0, "table", "sub-s18")
    assert run.outputs == ("LATL", "RATL", "LPTL", "LIPL", "LPreM", "LIFG")


def test_the_listener_of_zeros_is_refused(data_folder: Path) -> None:
    spec = TableSpec(str(data_folder / "alice/alice_brennan2016_rois.npz"), bold="bold_6mm")
    with pytest.raises(BoldError, match=r"sub-s33 in alice_brennan2016_rois\.npz: all zeros"):
        read_table(spec, "s33")


def test_alice_needs_the_name_of_its_array(data_folder: Path) -> None:
    spec = TableSpec(str(data_folder / "alice/alice_brennan2016_rois.npz"))
    with pytest.raises(BoldError, match="bold_10mm, bold_6mm") as caught:
        list_table_subjects(spec)
    assert "data.tables.bold" in caught.value.hint


def test_one_array_of_one_subject_needs_no_names(tmp_path: Path, values: np.ndarray) -> None:
    np.savez(tmp_path / "s.npz", series=values[0], note="a listener")
    spec = TableSpec(str(tmp_path / "s.npz"), t_r=1.5)
    assert list_table_subjects(spec) == ["s"]
    assert list_table_runs(spec, "s") == [""]
    run = read_table(spec, "s")
    np.testing.assert_array_equal(run.values, values[0])
    assert (run.t_r, run.first_volume_s, run.outputs) == (1.5, 0.0, ())


def test_subjects_of_whom_nothing_varies_are_left_out_of_an_array_of_several(tmp_path, values, caplog):
    flat, nothing, scattered = np.full((40, 3), 2.0), np.full((40, 3), np.nan), values[1].copy()
    scattered[7] = np.nan  # refused when it is read, with what is wrong
    both = np.stack([values[0], flat, nothing, scattered]).astype(np.float32)
    np.savez(tmp_path / "all.npz", bold=both, subjects=["a", "b", "c", "d"])
    assert list_table_subjects(TableSpec(str(tmp_path / "all.npz"), t_r=1.5)) == ["a", "d"]
    assert "sub-b, sub-c left out, no output varies; 2 of 4 subjects are usable" in caplog.text


@pytest.mark.parametrize("suffix", [".tsv", ".csv"])
def test_one_text_file_per_subject_and_run(tmp_path: Path, values: np.ndarray, suffix: str) -> None:
    for k, (subject, run) in enumerate([("a", "1"), ("a", "2"), ("b", "1")]):
        path = tmp_path / f"sub-{subject}" / f"sub-{subject}_run-{run}_bold{suffix}"
        path.parent.mkdir(exist_ok=True)
        table = pandas.DataFrame(values[0] + k, columns=["A1", "V1", "STG"])
        table.to_csv(path, sep="\t" if suffix == ".tsv" else ",", index=False)
    spec = TableSpec(str(tmp_path / f"sub-{{subject}}/sub-{{subject}}_run-{{run}}_bold{suffix}"), t_r=2.0)
    assert list_table_subjects(spec) == ["a", "b"]
    assert list_table_runs(spec, "a") == ["1", "2"]
    assert list_table_runs(spec, "b") == ["1"]
    run = read_table(spec, "a", "2")
    np.testing.assert_allclose(run.values, values[0] + 1, rtol=1e-6)  # written and read as decimal text
    assert (run.subject, run.run, run.outputs) == ("a", "2", ("A1", "V1", "STG"))


def test_runs_may_be_arrays_of_one_hdf5_file_per_subject(tmp_path: Path, values: np.ndarray) -> None:
    for k, subject in enumerate(["01", "02"]):
        with h5py.File(tmp_path / f"sub-{subject}_bold.h5", "w") as file:
            for run in ("a", "b", "cc"):
                file[f"ses-001/task-s01e0{run}"] = values[k] * (1 + len(run))
            file["regions"] = ["A1", "V1", "STG"]
            file["t_r"] = 1.49
    spec = TableSpec(str(tmp_path / "sub-{subject}_bold.h5"), bold="ses-001/task-{run}")
    assert list_table_subjects(spec) == ["01", "02"]
    assert list_table_runs(spec, "02") == ["s01e0a", "s01e0b", "s01e0cc"]
    run = read_table(spec, "02", "s01e0cc")
    np.testing.assert_array_equal(run.values, values[1] * 3)
    assert (run.t_r, run.outputs) == (1.49, ("A1", "V1", "STG"))


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".hf5"])
def test_a_file_of_hdf5_is_read_whatever_its_lab_calls_it(tmp_path: Path, values: np.ndarray, suffix: str) -> None:
    with h5py.File(tmp_path / f"story{suffix}", "w") as file:
        file["data"] = values[0]
        file["individual_repeats"] = values
    spec = TableSpec(str(tmp_path / f"{{run}}{suffix}"), bold="data", t_r=2.0)
    np.testing.assert_array_equal(read_table(spec, "UTS01", "story").values, values[0])


def test_a_region_without_data_is_undefined(tmp_path: Path, values: np.ndarray) -> None:
    values[0, :, 1] = np.nan
    np.savez(tmp_path / "s.npz", bold=values[0])
    run = read_table(TableSpec(str(tmp_path / "s.npz"), t_r=1.5), "s")
    assert np.isnan(run.values).all(0).tolist() == [False, True, False]


def test_scattered_nans_are_counted(tmp_path: Path, values: np.ndarray) -> None:
    values[0, 4, 1] = np.nan
    np.savez(tmp_path / "s.npz", bold=values[0])
    with pytest.raises(BoldError, match=r"1 values are not finite, in 1 outputs .*first: volume 4, output 1\)"):
        read_table(TableSpec(str(tmp_path / "s.npz"), t_r=1.5), "s")


def test_settings_that_contradict_the_file_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    path = tmp_path / "s.npz"
    np.savez(path, bold=values, subjects=["a", "b"], tr=2.0, first_volume_time=20.0)
    assert read_table(TableSpec(str(path), t_r=2.0, first_volume_s=20.0), "a").t_r == 2.0
    with pytest.raises(BoldError, match=r"tr says 2 s, but data\.tables\.t_r is 1\.5 s"):
        read_table(TableSpec(str(path), t_r=1.5), "a")
    with pytest.raises(BoldError, match="first_volume_time says 20 s"):
        read_table(TableSpec(str(path), first_volume_s=0.0), "a")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"t_r": 2000.0}, r"t_r is 2000 s \(milliseconds\?\)"),
        ({}, "t_r is unknown"),
        ({"bold": "boldd", "t_r": 2.0}, "no array 'boldd'; it has bold, names, subjects"),
        ({"subjects": "names", "t_r": 2.0}, "bold has 2 subjects, but there are 3 subject labels"),
        ({"subjects": "who", "t_r": 2.0}, "no array 'who' of labels"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, values: np.ndarray, spec: dict, said: str) -> None:
    np.savez(tmp_path / "s.npz", bold=values, subjects=["a", "b"], names=["x", "y", "z"])
    with pytest.raises(BoldError, match=said) as caught:
        read_table(TableSpec(str(tmp_path / "s.npz"), **spec), "a")
    assert caught.value.hint


def test_region_names_must_fit(tmp_path: Path, values: np.ndarray) -> None:
    np.savez(tmp_path / "s.npz", bold=values[0].T, rois=["A1", "V1", "STG"])
    with pytest.raises(SpaceError, match="3 region names, but an array of 3 × 40") as caught:
        read_table(TableSpec(str(tmp_path / "s.npz"), t_r=2.0), "s")
    assert "time × regions" in caught.value.hint


@pytest.mark.parametrize(
    ("subject", "run", "said"), [("c", "", "no subject 'c'; it has a, b"), ("a", "3", "no run '3'")]
)
def test_an_unknown_subject_or_run_is_answered_by_what_is(
    tmp_path: Path, values: np.ndarray, subject: str, run: str, said: str
) -> None:
    np.savez(tmp_path / "s.npz", bold=values, subjects=["a", "b"])
    with pytest.raises(BoldError, match=said):
        read_table(TableSpec(str(tmp_path / "s.npz"), t_r=2.0), subject, run)


@pytest.mark.parametrize("name", ["s.npz", "s.h5", "s.tsv"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("volume\tvalue\none\ttwo\n")
    with pytest.raises(BoldError, match="cannot be read as"):
        read_table(TableSpec(str(tmp_path / name), t_r=2.0), "s")


@pytest.mark.parametrize(
    ("path", "said"),
    [("s.mat", r"\.mat is not a table"), ("none.npz", "no table at"), ("{subject}/b.tsv", "no table matches")],
)
def test_a_path_that_leads_nowhere_is_refused(tmp_path: Path, path: str, said: str) -> None:
    (tmp_path / "s.mat").touch()
    with pytest.raises(BoldError, match=said):
        list_table_subjects(TableSpec(str(tmp_path / path)))


def test_a_pickle_inside_npz_does_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "exploded",))

    np.savez(tmp_path / "s.npz", bold=np.array([Bomb()], object))
    with pytest.raises(BoldError, match="cannot be read as NPZ"):
        read_table(TableSpec(str(tmp_path / "s.npz"), t_r=2.0), "s")
    assert not (tmp_path / "exploded").exists()


def test_four_axes_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", bold=np.ones((2, 2, 3, 4)))
    with pytest.raises(BoldError, match="bold has 4 axes"):
        read_table(TableSpec(str(tmp_path / "s.npz"), bold="bold", t_r=2.0), "s")


@pytest.fixture
def algonauts(tmp_path: Path) -> Path:
    """A subject's film as Algonauts 2025 has it: a dataset per run, named by BIDS entities, without t_r."""
    name = "sub-01_task-movie10_space-MNI152NLin2009cAsym_atlas-Schaefer18_parcel-1000Par7Net_bold.h5"
    rng = np.random.default_rng(4)
    with h5py.File(tmp_path / name, "w") as file:
        for key in ("ses-002_task-bourne01", "ses-001_task-figures01_run-2", "ses-001_task-figures01_run-1"):
            file[key] = rng.standard_normal((30, 1000)).astype(np.float32)
    return tmp_path / name


def test_algonauts_runs_are_named_by_their_arrays(algonauts: Path) -> None:
    spec = TableSpec(str(algonauts), t_r=1.49)
    assert list_table_subjects(spec) == ["01"]
    runs = ["ses-002_task-bourne01", "ses-001_task-figures01_run-1", "ses-001_task-figures01_run-2"]
    assert list_table_runs(spec, "01") == runs
    run = read_table(spec, "01", "ses-001_task-figures01_run-2")
    with h5py.File(algonauts) as file:
        np.testing.assert_array_equal(run.values, file["ses-001_task-figures01_run-2"][()])
    assert (run.subject, run.session, run.task, run.run) == ("01", "001", "figures01", "2")
    assert (run.label, run.t_r) == ("sub-01_ses-001_task-figures01_run-2", 1.49)
    with pytest.raises(BoldError, match=r"sub-01_ses-002_task-bourne01 in .*: t_r is unknown"):
        read_table(TableSpec(str(algonauts)), "01", "ses-002_task-bourne01")


def test_sessions_and_tasks_may_be_placeholders(algonauts: Path) -> None:
    path = str(algonauts).replace("sub-01", "sub-{subject}")
    spec = TableSpec(path, bold="ses-{session}_task-{task}_run-{run}", t_r=1.49)
    assert list_table_runs(spec, "01") == ["ses-001_task-figures01_run-1", "ses-001_task-figures01_run-2"]
    films = TableSpec(path, bold="ses-002_task-{run}", t_r=1.49)
    assert list_table_runs(films, "01") == ["bourne01"]
    assert read_table(films, "01", "bourne01").label == "sub-01_run-bourne01"


def test_a_table_of_another_subject_is_refused(algonauts: Path) -> None:
    with pytest.raises(BoldError, match="the table of sub-01, not of sub-02"):
        read_table(TableSpec(str(algonauts), t_r=1.49), "02", "ses-002_task-bourne01")


def test_arrays_that_only_look_alike_need_a_name(tmp_path: Path, values: np.ndarray) -> None:
    np.savez(tmp_path / "s.npz", **{"ses-1_task-a": values[0], "other": values[1]})
    with pytest.raises(BoldError, match="no array 'that is plainly the BOLD'; it has other, ses-1_task-a"):
        list_table_runs(TableSpec(str(tmp_path / "s.npz"), t_r=2.0), "s")
