"""Windows of a single run that overlap: what is left out is not trained on, though windows of both halves hold it."""

import numpy as np
import pytest
import torch

from tribetune.adapt import with_trunk
from tribetune.adapt.base import Base
from tribetune.adapt.descent import Schedule
from tribetune.adapt.folds import inner_folds, sample_folds
from tribetune.adapt.latents import Latents
from tribetune.adapt.left_out import Made, left_out
from tribetune.adapt.methods import fit_method
from tribetune.adapt.readout import choose_rate
from tribetune.windows import Window

FIXED = {"ridge": {"penalty": 0.01}, "low-rank": {"rank": 2, "penalty": 0.01}, "readout": {"learning_rate": 0.3},
         "lora": {"learning_rate": 1e-3, "readout_learning_rate": 0.3}}  # fmt: skip


def overlapping(tribe, bold):
    """Windows of 100 s that begin every 50 s, of one run."""
    rng, n = np.random.default_rng(0), len(bold)
    whole = {name: rng.standard_normal((*size, 2 * n), np.float32) for name, size in tribe.config.modalities.items()}
    return [
        Window({name: values[..., 2 * start : 2 * start + 200] for name, values in whole.items()},
               bold[start : start + 100], np.ones(100, bool), "sub-01_run-1", float(start))
        for start in range(0, n - 99, 50)
    ]  # fmt: skip


def latents_of(stride, n_windows=4, n_inputs=60, n_outputs=200):
    rng, n = torch.Generator().manual_seed(0), stride * (n_windows - 1) + 100
    values, bold = torch.randn(n, n_inputs, generator=rng), torch.randn(n, n_outputs, generator=rng)
    return [
        Latents(values[start : start + 100], bold[start : start + 100], "run-1", np.arange(100), float(start))
        for start in range(0, n - 99, stride)
    ]


@pytest.mark.parametrize("method", list(FIXED))
def test_left_out_predictions_of_a_run_do_not_depend_on_the_bold_that_is_left_out(tribe, method):
    rng = np.random.default_rng(1)
    bold = rng.standard_normal((300, tribe.config.n_outputs)).astype(np.float32)
    other = np.concatenate([bold[:150], rng.standard_normal(bold[150:].shape).astype(np.float32)])
    found = []
    for values in (bold, other):  # five windows, of which the fourth begins the later half at 150 s
        windows, base = overlapping(tribe, values), Base(tribe)
        made = Made(fit_method(method, base, windows, FIXED[method], 33), FIXED[method], 33)
        found.append(left_out(base, windows, made))
    # windows at 0, 100 and 200 s are those that count
    np.testing.assert_array_equal(found[0].measured, np.concatenate([bold[:100], bold[100:200], bold[200:300]]))
    later = np.arange(300) >= 150
    # ridge in closed form takes out again what all data fitted: rounding stays
    np.testing.assert_allclose(found[0].predicted[later], found[1].predicted[later], atol=2e-5)
    assert np.abs(found[0].predicted[~later] - found[1].predicted[~later]).max() > 0.01


def test_noise_has_no_rate_that_predicts_it():
    plan, start = Schedule(1.0, 1, 25, 0), (torch.zeros(60, 200), torch.zeros(200))
    _, scores = choose_rate(latents_of(50), start, plan)
    assert max(scores.values()) < 0.02  # the mean over 200 outputs of an r of 125 samples or more


@pytest.mark.parametrize("stride", [1, 50, 99])
def test_no_sample_is_on_both_sides_of_a_fold(stride):
    latents = latents_of(stride)
    times = np.concatenate([part.start_s + part.place for part in latents])
    later, earlier = sample_folds(latents)
    assert not set(times[later]) & set(times[earlier])
    assert (later != earlier).all()


def test_halves_of_windows_apart_are_those_of_whole_windows():
    latents = latents_of(100)
    for found, fold in zip(sample_folds(latents), inner_folds(["run-1"] * 4), strict=True):
        assert found.tolist() == np.repeat(fold, 100).tolist()


def test_where_windows_are_the_same_nothing_is_left_out(tribe):
    latents = latents_of(50)[:1] * 2
    assert sample_folds(latents) == []
    windows = overlapping(tribe, np.zeros((100, tribe.config.n_outputs), np.float32)) * 2
    assert left_out(Base(tribe), windows, Made(fit_method("zero-shot", Base(tribe), windows, {}, 33), {}, 33)) is None


def test_a_trunk_is_not_trained_on_what_judges_its_rate(tribe, monkeypatch):
    seen = []
    train = with_trunk.train

    def watched(tribe, windows, latents, course, start):
        seen.append([(window, part) for window, part in zip(windows, latents, strict=True)])
        return train(tribe, windows, latents, course, start)

    monkeypatch.setattr(with_trunk, "train", watched)
    bold = np.random.default_rng(1).standard_normal((300, tribe.config.n_outputs)).astype(np.float32)
    fit_method("lora", Base(tribe), overlapping(tribe, bold), {"readout_learning_rate": 0.1}, 33)
    trained = [{window.start_s + place for window, part in pairs for place in part.place} for pairs in seen]
    for pairs in seen:
        assert all(np.flatnonzero(window.mask).tolist() == part.place.tolist() for window, part in pairs)
    assert {len(times) for times in trained} == {150, 300}  # halves while rates are raced for, then everything
    assert {min(times) for times in trained} == {0.0, 150.0}
