"""Score against minutes: what a planted curve must give back."""

from dataclasses import replace

import numpy as np
import pytest

from tribetune.evaluate.bootstrap import HeldOut, bootstrap_scores
from tribetune.evaluate.minutes import Curve, curve_of, log_line, minutes_saved

MINUTES = np.array([5.0, 10.0, 20.0, 40.0])


def curve(r, spread=0.001, seed=0):
    r = np.broadcast_to(np.asarray(r, float), MINUTES.shape)
    noise = spread * np.random.default_rng(seed).standard_normal((400, 1))  # common to all lengths: paired
    return Curve(MINUTES, r, r + noise, r[None], 100, 16)


def test_minutes_saved_are_the_firs_minutes_for_the_same_score():
    fir = curve(0.01 + 0.02 * np.log(MINUTES))
    adapter = curve([0.05, 0.01 + 0.02 * np.log(27.0), 0.09, 0.1])
    saved = minutes_saved(adapter, fir, 1)
    # straight in log(minutes), so that the crossing is exact
    assert (saved.spent, saved.needed, saved.minutes) == pytest.approx((10.0, 27.0, 17.0))
    assert saved.interval == pytest.approx((17.0, 17.0))  # both move together in every draw


def test_the_interval_of_minutes_saved_holds_what_independent_noise_does():
    fir = curve(0.01 + 0.02 * np.log(MINUTES), seed=1)
    adapter = curve(0.01 + 0.02 * np.log(20.0), seed=2)
    low, high = minutes_saved(adapter, fir, 1).interval
    # the difference of two errors of 0.001 is 0.0028 at 95 %, which on this slope is a factor of exp(0.14)
    assert (low, high) == pytest.approx((20 * np.exp(-0.14) - 10, 20 * np.exp(0.14) - 10), rel=0.1)


def test_the_interval_of_minutes_saved_is_wider_where_blocks_are_few():
    def width(n_blocks):
        fir, adapter = (
            replace(curve(r, spread=0.0005, seed=seed), n_blocks=n_blocks)
            for seed, r in enumerate((0.01 + 0.02 * np.log(MINUTES), 0.01 + 0.02 * np.log(20.0)))
        )
        low, high = minutes_saved(adapter, fir, 1).interval
        return np.log((10 + high) / (10 + low))

    assert width(4) / width(10_000) == pytest.approx(3.67 / 1.96, rel=0.02)  # Student's t of four, see `widening`


def test_where_the_fir_never_gets_there_the_minutes_saved_have_no_end():
    saved = minutes_saved(curve(0.5), curve(0.02 * np.log(MINUTES)), 0)
    assert saved.needed == float("inf")
    assert saved.interval == (float("inf"), float("inf"))
    assert saved.longest == 40.0


def test_where_the_method_is_worse_no_minutes_are_saved():
    saved = minutes_saved(curve(0.01), curve(0.02 * np.log(MINUTES)), 2)
    assert np.isnan(saved.needed)
    assert saved.interval == (0.0, 0.0)


def test_zero_shot_is_held_against_the_whole_curve_of_the_fir():
    fir = curve(0.02 * np.log(MINUTES))
    assert minutes_saved(curve(0.02 * np.log(15.0)), fir, 3, spent=0.0).needed == pytest.approx(15.0)
    assert minutes_saved(curve(0.001), fir, 3, spent=0.0).needed == 5.0  # five minutes, or fewer


def test_only_the_first_crossing_counts_where_the_fir_falls_again():
    saved = minutes_saved(curve(0.05), curve([0.0, 0.1, 0.02, 0.2]), 0)
    assert saved.needed == pytest.approx(5 * 2**0.5)


def test_a_planted_line_in_log_minutes_is_found_and_continued():
    rng = np.random.default_rng(3)
    truth = 0.01 + 0.02 * np.log(MINUTES)
    draws = truth + 0.001 * rng.standard_normal((2000, 4))
    line = log_line(Curve(MINUTES, truth, draws, truth[None], 10, 16))
    assert (line.a, line.b) == pytest.approx((0.01, 0.02))
    assert line.at(60).mean == pytest.approx(0.01 + 0.02 * np.log(60))
    gain = line.gain(40, 20)
    assert gain.mean == pytest.approx(0.02 * np.log(1.5))
    # standard error of a slope: 0.001 over the root of the sum of squares of log(minutes) about its mean
    error = 1.96 * 0.001 / np.sqrt(((np.log(MINUTES) - np.log(MINUTES).mean()) ** 2).sum()) * np.log(1.5)
    assert gain.interval == pytest.approx((gain.mean - error, gain.mean + error), rel=0.02)


def test_without_two_defined_lengths_there_is_no_line():
    r = np.array([0.1, np.nan, np.nan, np.nan])
    assert log_line(Curve(MINUTES, r, np.tile(r, (5, 1)), r[None], 10, 16)) is None


def test_curves_share_blocks_and_orders_so_that_equal_methods_do_not_differ():
    rng = np.random.default_rng(4)
    measured = rng.standard_normal((200, 5)).astype(np.float32)
    fits = {f"{name}{k}": measured + rng.standard_normal((200, 5)).astype(np.float32) for k in range(4) for name in "a"}
    fits |= {name.replace("a", "b"): values for name, values in fits.items()}
    found = bootstrap_scores(fits, HeldOut(measured, ("1",) * 200), np.ones((1, 5), bool), block=20, draws=100, seed=0)
    one, other = (curve_of(found, [[f"{n}0", f"{n}1"], [f"{n}2", f"{n}3"]], [5, 10], 0, seed=7) for n in "ab")
    assert one.beyond(other, 0).interval == (0.0, 0.0)
    assert one.r[0] == pytest.approx(np.mean([found.score("a0", 0).mean, found.score("a2", 0).mean]))
    assert one.at(0).interval[0] < one.r[0] < one.at(0).interval[1]
