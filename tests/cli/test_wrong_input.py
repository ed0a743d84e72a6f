"""Wrong input, told by the command line: two lines, exit 2, nothing half-written."""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from tribetune.model.checkpoint import save_checkpoint
from tribetune.model.tribe import Tribe, TribeConfig

WORDS = "onset\tduration\tword\n"
OFFICIAL_CONFIG = "brain_model_config: {}\n"


class Touch:
    """Unpickling this creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A Tribe that reads text only."""
    torch.manual_seed(0)
    sizes = {"hidden": 32, "depth": 1, "heads": 1, "n_outputs": 20484, "rows": 1, "low_rank": 4}
    folder = tmp_path_factory.mktemp("checkpoint") / "text-only"
    save_checkpoint(Tribe(TribeConfig(modalities={"text": (2, 64)}, space="fsaverage5", **sizes)), folder)
    return folder


@pytest.fixture
def refused(tribetune, tmp_path):
    """Run a command that has to be refused: two lines and exit 2, and ``out`` is not there; returns the message."""

    def run(*arguments):
        result = tribetune(*arguments)
        lines = [line for line in result.stderr.splitlines() if line.startswith(("error: ", "hint: "))]
        assert result.exit_code == 2, result.stderr
        assert [line.split(":")[0] for line in lines] == ["error", "hint"], result.stderr
        assert len(lines[1]) > len("hint: ")
        assert "Traceback" not in result.stderr
        assert result.stdout == ""
        assert not (tmp_path / "out").exists()
        assert not list(tmp_path.rglob(".part*"))
        return lines[0]

    return run


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("", "no words"),
        (WORDS, "no words"),
        (WORDS + "5\t1\ttwo\n2\t1\tone\n", "in order of time"),
        (WORDS + "-1\t1\tone\n", "-1"),
    ],
    ids=["empty", "only a heading", "out of order", "before the start"],
)
def test_bad_words(refused, checkpoint, tmp_path, content, wanted):
    (tmp_path / "words.tsv").write_text(content)
    message = refused(
        "predict", checkpoint, "--words", tmp_path / "words.tsv", "--encoders", "tiny", "--out", tmp_path / "out"
    )
    assert wanted in message
    assert "words.tsv" in message


def test_a_missing_stimulus_and_no_stimulus(refused, checkpoint, tmp_path):
    options = ("--encoders", "tiny", "--out", tmp_path / "out")
    assert "film.mp4" in refused("predict", checkpoint, tmp_path / "film.mp4", *options)
    assert "without events" in refused("predict", checkpoint, *options)


def test_a_stimulus_without_any_modality_that_the_model_reads(refused, checkpoint, data_folder, tmp_path):
    sound = data_folder / "media" / "jfk.flac"
    assert "text" in refused("predict", checkpoint, sound, "--encoders", "tiny", "--out", tmp_path / "out")


def test_a_text_file_is_no_checkpoint(refused, tmp_path):
    (tmp_path / "best.ckpt").write_text("version https://git-lfs.github.com/spec/v1\n")
    (tmp_path / "config.yaml").write_text(OFFICIAL_CONFIG)
    assert "not a torch checkpoint" in refused("hub", "convert", tmp_path, tmp_path / "out")


def test_a_checkpoint_that_would_run_code_is_refused_and_runs_none(refused, tmp_path):
    with zipfile.ZipFile(tmp_path / "best.ckpt", "w") as archive:  # torch's layout
        archive.writestr("best/data.pkl", pickle.dumps({"state_dict": Touch(tmp_path / "ran")}))
        archive.writestr("best/version", "3\n")
        archive.writestr("best/byteorder", "little")
    (tmp_path / "config.yaml").write_text(OFFICIAL_CONFIG)
    assert "unsafe" in refused("hub", "convert", tmp_path, tmp_path / "out")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("fault", ["missing", "misshapen", "not finite"])
def test_a_damaged_checkpoint_names_the_key(refused, checkpoint, tmp_path, fault):
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_bytes((checkpoint / "config.json").read_bytes())
    weights = load_file(checkpoint / "model.safetensors")
    key = "subjects.bias"
    assert key in weights
    changed = {
        "missing": {},
        "misshapen": {key: torch.zeros(1, 7)},
        "not finite": {key: torch.full_like(weights[key], np.nan)},
    }[fault]
    del weights[key]
    save_file(weights | changed, broken / "model.safetensors")
    assert key in refused("hub", "convert", broken, tmp_path / "out")


def test_an_alias_bomb_is_no_recipe(refused, tmp_path):
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    assert "alias" in refused("adapt", tmp_path / "bomb.yaml", "--out", tmp_path / "out")


def test_a_recipe_with_three_faults_reports_all_three(refused, tmp_path):
    lines = (
        "name: x",
        "sede: 1",
        "data: {bids: x, subject: '1', split: {by: run, test: [2]}}",
        "windows: {stride_s: -1}",
        "adaptation: {method: lora, rank: 0}",
    )
    (tmp_path / "three.yaml").write_text("\n".join(lines))
    message = refused("adapt", tmp_path / "three.yaml", "--out", tmp_path / "out")
    for fault in ("sede", "'seed'", "rank", "stride_s"):
        assert fault in message


def test_data_that_is_not_there(refused, checkpoint, tmp_path):
    changed = ("--set", f"data.bids={tmp_path / 'no'}", "--set", f"checkpoint={checkpoint}")
    assert "no dataset" in refused("adapt", "lora-one-hour", *changed, "--out", tmp_path / "out")
