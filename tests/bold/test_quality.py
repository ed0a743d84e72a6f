"""Quality: planted faults are found, and noise has none."""

import gzip
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.freesurfer.mghformat import MGHImage

from tribetune.bold import measures
from tribetune.bold.clean import clean
from tribetune.bold.quality import LIMITS, Finding, Limit, Quality, compare_sessions, quality_of
from tribetune.bold.run import Run
from tribetune.errors import BoldError, SpaceError

N_TRS, N_OUTPUTS = 300, 400


def made(seed: int = 1, n_outputs: int = N_OUTPUTS, n_trs: int = N_TRS) -> Run:
    """A run with a map of levels, noise of one per cent that remembers, and a common slow signal."""
    rng = np.random.default_rng(seed)
    level = np.random.default_rng(7).uniform(600, 1400, n_outputs)
    noise = rng.standard_normal((n_trs, n_outputs))
    for volume in range(1, n_trs):
        noise[volume] = 0.4 * noise[volume - 1] + 0.92 * noise[volume]
    common = np.convolve(rng.standard_normal(n_trs + 9), np.ones(10) / 10, "valid")[:, None]
    values = (level * (1 + 0.01 * (noise + common))).astype(np.float32)
    return Run("01", "a", "movie", "1", values, 2.0, "table", np.ones(n_trs, bool))


@pytest.fixture
def run() -> Run:
    return made()


def finding(quality: Quality, name: str) -> Finding:
    (found,) = [found for found in quality.findings if found.name == name]
    return found


def spoilt(run: Run, rows: slice | list[int] | np.ndarray, factor: float | np.ndarray) -> Run:
    values = run.values.copy()
    values[rows] *= np.asarray(factor, np.float32)
    return replace(run, values=values)


def test_a_good_run_is_ok_throughout(run: Run) -> None:
    quality = quality_of(run)
    known = [found for found in quality.findings if found.verdict != "unknown"]
    assert len(known) == 7
    assert {found.verdict for found in known} == {"ok"}
    assert quality.verdict == "ok"


@given(st.integers(0, 10_000), st.sampled_from([1, 3, 60]))
def test_noise_has_no_jumps_and_next_to_no_spikes(seed, n_outputs):
    found = quality_of(made(seed, n_outputs))
    assert finding(found, "jumps").value == 0
    assert finding(found, "spikes").verdict == "ok"


def test_tsnr_is_the_level_over_the_noise_without_the_drift(run: Run) -> None:
    drifting = replace(run, values=run.values + np.linspace(0, 200, N_TRS, dtype=np.float32)[:, None])
    line = np.polynomial.polynomial.polyfit(np.arange(N_TRS), drifting.values.astype(float), 1)
    left = drifting.values - np.polynomial.polynomial.polyval(np.arange(N_TRS), line).T
    expected = np.median(drifting.values.astype(float).mean(0) / left.std(0, ddof=1))
    assert finding(quality_of(drifting), "tSNR").value == pytest.approx(expected, rel=1e-6)  # float32 values
    noisy = replace(run, values=run.values * 3 - 2 * run.values.mean(0))
    assert finding(quality_of(noisy), "tSNR").verdict == "look"
    assert finding(quality_of(replace(noisy, values=run.values * 8 - 7 * run.values.mean(0))), "tSNR").verdict == "bad"


@pytest.mark.parametrize("n_dummies", [1, 4, 6])
def test_volumes_before_the_steady_state_are_counted(run: Run, n_dummies: int) -> None:
    decay = 1 + 0.3 * np.exp(-np.arange(n_dummies) / 2)[:, None]
    found = finding(quality_of(spoilt(run, slice(n_dummies), decay)), "first volumes")
    assert (found.value, found.verdict) == (n_dummies, "look")
    assert found.text.startswith(f"{n_dummies} at the start stand out above the rest (dummy scans?")


def test_first_volumes_that_are_masked_are_taken_care_of(run: Run) -> None:
    masked = replace(spoilt(run, slice(3), 1.3), mask=np.arange(N_TRS) >= 3)
    quality = quality_of(masked)
    assert finding(quality, "first volumes").value == 0
    assert finding(quality, "spikes").value < 0.01
    assert not np.isnan(quality.mean).any()


def test_a_dark_beginning_is_no_dummy_scan(run: Run) -> None:
    assert finding(quality_of(spoilt(run, slice(3), 0.8)), "first volumes").value == 0


def test_a_level_that_falls_after_a_minute_is_no_matter_of_dummy_scans(run: Run) -> None:
    quality = quality_of(spoilt(run, slice(60), 1.1))
    assert finding(quality, "first volumes").value == 0
    assert finding(quality, "jumps").value == 1


def test_the_levels_are_those_of_numpy(run: Run) -> None:
    mask = np.arange(N_TRS) % 7 > 0
    drifting = run.values + np.linspace(0, 50, N_TRS, dtype=np.float32)[:, None]
    levels = measures.levels(drifting, mask)
    valid = drifting[mask].astype(float)
    np.testing.assert_allclose(levels.mean, valid.mean(0), rtol=1e-12)  # double precision
    np.testing.assert_allclose(levels.deviation, valid.std(0, ddof=1), rtol=1e-9)
    assert (levels.noise < levels.deviation).all()


