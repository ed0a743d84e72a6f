import json
import resource

import pytest
import torch
import yaml
from safetensors.torch import load_file

from tribetune.adapt.adapter import BIAS, WEIGHTS, Adapter
from tribetune.errors import AdaptationError
from tribetune.share.bundle import add_scores, load_adapter, read_facts, save_adapter

FACTS = {"base": {"name": "tribe-toy", "hash": "abc"}, "calibration_minutes": 24.0, "space": "fsaverage5"}


@pytest.fixture
def adapter():
    tensors = {WEIGHTS: torch.randn(4, 6), BIAS: torch.randn(6), "trunk.to_q.lora_A.weight": torch.randn(2, 4)}
    return Adapter("lora", tensors, {"r": 2, "lora_alpha": 4.0}, {"learning_rate": 0.1})


def test_a_bundle_reads_back_bitwise(adapter, tmp_path):
    save_adapter(adapter, tmp_path / "adapter", FACTS)
    loaded = load_adapter(tmp_path / "adapter", "abc")
    assert (loaded.method, loaded.lora, loaded.chosen) == ("lora", adapter.lora, adapter.chosen)
    assert loaded.tensors.keys() == adapter.tensors.keys()
    assert all(torch.equal(loaded.tensors[name], tensor) for name, tensor in adapter.tensors.items())
    assert load_file(tmp_path / "adapter" / "adapter_model.safetensors").keys() == adapter.tensors.keys()


def test_the_folder_holds_what_the_design_says_and_nothing_else(adapter, tmp_path):
    save_adapter(adapter, tmp_path / "adapter", FACTS)
    save_adapter(Adapter("zero-shot"), tmp_path / "none", FACTS)
    names = {"adapter_model.safetensors", "tribetune.json", "README.md"}
    assert {path.name for path in (tmp_path / "adapter").iterdir()} == names | {"adapter_config.json"}
    assert {path.name for path in (tmp_path / "none").iterdir()} == names
    assert {path.name for path in tmp_path.iterdir()} == {"adapter", "none"}


def test_the_card_has_the_hubs_front_matter(adapter, tmp_path):
    save_adapter(adapter, tmp_path / "adapter", FACTS)
    _, head, body = (tmp_path / "adapter" / "README.md").read_text().split("---\n", 2)
    front = yaml.safe_load(head)
    assert (front["base_model"], front["base_model_relation"]) == ("tribe-toy", "adapter")
    assert "24.0 minutes" in body
    assert "consent" in body


def test_another_checkpoint_is_refused(adapter, tmp_path):
    save_adapter(adapter, tmp_path / "adapter", FACTS)
    with pytest.raises(AdaptationError, match="another checkpoint"):
        load_adapter(tmp_path / "adapter", "xyz")


def test_a_full_disk_leaves_the_old_adapter_and_no_half_one(adapter, tmp_path):
    save_adapter(adapter, tmp_path / "adapter", FACTS)
    before = read_facts(tmp_path / "adapter")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # what is longer fails to be written, as on a full disk
    try:
        with pytest.raises(OSError, match=r"too large: .*adapter_model\.safetensors"):
            save_adapter(adapter, tmp_path / "adapter", {**FACTS, "space": "table"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read_facts(tmp_path / "adapter") == before
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("tribetune.json", "not json", "cannot be read"),
        ("tribetune.json", "[1]", "not keys and values"),
        ("tribetune.json", json.dumps({"format": 99, "method": "lora"}), "format 99"),
        ("adapter_model.safetensors", "not tensors", "cannot be read"),
        ("adapter_config.json", "{", "cannot be read"),
    ],
)
def test_a_damaged_bundle_is_refused(adapter, tmp_path, name, content, fault):
    save_adapter(adapter, tmp_path / "adapter", FACTS)
    (tmp_path / "adapter" / name).write_text(content)
    with pytest.raises(AdaptationError, match=fault):
        load_adapter(tmp_path / "adapter")


def test_what_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(AdaptationError, match=r"holds no tribetune\.json"):
        load_adapter(tmp_path)


def test_scores_are_added_to_facts_and_card_and_the_weights_stay(adapter, tmp_path):
    save_adapter(adapter, tmp_path / "adapter", FACTS)
    assert "Not scored." in (tmp_path / "adapter" / "README.md").read_text()
    scores = {"mean_r": 0.1234, "interval": [0.1, 0.15], "n_outputs": 18715, "null_95": 0.011}
    add_scores(tmp_path / "adapter", scores, "lora is worse than the FIR baseline.")
    card = (tmp_path / "adapter" / "README.md").read_text()
    for wanted in ("0.123 over 18,715 outputs", "0.100 to 0.150", "0.011", "lora is worse", "38 trained weights"):
        assert wanted in card
    assert read_facts(tmp_path / "adapter")["scores"] == scores
    loaded = load_adapter(tmp_path / "adapter", "abc")
    assert all(torch.equal(loaded.tensors[name], tensor) for name, tensor in adapter.tensors.items())


@pytest.mark.parametrize(
    ("tensors", "fault"),
    [
        ({BIAS: torch.zeros(6)}, WEIGHTS),
        ({WEIGHTS: torch.zeros(4, 6), BIAS: torch.full((6,), torch.nan)}, f"{BIAS} is not finite"),
    ],
)
def test_weights_that_make_no_readout_are_refused(tmp_path, tensors, fault):
    save_adapter(Adapter("readout", tensors), tmp_path / "adapter", FACTS)
    with pytest.raises(AdaptationError, match=fault):
        load_adapter(tmp_path / "adapter")


def test_colleagues_may_read_every_file(adapter, tmp_path):
    save_adapter(adapter, tmp_path / "adapter", FACTS)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "adapter").iterdir()} == {0o644}
