import numpy as np
import pytest

from tribetune.evaluate.others import SubjectSum, mean_of_subjects

RUNS = np.array(["1"] * 40 + ["2"] * 60)


def people(n=5):
    bold = np.random.default_rng(0).standard_normal((n, 100, 3)).astype(np.float32)
    bold[1, :40] = np.nan  # had the second run only
    bold[2, 10:20, 1] = np.nan
    return bold


def test_taking_one_out_is_the_mean_of_the_others():
    bold, everybody = people(), SubjectSum(RUNS)
    for number, values in enumerate(bold):
        everybody.add(str(number), values)
    for number in range(5):
        wanted = mean_of_subjects(np.delete(bold, number, axis=0), RUNS)
        np.testing.assert_allclose(everybody.mean(without=bold[number]), wanted, atol=1e-6)  # float32


def test_the_mean_is_of_those_who_have_a_sample():
    bold = people()[:2]
    found = mean_of_subjects(bold, RUNS)
    own = np.concatenate([(part - part.mean(0)) / part.std(0) for part in (bold[0, :40], bold[0, 40:])])
    np.testing.assert_allclose(found[:40], own[:40], atol=1e-5)
    assert np.abs(found[40:] - own[40:]).max() > 0.1


def test_without_the_only_one_there_is_nobody():
    alone = SubjectSum(RUNS)
    assert alone.mean() is None
    alone.add("02", None)
    assert (alone.mean(), alone.subjects) == (None, {"02": False})
    alone.add("01", people()[0])
    assert alone.mean() is not None
    assert alone.mean(without=people()[0]) is None
    with pytest.raises(ValueError, match="no subject"):
        mean_of_subjects([], RUNS)
