"""Splits that keep test data out of training."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tribetune.errors import BoldError, LeakageError
from tribetune.features.extract import Features
from tribetune.splits import Split, check_enough, limit_calibration, split_by_block, split_by_run, windows_of
from tribetune.windows import AlignedRun


def make_aligned(run: str = "1", n_samples: int = 700, invalid: slice = slice(0), session: str = "") -> AlignedRun:
    rng = np.random.default_rng(6)
    bold, mask = rng.standard_normal((n_samples, 3)).astype(np.float32), np.ones(n_samples, bool)
    mask[invalid] = False
    bold[~mask] = 0
    features = Features({"text": rng.standard_normal((2, 3, 2 * n_samples)).astype(np.float16)}, float(n_samples))
    return AlignedRun(f"sub-01{session}_task-movie_run-{run}", run, features, bold, mask, 5.0)


def runs_of(split: Split) -> dict[str, list[str]]:
    return {name: [part.aligned.run for part in getattr(split, name)] for name in ("training", "validation", "test")}


def spans_of(split: Split) -> dict[str, list[tuple[int, int]]]:
    return {name: [part.span for part in getattr(split, name)] for name in ("training", "validation", "test")}


def test_runs_that_are_not_named_are_trained_on() -> None:
    runs = [make_aligned(name) for name in ("01", "02", "03", "04", "10")]
    split = split_by_run(runs, validation=[3], test=["run-10", "sub-01_task-movie_run-04"])
    assert runs_of(split) == {"training": ["01", "02"], "validation": ["03"], "test": ["10", "04"]}
    assert split.training[0].aligned is runs[0]


@pytest.mark.parametrize(("validation", "test"), [([2], ["02"]), ([], [2, 2])])
def test_a_run_named_twice_is_a_leak(validation: list, test: list) -> None:
    with pytest.raises(LeakageError, match="sub-01_task-movie_run-2 is named more than once"):
        split_by_run([make_aligned("1"), make_aligned("2")], validation, test)


def test_an_unknown_run_is_answered_by_those_there_are() -> None:
    with pytest.raises(BoldError, match=r"run 7 is not there; the runs are 1 \(sub-01_task-movie_run-1\), 2 \("):
        split_by_run([make_aligned("1"), make_aligned("2")], [], [7])


def test_a_run_number_of_two_sessions_has_to_be_said_in_full() -> None:
    runs = [make_aligned("1", session=f"_ses-{k}") for k in (1, 2)]
    with pytest.raises(BoldError, match="run 1 stands for"):
        split_by_run(runs, [], [1])
    assert split_by_run(runs, [], ["sub-01_ses-2_task-movie_run-1"]).test[0].aligned is runs[1]


def test_no_run_may_be_read_twice() -> None:
    with pytest.raises(BoldError, match="two runs are called sub-01_task-movie_run-1"):
        split_by_run([make_aligned("1"), make_aligned("1")], [], ["1"])


@pytest.mark.parametrize(("validation", "test", "empty"), [([1], [2], "training"), ([1], [], "test")])
def test_a_split_without_training_or_test_is_refused(validation: list, test: list, empty: str) -> None:
    with pytest.raises(BoldError, match=f"no run is left for {empty}"):
        split_by_run([make_aligned("1"), make_aligned("2")], validation, test)


def test_the_test_block_is_at_the_end_and_behind_a_gap() -> None:
    split = split_by_block(make_aligned(n_samples=700), test=0.25, gap_s=110)
    assert spans_of(split) == {"training": [(0, 415)], "validation": [], "test": [(525, 700)]}


def test_a_share_counts_what_was_measured() -> None:
    split = split_by_block(make_aligned(n_samples=700, invalid=slice(600, None)), test=0.2, gap_s=110)
    assert spans_of(split)["test"] == [(480, 700)]
    assert split.test[0].mask.sum() == 120


def test_a_block_in_the_middle_leaves_two_stretches() -> None:
    split = split_by_block(make_aligned(n_samples=900), test=(400.0, 500.0), gap_s=105)
    assert spans_of(split) == {"training": [(0, 295), (605, 900)], "validation": [], "test": [(400, 500)]}


def test_validation_is_at_the_end_of_the_longest_stretch() -> None:
    split = split_by_block(make_aligned(n_samples=900), test=(500.0, 600.0), validation=0.1, gap_s=105)
    assert spans_of(split) == {"training": [(0, 200), (705, 900)], "validation": [(305, 395)], "test": [(500, 600)]}


@settings(max_examples=60, deadline=None)
@given(
    n_samples=st.integers(400, 1200),
    test=st.floats(0.05, 0.4) | st.tuples(st.floats(0, 300), st.floats(310, 390)),
    validation=st.sampled_from([0.0, 0.1, 0.2]),
    gap_s=st.floats(105, 140),
)
def test_blocks_never_come_closer_than_the_gap(
    n_samples: int, test: float | tuple[float, float], validation: float, gap_s: float
) -> None:
    try:
        split = split_by_block(make_aligned(n_samples=n_samples), test, validation, gap_s)
    except BoldError:
        return  # nothing is left for training: said, not trained
    spans = spans_of(split)
    for one, other in (("training", "validation"), ("training", "test"), ("validation", "test")):
        for a in spans[one]:
            for b in spans[other]:
                assert max(a[0], b[0]) - min(a[1], b[1]) >= gap_s - 1e-6
    assert spans["training"]


def test_a_gap_smaller_than_context_and_lag_is_refused() -> None:
    with pytest.raises(
        LeakageError, match=r"a gap of 104 s between blocks, expected at least 105 s \(100 s of context"
    ):
        split_by_block(make_aligned(), gap_s=104)


def test_a_run_too_short_for_a_gap_is_refused() -> None:
    with pytest.raises(BoldError, match=r"nothing is left for training of 140 s, with test 105-140 s"):
        split_by_block(make_aligned(n_samples=140), gap_s=110)


def test_test_bold_cannot_change_training_bold() -> None:
    aligned = make_aligned()
    bold = aligned.bold.copy()
    bold[525:] = 50 * bold[:524:-1] ** 2
    # Whole-run cleaning would hand the test block's line and scale to the training rows, like these.
    leaked = replace(aligned, bold=(bold / 20 + np.linspace(-3, 4, 700)[:, None]).astype(np.float32))
    mine, theirs = split_by_block(aligned, gap_s=110), split_by_block(leaked, gap_s=110)
    # The leaked copy is rounded to float32: values up to 4, off by 2e-7, are scaled by 20 again.
    np.testing.assert_allclose(mine.training[0].aligned.bold, theirs.training[0].aligned.bold, atol=2e-5)
    assert np.abs(mine.test[0].aligned.bold - theirs.test[0].aligned.bold).max() > 0.1


def test_every_block_is_standardised_on_its_own_and_masked_elsewhere() -> None:
    split = split_by_block(make_aligned(), validation=0.15, gap_s=110)
    for part in (*split.training, *split.validation, *split.test):
        inside = part.aligned.bold[slice(*part.span)]
        np.testing.assert_allclose(inside.std(0, ddof=1), 1, atol=1e-5)  # float32
        outside = np.ones(700, bool)
        outside[slice(*part.span)] = False
        assert not part.aligned.mask[outside].any()
        assert not part.aligned.bold[outside].any()


def test_the_run_that_is_split_is_not_changed() -> None:
    aligned = make_aligned()
    before = aligned.bold.copy()
    limit_calibration(split_by_block(aligned, gap_s=110), 2)
    np.testing.assert_array_equal(aligned.bold, before)


def test_calibration_minutes_keep_the_first_samples() -> None:
    split = split_by_run([make_aligned(name, 300) for name in "1234"], [], ["4"])
    cut = limit_calibration(split, 7.0)
    assert spans_of(cut)["training"] == [(0, 300), (0, 120)]
    assert cut.training[0] is split.training[0]
    assert cut.calibration_minutes == 7.0
    assert cut.test is split.test
    windows = windows_of(cut.training)
    assert [int(window.mask.sum()) for window in windows] == [100, 100, 100, 100, 20]


def test_the_run_that_is_cut_is_cleaned_on_what_is_kept() -> None:
    split = split_by_run([make_aligned(name, 300) for name in "12"], [], ["2"])
    part = limit_calibration(split, 3.0).training[0]
    np.testing.assert_allclose(part.aligned.bold[:180].std(0, ddof=1), 1, atol=1e-5)  # float32
    assert not part.aligned.bold[180:].any()


def test_masked_samples_are_no_calibration_minutes() -> None:
    split = split_by_run([make_aligned("1", 300, slice(0, 50)), make_aligned("2")], [], ["2"])
    cut = limit_calibration(split, 2.0)
    assert spans_of(cut)["training"] == [(0, 170)]
    assert cut.calibration_minutes == 2.0


def test_more_minutes_than_there_are_change_nothing() -> None:
    split = split_by_run([make_aligned("1"), make_aligned("2")], [], ["2"])
    assert limit_calibration(split, 60.0) == split


def test_a_remainder_too_short_to_clean_is_left_out() -> None:
    split = split_by_run([make_aligned(name, 300) for name in "123"], [], ["3"])
    assert spans_of(limit_calibration(split, 5.2))["training"] == [(0, 300)]


def test_less_than_a_window_of_training_is_refused() -> None:
    split = split_by_run([make_aligned("1"), make_aligned("2")], [], ["2"])
    check_enough(split)
    with pytest.raises(BoldError, match="60 s of training data, expected at least one window of 100 s"):
        check_enough(limit_calibration(split, 1.0))


def test_a_part_without_a_valid_sample_is_refused() -> None:
    split = split_by_run([make_aligned("1"), make_aligned("2", invalid=slice(None))], [], ["2"])
    with pytest.raises(BoldError, match="no valid sample is left for test in sub-01_task-movie_run-2"):
        check_enough(split)


def test_windows_without_a_valid_sample_are_left_out() -> None:
    split = split_by_run([make_aligned("1", 300, slice(100, 200)), make_aligned("2")], [], ["2"])
    assert [window.start_s for window in windows_of(split.training)] == [0.0, 200.0]
