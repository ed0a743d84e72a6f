"""How this golden was made, with tribetune at commit 4852f66, which wrote format 1; to be read, not run again."""

from pathlib import Path

import numpy as np
import torch

from tribetune.adapt.adapter import BIAS, WEIGHTS, Adapter
from tribetune.adapt.lora_matrices import inject, lora_tensors
from tribetune.model.checkpoint import checkpoint_hash, save_checkpoint
from tribetune.model.tribe import Tribe, TribeConfig
from tribetune.share.bundle import add_scores, save_adapter

HERE = Path(__file__).parent


def main() -> None:
    torch.manual_seed(11)
    sizes = {"hidden": 32, "depth": 1, "heads": 1, "low_rank": 4, "n_outputs": 6, "ff_mult": 1, "max_steps": 40}
    tribe = Tribe(TribeConfig(modalities={"text": (2, 3)}, space="table", rows=1, subject_dropout=0.1, **sizes)).eval()
    save_checkpoint(tribe, HERE / "checkpoint")
    lora = {"r": 2, "lora_alpha": 4.0, "target_modules": ["to_q", "to_v", "ff_in"], "lora_dropout": 0.0, "bias": "none"}
    model = Tribe(tribe.config).eval()
    inject(model, lora)
    matrices = {name: torch.randn_like(tensor) for name, tensor in lora_tensors(model).items()}
    tensors = {WEIGHTS: torch.randn(4, 6), BIAS: torch.randn(6), **matrices}
    adapter = Adapter("lora", tensors, lora, {"learning_rate": 0.001})
    base = {"name": "checkpoint", "hash": checkpoint_hash(HERE / "checkpoint"), "licence": "other"}
    facts = {"base": base, "calibration_minutes": 12.5, "runs": ["sub-01_run-1"], "space": "table", "n_outputs": 6}
    facts |= {"cleaning": "tribe", "cleaning_choices": {}, "lag_s": 5.0, "window_s": 20.0, "modalities": ["text"]}
    save_adapter(adapter, HERE / "adapter", facts | {"encoders": "tiny"})
    scores = {"method": "lora", "mean_r": 0.25, "interval": [0.1, 0.4], "n_outputs": 6, "null_95": 0.05}
    add_scores(HERE / "adapter", scores, "lora beats zero-shot.")
    features = {"text": torch.randn(1, 2, 3, 40)}
    with torch.no_grad():
        bold = adapter.apply(tribe)(features, torch.tensor([0]), n_trs=20)
    np.savez(HERE / "case.npz", text=features["text"].numpy(), bold=bold.numpy())


if __name__ == "__main__":
    main()
