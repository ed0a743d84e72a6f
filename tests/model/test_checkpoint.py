import errno
import json
import resource
import shutil
import sys
from pathlib import Path

import pytest
import torch

from tribetune import Tribe
from tribetune.errors import CheckpointError, TribetuneError
from tribetune.model.checkpoint import (
    checkpoint_hash,
    find_checkpoint,
    load_checkpoint,
    open_checkpoint,
    save_checkpoint,
    shipped_checkpoints,
)
from tribetune.model.conversion import convert


@pytest.fixture
def saved(small, tmp_path):
    tribe = small(subjects=["01", "02"], space="table", encoders={"text": {"model_name": "x", "layers": [0.5, 1.0]}})
    save_checkpoint(tribe, tmp_path / "ours")
    return tribe, tmp_path / "ours"


def same(one, other):
    weights = other.state_dict()
    return set(weights) == set(one.state_dict()) and all(
        torch.equal(w, weights[k]) for k, w in one.state_dict().items()
    )


def test_a_saved_model_comes_back_bitwise_with_its_provenance(saved):
    tribe, folder = saved
    loaded = load_checkpoint(folder)
    assert same(tribe, loaded)
    assert loaded.config == tribe.config
    assert not loaded.training
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_the_config_states_sizes_and_provenance_in_plain_json(saved):
    values = json.loads((saved[1] / "config.json").read_text())
    assert values["format"] == 1
    assert values["tribetune"]
    assert values["model"]["modalities"] == {"text": [2, 6], "audio": [1, 5], "video": [2, 4]}
    assert values["model"]["subjects"] == ["01", "02"]
    assert values["model"]["encoders"] == {"text": {"model_name": "x", "layers": [0.5, 1.0]}}


@pytest.mark.parametrize("name", ["public-small", "public-released-like"])
@torch.no_grad()
def test_an_official_checkpoint_converted_predicts_bitwise_the_same(golden, tmp_path, name):
    reference = golden(name)
    out = convert(reference.folder, tmp_path / "out")
    features, rows = reference.inputs(reference.meta["cases"] and next(iter(reference.meta["cases"])))
    official, ours = reference.tribe(), open_checkpoint(out)
    assert same(official, ours)
    assert torch.equal(official(features, rows, 10), ours(features, rows, 10))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_conversion_never_overwrites(golden, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "note.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="already there"):
        convert(golden("public-small").folder, tmp_path / "out")
    assert (tmp_path / "out" / "note.txt").read_text() == "mine"


def test_a_conversion_that_fails_leaves_nothing(golden, tmp_path):
    source = shutil.copytree(golden("public-small").folder, tmp_path / "source")
    (source / "config.yaml").write_text("a: 1")
    with pytest.raises(CheckpointError):
        convert(source, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("opened", [lambda folder: folder, lambda folder: folder / "config.json", str])
def test_our_folder_opens_by_any_of_its_names(saved, opened):
    tribe, folder = saved
    assert same(tribe, Tribe.from_pretrained(opened(folder)))


@pytest.mark.parametrize("file", ["", "best.ckpt", "config.yaml"])
def test_the_official_folder_opens_by_any_of_its_names(golden, file):
    reference = golden("public-small")
    assert same(reference.tribe(), Tribe.from_pretrained(reference.folder / file))


def test_shipped_checkpoints_open_by_name():
    for name, folder in shipped_checkpoints().items():
        assert find_checkpoint(name) == folder


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(CheckpointError, match="tribe-nonsense: no such checkpoint") as caught:
        Tribe.from_pretrained("tribe-nonsense")
    assert caught.value.hint
    with pytest.raises(CheckpointError, match="not a checkpoint, holds nothing"):
        Tribe.from_pretrained(tmp_path)


def test_float16_on_disk_is_half_the_size_and_float32_in_memory(small, saved, tmp_path, features_for):
    tribe, folder = saved
    save_checkpoint(tribe, tmp_path / "half", half=True)
    sizes = [(path / "model.safetensors").stat().st_size for path in (tmp_path / "half", folder)]
    assert sizes[0] < 0.55 * sizes[1]
    loaded = load_checkpoint(tmp_path / "half")
    assert {weight.dtype for weight in loaded.state_dict().values()} == {torch.float32}
    assert torch.equal(loaded.trunk.inv_freq, tribe.trunk.inv_freq)
    features = features_for(tribe)
    # float16 keeps 11 bits: outputs of size 1 move by some thousandths
    torch.testing.assert_close(loaded(features), tribe(features), atol=1e-2, rtol=0)


def test_a_weight_that_float16_cannot_hold_is_refused(saved, tmp_path):
    tribe, _ = saved
    tribe.subjects.bias.data[0, 0] = 1e6
    with pytest.raises(CheckpointError, match=r"subjects\.bias is not finite"):
        save_checkpoint(tribe, tmp_path / "half", half=True)
    assert not (tmp_path / "half").exists()


def test_saving_again_replaces_the_checkpoint_and_keeps_other_files(saved, small):
    _, folder = saved
    (folder / "README.md").write_text("card")
    other = small(seed=5, rows=2)
    save_checkpoint(other, folder)
    assert same(other, load_checkpoint(folder))
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]


def test_a_checkpoint_can_be_saved_over_itself(saved):
    tribe, folder = saved
    save_checkpoint(load_checkpoint(folder), folder)  # its weights are mapped from the file that is replaced
    assert same(tribe, load_checkpoint(folder))


def test_a_disk_that_is_full_leaves_the_old_checkpoint(saved, small):
    tribe, folder = saved
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # what is longer fails to be written, as on a full disk
    try:
        with pytest.raises((CheckpointError, OSError)) as caught:
            save_checkpoint(small(seed=5), folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert isinstance(caught.value, TribetuneError) or caught.value.errno == errno.EFBIG
    assert same(tribe, load_checkpoint(folder))
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_a_save_killed_between_its_two_files_never_mixes_old_and_new(saved, small, monkeypatch):
    _, folder = saved
    rename, renamed = Path.replace, []

    def killed_at_the_second(self, target):
        renamed.append(target)
        if len(renamed) == 2:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(small(seed=5), folder)
    with pytest.raises(CheckpointError, match=r"config\.json: no such file"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_half_a_checkpoint_is_refused(saved, name):
    _, folder = saved
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        open_checkpoint(folder)


def _edit(folder, **changes):
    values = json.loads((folder / "config.json").read_text())
    values["model"] |= changes
    (folder / "config.json").write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"surprise": 1}, "unknown key 'surprise'"),
        ({"modalities": {"text": [2]}}, "modality text has size"),
        ({"modalities": 3}, "model config"),
        ({"hidden": "96"}, "hidden"),
        ({"layer_aggregation": "sum"}, "layer_aggregation"),
        ({"rows": 4, "subjects": []}, r"subjects\.weights is \(3, 16, 7\), expected \(4, 16, 7\)"),
        ({"low_rank": None}, r"low_rank\.weight is unexpected"),
        ({"combiner": True}, r"combiner\.weight is missing"),
    ],
)
def test_a_config_that_does_not_fit_the_weights_is_refused(saved, changes, message):
    _, folder = saved
    _edit(folder, **changes)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(folder)


