import numpy as np

from tribetune.evaluate.assess import shuffled_runs
from tribetune.evaluate.bootstrap import HeldOut


def test_predictions_are_shuffled_among_stimuli_and_never_meet_a_repeat_of_their_own():
    runs = ("a",) * 4 + ("b",) * 4 + ("again",) * 3
    place = np.arange(11.0)[:, None]
    stimuli = {"a": "film 1", "b": "film 2", "again": "film 1"}
    predicted, held_out = shuffled_runs(place, HeldOut(-place, runs), stimuli)
    assert predicted[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 8, 9, 10]
    assert (-held_out.bold[:, 0]).tolist() == [4, 5, 6, 7, 8, 9, 10, 4, 5, 6]
    assert held_out.runs == ("a",) * 4 + ("b",) * 3 + ("again",) * 3


def test_where_all_runs_show_the_same_there_is_nothing_to_shuffle():
    place = np.arange(8.0)[:, None]
    assert shuffled_runs(place, HeldOut(place, ("a",) * 4 + ("b",) * 4), {"a": 1, "b": 1}) is None
    assert shuffled_runs(place, HeldOut(place, ("a",) * 8), {"a": 1}) is None
