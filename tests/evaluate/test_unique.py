import numpy as np
import pytest
import torch

from tribetune.evaluate.unique import Contributions, contributions, modality_colours, subsets
from tribetune.scores import pearson_r

ALL = ("text", "audio", "video")


def test_every_set_is_needed_once_the_largest_first():
    assert subsets(ALL) == [
        ALL, ("text", "audio"), ("text", "video"), ("audio", "video"), ("text",), ("audio",), ("video",)
    ]  # fmt: skip
    assert subsets(["text"]) == [("text",)]


def explained(regions):
    """Oracle: a set of modalities scores what the regions of a Venn diagram that it touches hold."""
    return {some: sum(np.array(value) for region, value in regions.items() if set(region) & set(some))
            for some in subsets(ALL)}  # fmt: skip


def test_parts_are_the_regions_of_a_venn_diagram_and_add_up_to_the_whole():
    rng = np.random.default_rng(0)
    regions = {some: rng.random(5) for some in subsets(ALL)}
    scores = explained(regions)
    found = contributions(scores)
    assert list(found) == subsets(ALL)
    for some, values in found.items():
        np.testing.assert_allclose(values, regions[some], atol=1e-12)
    np.testing.assert_allclose(sum(found.values()), scores[ALL])
    np.testing.assert_allclose(found[("audio",)], scores[ALL] - scores[("text", "video")])


def test_what_only_one_modality_explains_is_its_own_and_what_is_shared_is_nobodys():
    """Linear truth with two independent parts: output 0 hears, output 1 sees, output 2 does both by what they share."""
    rng = np.random.default_rng(0)
    sound, picture, both = rng.standard_normal((3, 5000))
    bold = np.stack([sound, picture, both], axis=1)
    parts = {"audio": np.stack([sound, 0 * sound, both], 1), "video": np.stack([0 * picture, picture, both], 1)}

    def r(names):
        predicted = np.mean([parts[name] for name in names], axis=0) + 1e-3 * rng.standard_normal((5000, 3))
        return np.array([np.corrcoef(predicted[:, k], bold[:, k])[0, 1] for k in range(3)])

    found = contributions({names: r(names) for names in subsets(["audio", "video"])})
    np.testing.assert_allclose(found[("audio",)], [1, 0, 0], atol=0.05)  # r of 5,000 unrelated samples: 0.014
    np.testing.assert_allclose(found[("video",)], [0, 1, 0], atol=0.05)
    np.testing.assert_allclose(found["audio", "video"], [0, 0, 1], atol=0.05)


def test_a_missing_subset_is_no_zero():
    scores = {some: np.ones(3) for some in subsets(ALL)}
    for some in subsets(ALL)[1:]:
        with pytest.raises(KeyError):
            contributions({other: values for other, values in scores.items() if other != some})


@pytest.mark.parametrize("cuts", [(90,), (20, 55, 90)])
def test_streaming_contributions_in_pieces_are_those_of_all_samples(cuts):
    make = torch.Generator().manual_seed(0)
    measured = torch.randn(90, 4, generator=make)
    predicted = measured[:, None] + torch.randn(90, 7, 4, generator=make)
    runs, mask = torch.arange(90) // 45, torch.arange(90) % 9 > 0
    metric, start = Contributions(ALL, 4, n_runs=2), 0
    for stop in cuts:
        rows = slice(start, stop)
        metric.update(predicted[rows], measured[rows], mask[rows], runs[rows])
        start = stop
    labels = ["first"] * 45 + ["second"] * 45
    r = [pearson_r(predicted[:, k], measured, mask, labels).numpy() for k in range(7)]
    wanted = contributions(dict(zip(subsets(ALL), r, strict=True)))
    # the same sums merged in another order
    np.testing.assert_allclose(metric.compute(), [wanted[some] for some in subsets(ALL)], atol=1e-6)


def test_text_is_red_audio_green_video_blue_on_one_scale():
    unique = {"video": np.array([0.0, 0.4, -0.2]), "audio": np.array([0.2, 0.0, np.nan])}
    colours = modality_colours(unique)
    top = np.percentile([0.4, 0.2], 99)
    np.testing.assert_allclose(colours[:2], [[0, 0.2 / top, 0], [0, 0, 1]])
    assert np.isnan(colours[2]).all()


def test_nothing_positive_is_black():
    np.testing.assert_array_equal(modality_colours({"text": np.array([-0.1, 0.0])}), np.zeros((2, 3)))