def test_a_missing_size_is_named(saved):
    _, folder = saved
    values = json.loads((folder / "config.json").read_text())
    del values["model"]["hidden"]
    (folder / "config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="hidden"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "'model' is missing"),
        ('{"model": {}}', "format None"),
        ('{"format": 2, "model": {}}', "format 2, this tribetune reads 1"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_another_config_is_refused(saved, text, message):
    _, folder = saved
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(folder)


@pytest.mark.parametrize("content", [b"", b"text", b"\xff" * 64])
def test_a_damaged_weight_file_is_refused(saved, content):
    _, folder = saved
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: damaged"):
        load_checkpoint(folder)


def test_a_truncated_weight_file_is_refused(saved):
    _, folder = saved
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:-100])
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(folder)


def test_weights_that_are_not_finite_are_not_saved(saved, tmp_path):
    tribe, _ = saved
    tribe.trunk.final_norm.g.data.fill_(torch.nan)
    with pytest.raises(CheckpointError, match=r"trunk\.final_norm\.g is not finite"):
        save_checkpoint(tribe, tmp_path / "broken")
    assert not (tmp_path / "broken").exists()


def test_the_hash_follows_content_and_not_place(saved, small, tmp_path, golden):
    tribe, folder = saved
    known = checkpoint_hash(folder)
    assert len(known) == 64
    assert checkpoint_hash(shutil.copytree(folder, tmp_path / "moved")) == known
    tribe.subjects.bias.data[0, 0] += 1
    save_checkpoint(tribe, folder)
    assert checkpoint_hash(folder) != known
    official = golden("public-small").folder
    assert checkpoint_hash(official) == checkpoint_hash(official / "best.ckpt")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_the_full_size_model_converts_and_predicts_in_1_3_gb(benchmark, tmp_path):
    peak = benchmark.peak_memory(benchmark.full_size(), tmp_path)
    assert len(peak) == 3
    assert {name: gigabytes for name, gigabytes in peak.items() if gigabytes > 1.3} == {}
