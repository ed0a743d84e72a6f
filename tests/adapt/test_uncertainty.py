import dataclasses
import math

import numpy as np
import pytest
import torch

from tribetune.adapt.adapter import Adapter, personal_row
from tribetune.adapt.base import Base
from tribetune.adapt.left_out import Made, left_out, predict_windows
from tribetune.adapt.methods import METHODS, fit_method
from tribetune.adapt.ridge import INFINITE
from tribetune.adapt.uncertainty import uncertainty
from tribetune.model.tribe import Tribe
from tribetune.share.bundle import save_adapter
from tribetune.windows import Window

SETTINGS = {
    "zero-shot": {},
    "gain": {},
    "ridge": {},
    "low-rank": {},
    "readout": {},
    "lora": {"rank": 2, "learning_rate": 1e-4},
    "full": {"learning_rate": 1e-5},
}


def test_every_method_has_its_case():
    assert list(SETTINGS) == list(METHODS)


def linear_subject(tribe, n_windows, seed, noise=0.7):
    """Windows of a subject whose BOLD is a readout of his own of the trunk's output, and autocorrelated noise."""
    rng = np.random.default_rng(seed)
    own = torch.from_numpy(0.3 * np.random.default_rng(5).standard_normal((8, 12)).astype(np.float32))
    found = []
    for place in range(n_windows):
        features = {
            name: rng.standard_normal((*size, 200), np.float32) for name, size in tribe.config.modalities.items()
        }
        with torch.no_grad():
            latents = tribe.latents({name: torch.from_numpy(values)[None] for name, values in features.items()})[0]
            signal = (tribe.readout(latents[None])[0] + latents @ own).numpy()
        white = rng.standard_normal((101, 12)).astype(np.float32)
        sizes = np.linspace(0.5, 1.5, 12, dtype=np.float32)
        bold = signal + noise * sizes * (white[1:] + 0.6 * white[:-1]) / np.sqrt(1.36, dtype=np.float32)
        found.append(Window(features, bold, np.ones(100, bool), f"sub-01_run-{place // 2 + 1}", 100.0 * (place % 2)))
    return found


@pytest.fixture(scope="module")
def fitted(tribe):
    """Every method on six windows of a linear subject, with its left-out predictions and its uncertainty."""
    base, windows = Base(tribe), linear_subject(tribe, 6, seed=1)
    found = {}
    for method, settings in SETTINGS.items():
        made = Made(fit_method(method, base, windows, settings, seed=33), settings, 33)
        held = left_out(base, windows, made)
        found[method] = made, held, uncertainty(base, windows, made, held)
    return found


@pytest.mark.parametrize("method", list(SETTINGS))
def test_95_percent_intervals_cover_held_out_bold(tribe, fitted, method):
    base, held_out = Base(tribe), linear_subject(tribe, 6, seed=2)
    made, _, found = fitted[method]
    predicted = predict_windows(base, made.adapter, held_out)
    model = made.adapter.apply(tribe)
    with torch.no_grad():
        values = [model.latents({k: torch.from_numpy(v)[None] for k, v in window.features.items()})[0]
                  for window in held_out]  # fmt: skip
    deviation = found.deviation(torch.cat(values)).numpy()
    measured = np.concatenate([window.bold for window in held_out])
    inside = np.abs(measured - predicted) <= 1.96 * deviation
    assert 0.90 <= inside.mean() <= 0.99
    # and for every output by itself, whose noise is its own; 600 autocorrelated samples each
    assert inside.mean(0).min() >= 0.88


def test_ridge_left_out_in_closed_form_is_a_fit_without_the_run(tribe, fitted):
    base, windows = Base(tribe), linear_subject(tribe, 6, seed=1)
    made, held, _ = fitted["ridge"]
    penalty = made.adapter.chosen["penalty"]
    # the penalty is per sample of all data, standardised by all data: the same problem with a third of it left out
    latents = base.latents(windows)
    values, bold = torch.cat([part.values for part in latents]).double(), torch.cat([p.bold for p in latents]).double()
    start = (values.float() @ tribe.subjects.weights[-1] + tribe.subjects.bias[-1]).double()
    standard = (values - values.mean(0)) / values.std(0, correction=0)
    wanted = []
    for run in range(3):
        out = torch.zeros(600, dtype=torch.bool)
        out[200 * run : 200 * (run + 1)] = True
        x, y = standard[~out], (bold - start)[~out]
        centred = x - x.mean(0)
        gram = centred.T @ centred + 600 * penalty * torch.eye(8, dtype=torch.float64)
        weights = torch.linalg.solve(gram, centred.T @ (y - y.mean(0)))
        wanted.append(start[out] + y.mean(0) + (standard[out] - x.mean(0)) @ weights)
    np.testing.assert_allclose(held.predicted, torch.cat(wanted).numpy(), atol=1e-4)  # float32
    assert held.runs[::200] == ("sub-01_run-1", "sub-01_run-2", "sub-01_run-3")


