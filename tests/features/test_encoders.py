"""Which frozen encoders make the features."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tribetune.errors import FeatureError
from tribetune.features.encoders import Encoders, Options, encoders, pick_device


@pytest.fixture
def copied(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny encoders to spoil."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "copied"))


def test_tiny_encoders_are_made_on_the_spot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIBETUNE_CACHE", str(tmp_path))
    made = encoders("tiny")
    assert made.dims() == {"text": (2, 64), "audio": (2, 64), "video": (2, 64)}
    assert made["video"].frames == 16
    assert made["text"].folder.is_relative_to(tmp_path)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TRIBETUNE_CACHE", str(tmp_path / "file"))
    with pytest.raises(FeatureError, match="cannot be written") as caught:
        encoders("tiny")
    assert "TRIBETUNE_CACHE" in caught.value.hint


def test_an_identity_is_plain_and_changes_with_weights_options_and_setting(copied: Path, tiny: Encoders) -> None:
    for modality in ("text", "audio", "video"):
        identity = tiny[modality].identity
        assert json.loads(json.dumps(identity)) == identity
        assert encoders(copied)[modality].identity == identity  # wherever it lies
        assert encoders(copied, Options(setting="mini"))[modality].identity != identity
    assert encoders(copied, Options(stride_words=1))["text"].identity != tiny["text"].identity
    assert encoders(copied, Options(normed_last_state=False))["video"].identity != tiny["video"].identity
    weights = load_file(copied / "audio/model.safetensors")
    weights["feature_projection.projection.bias"][0] += 1
    save_file(weights, copied / "audio/model.safetensors")
    moved = copied.rename(copied.with_name("moved"))
    assert encoders(moved)["audio"].identity != tiny["audio"].identity


def test_a_new_version_of_transformers_in_the_config_is_no_other_encoder(copied: Path, tiny: Encoders) -> None:
    path = copied / "text/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"transformers_version": "9.9"}))
    assert encoders(copied)["text"].identity == tiny["text"].identity


def test_encoders_nobody_knows_are_refused(tmp_path: Path, tiny: Encoders) -> None:
    with pytest.raises(FeatureError, match="tinny: is no folder; expected tiny, mini, released"):
        encoders("tinny")
    with pytest.raises(FeatureError, match="none of the subfolders"):
        encoders(tmp_path)
    with pytest.raises(FeatureError, match="setting 'best' is not known"):
        encoders("released", Options(setting="best"))
    with pytest.raises(FeatureError, match="have no smell, got text"):
        tiny["smell"]


def test_a_gated_encoder_says_how_to_get_access_and_what_is_open(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))  # nobody's own copy
    with pytest.raises(FeatureError, match=r"text encoder meta-llama/Llama-3\.2-3B is not on this machine") as caught:
        _ = encoders("released")["text"].identity
    assert "accept its licence" in caught.value.hint
    assert "mini" in caught.value.hint
    with pytest.raises(FeatureError, match="facebook/vjepa2-vitl-fpc64-256") as caught:
        _ = encoders("mini")["video"].dim
    assert "hf download facebook/vjepa2-vitl-fpc64-256" in caught.value.hint


def test_an_encoder_that_lacks_a_weight_is_refused(copied: Path) -> None:
    path = copied / "text/model.safetensors"
    weights = load_file(path)
    del weights["layers.2.mlp.up_proj.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(FeatureError, match=r"1 weights .* missing, first layers\.2\.mlp\.up_proj\.weight"):
        encoders(copied)["text"].load(torch.device("cpu"))


def test_spoiled_files_are_named(copied: Path) -> None:
    (copied / "audio/model.safetensors").write_bytes(b"no weights")
    with pytest.raises(FeatureError, match="audio encoder cannot be loaded"):
        encoders(copied)["audio"].load(torch.device("cpu"))
    (copied / "audio/model.safetensors").unlink()
    with pytest.raises(FeatureError, match="no weights found"):
        _ = encoders(copied)["audio"].identity
    (copied / "video/config.json").write_text("{")
    with pytest.raises(FeatureError, match=r"config\.json: cannot be read"):
        _ = encoders(copied)["video"].dim
    (copied / "text/config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(FeatureError, match="hidden_size not found"):
        _ = encoders(copied)["text"].dim


def test_a_device_that_is_not_there_is_refused() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(FeatureError, match="device quantum is not there, found"):
        pick_device("quantum")