def test_what_is_masked_makes_no_spike_and_neither_does_the_volume_after(run: Run) -> None:
    mask = np.ones(N_TRS, bool)
    mask[[90, 91, 200]] = False
    change = measures.changes(spoilt(run, ~mask, 3.0).values, mask, measures.levels(run.values, mask).noise)
    assert np.flatnonzero(np.isnan(change)).tolist() == [0, 90, 91, 92, 200, 201]
    assert len(measures.spikes(change)) == 0


def test_spikes_are_counted_and_named(run: Run) -> None:
    places = [40, 41, 100, 170, 230]
    found = finding(quality_of(spoilt(run, places, 1.1)), "spikes")
    # In and out of each: 40 in, 41 stays, 42 out, the others in and out.
    assert found.value == pytest.approx(8 / (N_TRS - 1))
    assert found.verdict == "look"
    assert "at 40, 42, 100, 101, 170, …" in found.text


def test_a_spike_of_a_few_outputs_is_none_of_the_runs(run: Run) -> None:
    values = run.values.copy()
    values[50, :10] *= 2
    assert finding(quality_of(replace(run, values=values)), "spikes").value == 0


def test_a_level_that_jumps_and_stays_is_named(run: Run) -> None:
    found = finding(quality_of(spoilt(run, slice(150, None), 1.1)), "jumps")
    assert (found.value, found.verdict) == (1, "look")
    (place,) = measures.jumps(spoilt(run, slice(150, None), 1.1).values.mean(1).astype(float), 2.0)
    assert abs(place - 150) <= 4  # a stretch has eight volumes, and its median turns when half of it has turned
    up_and_down = spoilt(spoilt(run, slice(80, None), 1.1), slice(200, None), 1 / 1.1)
    assert finding(quality_of(up_and_down), "jumps").value == 2
    assert finding(quality_of(spoilt(run, [150], 1.1)), "jumps").value == 0  # a spike does not stay


def test_outputs_without_signal_are_counted_by_kind(run: Run) -> None:
    values = run.values.copy()
    values[:, :30], values[:, 30:50] = 7.0, np.nan
    values[12, 60], values[13, 61:63] = np.inf, np.nan
    quality = quality_of(replace(run, values=values))
    found = finding(quality, "undefined outputs")
    assert found.value == pytest.approx(50 / N_OUTPUTS)
    assert "(30 constant, 20 NaN throughout)" in found.text
    assert found.verdict == "look"
    faults = finding(quality, "not finite")
    assert (faults.value, faults.verdict) == (3, "bad")
    assert "at 60, 61, 62" in faults.text
    assert quality.verdict == "bad"
    # What is defined is judged as if the others were not there.
    assert finding(quality, "tSNR").value == pytest.approx(finding(quality_of(run), "tSNR").value, rel=0.05)


def test_a_run_without_any_signal_is_bad(run: Run) -> None:
    quality = quality_of(replace(run, values=np.full_like(run.values, 3.0)))
    assert finding(quality, "scale").verdict == "bad"
    assert quality.verdict == "bad"
    assert finding(quality, "spikes").verdict == "unknown"


def test_a_run_that_was_z_scored_or_centred_before_is_noticed(run: Run) -> None:
    standard = quality_of(clean(run))
    assert "z-scored before" in finding(standard, "scale").text
    centred = quality_of(replace(run, values=run.values - run.values.mean(0)))
    assert "the mean was taken out before" in finding(centred, "scale").text
    for quality in (standard, centred):
        assert finding(quality, "scale").verdict == "look"
        assert finding(quality, "tSNR").verdict == "unknown"


def test_head_motion_comes_from_the_confounds_or_is_unknown(run: Run, tmp_path: Path) -> None:
    moved = np.full(N_TRS, 0.2)
    moved[0], moved[:80:2][1:] = np.nan, 0.9
    table = pandas.DataFrame({"framewise_displacement": moved, "non_steady_state_outlier00": 0})
    path = tmp_path / "confounds.tsv"
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")
    quality = quality_of(run, path)
    assert finding(quality, "head motion").value == pytest.approx(np.nanmean(moved))
    assert finding(quality, "moved volumes").value == pytest.approx(39 / 299)
    assert finding(quality, "head motion").verdict == "look"
    assert finding(quality, "moved volumes").verdict == "ok"
    assert "fMRIPrep marked 1" in finding(quality, "first volumes").text
    assert finding(quality, "first volumes").verdict == "look"
    table[["non_steady_state_outlier00"]].to_csv(path, sep="\t", index=False)
    assert finding(quality_of(run, path), "head motion").text == "confounds.tsv has no framewise_displacement"
    assert finding(quality_of(run), "moved volumes").text == "no confounds"
    with pytest.raises(BoldError, match="300 rows of confounds, but the run has 299 volumes"):
        quality_of(replace(run, values=run.values[1:], mask=run.mask[1:]), path)


