import json

import nibabel as nib
import numpy as np
import pytest
import torch

from tribetune.adapt.adapter import BIAS, WEIGHTS, Adapter
from tribetune.errors import AdaptationError, FeatureError, StimulusError
from tribetune.model.checkpoint import checkpoint_hash, save_checkpoint
from tribetune.model.tribe import Tribe, TribeConfig
from tribetune.share.bundle import save_adapter
from tribetune.study.predict import PredictOptions, predict


@pytest.fixture(scope="module")
def cortex(tmp_path_factory):
    """A checkpoint of all of fsaverage5 for the tiny encoders."""
    torch.manual_seed(0)
    sizes = dict.fromkeys(("text", "audio", "video"), (2, 64))
    config = TribeConfig(
        modalities=sizes, hidden=96, depth=1, heads=3, low_rank=2, n_outputs=20484, rows=1, space="fsaverage5",
        encoders={name: {"encoders": "tiny"} for name in sizes},
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("cortex") / "checkpoint"
    save_checkpoint(Tribe(config), folder)
    return folder


@pytest.fixture
def words(tmp_path):
    path = tmp_path / "story.tsv"
    path.write_text("onset\tduration\tword\n0.0\t0.3\tonce\n4.5\t0.4\tupon\n9.0\t0.5\tthyme\n")
    return path


def options(tmp_path, **kwargs):
    return PredictOptions(store=tmp_path / "features", device="cpu", **kwargs)


def test_a_stimulus_shorter_than_a_window_gives_a_surface_per_hemisphere(cortex, words, tmp_path):
    left, right = predict(str(cortex), None, ([], words), tmp_path / "out", options(tmp_path))
    assert left.name == "story_hemi-L_space-fsaverage5_desc-zero-shot_bold.func.gii"
    images = [nib.load(path) for path in (left, right)]
    for image, side in zip(images, ("CortexLeft", "CortexRight"), strict=True):
        assert image.meta["AnatomicalStructurePrimary"] == side
        assert np.stack([array.data for array in image.darrays]).shape == (10, 10242)
    told = json.loads((tmp_path / "out" / "story_desc-zero-shot_bold.json").read_text())
    assert told["RepetitionTime"] == 1.0


def test_the_same_stimulus_gives_the_same_bytes(cortex, words, tmp_path):
    one = predict(str(cortex), None, ([], words), tmp_path / "one", options(tmp_path))
    two = predict(str(cortex), None, ([], words), tmp_path / "two", options(tmp_path))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


def test_film_clips_with_sound_and_picture_are_predicted(cortex, data_folder, tmp_path):
    clip = data_folder / "media" / "nasa_13013.mp4"
    left, _ = predict(str(cortex), None, ([clip], None), tmp_path / "out", options(tmp_path))
    values = np.stack([array.data for array in nib.load(left).darrays])
    assert len(values) >= 13
    assert np.isfinite(values).all()
    assert (values.std(0) > 0).all()


def test_an_adapter_of_another_checkpoint_is_refused(cortex, words, tmp_path):
    adapter = Adapter("readout", {WEIGHTS: torch.zeros(2, 20484), BIAS: torch.zeros(20484)})
    save_adapter(adapter, tmp_path / "adapter", {"base": {"name": "other", "hash": "0"}, "space": "fsaverage5"})
    with pytest.raises(AdaptationError, match="another checkpoint"):
        predict(str(cortex), tmp_path / "adapter", ([], words), tmp_path / "out", options(tmp_path))
    save_adapter(adapter, tmp_path / "adapter", {"base": {"hash": checkpoint_hash(cortex)}, "space": "fsaverage5"})
    assert len(predict(str(cortex), tmp_path / "adapter", ([], words), tmp_path / "out", options(tmp_path))) == 2


@pytest.mark.parametrize("overlap_s", [-1.0, 100.0, 10.5])
def test_an_overlap_that_is_none_is_refused(cortex, words, tmp_path, overlap_s):
    with pytest.raises(StimulusError, match="overlap"):
        predict(str(cortex), None, ([], words), tmp_path / "out", options(tmp_path, overlap_s=overlap_s))


def test_a_stimulus_without_a_usable_modality_is_refused(study_folder, data_folder, tmp_path):
    sound = data_folder / "media" / "jfk.flac"
    with pytest.raises(FeatureError, match=r"none of the modalities that the model uses \(text\)"):
        predict(str(study_folder / "checkpoint"), None, ([sound], None), tmp_path / "out", options(tmp_path))
    assert not (tmp_path / "out").exists()
