"""Wrong input, told by the command line: two lines, exit 2, nothing half-written."""

import json
import pickle
import zipfile
from pathlib import Path

import nibabel
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


N_VOLUMES, T_R = 60, 2.0


@pytest.fixture
def bids(tmp_path):
    """Two runs of two minutes on fsaverage5 for a subject who reads words."""
    rng = np.random.default_rng(0)
    for run in (1, 2):
        rows = [f"{onset}\t0.5\tword\tword{onset}of{run}" for onset in range(0, 110, 5)]
        events = tmp_path / f"bids/sub-01/func/sub-01_task-read_run-{run}_events.tsv"
        events.parent.mkdir(parents=True, exist_ok=True)
        events.write_text("onset\tduration\ttrial_type\tword\n" + "\n".join(rows) + "\n")
        for side in "LR":
            write_gifti(hemisphere(tmp_path / "bids", run, side), rng.standard_normal((N_VOLUMES, 10242)))
    return tmp_path / "bids"


def hemisphere(bids, run, side):
    return (
        bids / f"derivatives/fmriprep/sub-01/func/sub-01_task-read_run-{run}_hemi-{side}_space-fsaverage5_bold.func.gii"
    )


def write_gifti(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {"intent": "NIFTI_INTENT_TIME_SERIES", "datatype": "NIFTI_TYPE_FLOAT32"}
    arrays = [nibabel.gifti.GiftiDataArray(np.float32(row), **kind) for row in values]
    nibabel.save(nibabel.gifti.GiftiImage(darrays=arrays), path)
    path.with_name(path.name.replace(".func.gii", ".json")).write_text(json.dumps({"RepetitionTime": T_R}))


@pytest.fixture
def study(bids, checkpoint, tmp_path):
    """A recipe for these runs."""
    path = tmp_path / "study.yaml"
    lines = (
        "name: study",
        f"checkpoint: {checkpoint}",
        f"data: {{bids: {bids}, subject: '01', task: read, split: {{by: run, test: [2]}}}}",
        f"features: {{modalities: [text], encoders: tiny, store: {tmp_path / 'features'}}}",
        "adaptation: {method: readout}",
    )
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def refused(tribetune, tmp_path):
    """Run a command that has to be refused, and get its message.

    An error and a hint, between them a line for each of several faults; exit 2; and ``out`` is not there.
    """

    def run(*arguments):
        result = tribetune(*arguments)
        lines = [line for line in result.stderr.splitlines() if line.startswith(("error: ", "hint: "))]
        assert result.exit_code == 2, result.stderr
        assert [line.split(":")[0] for line in lines] == ["error", "hint"], result.stderr
        shown = result.stderr.splitlines()
        told = shown[shown.index(lines[0]) :]
        assert told[-1] == lines[1], result.stderr
        assert len(told) != 3, "a single fault stands in the error's own line"
        assert all(line.startswith("  ") for line in told[1:-1]), result.stderr
        assert len(lines[1]) > len("hint: ")
        assert "Traceback" not in result.stderr
        assert result.stdout == ""
        assert not (tmp_path / "out").exists()
        assert not list(tmp_path.rglob(".part*"))
        return "\n".join(told[:-1])

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
    message = refused("hub", "convert", tmp_path, tmp_path / "out")
    assert "unsafe" in message
    assert "weights_only" not in message  # torch advises to load it unsafely: we do not pass that on
    assert "unsafe" in refused("predict", tmp_path / "best.ckpt", "--out", tmp_path / "out")
    assert not (tmp_path / "ran").exists()


def test_an_alias_bomb_beside_the_weights_is_refused(refused, tmp_path):
    torch.save({"state_dict": {}, "model_build_args": {}}, tmp_path / "best.ckpt")
    (tmp_path / "config.yaml").write_text(bomb())
    message = refused("hub", "convert", tmp_path, tmp_path / "out")
    assert "config.yaml" in message
    assert "aliases" in message


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


def bomb():
    """YAML of forty lines that unfolds to 2⁴⁰ values."""
    return "\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))])


def test_an_alias_bomb_is_no_recipe(refused, tmp_path):
    (tmp_path / "bomb.yaml").write_text(bomb())
    for verb in (("adapt", "--out", tmp_path / "out"), ("recipe", "check"), ("pretrain", "--out", tmp_path / "out")):
        assert "alias" in refused(*verb, tmp_path / "bomb.yaml")


def test_yaml_that_cannot_be_parsed_is_still_two_lines(refused, tmp_path):
    (tmp_path / "broken.yaml").write_text("name: [x\nsede: }\n")
    assert "not readable YAML" in refused("adapt", tmp_path / "broken.yaml", "--out", tmp_path / "out")


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
    for fault in ("3 faults", "sede: unknown key, did you mean 'seed'?", "adaptation.rank: ", "windows.stride_s: "):
        assert fault in message


def test_a_recipe_of_the_other_kind_is_sent_to_its_verb(refused, tmp_path):
    assert "faults" in refused("adapt", "pretrain-toy", "--out", tmp_path / "out")
    assert "faults" in refused("pretrain", "readout-one-hour", "--out", tmp_path / "out")


def test_missing_files_are_named(refused, tmp_path):
    assert "no.yaml" in refused("adapt", tmp_path / "no.yaml", "--out", tmp_path / "out")
    assert "no.ckpt" in refused("hub", "convert", tmp_path / "no.ckpt", tmp_path / "out")
    assert "no.ckpt" in refused("predict", tmp_path / "no.ckpt", tmp_path / "film.mp4", "--out", tmp_path / "out")


def test_a_hemisphere_with_a_vertex_too_few(refused, bids, study, tmp_path):
    write_gifti(hemisphere(bids, 2, "R"), np.random.default_rng(1).standard_normal((N_VOLUMES, 10241)))
    message = refused("adapt", study, "--out", tmp_path / "out")
    assert "run-2_hemi-R" in message
    assert "10,241 vertices, expected 10,242" in message


def test_scattered_nans_are_refused_and_a_vertex_that_is_nan_throughout_is_not(
    tribetune, refused, bids, study, tmp_path
):
    values = np.random.default_rng(1).standard_normal((N_VOLUMES, 10242))
    values[:, 7] = np.nan
    write_gifti(hemisphere(bids, 1, "L"), values)
    result = tribetune("recipe", "check", study)
    assert result.exit_code == 0, result.stderr
    assert "training: sub-01_task-read_run-1" in result.stdout
    values[3:6, 9] = np.nan
    write_gifti(hemisphere(bids, 1, "L"), values)
    message = refused("adapt", study, "--out", tmp_path / "out")
    assert "3 values are not finite, in 1 outputs" in message
    assert "volume 3, output 9" in message


def test_a_run_without_a_sample_of_its_stimulus(refused, bids, study, tmp_path):
    events = bids / "sub-01/func/sub-01_task-read_run-1_events.tsv"
    events.write_text("onset\tduration\ttrial_type\tword\n900\t0.5\tword\tlate\n901\t0.5\tword\tagain\n")
    message = refused("adapt", study, "--out", tmp_path / "out")
    assert "begins at 900 s, but the run lasts" in message


def test_words_out_of_order_in_the_events_of_a_run(refused, bids, study, tmp_path):
    events = bids / "sub-01/func/sub-01_task-read_run-1_events.tsv"
    events.write_text("onset\tduration\ttrial_type\tword\n5\t0.5\tword\ttwo\n2\t0.5\tword\tone\n")
    assert "in order of time" in refused("adapt", study, "--out", tmp_path / "out")


@pytest.mark.parametrize(
    ("override", "wanted"),
    [
        ("features.modalities=[video, text]", "does not use video, only text"),
        ("windows.duration_s=90.5", "windows.duration_s"),
        ("windows.duration_s=600", "at most 512 s"),
        ("data.calibration_minutes=.inf", "finite"),
        ("data.split.test=[7]", "run 7 is not there"),
    ],
)
def test_what_the_checkpoint_or_the_data_cannot_do(refused, study, tmp_path, override, wanted):
    assert wanted in refused("adapt", study, "--set", override, "--out", tmp_path / "out")


def test_a_run_without_any_modality_that_the_model_reads(refused, bids, study, data_folder, tmp_path):
    (bids / "stimuli").mkdir()
    (bids / "stimuli" / "jfk.flac").write_bytes((data_folder / "media" / "jfk.flac").read_bytes())
    events = bids / "sub-01/func/sub-01_task-read_run-1_events.tsv"
    events.write_text("onset\tduration\ttrial_type\tstim_file\n0\t10\tsound\tjfk.flac\n")
    message = refused("adapt", study, "--out", tmp_path / "out")
    assert "run-1 has none of the modalities that the model uses (text)" in message


def test_data_that_is_not_there(refused, checkpoint, tmp_path):
    changed = ("--set", f"data.bids={tmp_path / 'no'}", "--set", f"checkpoint={checkpoint}")
    assert "no dataset" in refused("adapt", "lora-one-hour", *changed, "--out", tmp_path / "out")
