"""A tiny checkpoint, an adapter of it with readout and LoRA, and the bundle that it makes."""

import pytest
import torch

from tribetune.adapt.adapter import BIAS, WEIGHTS, Adapter
from tribetune.adapt.lora_matrices import inject, lora_tensors
from tribetune.model.checkpoint import checkpoint_hash, save_checkpoint
from tribetune.model.tribe import Tribe, TribeConfig
from tribetune.share.bundle import add_scores, save_adapter
from tribetune.share.probe import record_probe

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
