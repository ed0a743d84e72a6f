"""What one more run would buy ridge: the closed form, and the estimate against simulations with planted truth."""

import numpy as np
import pytest

from tribetune.evaluate.more_runs import Calibration, one_more, skill, stretches

N_AXES, N_OUTPUTS, SECONDS = 60, 300, 120


def run(rng, own):
    """A stretch of stimulus: some directions of its own are strong, the others weak."""
    scale = np.full(N_AXES, 0.3 if own else 1.0)
    if own:
        scale[rng.permutation(N_AXES)[:12]] = 1.5
    return rng.standard_normal((SECONDS, N_AXES)) * scale


def world(seed, own, noise=6.0):
    rng = np.random.default_rng(seed)
    runs = [run(rng, own) for _ in range(8)]
    truth = rng.standard_normal((N_AXES, N_OUTPUTS)) * 0.3
    return rng, runs, truth, noise


def shown(rng, runs, truth, noise):
    x = np.concatenate(runs)
    return x, x @ truth + noise * rng.standard_normal((len(x), truth.shape[1]))


def ridge(x, y, penalty):
    return np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)


def true_r(weights, truth, noise, fresh):
    """Mean r on many stimuli that were never seen, from their covariance; BOLD's noise is added to its variance."""
    spread = np.cov(fresh.T)
    shared = (weights * (spread @ truth)).sum(0)
    own, measured = (weights * (spread @ weights)).sum(0), (truth * (spread @ truth)).sum(0) + noise**2
    return (shared / np.sqrt(own * measured)).mean()


def estimated(own):
    rng, runs, truth, noise = world(5, own)
    x, y = shown(rng, runs, truth, noise)
    penalty = noise**2 / 0.3**2
    names = [str(k) for k in range(8) for _ in range(SECONDS)]
    folds = [np.arange(k * SECONDS, (k + 1) * SECONDS) for k in range(8)]
    found = one_more(Calibration(x, y, np.zeros_like(y), y, names, folds, penalty), block=30, draws=100, seed=0)
    return found, (rng, runs, truth, noise, x, y, penalty)


@pytest.mark.parametrize("own", [False, True])
def test_the_estimate_is_what_more_runs_really_bring(own):
    found, (rng, runs, truth, noise, x, y, penalty) = estimated(own)
    fresh = np.concatenate([run(rng, own) for _ in range(100)])
    scores = {"now": [], "new": [], "repeated": []}
    for again in range(8):
        scores["now"].append(true_r(ridge(x, y, penalty), truth, noise, fresh))
        for name, more in (("new", run(rng, own)), ("repeated", runs[again])):
            more_x, more_y = shown(rng, [more], truth, noise)
            weights = ridge(np.concatenate([x, more_x]), np.concatenate([y, more_y]), penalty)
            scores[name].append(true_r(weights, truth, noise, fresh))
    now, new, repeated = (np.mean(scores[name]) for name in ("now", "new", "repeated"))
    # 300 outputs of 960 s each leave an error of about 0.01 in r, and gains an error of about a quarter of theirs
    assert found.now.mean == pytest.approx(now, abs=0.015)
    assert found.new.mean == pytest.approx(new - now, rel=0.3)
    assert found.repeated.mean == pytest.approx(repeated - now, rel=0.3)


def test_new_stimuli_buy_the_more_beyond_a_repeat_the_more_runs_differ():
    ratios = [found.new.mean / found.repeated.mean for found, _ in map(estimated, (False, True))]
    # two minutes have directions of their own by chance, too, so that a repeat is never quite as good
    assert 1 < ratios[0] < ratios[1] - 0.05


def test_skill_is_the_variance_that_ridge_explains_of_new_data():
    rng, runs, _, _ = world(1, own=True)
    x, noise, spread = np.concatenate(runs), 4.0, 0.2
    truth = spread * rng.standard_normal((N_AXES, 4000))
    weights = ridge(x, x @ truth + noise * rng.standard_normal((len(x), 4000)), noise**2 / spread**2)
    fresh = run(rng, own=True)
    scored = fresh.T @ fresh / len(fresh)
    wanted = skill(x.T @ x, scored, noise**2 / spread**2) * spread**2
    # means over 4,000 outputs
    assert (weights * (scored @ truth)).sum(0).mean() == pytest.approx(wanted, rel=0.03)
    assert (weights * (scored @ weights)).sum(0).mean() == pytest.approx(wanted, rel=0.03)


def test_pure_noise_gains_nothing_by_more():
    rng, runs, truth, noise = world(9, own=False)
    x, y = shown(rng, runs, 0 * truth, noise)
    names, folds = [str(k) for k in range(8) for _ in range(SECONDS)], list(np.arange(8 * SECONDS).reshape(8, -1))
    found = one_more(Calibration(x, y, np.zeros_like(y), y, names, folds, 400.0), block=30, draws=100, seed=0)
    assert abs(found.new.mean) < 0.002


def test_a_ridge_that_keeps_the_unseen_row_says_nothing():
    rng, runs, truth, noise = world(2, own=False)
    x, y = shown(rng, runs, truth, noise)
    folds = [np.arange(100), np.arange(100, len(x))]
    data = Calibration(x, y, np.zeros_like(y), y, ["1"] * len(x), folds, float("inf"))
    assert one_more(data, block=30, draws=10, seed=0) is None


@pytest.mark.parametrize(("n_runs", "n_pieces"), [(1, 6), (3, 6), (4, 8), (7, 7), (30, 8)])
def test_stretches_are_runs_or_parts_of_them_in_order(n_runs, n_pieces):
    found = stretches([str(k) for k in range(n_runs) for _ in range(60)])
    assert np.unique(found).tolist() == list(range(n_pieces))
    assert (np.diff(found) >= 0).all()
