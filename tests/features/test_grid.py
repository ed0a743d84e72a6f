"""Features on the 2 Hz grid."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.features.golden import WINDOWS, grouped, read_golden
from tribetune.features.grid import Features, Laid, lay_series, lay_words, place_series, place_words


@pytest.fixture(scope="module")
def golden(fixtures_folder: Path) -> dict[str, np.ndarray]:
    return read_golden(fixtures_folder / "features")


def ones(n: int) -> np.ndarray:
    return np.ones((1, 1, n), np.float16)


def counted(n: int) -> np.ndarray:
    return np.arange(1, n + 1, dtype=np.float16).reshape(1, 1, n)


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


@given(st.lists(st.tuples(st.floats(0, 40), st.floats(0.05, 0.4)), min_size=1, max_size=8), st.integers(1, 20))
def test_windows_side_by_side_have_every_word_and_those_on_an_edge_twice(boxes, window_s: int) -> None:
    vectors = np.ones((len(boxes), 1, 1), np.float16)
    grids = [place_words(boxes, vectors, window_s, float(start)) for start in range(0, 41, window_s)]
    straddling = sum(onset < edge < onset + length for onset, length in boxes for edge in range(window_s, 41, window_s))
    assert sum(grid.sum() for grid in grids) == len(boxes) + straddling


def test_a_word_on_the_edge_of_a_window_is_cut_there() -> None:
    boxes, vectors = [(3.2, 1.3), (5.9, 2.1), (2.0, 0.9), (7.1, 0.1)], np.array([1, 10, 100, 1000.0], np.float32)
    placed = place_words(boxes, vectors.reshape(4, 1, 1), 3.0, start_s=4.0)
    assert placed[0, 0].tolist() == [1, 0, 0, 0, 10, 10]  # 0.5 s of the first; 1.1 of the second's 2.1 s


def test_a_word_without_duration_is_one_step_on_either_edge() -> None:
    vectors = np.ones((2, 1, 1), np.float32)
    assert place_words([(4.0, 0.0), (7.0, 0.0)], vectors, 3.0, start_s=4.0)[0, 0].tolist() == [1, 0, 0, 0, 0, 1]


def test_series_start_at_their_onsets_and_stop_with_their_events() -> None:
    grid = place_series([(0.0, 1.0, ones(4)), (2.0, 2.0, 2 * ones(4))], 4.5)
    assert grid[0, 0].tolist() == [1, 1, 0, 0, 2, 2, 2, 2, 0]


def test_a_series_that_fills_the_grid_is_not_copied() -> None:
    series = ones(9)
    assert place_series([(0.0, 4.3, series)], 4.3) is series
    assert place_series([(0.0, 4.0, series)], 4.3) is not series
    assert place_series([(0.0, 4.3, series)], 4.3, start_s=0.1) is not series


@pytest.mark.parametrize(("start_s", "first"), [(3.0, 7), (3.2, 7), (3.3, 8), (3.75, 9), (4.25, 9), (-1.0, -1)])
def test_a_window_takes_a_series_from_its_nearest_step_on(start_s: float, first: int) -> None:
    # halves to the even step: 3.75 s to step 8 (value 9), 4.25 s to step 8
    grid = place_series([(0.0, 20.0, counted(40))], 2.0, start_s)[0, 0].tolist()
    assert grid == [max(0, first + k) for k in range(4)]


def test_a_window_that_starts_just_before_a_chunk_sums_two_steps_in_its_first() -> None:
    chunks = [(0.0, 20.0, counted(40)), (20.0, 20.0, 100 * counted(40))]
    assert place_series(chunks, 2.0, 19.988)[0, 0].tolist() == [140, 200, 300, 400]  # parity note 15
    assert place_series(chunks, 2.0, 20.0)[0, 0].tolist() == [100, 200, 300, 400]
    assert place_series(chunks, 2.0, 19.5)[0, 0].tolist() == [40, 100, 200, 300]


@given(st.floats(0, 30), st.integers(1, 40), st.floats(-10, 40), st.integers(1, 30))
def test_a_window_is_a_stretch_of_the_series(onset_s: float, n: int, start_s: float, window_s: int) -> None:
    grid = place_series([(onset_s, n / 2, counted(n))], window_s, start_s)[0, 0]
    seen = np.flatnonzero(grid)
    assert (np.diff(seen) == 1).all()
    assert (np.diff(grid[seen]) == 1).all()
    overlap_s = min(onset_s + n / 2, start_s + window_s) - max(onset_s, start_s)
    assert abs(len(seen) - 2 * max(0.0, overlap_s)) <= 1
    # no step is seen more than half a second (two roundings) from its time
    assert np.abs(onset_s + (grid[seen] - 1) / 2 - start_s - seen / 2).max(initial=0) <= 0.5 + 1e-6


@pytest.mark.parametrize("setting", ["released", "defaults", "mini"])
@pytest.mark.parametrize(
    ("stimulus", "onset_s"), [("audio/sound", 3.7), ("audio/clip", 0.0), ("video/silent", 1.3), ("video/clip", 0.0)]
)
def test_series_are_placed_as_by_the_reference(golden: dict, stimulus: str, onset_s: float, setting: str) -> None:
    modality = stimulus.split("/")[0]
    states = golden[f"{stimulus}/all/native2hz"]
    chosen = "defaults" if (modality, setting) == ("audio", "released") else setting  # sound is never subsampled
    means = grouped(states, chosen, modality)
    for window, (start_s, duration_s) in WINDOWS.items():
        expected = golden[f"{stimulus}/{setting}/{window}"]
        placed = place_series([(onset_s, states.shape[2] / 2, means)], duration_s, start_s)
        # values reach 20: groups averaged in another order
        np.testing.assert_allclose(placed.reshape(expected.shape), expected, atol=1e-5)


@pytest.mark.parametrize("modality", ["audio", "video"])
def test_chunks_are_placed_as_by_the_reference(golden: dict, modality: str) -> None:
    whole = golden[f"{modality}/clipchunk/defaults/w0"]  # chunks begin on whole seconds: on the grid they are whole
    chunks = [(a / 2, (b - a) / 2, whole[:, :, a:b]) for a, b in ((0, 60), (60, 120), (120, 150))]
    start_s, duration_s = WINDOWS["w1"]
    np.testing.assert_array_equal(
        place_series(chunks, duration_s, start_s), golden[f"{modality}/clipchunk/defaults/w1"]
    )
    np.testing.assert_array_equal(place_series(chunks, 100.0), whole)


def test_a_cut_is_padded_with_zeros_on_both_sides() -> None:
    features = Features({"audio": np.arange(1, 5, dtype=np.float16).reshape(1, 1, 4)}, 2.0)
    cut = features.steps(-1, 7)["audio"]
    assert cut.dtype == np.float32
    assert cut[0, 0].tolist() == [0, 1, 2, 3, 4, 0, 0, 0]
    assert not features.steps(10, 14)["audio"].any()
    assert features.n_steps == 4


@given(
    st.lists(st.tuples(st.floats(0, 20), st.floats(0.0, 3.0)), min_size=1, max_size=9),
    st.integers(0, 30),
    st.integers(1, 20),
)
def test_a_cut_of_what_is_laid_is_that_of_the_whole_to_the_bit(boxes, start: int, length: int) -> None:
    rng = np.random.default_rng(0)
    words = rng.standard_normal((len(boxes), 2, 3)).astype(np.float16)
    series = [(onset, length_s, rng.standard_normal((2, 3, 5)).astype(np.float16)) for onset, length_s in boxes]
    for laid, whole in (
        (lay_words(boxes, words, 21.0), place_words(boxes, words, 21.0)),
        (lay_series(series, 21.0, 0.1), place_series(series, 21.0, 0.1)),
    ):
        assert isinstance(laid, Laid)
        assert laid.shape == whole.shape
        features = [Features({"text": array}, 21.0).steps(start, start + length)["text"] for array in (laid, whole)]
        np.testing.assert_array_equal(features[0].view(np.int32), features[1].view(np.int32))


def test_what_is_laid_holds_no_copy_of_what_it_was_given() -> None:
    vectors = np.ones((4, 1, 8), np.float16)
    laid = lay_words([(float(k), 0.1) for k in range(4)], vectors, 4.0)
    assert np.shares_memory(laid.pieces, vectors)
    shown = lay_series([(0.0, 2.0, counted(4)), (3.0, 1.0, whole := counted(8))], 5.0)
    assert isinstance(shown, Laid)
    assert np.shares_memory(shown.pieces[1], whole)