def test_the_parameter_part_of_ridge_is_the_spread_of_refits_to_new_noise(tribe):
    base, rng = Base(tribe), np.random.default_rng(0)
    windows = linear_subject(tribe, 4, seed=3, noise=0.0)
    settings, new, found = {"penalty": 0.3}, linear_subject(tribe, 1, seed=4), []
    for _ in range(60):
        noisy = [
            dataclasses.replace(window, bold=window.bold + rng.standard_normal(window.bold.shape).astype(np.float32))
            for window in windows
        ]
        found.append(predict_windows(base, fit_method("ridge", base, noisy, settings, 0), new))
    made = Made(fit_method("ridge", base, noisy, settings, 0), settings, 0)
    held = left_out(base, noisy, made)
    told = uncertainty(base, noisy, made, held)
    with torch.no_grad():
        deviation = told.deviation(base.trunk_output(new[0])).numpy()
    part = np.square(deviation) - np.square(told.noise.numpy())
    spread = np.var(found, axis=0, ddof=1)
    # a variance of 60 draws has a standard error of 18 %; over 100 samples × 12 outputs that is a few percent
    assert part.mean() == pytest.approx(spread.mean(), rel=0.15)
    assert np.corrcoef(part.mean(1), spread.mean(1))[0, 1] > 0.8
    np.testing.assert_allclose(told.noise.numpy(), 1.0, atol=0.12)  # 400 samples: 3.5 %, largest of 12


@pytest.mark.parametrize("method", ["gain", "ridge", "low-rank", "readout"])
def test_far_from_what_was_seen_predictions_are_less_certain(tribe, fitted, method):
    made, _, found = fitted[method]
    values = torch.cat([part.values for part in Base(tribe).latents(linear_subject(tribe, 1, seed=1))])
    near = found.deviation(values)
    far = found.deviation(values + 30 * values.std(0))
    assert (far > 1.02 * near).all()
    assert personal_row(tribe, made.adapter.tensors)[0].shape == (8, 12)


@pytest.mark.parametrize(("method", "said"), [("lora", "only: trunk and readout"), ("full", "only: trunk and readout"),
                                              ("zero-shot", "only: nothing"),
                                              ("ridge", "closed form"), ("readout", "6 fits")])  # fmt: skip
def test_what_is_covered_is_said(fitted, method, said):
    assert said in fitted[method][2].covers


def test_penalties_of_their_own_have_spectra_of_their_own(tribe):
    base, windows = Base(tribe), linear_subject(tribe, 6, seed=1)
    settings = {"penalty_per": "output"}
    made = Made(fit_method("ridge", base, windows, settings, seed=33), settings, 33)
    held = left_out(base, windows, made)
    found = uncertainty(base, windows, made, held)
    assert len(found.spectra) == len(set(found.group.tolist())) > 1
    assert np.isfinite(held.predicted).all()


def test_an_undefined_output_has_no_uncertainty_and_leaves_the_others_alone(tribe, windows):
    base = Base(tribe)
    for method in ("ridge", "readout"):
        made = Made(fit_method(method, base, windows, {}, seed=33), {}, 33)
        found = uncertainty(base, windows, made, left_out(base, windows, made))
        assert torch.isnan(found.noise).tolist() == [False] * 11 + [True]


def test_a_single_window_leaves_nothing_to_leave_out(tribe):
    base, windows = Base(tribe), linear_subject(tribe, 1, seed=1)
    made = Made(fit_method("ridge", base, windows, {}, seed=33), {}, 33)
    assert left_out(base, windows, made) is None


def test_overlapping_windows_count_once(tribe):
    base, windows = Base(tribe), linear_subject(tribe, 6, seed=1)
    shifted = [dataclasses.replace(window, start_s=window.start_s / 2) for window in windows]
    made = Made(fit_method("ridge", base, shifted, {}, seed=33), {}, 33)
    assert len(left_out(base, shifted, made).predicted) == 300


def test_a_subject_of_pure_noise_keeps_the_group_and_can_be_saved_and_left_out(tribe, tmp_path):
    base, rng = Base(tribe), np.random.default_rng(0)
    windows = [
        dataclasses.replace(window, bold=rng.standard_normal(window.bold.shape).astype(np.float32)
                            + predict_windows(base, Adapter("zero-shot"), [window]))
        for window in linear_subject(tribe, 6, seed=1)
    ]  # fmt: skip
    made = Made(fit_method("ridge", base, windows, {}, seed=33), {}, 33)
    assert made.adapter.chosen["penalty"] == INFINITE
    assert made.fixed["penalty"] == math.inf
    save_adapter(made.adapter, tmp_path / "adapter", {"base": {"name": "x", "hash": "y"}, "space": "table"})
    found = uncertainty(base, windows, made, left_out(base, windows, made))
    np.testing.assert_allclose(found.noise.numpy(), 1.0, atol=0.12)  # 600 samples: 3 %, largest of 12
    assert found.spectra.abs().max() == 0


def test_a_given_penalty_of_each_output_is_kept_for_left_out_runs(tribe):
    base, windows = Base(tribe), linear_subject(tribe, 6, seed=1)
    found = []
    for settings in ({"penalty": 3.0}, {"penalty": 3.0, "penalty_per": "output"}):
        made = Made(fit_method("ridge", base, windows, settings, seed=33), settings, 33)
        found.append(left_out(base, windows, made).predicted)
    np.testing.assert_array_equal(*found)


def test_a_rank_of_all_outputs_is_lowered_where_some_are_undefined(tribe):
    config = dataclasses.replace(tribe.config, low_rank=16)
    torch.manual_seed(0)
    base, windows = Base(Tribe(config).requires_grad_(False).eval()), linear_subject(tribe, 6, seed=1)
    for window in windows:
        window.bold[:, -1] = np.nan
    made = Made(fit_method("low-rank", base, windows, {"rank": 12, "penalty": 1.0}, seed=33), {"rank": 12}, 33)
    found = uncertainty(base, windows, made, left_out(base, windows, made))
    assert found.noise.isfinite().tolist() == [True] * 11 + [False]
