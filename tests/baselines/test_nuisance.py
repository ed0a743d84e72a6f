import numpy as np

from tribetune.baselines.fir import fit_fir
from tribetune.baselines.nuisance import nuisance_design

DELAYS = (2.0, 4.0, 6.0, 8.0)


def measures(n_samples=200, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.random(2 * n_samples).astype(np.float32) for name in ("luminance", "word_rate")}


def test_bold_that_follows_luminance_is_predicted_and_bold_that_does_not_is_not():
    designs, bold = [], []
    for run in range(2):
        given = measures(seed=run)
        delayed = np.roll(given["luminance"].reshape(-1, 2).mean(1), 1)  # 6 s after the picture, with a lag of 5 s
        noise = np.random.default_rng(run).standard_normal(200)
        both = np.stack([delayed, noise], axis=1)[20:].astype(np.float32)
        bold.append((both - both.mean(0)) / both.std(0))
        designs.append(nuisance_design(given, list(given), None, DELAYS, 5.0, 200)[20:])
    model = fit_fir(np.concatenate(designs), np.concatenate(bold), ["1"] * 180 + ["2"] * 180, "nuisance")
    assert model.calibration_r2[0] > 0.9
    assert model.calibration_r2[1] < 0.1


def test_position_and_motion_are_columns_of_their_own():
    motion = np.random.default_rng(0).standard_normal((50, 6))
    design = nuisance_design({}, [], motion, DELAYS, 5.0, 50)
    assert design.shape == (50, 2 + 12)
    np.testing.assert_allclose(design[:, 0], np.linspace(-1, 1, 50), atol=1e-6)
    np.testing.assert_allclose(design[:, 2:8], motion, atol=1e-6)
    np.testing.assert_allclose(design[1:, 8:], np.diff(motion, axis=0), atol=1e-6)
    assert not design[0, 8:].any()


def test_a_measure_that_a_run_lacks_is_silent_there():
    given = measures()
    both = nuisance_design(given, ["word_rate", "sound_envelope"], None, DELAYS, 5.0, 200)
    assert both.shape == (200, 2 * len(DELAYS) + 2)
    assert not both[:, 1:8:2].any()


def test_an_odd_number_of_steps_and_a_longer_stimulus_fit_the_samples():
    given = {"word_rate": np.ones(15, np.float32)}
    assert nuisance_design(given, ["word_rate"], None, (0.0,), 0.0, 8)[:, 0].tolist() == [1] * 7 + [0.5]
    assert nuisance_design(given, ["word_rate"], None, (0.0,), 0.0, 5)[:, 0].tolist() == [1] * 5
