import logging
from pathlib import Path

import pytest

from tribetune.errors import BoldError, FeatureError, SpaceError
from tribetune.model.tribe import Tribe, TribeConfig
from tribetune.progress import Silent
from tribetune.recipe.file import read_recipe
from tribetune.shipped import shipped_recipes
from tribetune.spaces import Space
from tribetune.study.adapt import adapt
from tribetune.study.fitting import check_outputs, check_window
from tribetune.study.prepare import encoders_of, prepare
from tribetune.study.provenance import short_names


def test_the_checkpoints_own_encoders_are_used_unless_others_are_asked_for(study_folder):
    tribe = Tribe.from_pretrained(study_folder / "checkpoint")
    assert encoders_of(tribe, "checkpoint").name == "tiny"


def test_a_checkpoint_that_does_not_name_its_encoders_asks_for_them():
    tribe = Tribe(TribeConfig(modalities={"text": (1, 4)}, hidden=64, depth=1, heads=2, n_outputs=3, rows=1))
    with pytest.raises(FeatureError, match="does not say which encoders"):
        encoders_of(tribe, "checkpoint")
    assert encoders_of(tribe, "tiny").name == "tiny"


def test_windows_longer_than_the_checkpoint_takes_are_refused(study_folder):
    tribe = Tribe.from_pretrained(study_folder / "checkpoint")
    check_window(tribe, 512.0)
    with pytest.raises(FeatureError, match="at most 512 s"):
        check_window(tribe, 513.0)


def test_files_of_one_name_are_told_apart_by_their_folders():
    paths = [Path("/data/ses-1/film.mp4"), Path("/data/ses-2/film.mp4"), Path("/data/ses-2/film.mp4")]
    assert short_names(paths) == {"ses-1/film.mp4": paths[0], "ses-2/film.mp4": paths[1]}
    assert short_names([paths[0]]) == {"film.mp4": paths[0]}
    assert short_names([]) == {}


def alice(data_folder, study_folder, tmp_path, *overrides):
    table = f"data.tables.path={data_folder}/alice/alice_brennan2016_rois.npz"
    own = [table, f"checkpoint={study_folder}/checkpoint", f"features.store={tmp_path}/features", *overrides]
    return read_recipe(shipped_recipes()["alice-listening"], own)


def test_a_real_listener_of_alice_is_read_split_and_aligned(data_folder, study_folder, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        study = prepare(alice(data_folder, study_folder, tmp_path), Silent())
    assert "s33 left out" in caplog.text
    assert "27 subjects" in study.notes[0]
    assert not study.has_zero_shot
    (training,), (test,) = study.split.training, study.split.test
    assert training.aligned.bold.shape[1] == 6
    assert test.span[0] - training.span[1] >= 110
    assert study.calibration_minutes == pytest.approx(7.1, abs=0.5)


def test_the_listener_who_was_not_measured_is_refused(data_folder, study_folder, tmp_path):
    with pytest.raises(BoldError, match="all zeros"):
        prepare(alice(data_folder, study_folder, tmp_path, "data.subject=s33"), Silent())


def test_a_real_listener_is_adapted_and_scored_beside_a_null(data_folder, study_folder, tmp_path):
    own = [f"data.tables.path={data_folder}/alice/alice_brennan2016_rois.npz", f"checkpoint={study_folder}/checkpoint"]
    own += [f"features.store={tmp_path}/features", "evaluation.bootstrap_draws=100"]
    result = adapt(str(shipped_recipes()["alice-listening"]), own, tmp_path / "run")
    rows = {row["method"]: row for row in result.rows}
    assert not rows["zero-shot"]["defined"]
    assert rows["readout"]["n_outputs"] == rows["fir"]["n_outputs"] == 6
    assert rows["readout"]["null_95"] > 0
    assert rows["readout"]["trained_parameters"] == 6 * 6 + 6
    assert ("beats the FIR baseline" in result.verdict) == (rows["readout"]["delta_fir"]["interval"][0] > 0)


def test_outputs_of_another_space_that_are_as_many_are_refused_and_more_or_fewer_are_not():
    config = TribeConfig(modalities={"text": (1, 4)}, hidden=32, depth=1, heads=1, n_outputs=6, rows=1, space="first6")
    tribe = Tribe(config)
    check_outputs(tribe, Space("first6", 6))
    check_outputs(tribe, Space("other8", 8))
    with pytest.raises(SpaceError, match="6 outputs are of other6, the checkpoint's 6 are of first6"):
        check_outputs(tribe, Space("other6", 6))
