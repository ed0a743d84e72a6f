import io
import json
import os
import pickle
import shutil
import zipfile
from dataclasses import replace

import pytest
import torch

from tribetune.errors import CheckpointError
from tribetune.model.official import official_key, read_official
from tribetune.model.tribe import Tribe


@pytest.fixture
def copied(golden, tmp_path):
    """A writable copy of the small official checkpoint, and a way to change it."""
    folder = shutil.copytree(golden("public-small").folder, tmp_path / "official")

    def change(edit):
        saved = torch.load(folder / "best.ckpt", weights_only=True)
        edit(saved)
        torch.save(saved, folder / "best.ckpt")

    return folder, change


def test_the_keys_are_those_of_the_released_file(benchmark):
    with torch.device("meta"):
        tribe = Tribe(benchmark.full_size())
    keys = {official_key(key).removeprefix("model."): tuple(weight.shape) for key, weight in tribe.state_dict().items()}
    assert len(keys) == 108
    assert sum(weight.numel() for weight in tribe.parameters()) == 177_205_397
    wanted = {
        "time_pos_embed": (1, 1024, 1152),
        "projectors.text.weight": (384, 6144),
        "projectors.video.bias": (384,),
        "low_rank_head.weight": (2048, 1152),
        "predictor.weights": (1, 2048, 20484),
        "predictor.bias": (1, 20484),
        "encoder.layers.0.0.0.g": (1,),
        "encoder.layers.14.1.to_out.weight": (1152, 1152),
        "encoder.layers.2.2.residual_scale": (1152,),
        "encoder.layers.15.1.ff.0.0.weight": (4608, 1152),
        "encoder.layers.1.1.ff.2.bias": (1152,),
        "encoder.layers.13.2.residual_scale": (1152,),
        "encoder.rotary_pos_emb.inv_freq": (36,),
        "encoder.final_norm.g": (1,),
    }
    assert {key: keys.get(key) for key in wanted} == wanted


def test_rows_come_from_the_file_and_not_from_its_config(golden):
    tribe = golden("public-released-like").tribe()  # its config says 25 subjects
    assert (tribe.config.rows, tribe.config.unseen_row, tribe.config.subjects) == (1, True, [])


def test_the_config_says_where_the_model_comes_from(golden):
    config = golden("public-small").tribe().config
    assert config.subjects == ["Toy/sub-00", "Toy/sub-01", "Toy/sub-02", "Toy/sub-03"]
    assert config.lag_s == 5.0
    assert config.space == "table"
    assert list(config.encoders) == ["text", "audio", "video"]
    assert config.encoders["video"]["model_name"] == "facebook/vjepa2-vitg-fpc64-256"
    assert (config.modality_dropout, config.subject_dropout) == (0.3, 0.1)


def test_the_model_is_ready_to_predict(golden):
    tribe = golden("public-small").tribe()
    assert not tribe.training
    assert all(weight.requires_grad for weight in tribe.parameters())


@pytest.mark.parametrize(
    "changes",
    [
        {"low_rank": None},
        {"temporal_smoothing": 5},
        {"unseen_row": False},
        {"combiner": True, "hidden": 97, "heads": 1},
        {"layer_aggregation": "mean"},
        {"modalities": {"audio": (1, 3), "text": None}},
        {"time_embedding": False},
    ],
)
@torch.no_grad()
def test_other_architectures_are_read(small, features_for, benchmark, tmp_path, changes):
    tribe = small(**changes)
    benchmark.write_official(tribe, tmp_path)
    read = read_official(tmp_path)
    features, rows = features_for(tribe), torch.tensor([0, 2, 1])
    assert torch.equal(read(features, rows, 10), tribe(features, rows, 10))
    # the licence of the official weights; and an unseen row is one that subject dropout trained
    dropout = 0.1 if tribe.config.unseen_row else 0.0
    assert read.config == replace(tribe.config, licence="cc-by-nc-4.0", subject_dropout=dropout)


def test_a_readout_without_bias_has_a_bias_of_zero(copied):
    folder, change = copied
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(
        text.replace("n_subjects: 4\n        bias: true", "n_subjects: 4\n        bias: false")
    )
    change(lambda saved: saved["state_dict"].pop("model.predictor.bias"))
    assert not read_official(folder).subjects.bias.any()


def _without(key):
    return lambda saved: saved["state_dict"].pop(key)


