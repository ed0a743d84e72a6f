"""Wiring of the verbs of ``features``."""

import shutil

import pytest

from tribetune.errors import StimulusError
from tribetune.features.encoders import Options
from tribetune.features.stimuli import remember
from tribetune.features.tiny import make_tiny_encoders
from tribetune.stimulus.files import stimuli_of_files
from tribetune.stimulus.timeline import Event, Timeline
from tribetune.study.features import Request, export, extract, listed

WORDS = "onset\tduration\tword\n0\t0.2\tonce\n1\t0.2\tupon\n"


@pytest.fixture
def story(tmp_path):
    path = tmp_path / "story.tsv"
    path.write_text(WORDS)
    return path


def test_what_is_not_asked_for_is_the_encoders_own_default(tmp_path):
    assert Request(tmp_path, "mini").all_options.setting == "mini"
    assert Request(tmp_path, "mini", {"stride_words": 1}).all_options == Options(setting="mini", stride_words=1)
    assert Request(tmp_path, "mini", {"setting": "released"}).all_options == Options()
    assert Request(tmp_path, "tiny").all_options == Options()


def test_a_folder_with_one_encoder_is_asked_for_one_modality(story, tmp_path):
    folder = make_tiny_encoders(tmp_path / "encoders")
    shutil.rmtree(folder / "audio")
    shutil.rmtree(folder / "video")
    assert Request(tmp_path / "store", str(folder)).wanted == ("text",)
    (row,) = extract(stimuli_of_files([story]), Request(tmp_path / "store", str(folder)))
    assert (row["modality"], row["words"], row["source"]) == ("text", 2, "made")


def test_two_stimuli_of_one_name_stay_apart(story, tmp_path):
    other = tmp_path / "other" / "story.tsv"
    other.parent.mkdir()
    other.write_text(WORDS + "2\t0.2\ta\n")
    request = Request(tmp_path / "store", modalities=("text",))
    names = [row["stimulus"] for path in (story, other) for row in extract(stimuli_of_files([path]), request)]
    assert names[0] == "story"
    assert names[1].startswith("story-")
    assert sorted(row["stimulus"] for row in listed(tmp_path / "store")) == sorted(names)


def test_all_stimuli_are_looked_at_before_the_first_is_extracted(story, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    request = Request(tmp_path / "store")
    with pytest.raises(StimulusError, match=r"broken\.mp4"):
        next(extract(stimuli_of_files([story, tmp_path / "broken.mp4"]), request))
    assert not list((tmp_path / "store").rglob("*.safetensors"))


def test_a_stimulus_without_features_does_not_keep_the_others_from_being_exported(story, tmp_path, caplog):
    request = Request(tmp_path / "store", modalities=("text",))
    list(extract(stimuli_of_files([story]), request))
    remember(tmp_path / "store", "other", Timeline((Event("word", 0.0, 0.1, text="alone"),)))
    shapes = export(tmp_path / "store", tmp_path / "all.npz")
    assert {key: shape for key, shape in shapes.items() if shape} == {"text": (2, 64, 3)}
    assert "other is left out" in caplog.text
