import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from tribetune.baselines.reduction import fit_reduction
from tribetune.errors import FeatureError


def runs(n=3, steps=50, seed=0):
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((12, 12)) * np.linspace(3, 0.1, 12)
    return [(mixing @ rng.standard_normal((12, steps)) + 4).reshape(2, 6, steps).astype(np.float32) for _ in range(n)]


def test_components_are_scikit_learns_on_standardised_steps():
    training = runs()
    steps = np.concatenate([run.reshape(12, -1).T for run in training])
    scaler = StandardScaler().fit(steps)
    wanted = PCA(4).fit(scaler.transform(steps))
    found = fit_reduction(training, 4)
    ours = found.apply(training[0])[0].T
    theirs = wanted.transform(scaler.transform(training[0].reshape(12, -1).T))
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-3)  # a component's sign is free; float32
    assert found.explained == pytest.approx(wanted.explained_variance_ratio_.sum(), abs=1e-5)
    assert found.apply(training[0]).shape == (1, 4, 50)


def test_the_test_run_changes_nothing_that_was_fitted():
    *training, test = runs(4)
    fitted = fit_reduction(training, 4)
    before = fitted.components.copy()
    moved = fitted.apply(100 * test)
    np.testing.assert_array_equal(fitted.components, before)
    assert np.abs(moved.mean(2)).max() > 10  # scaled by the training runs, not by its own


def test_all_components_are_kept_where_there_are_fewer():
    found = fit_reduction(runs(), 500)
    assert found.components.shape == (12, 12)
    assert found.explained == pytest.approx(1.0, abs=1e-5)


def test_a_feature_that_never_varies_does_no_harm():
    training = runs()
    for run in training:
        run[0, 0] = 7.0
    assert np.isfinite(fit_reduction(training, 3).apply(training[0])).all()


def test_a_single_step_is_refused():
    with pytest.raises(FeatureError, match="too few for PCA"):
        fit_reduction([np.zeros((2, 6, 1), np.float32)], 2)
