"""Features on the 2 Hz grid."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tribetune.features.grid import Features, place_series, place_words


def ones(n: int) -> np.ndarray:
    return np.ones((1, 1, n), np.float16)


def test_a_word_goes_to_its_nearest_step_and_words_of_one_step_are_summed() -> None:
    vectors = np.array([1, 10, 100, 1000], np.float16).reshape(4, 1, 1)
    boxes = [(0.25, 0.1), (0.26, 0.1), (0.6, 0.0), (1.0, 1.0)]  # 0.25 s is halfway: to the even step
    assert place_words(boxes, vectors, 2.5)[0, 0].tolist() == [1, 110, 1000, 1000, 0]


@given(st.lists(st.floats(0, 20), min_size=1), st.floats(0.1, 20))
def test_no_word_is_lost(onsets: list[float], rest_s: float) -> None:
    duration_s = max(onsets) + 0.01 * rest_s
    grid = place_words(
        [(onset, 0.1) for onset in onsets], np.ones((len(onsets), 1, 1), np.float16), max(duration_s, 0.1)
    )
    assert grid.sum() == len(onsets)


def test_series_start_at_their_onsets_and_stop_with_their_events() -> None:
    grid = place_series([(0.0, 1.0, ones(4)), (2.0, 2.0, 2 * ones(4))], 4.5)
    assert grid[0, 0].tolist() == [1, 1, 0, 0, 2, 2, 2, 2, 0]


def test_a_series_that_fills_the_grid_is_not_copied() -> None:
    series = ones(9)
    assert place_series([(0.0, 4.3, series)], 4.3) is series
    assert place_series([(0.0, 4.0, series)], 4.3) is not series


def test_a_cut_is_padded_with_zeros_on_both_sides() -> None:
    features = Features({"audio": np.arange(1, 5, dtype=np.float16).reshape(1, 1, 4)}, 2.0)
    cut = features.steps(-1, 7)["audio"]
    assert cut.dtype == np.float32
    assert cut[0, 0].tolist() == [0, 1, 2, 3, 4, 0, 0, 0]
    assert not features.steps(10, 14)["audio"].any()
    assert features.n_steps == 4
