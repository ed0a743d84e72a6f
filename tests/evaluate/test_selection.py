import numpy as np

from tribetune.evaluate.selection import select_outputs


def test_the_best_by_mean_rank_are_selected():
    one = np.array([0.9, 0.1, 0.5, 0.4])
    two = np.array([0.8, 0.2, 0.9, 0.1])
    assert select_outputs([one, two], np.ones(4, bool), 0.5).tolist() == [True, False, True, False]


def test_an_undefined_output_is_never_selected_and_an_undefined_score_ranks_last():
    score = np.array([np.nan, 0.1, 0.2, 0.9])
    defined = np.array([True, True, True, False])
    assert select_outputs([score], defined, 1.0).tolist() == [True, True, True, False]
    assert select_outputs([score], defined, 0.34).tolist() == [False, False, True, False]


def test_at_least_one_output_is_selected():
    assert select_outputs([np.arange(5.0)], np.ones(5, bool), 0.01).tolist() == [False] * 4 + [True]


def test_without_a_score_all_defined_outputs_are_taken_and_not_the_first_ones():
    assert select_outputs([], np.array([True, True, False, True]), 0.25).tolist() == [True, True, False, True]
