"""Features and BOLD on one clock, cut into windows and joined again."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tribetune.bold.run import Run
from tribetune.bold.tables import TableSpec, read_table
from tribetune.errors import BoldError, FeatureError, SpaceError
from tribetune.features.extract import Features
from tribetune.stimulus.timeline import Event, Timeline
from tribetune.stimulus.words import read_words
from tribetune.timing import n_steps
from tribetune.windows import AlignedRun, Window, align, cut_windows, join, stack, without_bold


def make_run(n_trs: int = 60, t_r: float = 2.0, mask: np.ndarray | None = None) -> Run:
    values = np.random.default_rng(3).standard_normal((n_trs, 4)).astype(np.float32)
    return Run("01", "", "movie", "2", values, t_r, "table", np.ones(n_trs, bool) if mask is None else mask)


def make_timeline(onset_s: float = 0.0, duration_s: float = 120.0) -> Timeline:
    return Timeline((Event("word", onset_s, duration_s, text="word"),))


def make_features(duration_s: float = 120.0, **dims: int) -> Features:
    rng = np.random.default_rng(4)
    steps = n_steps(duration_s, 2.0)
    arrays = {
        name: rng.standard_normal((2, dim, steps)).astype(np.float16) for name, dim in (dims or {"text": 3}).items()
    }
    return Features(arrays, duration_s)


def make_aligned(n_samples: int, invalid: tuple[int, ...] = (), **dims: int) -> AlignedRun:
    rng = np.random.default_rng(5)
    bold, mask = rng.standard_normal((n_samples, 3)).astype(np.float32), np.ones(n_samples, bool)
    mask[list(invalid)] = False
    bold[~mask] = 0
    return AlignedRun("sub-01_run-2", "2", make_features(float(n_samples), **dims), bold, mask, 5.0)


def reference_targets(run: Run, start_s: int, n_samples: int, lag_s: int) -> tuple[np.ndarray, np.ndarray]:
    """Spec e.6 step by step: resample the run to whole seconds, then take the second that lies the lag later."""
    n_trs, t_r = len(run.values), run.t_r
    seconds = np.arange(0, (n_trs - 1) * t_r + t_r - 1, 1.0)
    resampled = np.stack([np.interp(seconds, np.arange(n_trs) * t_r, column) for column in run.values.T], 1)
    targets, known = np.zeros((n_samples, run.values.shape[1])), np.zeros(n_samples, bool)
    for sample in range(n_samples):
        second = start_s + sample + lag_s
        if 0 <= second < len(resampled):
            targets[sample], known[sample] = resampled[second], True
    return targets, known


@pytest.mark.parametrize(("n_trs", "t_r"), [(60, 2.0), (80, 1.49), (150, 0.8), (120, 1.0)])
@pytest.mark.parametrize("start_s", [0, 12, -7])
def test_alignment_is_the_references(n_trs: int, t_r: float, start_s: int) -> None:
    run = make_run(n_trs, t_r)
    aligned = align(run, make_timeline(float(start_s)), make_features(), 5.0)
    targets, known = reference_targets(run, start_s, 120, 5)
    np.testing.assert_array_equal(aligned.mask, known)
    # Interpolation in float32 between values of order 1; times up to 120 s divide by t_r to 1e-5 volumes.
    np.testing.assert_allclose(aligned.bold, targets, atol=1e-5)


def test_sixty_volumes_of_two_seconds_are_119_samples() -> None:
    aligned = align(make_run(), make_timeline(), make_features(), 0.0)
    assert (len(aligned.mask), int(aligned.mask.sum())) == (120, 119)


def test_a_fraction_of_a_second_is_kept() -> None:
    run = make_run()
    aligned = align(run, make_timeline(0.3), make_features(), 4.5)
    times = 4.8 + np.flatnonzero(aligned.mask)
    for column in range(4):
        expected = np.interp(times, np.arange(60) * 2.0, run.values[:, column])
        np.testing.assert_allclose(aligned.bold[aligned.mask, column], expected, atol=1e-5)  # float32


def test_a_planted_lag_is_taken_out() -> None:
    seconds = np.arange(200)
    response = np.sin(seconds / 7).astype(np.float32)[:, None]
    late = np.roll(response, 5, axis=0)
    run = Run("01", "", "movie", "1", late, 1.0, "table", np.ones(200, bool))
    aligned = align(run, make_timeline(0.0, 150.0), make_features(150.0), 5.0)
    np.testing.assert_array_equal(aligned.bold[:150], response[:150])


def test_a_listener_of_alice_is_aligned_to_the_words(data_folder: Path) -> None:
    path = data_folder / "alice/alice_brennan2016_rois.npz"
    run = read_table(TableSpec(str(path), bold="bold_6mm"), "s18")
    timeline = Timeline(read_words(path)).shifted(-run.first_volume_s)
    assert timeline.start_s == pytest.approx(0.05891633)
    aligned = align(run, timeline, make_features(timeline.duration_s), 5.0)
    # Volume 361 is at 722 s; the last sample at or before it is 716 s after the first word, 5 s later.
    assert np.flatnonzero(aligned.mask).tolist() == list(range(717))
    assert len(aligned.mask) == 724
    expected = np.interp(5.05891633 + np.arange(717), np.arange(362) * 2.0, run.values[:, 2])
    np.testing.assert_allclose(aligned.bold[:717, 2], expected, rtol=1e-6)  # float32


def test_a_sample_that_draws_on_a_masked_volume_is_masked() -> None:
    mask = np.ones(60, bool)
    mask[[10, 30]] = False
    run = make_run(mask=mask)
    run.values[~mask] = np.nan
    aligned = align(run, make_timeline(), make_features(), 0.0)
    # Volumes 10 and 30 are at 20 and 60 s; the samples between two volumes draw on both.
    assert np.flatnonzero(~aligned.mask).tolist() == [19, 20, 21, 59, 60, 61, 119]
    assert not np.isnan(aligned.bold).any()
    assert not aligned.bold[~aligned.mask].any()


def test_an_undefined_output_is_undefined_in_every_valid_sample() -> None:
    run = make_run()
    run.values[:, 1] = np.nan
    aligned = align(run, make_timeline(), make_features(), 5.0)
    assert np.isnan(aligned.bold[aligned.mask]).all(0).tolist() == [False, True, False, False]
    assert not np.isnan(aligned.bold[:, [0, 2, 3]]).any()


def test_a_stimulus_outside_the_run_is_refused() -> None:
    with pytest.raises(BoldError, match=r"no valid sample: its stimulus lasts from 500 to 620 s.*run from 0 to 120 s"):
        align(make_run(), make_timeline(500.0), make_features(), 5.0)


def test_a_run_masked_throughout_is_refused() -> None:
    with pytest.raises(BoldError, match=r"no valid sample.*0 of 60 volumes valid"):
        align(make_run(mask=np.zeros(60, bool)), make_timeline(), make_features(), 5.0)


def test_features_of_another_timeline_are_refused() -> None:
    with pytest.raises(FeatureError, match="features of 90 s, but its stimulus lasts 120 s"):
        align(make_run(), make_timeline(), make_features(90.0), 5.0)


@settings(max_examples=40, deadline=None)
@given(
    n_samples=st.integers(1, 260),
    invalid=st.sets(st.integers(0, 259), max_size=9),
    duration=st.integers(1, 120),
    stride=st.integers(5, 120),
)
def test_cut_then_join_is_the_identity(n_samples: int, invalid: set[int], duration: int, stride: int) -> None:
    aligned = make_aligned(n_samples, tuple(k for k in invalid if k < n_samples))
    stride = min(stride, duration)
    windows = cut_windows(aligned, duration, stride)
    overlap = "average" if stride < duration else "none"
    starts = [window.start_s for window in windows]
    mask = join([window.mask[:, None].astype(np.float32) for window in windows], starts, n_samples, overlap)
    np.testing.assert_array_equal(mask[:, 0], aligned.mask)
    bold = join([window.bold for window in windows], starts, n_samples, overlap)
    steps = [window.features["text"].transpose(2, 0, 1).reshape(duration, -1) for window in windows]
    text = join(steps, starts, n_samples, overlap).reshape(2 * n_samples, 2, 3).transpose(1, 2, 0)
    # Exact without overlap; the mean of at most 24 equal float32 values is off by at most 24 roundings of 6e-8.
    tolerance = 0 if overlap == "none" else 2e-6
    np.testing.assert_allclose(bold, aligned.bold, rtol=tolerance)
    np.testing.assert_allclose(text, aligned.features.arrays["text"], rtol=tolerance)


def test_an_incomplete_tail_is_padded_and_masked() -> None:
    first, last = cut_windows(make_aligned(130))
    assert first.mask.all()
    assert last.mask.tolist() == [True] * 30 + [False] * 70
    assert last.features["text"].shape == (2, 3, 200)
    assert not last.features["text"][..., 60:].any()
    assert not last.bold[30:].any()
    assert (last.run, last.start_s) == ("sub-01_run-2", 100.0)


def test_no_window_looks_beyond_its_span() -> None:
    aligned = make_aligned(300)
    windows = cut_windows(aligned, span=(40, 170.5))
    assert [window.start_s for window in windows] == [40.0, 140.0]
    np.testing.assert_array_equal(windows[0].bold, aligned.bold[40:140])
    assert windows[1].mask.tolist() == [True] * 30 + [False] * 70
    assert not windows[1].features["text"][..., 60:].any()
    np.testing.assert_array_equal(windows[1].features["text"][..., :60], aligned.features.arrays["text"][..., 280:340])
    assert not windows[1].bold[30:].any()


def test_what_is_outside_a_span_cannot_change_its_windows() -> None:
    aligned = make_aligned(300)
    arrays = {"text": aligned.features.arrays["text"].copy()}
    arrays["text"][..., :80], arrays["text"][..., 340:] = 9, 9
    bold = aligned.bold.copy()
    bold[:40], bold[170:] = 9, 9
    other = AlignedRun(aligned.label, aligned.run, Features(arrays, 300.0), bold, aligned.mask, 5.0)
    for mine, changed in zip(cut_windows(aligned, span=(40, 170)), cut_windows(other, span=(40, 170)), strict=True):
        np.testing.assert_array_equal(mine.features["text"], changed.features["text"])
        np.testing.assert_array_equal(mine.bold, changed.bold)


def test_a_whole_window_is_a_view_of_its_run() -> None:
    aligned = make_aligned(200)
    assert all(np.shares_memory(window.bold, aligned.bold) for window in cut_windows(aligned))


@pytest.mark.parametrize("span", [(300.0, 400.0), (50.0, 50.0), (50.2, 50.9)])
def test_an_empty_span_is_refused(span: tuple[float, float]) -> None:
    with pytest.raises(BoldError, match="nothing between"):
        cut_windows(make_aligned(300), span=span)


def test_windows_are_in_whole_seconds() -> None:
    with pytest.raises(BoldError, match=r"33\.3 s is not in whole seconds"):
        cut_windows(make_aligned(300), stride_s=33.3)


def test_overlapping_predictions_are_averaged_only_when_asked() -> None:
    parts = [np.full((4, 1), value, np.float32) for value in (1.0, 3.0)]
    np.testing.assert_array_equal(join(parts, [0.0, 2.0], 7, "average")[:, 0], [1, 1, 2, 2, 3, 3, np.nan])
    with pytest.raises(ValueError, match="overlap"):
        join(parts, [0.0, 2.0], 7)
    with pytest.raises(ValueError, match="no windows"):
        join([], [], 7)


def test_windows_for_prediction_need_no_bold() -> None:
    windows = cut_windows(without_bold(make_features(52.2)))
    assert len(windows) == 1
    assert windows[0].mask.tolist() == [True] * 53 + [False] * 47
    assert windows[0].bold.shape == (100, 0)


def test_a_batch_has_one_axis_in_front() -> None:
    batch = stack(cut_windows(make_aligned(300, text=3, video=4)))
    assert {name: tuple(tensor.shape) for name, tensor in batch.items()} == {
        "text": (3, 2, 3, 200),
        "video": (3, 2, 4, 200),
        "bold": (3, 100, 3),
        "mask": (3, 100),
    }


def test_a_batch_of_unlike_windows_is_refused() -> None:
    (both,) = cut_windows(make_aligned(100, text=3, video=4))
    (one,) = cut_windows(make_aligned(100, text=3))
    (wide,) = cut_windows(make_aligned(100, text=5))
    with pytest.raises(FeatureError, match="absent and silent differ"):
        stack([both, one])
    with pytest.raises(FeatureError, match=r"text features of shape \(2, 3, 200\) and \(2, 5, 200\)"):
        stack([one, wide])
    with pytest.raises(SpaceError, match=r"\(100, 3\) and \(100, 2\)"):
        stack([one, Window(one.features, one.bold[:, :2], one.mask, "other", 0.0)])
