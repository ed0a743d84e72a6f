import numpy as np

from tribetune.gaps import LONGEST, filled, gapped, places, spread


def test_places_are_times_from_the_first_sample_and_long_gaps_are_closed_up():
    assert places(None, 3).tolist() == [0, 1, 2]
    assert places(np.array([5, 6, 9, 9 + LONGEST, 10 + 2 * LONGEST]), 5).tolist() == [0, 1, 4, 24, 25]
    assert places(np.array([8, 9, 2, 3]), 4).tolist() == [0, 1, 2, 3]  # a second stretch that is earlier is a seam, too


def test_a_gap_is_filled_straight_or_with_zeros():
    values, where = np.array([[1.0], [3.0], [9.0], [5.0]]), np.array([0, 1, 4, 5])
    assert filled(values, where).ravel().tolist() == [1, 3, 5, 7, 9, 5]
    assert spread(values, where).ravel().tolist() == [1, 3, 0, 0, 9, 5]
    assert gapped(where)


def test_without_a_gap_nothing_is_done():
    values, where = np.ones((4, 2)), np.arange(4)
    assert filled(values, where) is values
    assert spread(values, where) is values
    assert not gapped(where)
