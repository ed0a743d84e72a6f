import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tribetune import timing

FLOATS = st.floats(-100, 100, width=32)


@pytest.mark.parametrize(("seconds", "step"), [(0.25, 0), (0.26, 1), (0.75, 2), (1.25, 2), (-0.25, 0)])
def test_halves_go_to_the_even_step_as_in_the_reference(seconds, step):
    assert timing.to_step(seconds) == step


@pytest.mark.parametrize(("onset", "duration", "steps"), [(0.0, 0.0, (0, 1)), (0.26, 0.2, (1, 2)), (3.0, 2.0, (6, 10))])
def test_an_event_covers_at_least_one_step(onset, duration, steps):
    assert (timing.box(onset, duration).start, timing.box(onset, duration).stop) == steps


@given(st.floats(1, 2000), st.floats(1, 200), st.floats(0.1, 1))
def test_windows_cover_the_stretch_without_a_hole(duration, window, share):
    stride = window * share
    starts = timing.window_starts(duration, window, stride)
    assert starts[0] == 0
    assert starts[-1] + window >= duration - 1e-5 * duration
    assert np.all(np.diff(starts) <= window + 1e-9)


def test_windows_without_overlap_are_as_many_as_in_the_reference():
    assert timing.window_starts(480, 100, 100) == [0, 100, 200, 300, 400]
    assert timing.window_starts(500, 100, 100) == [0, 100, 200, 300, 400]
    assert timing.window_starts(30, 100, 100) == [0]
    assert len(timing.window_starts(501, 100, 100)) == math.ceil(501 / 100)


def test_a_stretch_without_duration_has_no_windows():
    with pytest.raises(ValueError, match="positive"):
        timing.window_starts(0, 100, 100)


@given(arrays(np.float64, (7, 3), elements=FLOATS), st.lists(st.floats(-5, 30), min_size=1, max_size=9))
def test_interpolation_is_numpy_interp_per_column(values, times):
    found = timing.interpolate(values, 1.5, np.array(times))
    wanted = np.stack([np.interp(times, np.arange(7) * 1.5, column) for column in values.T], axis=1)
    np.testing.assert_allclose(found, wanted, atol=1e-9)  # the same line, computed in another order


def test_sixty_volumes_of_two_seconds_give_119_samples_as_in_the_reference():
    assert len(timing.sample_times(60, 2.0)) == 119
    inside = timing.inside_run(60, 2.0, np.array([-0.5, 0.0, 118.0, 118.5]))
    assert inside.tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    ("n_trs", "t_r", "n_samples"), [(60, 2.0, 119), (200, 1.49, 297), (451, 0.8, 360), (90, 1.0, 89)]
)
def test_resampling_to_1_hz_is_the_references(n_trs, t_r, n_samples):
    """Spec e.6: ``np.interp`` of every column at ``arange(0, (n - 1) t_r + t_r - 1, 1)``."""
    values = np.random.default_rng(4).standard_normal((n_trs, 3))
    new = np.arange(0, (n_trs - 1) * t_r + t_r - 1, 1)
    times = timing.sample_times(n_trs, t_r)
    np.testing.assert_array_equal(times, new)
    assert len(times) == n_samples
    wanted = np.stack([np.interp(new, np.arange(n_trs) * t_r, column) for column in values.T], axis=1)
    np.testing.assert_allclose(
        timing.interpolate(values, t_r, times), wanted, atol=1e-12
    )  # another order of operations
    single = timing.interpolate(values.astype(np.float32), t_r, times)
    np.testing.assert_allclose(single, wanted, atol=1e-6)  # float32 values of order 1
    assert timing.inside_run(n_trs, t_r, times).all()


@pytest.mark.parametrize(("n_trs", "t_r"), [(60, 2.0), (70, 1.49), (150, 0.8)])
def test_a_prediction_is_read_off_at_the_times_of_the_volumes(n_trs, t_r):
    n_samples, start_s, lag_s = 90, 3.25, 5.0
    predicted = np.stack([np.arange(n_samples, dtype=float), np.full(n_samples, 2.0)], axis=1)
    values, inside = timing.to_native(predicted, t_r, n_trs, start_s, lag_s)
    bold_times = np.arange(n_trs) * t_r
    # The prediction counts seconds of stimulus, so BOLD at t belongs to t - 5 s of a stimulus that began at 3.25 s.
    np.testing.assert_allclose(values[inside, 0], bold_times[inside] - 8.25, atol=1e-9)  # rounding of sums of seconds
    assert (values[inside, 1] == 2).all()
    np.testing.assert_array_equal(inside, (bold_times >= 8.25) & (bold_times <= 8.25 + 89))
    assert 0 < inside.sum() < n_trs
    assert not values[~inside].any()


def test_whole_seconds_need_no_interpolation():
    predicted = np.random.default_rng(5).standard_normal((40, 2)).astype(np.float32)
    values, inside = timing.to_native(predicted, 2.0, 20)
    np.testing.assert_array_equal(values, predicted[::2])
    assert inside.all()
    assert values.dtype == np.float32
    last, inside = timing.to_native(predicted[:39], 2.0, 21, lag_s=2.0)
    np.testing.assert_array_equal(last[1:], predicted[:39:2])
    assert inside.tolist() == [False] + [True] * 20


def test_a_volume_that_would_draw_on_a_missing_prediction_is_missing():
    predicted = np.ones((10, 1))
    valid = np.ones(10, bool)
    predicted[4], valid[4] = np.nan, False
    values, inside = timing.to_native(predicted, 1.5, 7, valid=valid)  # 0, 1.5, 3, 4.5, 6, 7.5, 9 s
    assert inside.tolist() == [True, True, True, False, True, True, True]
    assert values[:, 0].tolist() == [1, 1, 1, 0, 1, 1, 1]
    assert np.isnan(predicted[4]).all()
    assert not timing.to_native(predicted[:0], 1.5, 7)[1].any()


@given(st.floats(0.4, 4), st.floats(-5, 5), st.floats(0, 8))
def test_a_straight_line_survives_any_repetition_time_onset_and_lag(t_r, start_s, lag_s):
    predicted = 3.0 * np.arange(30)[:, None] + 1
    values, inside = timing.to_native(predicted, t_r, 40, start_s, lag_s)
    line = 3.0 * (np.arange(40) * t_r - start_s - lag_s) + 1
    np.testing.assert_allclose(values[inside, 0], line[inside], atol=1e-5)  # an edge is 1e-6 s wide, of slope 3


def test_delays_move_features_later_and_fill_with_zeros():
    features = np.arange(1.0, 5.0)[:, None]
    assert timing.delayed(features, 1)[:, 0].tolist() == [0, 1, 2, 3]
    assert timing.delayed(features, -2)[:, 0].tolist() == [3, 4, 0, 0]
    assert timing.delayed(features, 0)[:, 0].tolist() == [1, 2, 3, 4]
    assert not timing.delayed(features, 9).any()


@given(st.integers(-6, 6))
def test_delaying_does_not_change_what_was_passed_in(delay):
    features = np.ones((4, 2))
    timing.delayed(features, delay)
    assert features.all()
