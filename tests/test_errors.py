import pytest

from tribetune import errors
from tribetune.errors import BoldError, StimulusError, together


def test_every_error_keeps_its_hint_and_is_a_tribetune_error():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) == 9
    for kind in kinds:
        error = kind("what", hint="how")
        assert isinstance(error, errors.TribetuneError)
        assert (str(error), error.hint) == ("what", "how")


def raising(error):
    def job():
        raise error

    return job


def test_what_goes_wrong_in_several_jobs_is_told_at_once_each_thing_once():
    twice = BoldError("2 files are missing", hint="fetch them", faults=("no a.nii", "no b.nii"))
    jobs = [lambda: 1, raising(twice), raising(StimulusError("no c.mp4", hint="fetch it")), raising(twice)]
    with pytest.raises(BoldError) as caught:
        together(jobs)
    assert caught.value.faults == ("no a.nii", "no b.nii", "no c.mp4")
    assert str(caught.value) == "3 things are wrong: no a.nii; no b.nii; no c.mp4"
    assert caught.value.hint == "fetch them; fetch it"


def test_of_many_hints_the_first_is_said_to_be_the_first_ones():
    with pytest.raises(BoldError, match="4 things are wrong") as caught:
        together([raising(BoldError(f"no {k}.nii", hint=f"fetch {k}.nii")) for k in range(4)])
    assert caught.value.hint == "for the first: fetch 0.nii"


def test_the_same_fault_of_several_jobs_is_told_as_one_without_a_count():
    with pytest.raises(BoldError, match=r"^no a\.nii$"):
        together([raising(BoldError("no a.nii", hint="fetch it")) for _ in range(3)])


def test_a_single_error_stays_as_it_is_and_jobs_that_succeed_give_their_results():
    error = StimulusError("no c.mp4")
    with pytest.raises(StimulusError) as caught:
        together([raising(error)])
    assert caught.value is error
    assert together([lambda: 1, lambda: 2]) == [1, 2]
