"""Detrending, regression of confounds and z-scoring, held against nilearn."""

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import nilearn.signal
import numpy as np
import pandas
import pytest
from nibabel.freesurfer.mghformat import MGHImage
from nilearn.glm.first_level.design_matrix import create_cosine_drift

from tribetune.bold.clean import STRATEGIES, clean, describe, standardise
from tribetune.bold.confounds import Thresholds
from tribetune.bold.run import Run
from tribetune.errors import BoldError

MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")


@pytest.fixture
def run() -> Run:
    """A run with drift and a scanner's scale."""
    rng = np.random.default_rng(1)
    drift = np.linspace(0, 30, 80)[:, None] * rng.standard_normal(9)
    values = (1000 + drift + 15 * rng.standard_normal((80, 9))).astype(np.float32)
    return Run("01", "", "movie", "1", values, 2.0, "table", np.ones(80, bool))


def test_cleaning_agrees_with_nilearn(run: Run) -> None:
    expected = nilearn.signal.clean(
        run.values.astype(np.float64), detrend=True, standardize="zscore_sample", filter=False
    )
    # Ours is rounded to float32 at the end: 6e-8 of values up to 4.
    np.testing.assert_allclose(clean(run).values, expected, atol=1e-6)


def test_a_clean_output_has_no_line_and_unit_deviation(run: Run) -> None:
    values = clean(run).values.astype(np.float64)
    # float32 output: 80 values of order 1, each off by up to 6e-8 relative.
    np.testing.assert_allclose(values.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(values.std(0, ddof=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.polyfit(np.arange(80), values, 1)[0], 0, atol=1e-7)


def test_the_run_that_came_in_is_not_changed(run: Run) -> None:
    before = run.values.copy()
    clean(run)
    np.testing.assert_array_equal(run.values, before)


def test_masked_volumes_do_not_enter_the_fit(run: Run) -> None:
    mask = np.ones(80, bool)
    mask[[10, 40, 41, 79]] = False
    spiked = run.values.copy()
    spiked[~mask] = 1e6
    cleaned = clean(replace(run, values=spiked, mask=mask)).values
    np.testing.assert_array_equal(cleaned, clean(replace(run, mask=mask)).values)
    assert not cleaned[~mask].any()
    # Unit deviation over what is valid, to float32.
    np.testing.assert_allclose(cleaned[mask].std(0, ddof=1), 1, atol=1e-5)


def test_a_gap_keeps_its_place_in_time() -> None:
    values = np.linspace(3, 9, 30)[:, None] + np.resize([1.0, -1.0], 30)[:, None]
    mask = np.ones(30, bool)
    mask[8:20] = False
    cleaned = standardise(values.astype(np.float32), mask, "run")[mask, 0]
    # The line is known exactly, so what is left alternates with one size; squeezed together it would be a step.
    assert np.abs(np.abs(cleaned) - np.abs(cleaned).mean()).max() < 0.1
    squeezed = nilearn.signal.clean(values[mask], detrend=True, standardize="zscore_sample", filter=False)[:, 0]
    assert np.abs(np.abs(squeezed) - np.abs(squeezed).mean()).max() > 0.1


def test_undefined_outputs_stay_undefined_and_alone(run: Run) -> None:
    values = run.values.copy()
    values[:, 2], values[:, 5], values[:, 7] = np.nan, 1000.0, np.linspace(0, 1e4, 80)
    cleaned = clean(replace(run, values=values)).values
    assert np.flatnonzero(np.isnan(cleaned).all(0)).tolist() == [2, 5, 7]
    others = [0, 1, 3, 4, 6, 8]
    np.testing.assert_array_equal(cleaned[:, others], clean(run).values[:, others])


def test_cleaning_a_stretch_ignores_how_the_whole_was_cleaned(run: Run) -> None:
    stretch = slice(20, 60)
    again = standardise(clean(run).values[stretch], np.ones(40, bool), "stretch")
    direct = standardise(run.values[stretch], np.ones(40, bool), "stretch")
    # The first pass is stored in float32: 1e-7 of values of order 1.
    np.testing.assert_allclose(again, direct, atol=2e-6)


def test_too_few_valid_volumes_are_refused(run: Run) -> None:
    mask = np.zeros(80, bool)
    mask[:2] = True
    with pytest.raises(BoldError, match="sub-01_task-movie_run-1: 2 valid samples, expected at least 3"):
        clean(replace(run, mask=mask))


def test_an_unknown_strategy_is_refused(run: Run) -> None:
    with pytest.raises(BoldError, match="unknown cleaning 'magic'"):
        clean(run, "magic")
    with pytest.raises(BoldError, match="unknown cleaning 'magic'"):
        describe("magic")


def write_confounds(path: Path, columns: dict[str, np.ndarray]) -> Path:
    """fMRIPrep's table and its sidecar: what is given, and derivatives and squares where the full model wants them."""
    content = dict(columns)
    for name in (*MOTION, "csf", "white_matter"):
        derivative = np.concatenate([[np.nan], np.diff(columns[name])])
        content |= {f"{name}_derivative1": derivative, f"{name}_power2": columns[name] ** 2}
        content |= {f"{name}_derivative1_power2": derivative**2}
    pandas.DataFrame(content).to_csv(path, sep="\t", index=False, na_rep="n/a")
    components = [name for name in content if "comp_cor" in name]
    path.with_suffix(".json").write_text(json.dumps({name: {"Mask": "combined"} for name in components}))
    return path


@pytest.fixture
def confounds(run: Run, tmp_path: Path) -> Path:
    """Confounds of the run, with a drift of their own, on their own scales."""
    rng = np.random.default_rng(2)
    n_trs = len(run.values)
    columns = {name: np.linspace(0, 2, n_trs) + rng.standard_normal(n_trs) for name in MOTION}
    columns |= {"csf": 5e3 + rng.standard_normal(n_trs), "white_matter": 7e3 + 9 * rng.standard_normal(n_trs)}
    columns |= {f"a_comp_cor_{k:02d}": 0.1 * rng.standard_normal(n_trs) for k in range(3)}
    columns |= {"cosine00": np.cos(np.pi * (np.arange(n_trs) + 0.5) / n_trs)}
    columns |= {"framewise_displacement": np.full(n_trs, 0.1), "std_dvars": np.ones(n_trs)}
    return write_confounds(tmp_path / "sub-01_task-movie_desc-confounds_timeseries.tsv", columns)


def regressors(confounds: Path, *chosen: str) -> np.ndarray:
    """Columns of the table whose names begin so, as float64, without the hole in the first row of derivatives."""
    table = pandas.read_csv(confounds, sep="\t").bfill()
    return table[[name for name in table if str(name).startswith(chosen)]].to_numpy()


@pytest.mark.parametrize(
    ("strategy", "columns"),
    [
        ("simple", ("cosine", "trans", "rot", "csf", "white_matter")),
        ("scrubbing", ("cosine", "trans", "rot", "csf", "white_matter")),
        ("compcor", ("cosine", "trans", "rot", "a_comp_cor")),
    ],
)
def test_regression_agrees_with_nilearn_where_every_volume_is_valid(run, confounds, strategy, columns) -> None:
    chosen = regressors(confounds, *columns)
    if strategy == "simple":
        chosen = np.hstack(
            [regressors(confounds, "cosine", "trans", "rot"), regressors(confounds, "csf", "white")[:, [0, 1]]]
        )
    expected = nilearn.signal.clean(
        run.values.astype(np.float64), confounds=chosen, standardize="zscore_sample", filter=False
    )
    # Ours is rounded to float32 at the end: 6e-8 of values up to 4.
    np.testing.assert_allclose(clean(run, strategy, confounds).values, expected, atol=1e-6)


def test_with_scrubbed_volumes_nilearn_agrees_once_its_line_keeps_time_too(run: Run, confounds: Path) -> None:
    table = pandas.read_csv(confounds, sep="\t")
    table.loc[[0, 30, 31, 32, 60], "framewise_displacement"] = 0.7
    table.to_csv(confounds, sep="\t", index=False, na_rep="n/a")
    cleaned = clean(run, "scrubbing", confounds)
    kept = np.setdiff1d(np.arange(80), [0, 30, 31, 32, 60])
    assert cleaned.values.shape == run.values.shape
    np.testing.assert_array_equal(np.flatnonzero(cleaned.mask), kept)
    assert not cleaned.values[~cleaned.mask].any()
    chosen = regressors(confounds, "cosine", "trans", "rot", "csf", "white_matter")
    with_time = np.column_stack([chosen, np.arange(80)])
    expected = nilearn.signal.clean(
        run.values.astype(np.float64) - run.values[kept].mean(0),  # its regressors are centred only to rounding
        confounds=with_time,
        sample_mask=kept,
        detrend=False,
        standardize="zscore_sample",
        filter=False,
    )
    # Ours is rounded to float32 at the end: 6e-8 of values up to 4.
    np.testing.assert_allclose(cleaned.values[kept], expected, atol=1e-6)


def test_what_was_masked_before_stays_masked_and_is_not_looked_at(run: Run, confounds: Path) -> None:
    mask = np.ones(80, bool)
    mask[[5, 6]] = False
    spoilt = run.values.copy()
    spoilt[[5, 6]] = np.nan
    cleaned = clean(replace(run, values=spoilt, mask=mask), "simple", confounds)
    np.testing.assert_array_equal(cleaned.mask, mask)
    assert np.isfinite(cleaned.values).all()


def test_a_planted_confound_is_gone_and_what_it_hid_is_left(run: Run, confounds: Path) -> None:
    signal = np.sin(np.arange(80) / 3.0)
    moved = regressors(confounds, "trans_y")[:, 0]
    values = np.float32(1000 + 20 * moved[:, None] + signal[:, None] * np.ones(9))
    found = clean(replace(run, values=values), "simple", confounds, Thresholds(motion="basic")).values
    spoilt = clean(replace(run, values=values)).values
    # 9 regressors of 80 samples take about a tenth of any signal's variance with them.
    assert np.corrcoef(found[:, 0], signal)[0, 1] > 0.9
    assert abs(np.corrcoef(spoilt[:, 0], signal)[0, 1]) < 0.3
    assert abs(np.corrcoef(found[:, 0], moved)[0, 1]) < 1e-6


def test_an_output_that_is_all_confound_is_undefined_and_so_is_a_constant_one(run: Run, confounds: Path) -> None:
    values = run.values.copy()
    values[:, 1], values[:, 4] = 7.0, 100 + 3 * regressors(confounds, "rot_z")[:, 0]
    cleaned = clean(replace(run, values=values), "simple", confounds).values
    assert np.flatnonzero(np.isnan(cleaned).all(0)).tolist() == [1, 4]
    assert np.isfinite(np.delete(cleaned, [1, 4], axis=1)).all()


def test_regressors_that_repeat_or_never_vary_change_nothing(run: Run) -> None:
    moved = np.random.default_rng(3).standard_normal((80, 4))
    line = np.arange(80.0)
    more = np.column_stack([moved, moved[:, 1] * 1e6, np.zeros(80), np.full(80, 5.0), line, moved[:, 0] - moved[:, 2]])
    alone = standardise(run.values, run.mask, "run", moved)
    # The same span by other columns: rounding of double precision, then of float32.
    np.testing.assert_allclose(standardise(run.values, run.mask, "run", more), alone, atol=1e-6)
    only_line = standardise(run.values, run.mask, "run", np.column_stack([line, np.ones(80)]))
    np.testing.assert_allclose(only_line, standardise(run.values, run.mask, "run"), atol=1e-6)


def test_confounds_of_another_run_are_refused(run: Run, confounds: Path) -> None:
    with pytest.raises(BoldError, match=r"timeseries.tsv: 80 rows of confounds, but the run has 79 volumes"):
        clean(replace(run, values=run.values[1:], mask=run.mask[1:]), "compcor", confounds)


def test_a_strategy_with_confounds_needs_them(run: Run) -> None:
    for strategy in STRATEGIES[1:]:
        with pytest.raises(BoldError, match=f"cleaning {strategy} needs confounds, and this run has none"):
            clean(run, strategy)


def test_more_regressors_than_volumes_are_refused(run: Run, confounds: Path) -> None:
    mask = np.arange(80) < 29
    with pytest.raises(BoldError, match="29 valid samples, expected at least 30 for 29 regressors"):
        clean(replace(run, mask=mask), "simple", confounds)


def test_a_run_of_which_every_volume_was_scrubbed_is_refused(run: Run, confounds: Path) -> None:
    with pytest.raises(BoldError, match="0 valid samples"):
        clean(run, "scrubbing", confounds, Thresholds(fd_threshold_mm=0.05))


def test_a_filter_that_was_asked_for_and_is_not_there_is_refused(run: Run, confounds: Path) -> None:
    pandas.read_csv(confounds, sep="\t").drop(columns="cosine00").to_csv(confounds, sep="\t", index=False)
    with pytest.raises(BoldError, match="no cosine columns"):
        clean(run, "simple", confounds)
    assert clean(run, "simple", confounds, Thresholds(high_pass=False)).mask.all()
    # Of 80 s, fMRIPrep writes none.
    assert clean(replace(run, t_r=1.0), "simple", confounds).mask.all()


def test_the_provenance_has_what_the_strategy_used_and_nothing_else() -> None:
    assert describe("tribe", Thresholds(n_compcor=5)) == describe("tribe")
    assert describe("tribe")["regressors"] == []
    said = describe("scrubbing", Thresholds(fd_threshold_mm=0.3))
    assert said["regressors"] == ["high_pass", "motion", "wm_csf", "scrub"]
    assert (said["fd_threshold"], said["wm_csf"], said["motion"]) == (0.3, "full", "full")
    assert "n_compcor" not in said
    assert describe("compcor")["n_compcor"] == "all"
    for strategy in STRATEGIES:
        assert json.loads(json.dumps(describe(strategy))) == describe(strategy)


@pytest.fixture(scope="module")
def real(brainspace_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """A resting run on fsaverage5 and its confounds, which brainspace ships without a header."""
    stem = "brainspace/datasets/preprocessing/sub-010188_ses-02_task-rest_acq-AP_run-01"
    folder = tmp_path_factory.mktemp("real")
    halves = []
    with zipfile.ZipFile(brainspace_wheel) as archive:
        for side in ("lh", "rh"):
            (folder / f"{side}.mgz").write_bytes(archive.read(f"{stem}.fsa5.{side}.mgz"))
            halves.append(np.asarray(MGHImage.from_filename(folder / f"{side}.mgz").dataobj, np.float32)[:, 0, 0].T)
        numbers = np.loadtxt(io.StringIO(archive.read(f"{stem}_confounds.txt").decode()))
    n_trs = len(numbers)
    # Its columns: six components, rotations and translations, their derivatives, outliers one by one, a trend.
    columns = dict(zip(MOTION, numbers[:, [9, 10, 11, 6, 7, 8]].T, strict=True))
    columns |= {f"a_comp_cor_{k:02d}": numbers[:, k] for k in range(6)}
    columns |= {"csf": numbers[:, 0], "white_matter": numbers[:, 1]}
    cosines = create_cosine_drift(1 / 128, np.arange(n_trs) * 1.4)[:, :-1]
    columns |= {f"cosine{k:02d}": column for k, column in enumerate(cosines.T)}
    columns |= {f"motion_outlier{k:02d}": numbers[:, 18 + k] for k in range(8)}
    path = write_confounds(folder / "sub-010188_ses-02_task-rest_desc-confounds_timeseries.tsv", columns)
    values = np.concatenate(halves, axis=1)
    return Run("010188", "02", "rest", "01", values, 1.4, "fsaverage5", np.ones(n_trs, bool)), path


def test_a_real_run_loses_its_motion_and_keeps_its_medial_wall_undefined(real: tuple[Run, Path]) -> None:
    run, path = real
    cleaned = clean(run, "compcor", path)
    assert cleaned.values.shape == (652, 20484)
    assert np.isnan(cleaned.values).all(0).sum() == 888 + 881  # vertices of fsaverage5 outside FreeSurfer's cortex
    defined = np.flatnonzero(~np.isnan(cleaned.values[0]))[::50]
    assert len(defined) == 375
    moved = regressors(path, "trans", "rot", "a_comp_cor")
    moved -= moved.mean(0)
    moved /= np.linalg.norm(moved, axis=0)

    def largest(values: np.ndarray) -> np.ndarray:
        return np.abs(moved.T @ values[:, defined]).max(0) / np.sqrt(len(values) - 1)

    # Correlation with head motion or a component: small in this run, rounding (float32) once it is clean.
    assert np.median(largest(clean(run).values)) > 0.05
    assert largest(cleaned.values).max() < 1e-5
    expected = nilearn.signal.clean(
        run.values[:, defined].astype(np.float64),
        confounds=regressors(path, "cosine", "trans", "rot", "a_comp_cor"),
        standardize="zscore_sample",
        filter=False,
    )
    # Ours is rounded to float32 at the end: 6e-8 of values up to 10.
    np.testing.assert_allclose(cleaned.values[:, defined], expected, atol=2e-6)
