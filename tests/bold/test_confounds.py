"""Confounds chosen from fMRIPrep's tables, held against nilearn's own presets."""

import shutil
from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas
import pytest
from nilearn.interfaces.fmriprep import load_confounds_strategy

from tribetune.bold.confounds import (
    STRATEGIES,
    Thresholds,
    framewise_displacement,
    loader_arguments,
    non_steady_trs,
    read_confounds,
)
from tribetune.errors import BoldError

N_TRS = 30
NAME = "sub-01_task-movie_run-1"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """fMRIPrep 21's table that nilearn tests with: thirty volumes, the first three not steady."""
    folder = files("nilearn.interfaces.fmriprep.data")
    for suffix in ("tsv", "json"):
        with (folder / f"test-v21_desc-confounds_timeseries.{suffix}").open("rb") as source:
            (tmp_path / f"{NAME}_desc-confounds_timeseries.{suffix}").write_bytes(source.read())
    return tmp_path / f"{NAME}_desc-confounds_timeseries.tsv"


def changed(path: Path, **columns: object) -> Path:
    """The table with columns set, or left out where None."""
    content = pandas.read_csv(path, sep="\t")
    for name, values in columns.items():
        if values is None:
            content = content.drop(columns=[column for column in content if str(column).startswith(name)])
        else:
            content[name] = values
    content.to_csv(path, sep="\t", index=False, na_rep="n/a")
    return path


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_defaults_are_those_of_nilearns_presets(table: Path, strategy: str):
    moved = np.where(np.isin(np.arange(N_TRS), [12, 20]), 0.51, 0.49)
    changed(table, framewise_displacement=moved, std_dvars=np.where(np.arange(N_TRS) == 26, 1.51, 1.49))
    found = read_confounds(table, N_TRS, strategy)
    image = table.parent / f"{NAME}_space-fsaverage5_desc-preproc_bold.nii.gz"
    expected, kept = load_confounds_strategy(str(image), denoise_strategy=strategy, demean=False)
    assert expected is not None
    assert found.names == tuple(expected.columns)
    np.testing.assert_array_equal(found.values, expected.to_numpy())
    np.testing.assert_array_equal(np.flatnonzero(found.mask), np.arange(N_TRS) if kept is None else kept)
    assert len(found.names) >= 24
    assert found.mask.sum() == {"scrubbing": 21}.get(strategy, 27)  # without 12, 20 and the four from 26 on


def test_a_run_without_a_quiet_volume_has_no_valid_one(table: Path):
    changed(table, framewise_displacement=np.full(N_TRS, 0.9))
    assert not read_confounds(table, N_TRS, "scrubbing").mask.any()


def test_every_choice_reaches_the_loader(table: Path):
    basic = Thresholds(motion="basic", wm_csf="basic", high_pass=False)
    assert len(read_confounds(table, N_TRS, "simple", basic).names) == 6 + 2
    with_global = replace(basic, global_signal="power2")
    assert len(read_confounds(table, N_TRS, "simple", with_global).names) == 6 + 2 + 2
    two = Thresholds(motion="basic", n_compcor=2)
    assert len(read_confounds(table, N_TRS, "compcor", two).names) == 1 + 6 + 2
    separated = replace(two, compcor="anat_separated")
    assert len(read_confounds(table, N_TRS, "compcor", separated).names) == 1 + 6 + 2 + 2


def test_scrubbing_masks_volumes_that_moved_and_stretches_too_short_between_them(table: Path):
    quiet = np.full(N_TRS, 0.1)
    moved = quiet.copy()
    moved[[10, 13]], moved[20] = 0.6, 0.45
    changed(table, framewise_displacement=moved, std_dvars=quiet)
    volumes = np.arange(3, N_TRS)  # the first three were never steady
    scrubbed = np.setdiff1d(volumes, np.flatnonzero(read_confounds(table, N_TRS, "scrubbing").mask))
    assert scrubbed.tolist() == [10, 11, 12, 13]
    gentle = Thresholds(scrub_trs=0, fd_threshold_mm=0.4)
    scrubbed = np.setdiff1d(volumes, np.flatnonzero(read_confounds(table, N_TRS, "scrubbing", gentle).mask))
    assert scrubbed.tolist() == [10, 13, 20]
    changed(table, framewise_displacement=quiet, std_dvars=np.where(np.arange(N_TRS) == 25, 1.4, 1.0))
    assert read_confounds(table, N_TRS, "scrubbing").mask[3:].all()
    strict = Thresholds(std_dvars_threshold=1.3, scrub_trs=0)
    assert np.flatnonzero(~read_confounds(table, N_TRS, "scrubbing", strict).mask).tolist() == [0, 1, 2, 25]


def test_any_name_in_any_folder_will_do(table: Path, tmp_path: Path):
    """Two tables in one folder, or "tsv" in a folder's name, stop nilearn's own search."""
    folder = tmp_path / "tsvetkov"
    folder.mkdir()
    expected = read_confounds(table, N_TRS, "compcor")
    for name in ("confounds_of_monday", f"{NAME}_desc-confounds_regressors"):
        for suffix in (".tsv", ".json"):
            shutil.copy(table.with_suffix(suffix), folder / f"{name}{suffix}")
        found = read_confounds(folder / f"{name}.tsv", N_TRS, "compcor")
        np.testing.assert_array_equal(found.values, expected.values)


