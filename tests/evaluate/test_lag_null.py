"""Chance in a lag sweep: the same sweep, with BOLD at the wrong time."""

import numpy as np

from tests.evaluate.test_lag import N_OUTPUTS, planted
from tribetune.evaluate.lag import LagRange, sweep_lags
from tribetune.evaluate.lag_choice import inverses
from tribetune.evaluate.lag_data import lag_data
from tribetune.evaluate.lag_null import refitted_null, scores_at, stretches_of
from tribetune.splits import Part


def without_shift(parts: list[Part], sets: dict[str, np.ndarray]) -> np.ndarray:
    """Mean r per lag and slot of a draw that moves nothing."""
    moves = LagRange().moves(5.0)
    data = lag_data(parts, min(moves), max(moves), sets)
    assert data is not None
    stretches = stretches_of(data, [data.design(move) for move in moves[::2]])
    gram = np.stack([sum(one.gram for one in stretches if one.fold == fold) for fold in range(data.folds.max() + 1)])
    return scores_at(stretches, [0] * len(stretches), inverses(gram), data.n_even)


def test_a_draw_that_moves_nothing_is_the_sweep_itself() -> None:
    parts, sets = planted(4.0, noise=3.0), {"auditory": np.arange(N_OUTPUTS) < 5}
    sweep = sweep_lags(parts, sets=sets, draws=10)
    assert sweep is not None
    r = without_shift(parts, sets)
    # single precision, in another order
    np.testing.assert_allclose(r[:, :-5].mean(1), sweep.curves["all"].r[::2], atol=1e-4)
    np.testing.assert_allclose(r[:, -5:].mean(1), sweep.curves["auditory"].r[::2], atol=1e-4)


def test_a_draw_finds_nothing_of_what_was_planted() -> None:
    parts = planted(4.0)
    data = lag_data(parts, -14, 14, {})
    assert data is not None
    designs = [data.design(move) for move in (-4, -2, 0)]
    tops = refitted_null(data, designs, {"all": np.ones(20, bool), "none": np.zeros(20, bool) | (np.arange(20) < 1)}, 0)
    assert tops["all"].max() < 0.3 < without_shift(parts, {}).mean(1).max()
    assert tops["none"].std() > tops["all"].std()  # one output is worse than twenty
    again = refitted_null(data, designs, {"all": np.ones(20, bool)}, 0)
    np.testing.assert_array_equal(again["all"], tops["all"])


def test_stretches_too_short_to_be_moved_have_no_chance_level() -> None:
    data = lag_data([Part(part.aligned, (0, 70)) for part in planted(5.0)], -2, 2, {})
    assert data is not None
    assert np.isnan(refitted_null(data, [data.design(0)], {"all": np.ones(20, bool)}, 0)["all"]).all()
