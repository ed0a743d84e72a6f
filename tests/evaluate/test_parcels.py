import numpy as np
import pytest
import torch

from tribetune.evaluate.parcels import ParcelR, Parcels, parcel_rows, parcels_of_labels, set_means
from tribetune.scores import pearson_r


def test_outputs_without_a_label_belong_to_no_parcel():
    parcels = parcels_of_labels(["A1", "", "V1", "A1"])
    assert parcels.names == ("A1", "V1")
    assert parcels.sets.tolist() == [[True, False, False, True], [False, False, True, False]]
    assert parcels_of_labels(["", ""]).sets.shape == (0, 2)


def test_a_parcel_is_the_mean_over_its_defined_outputs_and_says_how_many():
    parcels = Parcels(("a", "b", "c"), np.array([[1, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]], bool))
    means, count = set_means(np.array([0.1, 0.3, np.nan, 0.5]), parcels)
    np.testing.assert_allclose(means, [0.2, np.nan, 0.5])
    assert count.tolist() == [2, 0, 1]


def test_all_columns_of_a_row_are_of_the_same_outputs():
    parcels = Parcels(("a",), np.ones((1, 3), bool))
    (row,) = parcel_rows(parcels, {"r": np.array([0.1, 0.3, np.nan]), "null": np.array([0.0, 0.2, 9.0])}, "r")
    assert row == {"parcel": "a", "n_outputs": 2, "r": 0.2, "null": 0.1}


@pytest.mark.parametrize("cuts", [(60,), (9, 41, 60)])
def test_streaming_parcels_in_pieces_are_the_means_over_all_samples(cuts):
    make = torch.Generator().manual_seed(0)
    measured = torch.randn(60, 4, generator=make)
    predicted = measured + torch.randn(60, 4, generator=make)
    measured[:, 2] = 1.0
    parcels = Parcels(("a", "b", "c"), np.array([[1, 1, 1, 0], [0, 0, 1, 0], [0, 0, 1, 1]], bool))
    metric, start, runs = ParcelR(parcels, n_runs=2), 0, torch.arange(60) // 25 % 2
    for stop in cuts:
        metric.update(predicted[start:stop], measured[start:stop], runs=runs[start:stop])
        start = stop
    r = pearson_r(predicted, measured, runs=[str(run) for run in runs.tolist()])
    # the same sums merged in another order
    np.testing.assert_allclose(metric.compute(), set_means(r.numpy(), parcels)[0], atol=1e-6)
    assert torch.isnan(metric.compute()).tolist() == [False, True, False]
