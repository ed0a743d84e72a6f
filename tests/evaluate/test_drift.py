import numpy as np
import pytest
from scipy.stats import ttest_ind

from tribetune.evaluate.bootstrap import HeldOut
from tribetune.evaluate.drift import Figure, _welch, drift_sentence, session_drift
from tribetune.evaluate.resampling import Resampling

SESSIONS, N_SAMPLES, N_OUTPUTS = ("1", "2", "3"), 600, 40


def planted(signals, sizes, seed):
    """Three sessions of two runs: BOLD of unit variance is so much of the prediction and noise that outputs share."""
    rng, rows = np.random.default_rng(seed), []
    for session, signal, size in zip(SESSIONS, signals, sizes, strict=True):
        x = rng.standard_normal((N_SAMPLES, N_OUTPUTS))
        shared = rng.standard_normal((N_SAMPLES, 1))
        noise = (rng.standard_normal((N_SAMPLES, N_OUTPUTS)) + 0.5 * shared) / np.sqrt(1.25)
        y = signal * x + np.sqrt(1 - signal**2) * noise
        rows.append((size * x, y, [f"ses-{session}_run-{k // 300}" for k in range(N_SAMPLES)], session))
    predicted, bold = (np.concatenate([row[k] for row in rows]).astype(np.float32) for k in (0, 1))
    runs, sessions = [name for row in rows for name in row[2]], [row[3] for row in rows for _ in row[2]]
    return predicted, HeldOut(bold, tuple(runs)), sessions


def drift_of(signals, sizes=(1.0, 1.0, 1.0), seed=0):
    everywhere = np.ones(N_OUTPUTS, bool)
    return session_drift(*planted(signals, sizes, seed), everywhere, Resampling(draws=200, seed=seed))


def test_a_planted_drift_of_the_score_is_found():
    found = drift_of((0.3, 0.3, 0.1))
    assert found.moves == (True, True)  # less of the prediction in BOLD of unit variance is a smaller gain, too
    assert [one.score.value for one in found.sessions] == pytest.approx([0.3, 0.3, 0.1], abs=0.03)
    assert "mean r moves" in drift_sentence("ridge", found)
    assert "what was shown differs" in drift_sentence("ridge", found)


def test_a_planted_drift_of_the_gain_alone_is_found_as_such():
    found = drift_of((0.3, 0.3, 0.3), sizes=(1.0, 1.0, 2.0))
    assert found.moves == (False, True)
    assert [one.gain.value for one in found.sessions] == pytest.approx([0.3, 0.3, 0.15], abs=0.03)
    said = drift_sentence("ridge", found)
    assert "mean r does not move reliably" in said
    assert "best gain moves" in said


def test_no_drift_is_found_where_there_is_none():
    moved = np.array([drift_of((0.3, 0.3, 0.3), seed=seed).moves for seed in range(60)])
    # 2.5 % each: of 60 fewer than six in all but 0.2 % of cases
    assert (moved.sum(0) < 6).all()


def test_intervals_of_a_session_cover_its_planted_score():
    found = [one for seed in range(20) for one in drift_of((0.3, 0.2, 0.1), seed=seed).sessions]
    wanted = [0.3, 0.2, 0.1] * 20
    inside = [one.score.interval[0] <= r <= one.score.interval[1] for one, r in zip(found, wanted, strict=True)]
    assert 0.87 <= np.mean(inside) <= 1.0  # 60 intervals of 95 %: a standard error of 3 %


def test_with_two_sessions_the_test_is_welchs_t():
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal(12), 0.5 + 2 * rng.standard_normal(9)
    figures = [Figure(x.mean(), (0.0, 0.0), x.std(ddof=1) / np.sqrt(len(x))) for x in (one, other)]
    assert _welch(figures, [12, 9]) == pytest.approx(ttest_ind(one, other, equal_var=False).pvalue)


def test_a_session_of_a_minute_is_too_short_to_tell():
    predicted, held_out, sessions = planted((0.3, 0.3, 0.3), (1, 1, 1), 0)
    short = HeldOut(held_out.bold[:660], held_out.runs[:660])
    found = session_drift(predicted[:660], short, sessions[:660], np.ones(N_OUTPUTS, bool), Resampling(draws=100))
    assert found.moves == (False, False)
    assert "too short to tell" in drift_sentence("ridge", found)
    assert found.sessions[1].n_samples == 60
