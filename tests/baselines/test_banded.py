import logging

import numpy as np
import pytest
from himalaya.backend import get_backend, set_backend
from sklearn.linear_model import Ridge

from tribetune.baselines.banded import fit_banded
from tribetune.baselines.fir import ALPHAS, fit_fir
from tribetune.errors import BoldError

RUNS = ["1"] * 60 + ["2"] * 60 + ["3"] * 60


def data(seed=0, noise=1.0):
    """Two bands; outputs 0 and 1 follow the first one, output 2 the second, output 3 neither."""
    rng = np.random.default_rng(seed)
    designs = {
        "text": rng.standard_normal((180, 12)).astype(np.float32),
        "video": 5 + 3 * rng.standard_normal((180, 90)).astype(np.float32),
    }
    bold = noise * rng.standard_normal((180, 4)).astype(np.float32)
    bold[:, :2] += designs["text"][:, :2]
    bold[:, 2] += (designs["video"][:, 0] - 5) / 3
    return designs, bold


def test_the_fit_is_ridge_on_bands_weighted_by_the_chosen_penalties():
    designs, bold = data()
    model = fit_banded(designs, bold, RUNS)
    standard = [(design - design.mean(0)) / design.std(0) for design in designs.values()]
    predicted = model.predict(designs)
    for output in range(4):
        weighted = np.concatenate(
            [np.exp(weight / 2) * part for weight, part in zip(model.log_weights[:, output], standard, strict=True)],
            axis=1,
        ).astype(np.float64)
        oracle = Ridge(alpha=1.0, fit_intercept=False).fit(weighted, bold[:, output])
        # the solver works in float32, through kernels
        np.testing.assert_allclose(predicted[:, output], oracle.predict(weighted), atol=5e-3)
    assert model.n_weights == 102 * 4


def test_the_weights_of_the_bands_add_up_to_a_penalty_of_the_grid():
    designs, bold = data()
    alphas = 1 / np.exp(fit_banded(designs, bold, RUNS).log_weights).sum(0)
    assert np.isclose(alphas[:, None], ALPHAS, rtol=1e-4).any(1).all()  # float32


def test_the_band_that_an_output_follows_weighs_more():
    designs, bold = data()
    text, video = fit_banded(designs, bold, RUNS).log_weights
    assert (text > video).tolist()[:3] == [True, True, False]


def test_bands_beat_one_penalty_where_one_band_is_noise():
    designs, bold = data()
    new, truth = data(seed=1, noise=0.0)
    banded = fit_banded(designs, bold, RUNS).predict(new)
    plain = fit_fir(np.concatenate(list(designs.values()), axis=1), bold, RUNS)
    plain = plain.predict(np.concatenate(list(new.values()), axis=1))
    r = [np.corrcoef(predicted[:, 0], truth[:, 0])[0, 1] for predicted in (banded, plain)]
    assert r[0] > r[1] + 0.05


def test_an_undefined_output_has_nan_weights_and_the_others_are_untouched():
    designs, bold = data()
    whole = fit_banded(designs, bold, RUNS)
    bold[:, 1] = np.nan
    holed = fit_banded(designs, bold, RUNS)
    assert np.isnan(holed.predict(designs)).all(0).tolist() == [False, True, False, False]
    assert np.isnan(holed.calibration_r2).tolist() == [False, True, False, False]
    np.testing.assert_allclose(holed.dual[:, [0, 2, 3]], whole.dual[:, [0, 2, 3]], atol=1e-4)  # another batch


def test_the_search_is_repeated_by_its_seed():
    designs, bold = data()
    np.testing.assert_array_equal(fit_banded(designs, bold, RUNS, 3).dual, fit_banded(designs, bold, RUNS, 3).dual)


def test_too_few_samples_are_refused_and_the_edge_of_the_grid_is_said(caplog):
    designs, bold = data()
    with pytest.raises(BoldError, match="too few for a banded baseline"):
        fit_banded({name: design[:6] for name, design in designs.items()}, bold[:6], RUNS[:6])
    contrary = np.tile(designs["text"][:, :4], 1) * np.repeat([[1], [-1], [0]], 60, axis=0).astype(np.float32)
    with caplog.at_level(logging.WARNING):
        fit_banded({"text": designs["text"]}, contrary, RUNS)
    assert "banded ridge: the largest penalty is best" in caplog.text


def test_himalayas_backend_is_left_as_it_was():
    set_backend("numpy")
    fit_banded(*data(), RUNS)
    assert get_backend().name == "numpy"