def test_a_derivative_begins_with_its_second_value(table: Path):
    found = read_confounds(table, N_TRS, "simple")
    first = pandas.read_csv(table, sep="\t").iloc[0]
    derivatives = [name for name in found.names if first.isna()[name]]
    assert len(derivatives) == 12
    for name in derivatives:
        column = found.values[:, found.names.index(name)]
        assert column[0] == column[1]


def test_another_number_of_rows_is_refused_with_both_numbers(table: Path):
    for read in (
        lambda: read_confounds(table, 31, "simple"),
        lambda: framewise_displacement(table, 31),
        lambda: non_steady_trs(table, 31),
    ):
        with pytest.raises(BoldError, match=r"timeseries.tsv: 30 rows of confounds, but the run has 31 volumes"):
            read()


def test_what_is_missing_is_named(table: Path):
    changed(table, rot_x_derivative1=None)
    with pytest.raises(BoldError, match=r"no simple confounds .*rot_x_derivative1"):
        read_confounds(table, N_TRS, "simple")
    changed(table, framewise_displacement=None)
    with pytest.raises(BoldError, match=r"no scrubbing confounds .*framewise_displacement"):
        read_confounds(table, N_TRS, "scrubbing", Thresholds(motion="basic"))
    table.with_suffix(".json").unlink()
    with pytest.raises(BoldError, match=r"no compcor confounds .*json"):
        read_confounds(table, N_TRS, "compcor", Thresholds(motion="basic"))


def test_a_gap_in_a_regressor_is_refused_unless_its_volume_does_not_count(table: Path):
    csf = np.linspace(0, 1, N_TRS)
    csf[1] = np.nan  # not steady
    assert read_confounds(changed(table, csf=csf), N_TRS, "simple").mask[3:].all()
    csf[[7, 9]] = np.nan
    with pytest.raises(BoldError, match=r"csf not finite in 2 volumes \(first: 7\)"):
        read_confounds(changed(table, csf=csf), N_TRS, "simple")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "cannot be read as confounds"),
        ("0.1\t0.2\n" * 31, "no header"),
        ("X\tFramewiseDisplacement\n" + "0.1\t0.2\n" * 30, "camel case"),
        ("trans_x\n" + "far\n" * 30, "no simple confounds"),
    ],
)
def test_a_table_of_another_kind_is_refused_with_what_nilearn_says(tmp_path: Path, content: str, said: str):
    path = tmp_path / "table.tsv"
    path.write_text(content)
    with pytest.raises(BoldError, match=said):
        read_confounds(path, N_TRS, "simple")


def test_a_table_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(BoldError, match="cannot be read as confounds"):
        read_confounds(tmp_path / "none.tsv", N_TRS, "simple")


def test_compcor_without_its_filter_and_unknown_strategies_are_refused():
    with pytest.raises(BoldError, match="computed its components after that filter"):
        loader_arguments("compcor", Thresholds(high_pass=False))
    with pytest.raises(BoldError, match="no confounds for 'tribe'"):
        loader_arguments("tribe")


def test_each_choice_belongs_to_a_strategy_and_changes_its_arguments():
    other = {
        "high_pass": False,
        "motion": "basic",
        "wm_csf": "power2",
        "global_signal": "basic",
        "scrub_trs": 3,
        "fd_threshold_mm": 0.3,
        "std_dvars_threshold": 2.0,
        "compcor": "temporal",
        "n_compcor": 5,
    }
    assert set(other) == set(asdict(Thresholds()))
    strategies = {"compcor": "compcor", "n_compcor": "compcor"}
    for name, value in other.items():
        strategy = strategies.get(name, "scrubbing")
        assert loader_arguments(strategy, replace(Thresholds(), **{name: value})) != loader_arguments(strategy)


def test_head_motion_is_read_in_millimetres_where_the_table_has_it(table: Path):
    moved = framewise_displacement(table, N_TRS)
    assert moved is not None
    np.testing.assert_array_equal(moved, pandas.read_csv(table, sep="\t")["framewise_displacement"])
    assert non_steady_trs(table, N_TRS) == 3
    assert framewise_displacement(changed(table, framewise_displacement=None), N_TRS) is None
    with pytest.raises(BoldError, match="framewise_displacement: could not convert"):
        framewise_displacement(changed(table, framewise_displacement="far"), N_TRS)


def test_nothing_is_left_behind(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    read_confounds(table, N_TRS, "compcor")
    with pytest.raises(BoldError):
        read_confounds(changed(table, trans_x=None), N_TRS, "simple")
    assert list(scratch.iterdir()) == []


def test_a_scratch_folder_in_which_nilearn_is_lost_is_said(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tsvetkov"))
    with pytest.raises(BoldError, match="'tsv' is in its name"):
        read_confounds(table, N_TRS, "compcor")


def test_head_motion_is_read_in_fmripreps_order_or_not_at_all(tmp_path):
    import pandas

    from tribetune.bold.confounds import MOTION, head_motion

    values = np.arange(30.0).reshape(5, 6)
    path = tmp_path / "confounds.tsv"
    pandas.DataFrame(values, columns=list(MOTION))[list(reversed(MOTION))].to_csv(path, sep="\t", index=False)
    np.testing.assert_array_equal(head_motion(path, 5), values)
    pandas.DataFrame(values[:, :3], columns=list(MOTION[:3])).to_csv(path, sep="\t", index=False)
    assert head_motion(path, 5) is None
    spoilt = values.copy()
    spoilt[2, 1] = np.nan
    pandas.DataFrame(spoilt, columns=list(MOTION)).to_csv(path, sep="\t", index=False, na_rep="n/a")
    with pytest.raises(BoldError, match="trans_y not finite in 1 volumes"):
        head_motion(path, 5)