def test_sessions_of_one_scanner_agree(run: Run) -> None:
    runs = [replace(made(seed), session=session) for seed, session in ((1, "a"), (2, "a"), (3, "b"), (4, "c"))]
    found = compare_sessions([quality_of(run) for run in runs])
    assert len(found) == 6
    assert {f.verdict for f in found} == {"ok"}
    assert found[0].name == "noise, ses-b against ses-a"
    assert compare_sessions([quality_of(run) for run in runs[:2]]) == ()


def test_drift_between_sessions_is_found_in_level_noise_and_place(run: Run) -> None:
    def against(values: np.ndarray) -> dict[str, Finding]:
        later = replace(run, session="b", values=values.astype(np.float32))
        found = compare_sessions([quality_of(run), quality_of(later)])
        return {f.name.split(",")[0]: f for f in found}

    louder = against(run.values * 1.3)
    assert louder["level"].verdict == "look"
    assert louder["level"].value == pytest.approx(0.3 * finding(quality_of(run), "tSNR").value, rel=1e-6)
    assert louder["pattern"].verdict == "ok"
    noisier = against(run.values * 2 - run.values.mean(0))
    assert noisier["noise"].value == pytest.approx(2, rel=1e-3)
    assert noisier["noise"].verdict == "look"
    swapped = against(np.roll(run.values, N_OUTPUTS // 2, axis=1))
    assert swapped["pattern"].verdict == "bad"
    quieter = against(run.values / 4 + 0.75 * run.values.mean(0))
    assert quieter["noise"].value == pytest.approx(4, rel=1e-3)
    assert quieter["noise"].verdict == "bad"


def test_sessions_whose_mean_was_taken_out_keep_only_their_noise(run: Run) -> None:
    centred = replace(run, values=run.values - run.values.mean(0))
    found = compare_sessions([quality_of(centred), quality_of(replace(centred, session="b"))])
    assert [f.verdict for f in found] == ["ok", "unknown"]


def test_sessions_without_a_common_output_cannot_be_told(run: Run) -> None:
    left, right = run.values.copy(), run.values.copy()
    left[:, :200], right[:, 200:] = np.nan, np.nan
    runs = [replace(run, values=left), replace(run, session="b", values=right)]
    assert [f.verdict for f in compare_sessions([quality_of(run) for run in runs])] == ["unknown"]


def test_sessions_in_different_spaces_are_refused(run: Run) -> None:
    fewer = replace(run, session="b", values=run.values[:, :300])
    with pytest.raises(SpaceError, match="table of 300 and table of 400"):
        compare_sessions([quality_of(run), quality_of(fewer)])


def test_a_limit_judges_from_its_own_side() -> None:
    assert [Limit(2, 5).judge(value) for value in (2, 2.1, 5, 5.1, np.nan)] == ["ok", "look", "look", "bad", "unknown"]
    assert [Limit(5, 2).judge(value) for value in (5, 4.9, 2, 1.9)] == ["ok", "look", "look", "bad"]
    assert Limit(0.1, 0.25, "x").say(shown=".0%") == "look above 10%, bad above 25% (x)"
    assert Limit(5, np.inf).say(" mm") == "look above 5 mm"
    assert len(LIMITS) == 11


def test_every_line_has_its_number_its_limit_and_its_verdict(run: Run) -> None:
    lines = [str(found) for found in quality_of(run).findings]
    assert len(lines) == 9
    assert lines[0].startswith("ok      scale: median level")
    assert all("look " in line and "bad " in line for line in lines[1:7])


def test_too_few_volumes_are_refused(run: Run) -> None:
    with pytest.raises(BoldError, match="2 valid volumes, expected at least 3"):
        quality_of(replace(run, mask=np.arange(N_TRS) < 2))


def test_the_run_is_not_changed(run: Run) -> None:
    before = run.values.copy()
    quality_of(run)
    np.testing.assert_array_equal(run.values, before)


def test_a_real_run_that_was_centred_before_is_read_as_that(brainspace_wheel: Path) -> None:
    """The resting run that brainspace ships: its medial wall is zero, its mean was taken out, its volumes are quiet."""
    stem = "brainspace/datasets/preprocessing/sub-010188_ses-02_task-rest_acq-AP_run-01.fsa5"
    with zipfile.ZipFile(brainspace_wheel) as archive:
        images = [MGHImage.from_bytes(gzip.decompress(archive.read(f"{stem}.{side}.mgz"))) for side in ("lh", "rh")]
    values = np.concatenate([np.asarray(image.dataobj, np.float32)[:, 0, 0].T for image in images], axis=1)
    run = Run("010188", "02", "rest", "01", values, 1.4, "fsaverage5", np.ones(len(values), bool))
    quality = quality_of(run)
    assert finding(quality, "undefined outputs").value == (888 + 881) / 20484  # outside FreeSurfer's cortex
    assert "the mean was taken out before" in finding(quality, "scale").text
    assert {finding(quality, name).verdict for name in ("spikes", "jumps", "first volumes", "not finite")} == {"ok"}
    jolted = spoilt(replace(run, values=values + 100), slice(300, 304), 1.05)
    assert "at 300, 304, " in finding(quality_of(jolted), "spikes").text
