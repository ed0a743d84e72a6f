import logging

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from tribetune.baselines.fir import ALPHAS, fir_design, fit_fir, run_folds
from tribetune.errors import BoldError

DELAYS = (2.0, 4.0, 6.0, 8.0)


def features(n_samples, n_dims=3, seed=0):
    rng = np.random.default_rng(seed)
    return {"text": rng.standard_normal((1, n_dims, 2 * n_samples)).astype(np.float32)}


@pytest.mark.parametrize("lag_s", [0.0, 5.0])
def test_a_response_at_one_delay_is_found_there(lag_s):
    """BOLD is one feature 6 s ago: only the column of that delay correlates."""
    given = features(300)
    one_hz = given["text"][0, 1].reshape(-1, 2).mean(1)
    clock = np.arange(300)
    bold = np.interp(clock + lag_s - 6.0, clock, one_hz)
    design = fir_design(given, DELAYS, lag_s)
    inside = slice(20, 280)
    r = [np.corrcoef(design[inside, column], bold[inside])[0, 1] for column in range(design.shape[1])]
    assert np.argmax(r) == DELAYS.index(6.0) * 3 + 1
    assert max(r) > 0.999


def test_a_fractional_lag_is_kept_on_the_grid_of_features():
    given = features(300)
    two_hz = given["text"][0, 0]
    bold = np.roll(two_hz, 2 * 4 - 13).reshape(-1, 2).mean(1)  # 4 s after the stimulus, already shifted by 6.5 s
    design = fir_design(given, [4.0], 6.5)
    assert np.corrcoef(design[20:280, 0], bold[20:280])[0, 1] > 0.999


def test_an_odd_number_of_steps_is_padded_with_silence():
    assert fir_design({"text": np.ones((1, 2, 7), np.float32)}, [0.0], 0.0).shape == (4, 2)


@pytest.mark.parametrize("n_features", [8, 120])  # fewer than samples, and more: two solvers
def test_the_fit_is_ridge_at_the_chosen_penalty(n_features):
    rng = np.random.default_rng(0)
    design = rng.standard_normal((90, n_features)).astype(np.float32)
    bold = (design[:, :8] @ rng.standard_normal((8, 4)) + rng.standard_normal((90, 4))).astype(np.float32)
    model = fit_fir(design, bold, ["1"] * 30 + ["2"] * 30 + ["3"] * 30)
    standard = (design - design.mean(0)) / design.std(0)
    primal = model.weights if model.samples is None else model.samples.T @ model.weights
    for output in range(4):
        oracle = Ridge(alpha=model.alphas[output], fit_intercept=False).fit(standard, bold[:, output])
        # one solves through the kernel in float32, the other directly in double precision
        np.testing.assert_allclose(primal[:, output], oracle.coef_, atol=2e-3)
        np.testing.assert_allclose(model.predict(design)[:, output], oracle.predict(standard), atol=2e-3)
    assert model.n_weights == n_features * 4
    # the solver works in float32
    assert np.isclose(model.alphas[:, None], ALPHAS, rtol=1e-5).any(1).all()


def test_an_undefined_output_has_nan_weights_and_the_others_are_untouched():
    rng = np.random.default_rng(0)
    design = rng.standard_normal((60, 4)).astype(np.float32)
    bold = rng.standard_normal((60, 3)).astype(np.float32)
    runs = ["1"] * 30 + ["2"] * 30
    whole = fit_fir(design, bold, runs)
    bold[:, 1] = np.nan
    holed = fit_fir(design, bold, runs)
    assert np.isnan(holed.weights[:, 1]).all()
    assert np.isnan(holed.alphas).tolist() == [False, True, False]
    np.testing.assert_allclose(holed.weights[:, [0, 2]], whole.weights[:, [0, 2]], atol=1e-5)  # other batch, same sums


def test_calibration_r2_ranks_predictable_outputs_above_noise():
    rng = np.random.default_rng(0)
    design = rng.standard_normal((120, 4)).astype(np.float32)
    bold = rng.standard_normal((120, 2)).astype(np.float32)
    bold[:, 0] += 2 * design[:, 0]
    model = fit_fir(design, bold, ["1"] * 60 + ["2"] * 60)
    assert model.calibration_r2[0] > 0.5 > model.calibration_r2[1]


def test_folds_leave_one_run_out_or_contiguous_fifths():
    runs = ["a", "a", "b", "c", "c"]
    assert [held.tolist() for _, held in run_folds(runs)] == [[0, 1], [2], [3, 4]]
    folds = list(run_folds(["a"] * 10))
    assert [held.tolist() for _, held in folds] == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    for train, held in folds:
        assert sorted([*train, *held]) == list(range(10))


def test_too_few_samples_are_refused():
    with pytest.raises(BoldError, match="too few"):
        fit_fir(np.zeros((4, 2), np.float32), np.zeros((4, 2), np.float32), ["a"] * 4)


def test_a_best_penalty_at_the_edge_of_the_grid_is_said(caplog):
    rng = np.random.default_rng(0)
    design = rng.standard_normal((60, 4)).astype(np.float32)
    # what one run teaches is wrong in the other, so the most cautious penalty wins
    contrary = design @ rng.standard_normal((4, 50)).astype(np.float32) * np.repeat([[1], [-1]], 30, axis=0)
    with caplog.at_level(logging.WARNING):
        fit_fir(design, contrary.astype(np.float32), ["1"] * 30 + ["2"] * 30)
    assert "largest penalty is best" in caplog.text


def test_himalayas_backend_is_left_as_it_was():
    from himalaya.backend import get_backend, set_backend

    set_backend("numpy")
    rng = np.random.default_rng(0)
    fit_fir(
        rng.standard_normal((60, 4)).astype(np.float32), rng.standard_normal((60, 2)).astype(np.float32), ["1"] * 60
    )
    assert get_backend().name == "numpy"
