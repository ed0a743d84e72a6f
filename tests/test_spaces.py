"""Names, sizes and labels of output spaces."""

import numpy as np
import pytest

from tribetune.errors import SpaceError
from tribetune.spaces import FSAVERAGE5, FSLR, SUBCORTEX, Space, join_spaces, space_named


@pytest.mark.parametrize(
    ("name", "n_outputs"),
    [
        ("fsaverage5", 20484),
        ("subcortex", 8802),
        ("fsaverage5+subcortex", 29286),
        ("fsLR", 64984),
        ("schaefer400", 400),
        ("glasser360", 360),
        ("aparc68", 68),
    ],
)
def test_a_space_is_known_by_its_name(name: str, n_outputs: int) -> None:
    assert space_named(name) == Space(name, n_outputs)


def test_a_table_has_the_size_that_the_caller_says() -> None:
    assert space_named("table", 6).n_outputs == 6
    with pytest.raises(SpaceError, match="unknown space 'table'"):
        space_named("table")


def test_the_atlas_and_not_the_paper_says_how_many_voxels_there_are() -> None:
    assert space_named("subcortex", 8803).n_outputs == 8803
    assert space_named("fsaverage5+subcortex", 20484 + 8803).n_outputs == 29287
    assert space_named("fsaverage5", 8803) == FSAVERAGE5


@pytest.mark.parametrize("name", ["fsaverage", "fsaverage6", "fsaverage7", "fslr32", "MNI", "", "400", "schaefer"])
def test_another_name_is_refused_with_the_names_there_are(name: str) -> None:
    with pytest.raises(SpaceError, match="unknown space") as refusal:
        space_named(name)
    assert "fsaverage5, subcortex, fsaverage5+subcortex, fsLR, table" in refusal.value.hint


def test_cortex_comes_first_where_spaces_are_joined() -> None:
    below = Space("subcortex", 3, ("Left Thalamus", "Left Lateral Ventricle", "Right Caudate"))
    both = join_spaces(FSAVERAGE5, below)
    assert (both.name, both.n_outputs) == ("fsaverage5+subcortex", 20487)
    assert both.labels[:20484] == ("",) * 20484
    assert both.labels[20484:] == below.labels
    assert join_spaces(FSAVERAGE5, SUBCORTEX) == space_named("fsaverage5+subcortex")


def test_ventricles_are_outside_of_every_mean() -> None:
    labels = ("Left Thalamus", "Left Lateral Ventrical", "Right Lateral Ventricle", "Right Caudate")
    np.testing.assert_array_equal(Space("subcortex", 4, labels).in_means, [True, False, False, True])
    both = join_spaces(FSAVERAGE5, Space("subcortex", 4, labels))
    assert np.flatnonzero(~both.in_means).tolist() == [20485, 20486]


def test_everything_counts_where_nothing_has_a_name() -> None:
    assert FSLR.in_means.shape == (64984,)
    assert FSLR.in_means.all()


def test_an_array_of_another_size_is_refused() -> None:
    with pytest.raises(SpaceError, match=r"half\.gii: 10,242 outputs, but fsaverage5 has 20,484"):
        FSAVERAGE5.check(10242, "half.gii")


def test_labels_are_one_per_output() -> None:
    with pytest.raises(SpaceError, match="schaefer400: 2 labels for 400 outputs"):
        space_named("schaefer400", labels=("a", "b"))
