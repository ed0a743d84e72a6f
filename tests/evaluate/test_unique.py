import numpy as np
import pytest

from tribetune.evaluate.unique import modality_colours, subsets_needed, unique_contribution

ALL = ("text", "audio", "video")


def test_the_whole_and_all_but_each_are_needed():
    assert subsets_needed(ALL) == [
        frozenset(ALL), frozenset({"audio", "video"}), frozenset({"text", "video"}), frozenset({"text", "audio"})
    ]  # fmt: skip
    assert subsets_needed(["text"]) == [frozenset({"text"})]


def test_what_only_one_modality_explains_is_its_own_and_what_is_shared_is_nobodys():
    """Linear truth with two independent parts: output 0 hears, output 1 sees, output 2 does both by what they share."""
    rng = np.random.default_rng(0)
    sound, picture, both = rng.standard_normal((3, 5000))
    bold = np.stack([sound, picture, both], axis=1)
    parts = {"audio": np.stack([sound, 0 * sound, both], 1), "video": np.stack([0 * picture, picture, both], 1)}

    def r(names):
        predicted = np.mean([parts[name] for name in names], axis=0) + 1e-3 * rng.standard_normal((5000, 3))
        return np.array([np.corrcoef(predicted[:, k], bold[:, k])[0, 1] for k in range(3)])

    scores = {names: r(names) for names in subsets_needed(["audio", "video"])}
    unique = unique_contribution(scores, ["audio", "video"])
    np.testing.assert_allclose(unique["audio"], [1, 0, 0], atol=0.05)  # r of 5,000 unrelated samples: 0.014
    np.testing.assert_allclose(unique["video"], [0, 1, 0], atol=0.05)


def test_a_missing_subset_is_no_zero():
    with pytest.raises(KeyError):
        unique_contribution({frozenset(ALL): np.ones(3)}, ALL)


def test_text_is_red_audio_green_video_blue_on_one_scale():
    unique = {"video": np.array([0.0, 0.4, -0.2]), "audio": np.array([0.2, 0.0, np.nan])}
    colours = modality_colours(unique)
    top = np.percentile([0.4, 0.2], 99)
    np.testing.assert_allclose(colours[:2], [[0, 0.2 / top, 0], [0, 0, 1]])
    assert np.isnan(colours[2]).all()


def test_nothing_positive_is_black():
    np.testing.assert_array_equal(modality_colours({"text": np.array([-0.1, 0.0])}), np.zeros((2, 3)))