def _with(key, value):
    return lambda saved: saved["state_dict"].update({key: value})


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_without("model.encoder.layers.2.1.to_k.weight"), r"model\.encoder\.layers\.2\.1\.to_k\.weight is missing"),
        (_without("model.predictor.weights"), r"model\.predictor\.weights is missing"),
        (_without("model.predictor.bias"), r"model\.predictor\.bias is missing"),
        (_with("model.subject_embed.weight", torch.zeros(2)), r"model\.subject_embed\.weight is unexpected"),
        (
            _with("model.low_rank_head.weight", torch.zeros(9, 96)),
            r"low_rank_head\.weight is \(9, 96\), expected \(32, 96\)",
        ),
        (_with("model.predictor.weights", torch.zeros(5, 31, 64)), r"predictor\.weights is \(5, 31, 64\), expected"),
        (_with("model.encoder.final_norm.g", torch.tensor([torch.nan])), r"encoder\.final_norm\.g is not finite"),
        (_with("model.predictor.bias", torch.full((5, 64), torch.inf)), r"predictor\.bias is not finite"),
        (_with("model.encoder.final_norm.g", torch.tensor([1])), r"final_norm\.g is torch\.int64, expected a float"),
        (_with("model.encoder.final_norm.g", "one"), r"final_norm\.g is str"),
        (lambda saved: saved.pop("model_build_args"), "model_build_args"),
        (lambda saved: saved.pop("state_dict"), "state_dict"),
        (lambda saved: saved["model_build_args"].update(feature_dims={"text": 3}), "not an official"),
        (lambda saved: saved["model_build_args"].update(n_outputs=63), r"predictor\.weights is"),
    ],
)
def test_a_wrong_key_is_named(copied, edit, message):
    folder, change = copied
    change(edit)
    with pytest.raises(CheckpointError, match=message):
        read_official(folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("causal: false", "causal: true", r"brain_model_config\.encoder\.causal is True, only False"),
        ("linear_baseline: false", "linear_baseline: true", "linear_baseline is True"),
        ("extractor_aggregation: cat", "extractor_aggregation: stack", "extractor_aggregation is 'stack'"),
        ("hidden_sizes: null", "hidden_sizes: [8]", r"projector\.hidden_sizes is \[8\]"),
        ("heads: 3", "heads: 4", "heads of 24 channels"),
        ("depth: 2", "depth: 3", r"layers\.4\.0\.0\.g is missing"),
        ("depth: 2", "depth: 1000000000", "weights for a trunk of depth"),
        ("hidden: 96", "hidden: 9600000000000000", "no model of these sizes|is missing|expected"),
        ("brain_model_config:", "other:", "brain_model_config"),
    ],
)
def test_another_architecture_is_refused(copied, old, new, message):
    folder, _ = copied
    text = (folder / "config.yaml").read_text()
    assert old in text
    (folder / "config.yaml").write_text(text.replace(old, new))
    with pytest.raises(CheckpointError, match=message):
        read_official(folder)


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("layout", ["torch", "legacy torch", "bare pickle", "repacked zip"])
def test_a_pickle_that_would_execute_is_refused_and_nothing_runs(copied, tmp_path, layout):
    folder, _ = copied
    trap, path = tmp_path / "trap", folder / "best.ckpt"
    content = {"state_dict": {"a": Trap(trap)}}
    if layout == "repacked zip":
        with zipfile.ZipFile(path) as old:
            parts = {name: old.read(name) for name in old.namelist()}
        with zipfile.ZipFile(path, "w") as new:
            for name, data in parts.items():
                new.writestr(name, pickle.dumps(content) if name.endswith("data.pkl") else data)
    elif layout == "bare pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=layout == "torch")
    with pytest.raises(CheckpointError, match=r"unsafe or damaged|not a torch checkpoint"):
        read_official(folder)
    assert not trap.exists()


@pytest.mark.parametrize(
    "content", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"PK\x03\x04 not really", os.urandom(999)]
)
def test_a_file_that_is_no_checkpoint_is_refused(copied, content):
    folder, _ = copied
    (folder / "best.ckpt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"best\.ckpt: not a torch checkpoint"):
        read_official(folder)


def test_a_zip_of_something_else_is_refused(copied):
    folder, _ = copied
    with zipfile.ZipFile(folder / "best.ckpt", "w") as file:
        file.writestr("hello.txt", "hello")
    with pytest.raises(CheckpointError, match="unsafe or damaged"):
        read_official(folder)


def test_a_truncated_file_is_refused(copied):
    folder, _ = copied
    data = (folder / "best.ckpt").read_bytes()
    (folder / "best.ckpt").write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError):
        read_official(folder)


def test_tensors_alone_are_no_checkpoint(copied):
    folder, _ = copied
    torch.save([torch.zeros(2)], folder / "best.ckpt")
    with pytest.raises(CheckpointError, match="holds list, expected a mapping"):
        read_official(folder)


def test_a_bomb_beside_the_weights_is_refused(copied):
    folder, _ = copied
    levels = [f"l{k}: &l{k} [{', '.join([f'*l{k - 1}'] * 10)}]" for k in range(1, 30)]
    with (folder / "config.yaml").open("a") as file:
        file.write("\n".join(["l0: &l0 [boom]", *levels]))
    with pytest.raises(CheckpointError, match="unfold"):
        read_official(folder)


def test_a_missing_config_is_named(copied):
    folder, _ = copied
    (folder / "config.yaml").unlink()
    with pytest.raises(CheckpointError, match=r"config\.yaml: no such file"):
        read_official(folder)


def test_weights_stored_as_float16_are_computed_in_float32(copied):
    folder, change = copied
    change(lambda saved: saved["state_dict"].update({k: v.half() for k, v in saved["state_dict"].items()}))
    assert {weight.dtype for weight in read_official(folder).state_dict().values()} == {torch.float32}


def test_what_the_benchmark_writes_is_readable_json(small, benchmark, tmp_path):
    benchmark.write_official(small(), tmp_path)
    assert json.load(io.StringIO((tmp_path / "config.yaml").read_text()))["brain_model_config"]["hidden"] == 96
