"""A clip that several runs show: in no part of the split, and the noise ceiling's."""

import numpy as np
import pytest

from tests.study.conftest import recipe
from tribetune.errors import BoldError
from tribetune.evaluate.resampling import Resampling
from tribetune.progress import Silent
from tribetune.recipe.schema import Recipe
from tribetune.study.ceiling import study_ceiling
from tribetune.study.others import Others
from tribetune.study.prepare import prepare

CLIP = {"1": [150, 190], "3": [20, 60], "4": [100, 140]}


def study(folder, repeats):
    return prepare(Recipe.model_validate(with_repeats(folder, repeats)), Silent())


def with_repeats(folder, repeats):
    values = recipe(folder)
    return values | {"data": values["data"] | {"repeats": repeats}}


def test_the_clip_is_neither_trained_on_nor_scored(study_folder):
    prepared = study(study_folder, CLIP)
    clips = {part.aligned.label: part.span for part in prepared.repeats}
    assert {label: stop - start for label, (start, stop) in clips.items()} == dict.fromkeys(clips, 40)
    parts = [*prepared.split.training, *prepared.split.test]
    assert {part.aligned.label for part in parts} == {f"sub-01_run-{run}" for run in "1234"}
    for part in parts:
        start, stop = clips.get(part.aligned.label, (0, 0))
        assert part.span[1] <= start or stop <= part.span[0]


def test_the_ceiling_is_that_of_the_clip(study_folder):
    prepared = study(study_folder, CLIP)
    rng = np.random.default_rng(0)
    common = rng.standard_normal((40, 8)).astype(np.float32)
    for part in prepared.repeats:
        part.aligned.bold[slice(*part.span)] = common + 0.1 * rng.standard_normal((40, 8))
        part.aligned.mask[slice(*part.span)] = True
    found = study_ceiling(prepared, lambda: Others(None), Resampling(5, 100, 1))
    assert (found.kind, found.n) == ("repeat", 3)
    np.testing.assert_allclose(found.r, np.sqrt(1 / 1.01), atol=0.005)  # signal over signal and noise


@pytest.mark.parametrize(
    ("repeats", "told"),
    [
        ({"1": [150, 190], "9": [20, 60]}, "no run is called '9'"),
        ({"1": [150, 1900], "3": [20, 60]}, "150 to 1900 s of sub-01_run-1 are not within its stimulus"),
        ({"1": [190, 150], "3": [20, 60]}, "190 to 150 s"),
    ],
)
def test_a_clip_that_is_not_there_is_refused(study_folder, repeats, told):
    with pytest.raises(BoldError, match=told):
        study(study_folder, repeats)


def test_a_clip_of_one_run_or_of_blocks_is_a_fault_of_the_recipe(study_folder):
    from pydantic import ValidationError

    with pytest.raises(ValidationError, match="two runs or more"):
        study(study_folder, {"1": [150, 190]})
