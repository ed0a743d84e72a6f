import dataclasses
import threading

import numpy as np
import pytest
import torch

from tribetune.adapt.base import Base
from tribetune.adapt.float32 import fast_float32
from tribetune.adapt.latents import run_trunk, window_latents
from tribetune.adapt.uncertainty import Uncertainty
from tribetune.evaluate.predict import Cut, predict_deviation, predict_run
from tribetune.features.extract import Features
from tribetune.model.tribe import Tribe, TribeConfig
from tribetune.windows import without_bold


@pytest.fixture(scope="module")
def tribe():
    torch.manual_seed(0)
    sizes = {"text": (1, 4), "audio": (1, 4)}
    config = TribeConfig(modalities=sizes, hidden=64, depth=1, heads=2, n_outputs=3, rows=2, low_rank=5)
    return Tribe(config).requires_grad_(False).eval()


def stimulus(duration_s, seed=0):
    rng = np.random.default_rng(seed)
    steps = int(np.ceil(2 * duration_s))
    arrays = {name: rng.standard_normal((1, 4, steps)).astype(np.float16) for name in ("text", "audio")}
    return without_bold(Features(arrays, float(duration_s)))


@pytest.mark.parametrize(("duration_s", "n_samples"), [(30, 30), (100, 100), (101, 101), (250, 250), (0.5, 1)])
def test_a_stimulus_of_any_length_has_a_prediction_for_every_second(tribe, duration_s, n_samples):
    found = predict_run(tribe, stimulus(duration_s), None)
    assert found.shape == (n_samples, 3)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_windows_are_joined_end_to_end(tribe):
    aligned = stimulus(250)
    features = {name: torch.from_numpy(array) for name, array in aligned.features.steps(200, 400).items()}
    with fast_float32(torch.device("cpu")):  # as the trunk is run
        values = tribe.latents({name: array[None] for name, array in features.items()})
    second = tribe.readout(values)[0]
    assert np.array_equal(predict_run(tribe, aligned, None)[100:200], second.numpy())


def test_the_tail_is_padded_with_silence(tribe):
    aligned = stimulus(130)
    padded = {name: np.pad(array, ((0, 0), (0, 0), (0, 140))) for name, array in aligned.features.arrays.items()}
    longer = without_bold(Features(padded, 200.0))
    assert np.array_equal(predict_run(tribe, aligned, None), predict_run(tribe, longer, None)[:130])


def test_a_prediction_does_not_depend_on_what_else_is_predicted(tribe):
    aligned = stimulus(300)
    first = {name: array[..., :200] for name, array in aligned.features.arrays.items()}
    alone = predict_run(tribe, without_bold(Features(first, 100.0)), None)
    assert np.array_equal(predict_run(tribe, aligned, None)[:100], alone)


@pytest.fixture
def with_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_windows_go_through_the_trunk_at_once(tribe, with_threads, monkeypatch):
    everyone = threading.Barrier(3, timeout=60)  # passed only by three at a time

    def together(*given):
        everyone.wait()
        return run_trunk(*given)

    monkeypatch.setattr("tribetune.adapt.latents.run_trunk", together)
    with_threads(3)
    assert predict_run(tribe, stimulus(250), 0).shape == (250, 3)


@pytest.mark.parametrize("n_threads", [2, 3])
def test_any_number_of_threads_gives_the_same_bits(tribe, with_threads, n_threads):
    aligned, overlapping = stimulus(430), Cut(stride_s=60.0)
    doubt = torch.rand(5, 2, generator=torch.Generator().manual_seed(0))
    sure = Uncertainty(torch.ones(3), torch.zeros(5), doubt, doubt[:3], torch.zeros(3), torch.arange(3), "noise")

    def predicted():
        yield predict_run(tribe, aligned, 0)
        yield predict_run(tribe, aligned, None, overlapping)
        yield predict_run(tribe, aligned, 0, trunk=Base(tribe))
        yield predict_deviation(tribe, sure, aligned, overlapping)

    with_threads(1)
    alone = list(predicted())
    with_threads(n_threads)
    assert len(alone) == 4
    for one, several in zip(alone, predicted(), strict=True):
        assert np.array_equal(one, several)


def test_rows_differ_and_none_is_the_unseen_one(tribe):
    aligned = stimulus(50)
    assert np.array_equal(predict_run(tribe, aligned, 1), predict_run(tribe, aligned, None))
    assert not np.array_equal(predict_run(tribe, aligned, 0), predict_run(tribe, aligned, None))


def test_overlapping_windows_are_averaged(tribe):
    aligned = stimulus(150)
    found = predict_run(tribe, aligned, None, Cut(stride_s=50.0))
    late = without_bold(Features({name: array[..., 100:] for name, array in aligned.features.arrays.items()}, 100.0))
    parts = predict_run(tribe, aligned, None)[:100], predict_run(tribe, late, None)
    np.testing.assert_allclose(found[50:100], (parts[0][50:] + parts[1][:50]) / 2, atol=1e-6)  # one rounding
    assert np.array_equal(found[:50], parts[0][:50])


def test_outside_a_span_nothing_is_seen(tribe):
    aligned = stimulus(300)
    spoilt = {name: array.copy() for name, array in aligned.features.arrays.items()}
    for array in spoilt.values():
        array[..., : 2 * 120] = 7
        array[..., 2 * 260 :] = 7
    other = dataclasses.replace(aligned, features=Features(spoilt, 300.0))
    one, two = (predict_run(tribe, run, None, Cut(span=(120, 260))) for run in (aligned, other))
    assert one.shape == (140, 3)
    assert np.array_equal(one, two)


def test_an_absent_modality_is_not_a_silent_one(tribe):
    aligned = stimulus(60)
    arrays = aligned.features.arrays
    absent = dataclasses.replace(aligned, features=Features({"text": arrays["text"]}, 60.0))
    silent = dataclasses.replace(aligned, features=Features({**arrays, "audio": 0 * arrays["audio"]}, 60.0))
    assert not np.allclose(predict_run(tribe, absent, None), predict_run(tribe, silent, None))


def test_what_the_trunk_gave_before_is_not_computed_again_and_gives_the_same_bits(tribe, monkeypatch):
    aligned, trunk, runs = stimulus(250), Base(tribe), []
    plain = predict_run(tribe, aligned, 0)
    monkeypatch.setattr("tribetune.adapt.base.window_latents", lambda *given: runs.append(1) or window_latents(*given))
    assert np.array_equal(predict_run(tribe, aligned, 0, trunk=trunk), plain)
    assert np.array_equal(predict_run(tribe, aligned, 0, trunk=trunk), plain)
    assert len(runs) == 3
