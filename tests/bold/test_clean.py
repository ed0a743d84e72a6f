"""Detrending and z-scoring, held against nilearn."""

from dataclasses import replace

import nilearn.signal
import numpy as np
import pytest

from tribetune.bold.clean import clean, standardise
from tribetune.bold.run import Run
from tribetune.errors import BoldError


@pytest.fixture
def run() -> Run:
    """A run with drift and a scanner's scale."""
    rng = np.random.default_rng(1)
    drift = np.linspace(0, 30, 80)[:, None] * rng.standard_normal(9)
    values = (1000 + drift + 15 * rng.standard_normal((80, 9))).astype(np.float32)
    return Run("01", "", "movie", "1", values, 2.0, "table", np.ones(80, bool))


def test_cleaning_agrees_with_nilearn(run: Run) -> None:
    expected = nilearn.signal.clean(
        run.values.astype(np.float64), detrend=True, standardize="zscore_sample", filter=False
    )
    # Ours is rounded to float32 at the end: 6e-8 of values up to 4.
    np.testing.assert_allclose(clean(run).values, expected, atol=1e-6)


def test_a_clean_output_has_no_line_and_unit_deviation(run: Run) -> None:
    values = clean(run).values.astype(np.float64)
    # float32 output: 80 values of order 1, each off by up to 6e-8 relative.
    np.testing.assert_allclose(values.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(values.std(0, ddof=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.polyfit(np.arange(80), values, 1)[0], 0, atol=1e-7)


def test_the_run_that_came_in_is_not_changed(run: Run) -> None:
    before = run.values.copy()
    clean(run)
    np.testing.assert_array_equal(run.values, before)


def test_masked_volumes_do_not_enter_the_fit(run: Run) -> None:
    mask = np.ones(80, bool)
    mask[[10, 40, 41, 79]] = False
    spiked = run.values.copy()
    spiked[~mask] = 1e6
    cleaned = clean(replace(run, values=spiked, mask=mask)).values
    np.testing.assert_array_equal(cleaned, clean(replace(run, mask=mask)).values)
    assert not cleaned[~mask].any()
    # Unit deviation over what is valid, to float32.
    np.testing.assert_allclose(cleaned[mask].std(0, ddof=1), 1, atol=1e-5)


def test_a_gap_keeps_its_place_in_time() -> None:
    values = np.linspace(3, 9, 30)[:, None] + np.resize([1.0, -1.0], 30)[:, None]
    mask = np.ones(30, bool)
    mask[8:20] = False
    cleaned = standardise(values.astype(np.float32), mask, "run")[mask, 0]
    # The line is known exactly, so what is left alternates with one size; squeezed together it would be a step.
    assert np.abs(np.abs(cleaned) - np.abs(cleaned).mean()).max() < 0.1
    squeezed = nilearn.signal.clean(values[mask], detrend=True, standardize="zscore_sample", filter=False)[:, 0]
    assert np.abs(np.abs(squeezed) - np.abs(squeezed).mean()).max() > 0.1


def test_undefined_outputs_stay_undefined_and_alone(run: Run) -> None:
    values = run.values.copy()
    values[:, 2], values[:, 5], values[:, 7] = np.nan, 1000.0, np.linspace(0, 1e4, 80)
    cleaned = clean(replace(run, values=values)).values
    assert np.flatnonzero(np.isnan(cleaned).all(0)).tolist() == [2, 5, 7]
    others = [0, 1, 3, 4, 6, 8]
    np.testing.assert_array_equal(cleaned[:, others], clean(run).values[:, others])


def test_cleaning_a_stretch_ignores_how_the_whole_was_cleaned(run: Run) -> None:
    stretch = slice(20, 60)
    again = standardise(clean(run).values[stretch], np.ones(40, bool), "stretch")
    direct = standardise(run.values[stretch], np.ones(40, bool), "stretch")
    # The first pass is stored in float32: 1e-7 of values of order 1.
    np.testing.assert_allclose(again, direct, atol=2e-6)


def test_too_few_valid_volumes_are_refused(run: Run) -> None:
    mask = np.zeros(80, bool)
    mask[:2] = True
    with pytest.raises(BoldError, match="sub-01_task-movie_run-1: 2 valid samples, expected at least 3"):
        clean(replace(run, mask=mask))


def test_an_unknown_strategy_is_refused(run: Run) -> None:
    with pytest.raises(BoldError, match="unknown cleaning 'magic'"):
        clean(run, "magic")
