import json
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from tribetune.adapt.adapter import BIAS, WEIGHTS, Adapter
from tribetune.adapt.rows import share
from tribetune.errors import AdaptationError
from tribetune.model.checkpoint import checkpoint_hash, load_checkpoint
from tribetune.share.bundle import add_scores, load_adapter, read_facts, save_adapter
from tribetune.share.probe import check_probe, probe_features

GOLDEN = Path(__file__).parent.parent / "golden" / "adapter-format-1"
FIRST_OF_PROBE = [-0.43709444999694824, -0.9451044797897339, 0.0008640107698738575]
FACTS = {"base": {"name": "tribe-toy", "hash": "abc"}, "calibration_minutes": 24.0, "space": "fsaverage5"}


@pytest.fixture
def adapter():
    tensors = {WEIGHTS: torch.randn(4, 6), BIAS: torch.randn(6)}
    tensors |= {"trunk.to_q.lora_A.weight": torch.randn(2, 4), "trunk.to_q.lora_B.weight": torch.randn(5, 2)}
    lora = {"r": 2, "lora_alpha": 4.0, "target_modules": ["to_q"], "lora_dropout": 0.0, "bias": "none"}
    return Adapter("lora", tensors, lora, {"learning_rate": 0.1})


def test_a_bundle_reads_back_bitwise(adapter, tmp_path):
    save_adapter(adapter, tmp_path / "adapter", FACTS)
    loaded = load_adapter(tmp_path / "adapter", "abc")
    assert (loaded.method, loaded.lora, loaded.chosen) == ("lora", adapter.lora, adapter.chosen)
    assert loaded.tensors.keys() == adapter.tensors.keys()
    assert all(torch.equal(loaded.tensors[name], tensor) for name, tensor in adapter.tensors.items())


def test_plain_safetensors_opens_it_and_lora_has_pefts_own_names(adapter, tmp_path):
    save_adapter(adapter, tmp_path / "adapter", FACTS)
    named = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert set(named) == {WEIGHTS, BIAS, *(f"base_model.model.trunk.to_q.lora_{one}.weight" for one in "AB")}
    assert torch.equal(named["base_model.model.trunk.to_q.lora_A.weight"], adapter.tensors["trunk.to_q.lora_A.weight"])


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
    ceiling = {"kind": "repeat", "mean_r": 0.31, "n_outputs": 4021}
    add_scores(tmp_path / "adapter", scores, "lora is worse than the FIR baseline.", ceiling)
    card = (tmp_path / "adapter" / "README.md").read_text()
    for wanted in ("0.123 over 18,715 outputs", "0.100 to 0.150", "0.011", "lora is worse", "48 trained weights"):
        assert wanted in card
    assert "repeat, mean 0.310 over 4,021 outputs" in card
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


def test_plain_peft_opens_the_lora_part_and_predicts_with_it(tribe, trained, bundle):
    from peft import PeftModel

    opened = PeftModel.from_pretrained(share(tribe), str(bundle)).base_model.model
    x = {"text": torch.randn(1, 2, 64, 40, generator=torch.Generator().manual_seed(0))}
    with torch.no_grad():
        assert torch.equal(opened.latents(x, 20), trained.apply(tribe).latents(x, 20))
        assert not torch.equal(opened.latents(x, 20), tribe.latents(x, 20))


def test_an_adapter_of_the_first_format_predicts_as_it_did():
    tribe = load_checkpoint(GOLDEN / "checkpoint")
    adapter = load_adapter(GOLDEN / "adapter", checkpoint_hash(GOLDEN / "checkpoint"))
    assert read_facts(GOLDEN / "adapter")["scores"]["mean_r"] == 0.25
    with np.load(GOLDEN / "case.npz") as case, torch.no_grad():
        bold = adapter.apply(tribe)({"text": torch.from_numpy(case["text"])}, torch.tensor([0]), n_trs=20)
        # values of order 1 after one layer of float32: processors differ by rounding
        np.testing.assert_allclose(bold.numpy(), case["bold"], atol=1e-5)


def test_the_card_says_scores_to_the_hub_and_names_what_it_is_not_for(bundle):
    card = ModelCard.load(bundle / "README.md")
    results = {result.metric_name: result.metric_value for result in card.data.eval_results}
    assert results == {"mean Pearson r over outputs": 0.1234, "over zero-shot": 0.02, "over FIR": -0.01}
    assert (card.data.library_name, card.data.license, card.data.base_model) == (
        "tribetune", "cc-by-nc-4.0", "tiny-tribe"
    )  # fmt: skip
    for wanted in ("1.49 s", "sub-01_run-2", "Do not use it to identify a person", "no sample is on two sides"):
        assert wanted in card.text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"calibration_minutes": "24"}, "calibration_minutes: Input should be a valid number"),
        ({"runs": "sub-01"}, "runs: Input should be a valid list"),
        ({"base": {"hash": 3}}, r"base\.hash: Input should be a valid string"),
        ({"scores": {"mean_r": 0.1, "interval": [0.1], "n_outputs": 3}}, r"scores\.interval"),
        ({"sharing": {"consent": "everyone", "licence": "mit"}}, r"sharing\.consent"),
        ({"ceiling": {"kind": "guess"}}, r"ceiling\.kind"),
    ],
)
def test_facts_of_the_wrong_type_are_neither_written_nor_read(trained, facts, bundle, change, said):
    with pytest.raises(AdaptationError, match=said):
        save_adapter(trained, bundle.parent / "other", {**facts, **change})
    assert not (bundle.parent / "other").exists()
    told = json.loads((bundle / "tribetune.json").read_text()) | change
    (bundle / "tribetune.json").write_text(json.dumps(told))
    with pytest.raises(AdaptationError, match=said):
        load_adapter(bundle)


def test_a_probe_is_found_again_bitwise_and_another_adapter_is_not(tribe, trained, facts):
    assert check_probe(trained, tribe, facts["probe"]) == "bitwise"
    near = {name: tensor * (1 + 1e-6) for name, tensor in trained.tensors.items()}
    assert check_probe(replace(trained, tensors=near), tribe, facts["probe"]).startswith("to ")
    for name in trained.tensors:
        other = trained.tensors | {name: trained.tensors[name] * 1.1}
        with pytest.raises(AdaptationError, match="the probe's prediction differs"):
            check_probe(replace(trained, tensors=other), tribe, facts["probe"])


def test_features_of_a_probe_never_change(tribe):
    made = probe_features(tribe, 7, 40)["text"]
    assert made.shape == (1, 2, 64, 40)
    assert made.flatten()[:3].tolist() == FIRST_OF_PROBE
    assert abs(float(made.std()) - 1) < 0.02


def test_colleagues_may_read_every_file(adapter, tmp_path):
    save_adapter(adapter, tmp_path / "adapter", FACTS)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "adapter").iterdir()} == {0o644}
