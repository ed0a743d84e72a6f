"""A tiny checkpoint, an adapter of it with readout and LoRA, and the bundle that it makes."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from tribetune.adapt.adapter import BIAS, WEIGHTS, Adapter
from tribetune.adapt.lora_matrices import inject, lora_tensors
from tribetune.model.checkpoint import checkpoint_hash, save_checkpoint
from tribetune.model.tribe import Tribe, TribeConfig
from tribetune.share.bundle import add_scores, save_adapter
from tribetune.share.probe import record_probe

_spec = importlib.util.spec_from_file_location("hub_server", Path(__file__).parent / "hub_server.py")
assert _spec is not None
assert _spec.loader is not None
hub_server = importlib.util.module_from_spec(_spec)
sys.modules["hub_server"] = hub_server
_spec.loader.exec_module(hub_server)
serve, TOKEN = hub_server.serve, hub_server.TOKEN

LORA = {"r": 2, "lora_alpha": 4.0, "target_modules": ["to_q", "ff_in"], "lora_dropout": 0.0, "bias": "none"}
SCORES = {
    "method": "lora", "mean_r": 0.1234, "interval": [0.1, 0.15], "n_outputs": 6, "null_95": 0.011,
    "delta_zero_shot": {"mean": 0.02, "interval": [0.01, 0.03]},
    "delta_fir": {"mean": -0.01, "interval": [-0.02, 0.01]},
}  # fmt: skip


@pytest.fixture(scope="session")
def tribe():
    torch.manual_seed(3)
    sizes = {"hidden": 32, "depth": 1, "heads": 1, "low_rank": 4, "n_outputs": 6, "ff_mult": 1, "max_steps": 200}
    config = TribeConfig(modalities={"text": (2, 64)}, space="table", rows=1, subject_dropout=0.1, **sizes)
    return Tribe(config).requires_grad_(False).eval()


@pytest.fixture(scope="session")
def checkpoint(tribe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-tribe"
    save_checkpoint(tribe, folder)
    return folder


@pytest.fixture(scope="session")
def trained(tribe):
    """An adapter that changes the output."""
    model = Tribe(tribe.config)
    inject(model, LORA)
    noise = torch.Generator().manual_seed(5)
    tensors = {name: torch.randn(tensor.shape, generator=noise) for name, tensor in lora_tensors(model).items()}
    tensors |= {WEIGHTS: torch.randn(4, 6, generator=noise), BIAS: torch.randn(6, generator=noise)}
    return Adapter("lora", tensors, LORA, {"learning_rate": 0.1})


@pytest.fixture(scope="session")
def facts(tribe, trained, checkpoint):
    base = {"name": "tiny-tribe", "hash": checkpoint_hash(checkpoint), "licence": "cc-by-nc-4.0"}
    return {
        "base": base, "calibration_minutes": 24.0, "runs": ["sub-01_run-1"], "t_r": 1.49, "space": "table",
        "n_outputs": 6, "cleaning": "tribe", "lag_s": 5.0, "window_s": 100.0,
        "modalities": ["text"], "encoders": "tiny",
        "split": {"by": "run", "training": ["sub-01_run-1"], "validation": [], "test": ["sub-01_run-2"]},
        "leakage": {"checked": ["no sample is on two sides of the split"], "found": []},
        "probe": record_probe(trained, tribe),
    }  # fmt: skip


@pytest.fixture
def bundle(trained, facts, tmp_path):
    """The adapter folder of a run."""
    folder = tmp_path / "run" / "adapter"
    save_adapter(trained, folder, facts)
    add_scores(folder, SCORES, "lora beats zero-shot.")
    return folder


@pytest.fixture(scope="session")
def _server():
    server, hub = serve()
    yield server, hub
    server.shutdown()
    server.server_close()


@pytest.fixture
def hub(_server, tmp_path, monkeypatch):
    """A hub on localhost, empty; the client is told of it as by its environment, with a cache and token of its own."""
    server, hub = _server
    hub.__init__()
    settings = {
        "ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "HF_ASSETS_CACHE": str(tmp_path / "assets"),
        "HF_TOKEN_PATH": str(tmp_path / "token"),
        "HF_STORED_TOKENS_PATH": str(tmp_path / "tokens"),
    }
    for name, value in settings.items():
        monkeypatch.setattr(constants, name, value)
    template = settings["ENDPOINT"] + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)  # before the client tries again
    return hub
