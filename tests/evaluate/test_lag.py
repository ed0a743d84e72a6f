"""The lag sweep: planted lags are found, what shifts a run shifts the lag, and noise has none."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from tribetune.bold.run import Run
from tribetune.errors import BoldError
from tribetune.evaluate.lag import LagRange, sweep_lags
from tribetune.evaluate.lag_data import lag_data
from tribetune.features.grid import Features
from tribetune.splits import Part, split_by_block
from tribetune.stimulus.timeline import Event, Timeline
from tribetune.windows import align

DURATION_S, ONSET_S, T_R, N_OUTPUTS, N_DRIVEN = 240, 6.0, 1.5, 60, 40


def planted(
    lag_s: float, *, n_runs: int = 3, t_r: float = T_R, left_out: int = 0, noise: float = 1.0, driven: int = N_DRIVEN
) -> list[Part]:
    """Runs whose BOLD follows the features by a lag; the header says ``T_R``, and volumes at the start may be gone."""
    weights = np.random.default_rng(99).standard_normal((32, N_OUTPUTS))
    parts = []
    for k in range(n_runs):
        rng = np.random.default_rng(k)
        features = {
            name: gaussian_filter1d(rng.standard_normal((2, 8, 2 * DURATION_S)), 3, axis=-1).astype(np.float32)
            for name in ("text", "audio")
        }
        columns = np.concatenate([array.reshape(16, -1) for array in features.values()])
        signal = columns.reshape(32, DURATION_S, 2).mean(2).T @ weights
        signal /= signal.std(0)
        signal[:, driven:] = 0
        volumes = (np.arange(int((DURATION_S + 20) / t_r)) + left_out) * t_r
        bold = np.stack([np.interp(volumes - ONSET_S - lag_s, np.arange(DURATION_S), one) for one in signal.T], axis=1)
        bold += noise * rng.standard_normal(bold.shape)
        run = Run("01", "", "film", str(k), bold.astype(np.float32), T_R, "table", np.ones(len(bold), bool))
        timeline = Timeline((Event("word", ONSET_S, float(DURATION_S), text="a"),))
        aligned = align(run, timeline, Features(features, float(DURATION_S)), 5.0)
        parts.append(Part(aligned, (0, len(aligned.mask))))
    return parts


def best(parts: list[Part], within: LagRange | None = None):
    sweep = sweep_lags(parts, within, draws=200)
    assert sweep is not None
    return sweep.curves["all"]


@pytest.mark.parametrize("lag_s", [3.0, 4.0, 5.0, 6.5])
def test_a_planted_lag_is_found(lag_s):
    found = best(planted(lag_s))
    assert found.best_s == pytest.approx(lag_s, abs=0.5)
    assert found.interval_s[0] - 0.2 <= lag_s <= found.interval_s[1] + 0.2  # interpolation of BOLD moves a tenth
    assert found.interval_s[1] - found.interval_s[0] < 1
    assert found.above_null
    assert not found.at_edge


def test_a_lag_between_two_steps_is_found_there():
    assert best(planted(4.25)).best_s == pytest.approx(4.25, abs=0.15)


def test_a_lag_is_found_within_a_single_run():
    assert best(planted(4.0, n_runs=1)).best_s == pytest.approx(4, abs=0.5)


def test_a_lag_is_found_from_calibration_blocks_alone():
    (part,) = planted(4.0, n_runs=1)
    split = split_by_block(part.aligned, test=0.25, gap_s=25, window_s=20)
    spoilt = part.aligned.bold.copy()
    spoilt[split.test[0].span[0] :] = np.nan
    again = split_by_block(replace(part.aligned, bold=np.nan_to_num(spoilt)), test=0.25, gap_s=25, window_s=20).training
    assert best(list(split.training)).best_s == pytest.approx(4, abs=0.5)
    np.testing.assert_array_equal(best(list(split.training)).r, best(list(again)).r)


@pytest.mark.parametrize("left_out", [1, 4])
def test_volumes_missing_at_the_start_move_the_lag_by_their_time(left_out):
    found = best(planted(5.0, left_out=left_out), LagRange(-6, 12))
    assert found.best_s == pytest.approx(5 - left_out * T_R, abs=0.5)
    assert found.interval_s[1] < 4


def test_a_wrong_t_r_moves_the_lag_and_more_so_late_in_the_runs():
    sweep = sweep_lags(planted(5.0, t_r=1.47), draws=200)
    assert sweep is not None
    stretch = T_R / 1.47 - 1
    assert sweep.curves["all"].best_s == pytest.approx(5 + stretch * (DURATION_S / 2 + ONSET_S + 5), abs=0.5)
    early, late = sweep.halves
    # Models are fitted to both halves, so they give away some of the 2.4 s between them.
    assert 1 < late.best_s - early.best_s < stretch * DURATION_S / 2
    assert early.interval_s[1] < late.interval_s[0]
    same = sweep_lags(planted(5.0), draws=200)
    assert same is not None
    assert same.halves[0].best_s == pytest.approx(same.halves[1].best_s, abs=0.5)


def test_noise_has_no_lag_beyond_chance():
    found = best(planted(5.0, driven=0))
    assert not found.above_null
    assert found.interval_s[1] - found.interval_s[0] > 1


def test_a_lag_beyond_the_sweep_is_said_to_be_at_its_edge():
    found = best(planted(6.5), LagRange(-2, 5))
    assert found.at_edge
    assert found.best_s == 5


def test_the_gain_over_the_recipes_lag_is_paired():
    sweep = sweep_lags(planted(3.0), draws=200)
    assert sweep is not None
    assert sweep.gain is not None
    curve = sweep.curves["all"]
    at_recipe = curve.r[sweep.lags_s == 5.0].item()
    assert sweep.gain.mean == pytest.approx(curve.r.max() - at_recipe, abs=1e-6)
    assert sweep.gain.interval[0] > 0
    right = sweep_lags(planted(5.0), draws=200)
    assert right is not None
    assert right.gain is not None
    assert right.gain.interval[0] <= 0


def test_sets_have_their_own_curve_and_are_not_chosen_by_score():
    driven, silent = np.arange(N_OUTPUTS) < N_DRIVEN, np.arange(N_OUTPUTS) >= N_DRIVEN
    none = np.zeros(N_OUTPUTS, bool)
    sweep = sweep_lags(planted(4.0), sets={"visual": silent, "nowhere": none, "auditory": driven}, draws=100)
    assert sweep is not None
    assert list(sweep.curves) == ["all", "visual", "auditory"]
    assert sweep.curves["auditory"].best_s == pytest.approx(4, abs=0.5)
    assert sweep.curves["auditory"].n_outputs == N_DRIVEN
    assert sweep.curves["visual"].r.max() < 0.1 < sweep.curves["auditory"].r.max()


def test_lags_are_the_recipes_plus_steps():
    assert LagRange(-2, 12).moves(5.0) == list(range(-14, 15))
    assert LagRange(0, 10, 1.0).moves(5.2) == list(range(-10, 9, 2))
    with pytest.raises(BoldError, match=r"multiple of 0\.5"):
        LagRange(step_s=0.3).moves(5.0)
    with pytest.raises(BoldError, match="expected at least 3"):
        LagRange(4, 4.5).moves(5.0)


def test_too_little_data_has_no_sweep():
    parts = planted(5.0, n_runs=1)
    assert sweep_lags([replace(parts[0], span=(0, 50))]) is None
    still = replace(parts[0].aligned, bold=np.zeros_like(parts[0].aligned.bold))
    assert sweep_lags([replace(parts[0], aligned=still)]) is None


def test_every_lag_uses_the_same_samples_inside_the_stimulus():
    before, after = 14, 6
    data = lag_data(planted(5.0, n_runs=1), -after, before, {})
    assert data is not None
    # So many steps of silence lie on either side of the stimulus, and no lag may reach them.
    assert len(data.steps) == before + 2 * DURATION_S + after
    assert (data.first - before).min() == before
    assert (data.first + after).max() + 1 < before + 2 * DURATION_S
    assert not {*data.stretches[data.folds == 0]} & {*data.stretches[data.folds == 1]}


def test_undefined_outputs_do_not_enter():
    parts = planted(5.0)
    spoilt = []
    for part in parts:
        bold = part.aligned.bold.copy()
        bold[:, :10] = np.nan
        spoilt.append(replace(part, aligned=replace(part.aligned, bold=bold)))
    data = lag_data(spoilt, -2, 2, {"all of them": np.ones(N_OUTPUTS, bool)})
    assert data is not None
    assert data.outputs.min() == 10
    assert np.isfinite(best(spoilt).r).all()


def test_a_run_without_one_modality_is_swept_with_the_others():
    parts = planted(4.0)
    only_text = Features({"text": parts[0].aligned.features.arrays["text"]}, float(DURATION_S))
    mixed = [replace(parts[0], aligned=replace(parts[0].aligned, features=only_text)), *parts[1:]]
    assert best(mixed).best_s == pytest.approx(4, abs=0.5)
