import numpy as np
import pytest
import torch
from scipy.stats import rankdata
from sklearn.metrics import top_k_accuracy_score

from benchmarks.honesty import smooth
from tribetune.errors import BoldError
from tribetune.evaluate.bootstrap import HeldOut
from tribetune.evaluate.retrieval import Retrieval, cut_segments, retrieval_ranks, retrieve, summarise


def segments(n=30, signal=0.15, seed=0):
    rng = np.random.default_rng(seed)
    measured = rng.standard_normal((n, 4, 6)).astype(np.float32)
    return torch.from_numpy(signal * measured + rng.standard_normal((n, 4, 6)).astype(np.float32)), torch.from_numpy(
        measured
    )


def test_ranks_are_scipys_on_correlations_and_the_first_are_scikit_learns():
    predicted, measured = segments()
    r = np.corrcoef(predicted.flatten(1), measured.flatten(1))[:30, 30:]
    wanted = [rankdata(-row)[place] for place, row in enumerate(r)]
    ranks = retrieval_ranks(predicted, measured)
    np.testing.assert_array_equal(ranks, wanted)
    found = summarise(ranks)
    assert found["top_1"] == pytest.approx(top_k_accuracy_score(np.arange(30), r, k=1))
    assert found["median_percentile"] == pytest.approx(100 * (30 - np.median(wanted)) / 29)


def test_a_prediction_without_a_relation_is_at_chance():
    predicted, measured = segments(400, signal=0.0)
    found = summarise(retrieval_ranks(predicted, measured))
    assert found["median_percentile"] == pytest.approx(50, abs=10)  # of 400: a median's standard error is 2.5 %
    assert found["top_1"] < 0.02


def test_a_perfect_prediction_finds_every_segment():
    _, measured = segments()
    assert summarise(retrieval_ranks(measured, measured)) == {"top_1": 1.0, "median_percentile": 100.0, "n": 30.0}


def test_one_prediction_for_all_segments_finds_none():
    """Ties share their ranks: who predicts the same everywhere is at chance, not first."""
    predicted, measured = segments()
    assert retrieval_ranks(measured, measured[:1].expand(30, 4, 6)).unique().tolist() == [15.5]
    assert summarise(retrieval_ranks(predicted[:1].expand(30, 4, 6), measured))["median_percentile"] < 60


def test_a_flat_segment_has_no_rank():
    predicted, measured = segments()
    predicted[3] = 0.0
    assert torch.isnan(retrieval_ranks(predicted, measured)).nonzero().flatten().tolist() == [3]


def test_batches_do_not_matter():
    predicted, measured = segments()
    metric = Retrieval()
    for rows in (slice(0, 7), slice(7, 30)):
        metric.update(predicted[rows], measured[rows])
    assert metric.compute() == summarise(retrieval_ranks(predicted, measured))


def test_segments_do_not_cross_runs():
    values = np.arange(10, dtype=np.float32)[:, None]
    cut = cut_segments(values, ("1",) * 5 + ("2",) * 5, 2)
    assert cut.flatten(1).tolist() == [[0, 1], [2, 3], [5, 6], [7, 8]]


def test_the_scale_of_a_run_or_an_output_does_not_matter():
    rng = np.random.default_rng(0)
    bold = smooth(rng, 300, 6)
    predicted = bold + 2 * smooth(rng, 300, 6)
    runs = ("1",) * 150 + ("2",) * 150
    wanted = retrieve(predicted, HeldOut(bold, runs), 10)
    scaled = bold * np.array([1, 2, 3, 40, 5, 6], np.float32)
    scaled[150:] = 30 * scaled[150:] + 7
    undefined = np.concatenate([scaled, np.full((300, 1), np.nan, np.float32)], axis=1)
    assert retrieve(np.pad(predicted, ((0, 0), (0, 1))), HeldOut(undefined, runs), 10) == wanted
    assert wanted["n"] == 30
    assert wanted["top_1"] > 0.3


def test_fewer_than_two_segments_are_refused():
    bold = smooth(np.random.default_rng(0), 15, 3)
    with pytest.raises(BoldError, match="1 segments of 10 samples"):
        retrieve(bold, HeldOut(bold, ("1",) * 15), 10)
