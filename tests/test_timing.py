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
