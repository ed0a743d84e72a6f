from dataclasses import replace

import numpy as np
import pytest

from tribetune.evaluate.split_leaks import (
    Decision,
    decision_leaks,
    edge_leaks,
    fit_leaks,
    stretches_of,
    stretches_of_windows,
)
from tribetune.features.extract import Features
from tribetune.splits import Part, Split, limit_calibration, split_by_block, split_by_run, windows_of
from tribetune.windows import AlignedRun, cut_windows


@pytest.fixture
def run():
    rng = np.random.default_rng(0)
    bold = rng.standard_normal((900, 4)).astype(np.float32)
    features = Features({"text": rng.standard_normal((2, 3, 1800)).astype(np.float16)}, 900.0)
    return AlignedRun("sub-01_run-1", "1", features, bold, np.ones(900, bool), 5.0)


def kinds(leaks):
    return [leak.kind for leak in leaks]


def test_splits_of_our_own_have_no_leak(run):
    block = split_by_block(run, 0.25, 0.2)
    runs = split_by_run([run, replace(run, label="sub-01_run-2", run="2")], [], [2])
    for split in (block, runs, limit_calibration(block, 3.0), limit_calibration(runs, 7.0)):
        assert not edge_leaks(split, windows_of(split.training), 100.0, 5.0)
        assert not fit_leaks(split)


def test_a_gap_shorter_than_a_window_and_the_lag_is_an_edge_crossed(run):
    near = Split((Part(run, (0, 500), (0, 500)),), (), (Part(run, (604, 900), (604, 900)),))
    (leak,) = edge_leaks(near, windows_of(near.training), 100.0, 5.0)
    assert (leak.kind, leak.test, leak.training) == ("split-edge", "sub-01_run-1, 604-900 s", "sub-01_run-1, 0-500 s")
    assert "104 s apart, expected at least 105 s" in leak.told
    assert not edge_leaks(near, [], 99.0, 5.0)
    assert not edge_leaks(near, [], 104.0, -3.0)  # a negative lag asks for no more than the window


def test_a_window_that_reaches_beyond_its_part_is_an_edge_crossed(run):
    split = split_by_block(run, 0.25)
    (part,) = split.training
    loose = cut_windows(run, 100.0, 100.0)  # of the whole run
    leaks = edge_leaks(split, loose, 100.0, 5.0)
    assert set(kinds(leaks)) == {"split-edge"}
    assert len(leaks) == 3 + 1  # three begin after the training's end, one crosses it
    only_features = [replace(window, mask=np.zeros(100, bool)) for window in loose]
    assert len(edge_leaks(split, only_features, 100.0, 5.0)) == 4
    assert not edge_leaks(split, cut_windows(part.aligned, 100.0, 100.0, part.span), 100.0, 5.0)


def test_z_scores_of_the_whole_run_are_fitted_across(run):
    spans = {"training": (0, 500), "test": (700, 900)}
    whole = Split((Part(run, spans["training"]),), (), (Part(run, spans["test"], spans["test"]),))
    (leak,) = fit_leaks(whole)
    assert leak.kind == "fitted-across"
    assert "0-500 s was z-scored on 0-900 s" in leak.told
    assert kinds(
        fit_leaks(replace(whole, training=(Part(run, (0, 500), (0, 500)),), test=(Part(run, (700, 900)),)))
    ) == ["fitted-across"]


def test_a_choice_is_held_against_the_runs_of_the_test(run):
    other = replace(run, label="sub-01_run-2", run="2")
    split = split_by_run([run, other], [], [2])
    lag = Decision("windows.hemodynamic_lag_s", "chosen", (("sub-01_run-1", 0, 900), ("sub-01_run-2", 0, 900)))
    pca = Decision("principal components", "fitted", (("sub-01_run-2", 880, 901),))
    (chosen,) = decision_leaks([lag], split.test)
    assert (chosen.kind, chosen.training) == ("chosen-on-test", "windows.hemodynamic_lag_s")
    assert kinds(decision_leaks([pca], split.test)) == ["fitted-across"]
    right = Decision("penalty", "chosen", stretches_of(split.training))
    assert not decision_leaks([right], split.test)


def test_within_one_run_a_choice_is_held_against_the_block_of_the_test(run):
    split = split_by_block(run, 0.25)
    assert stretches_of(split.training) == (("sub-01_run-1", 0, 565),)
    used = stretches_of_windows(windows_of(split.training))
    assert used[0] == ("sub-01_run-1", 0, 100)
    assert used[-1] == ("sub-01_run-1", 500, 565)
    assert not decision_leaks([Decision("rate", "chosen", used)], split.test)
    everywhere = stretches_of_windows(cut_windows(run, 100.0, 100.0))
    assert set(kinds(decision_leaks([Decision("rate", "chosen", everywhere)], split.test))) == {"chosen-on-test"}
