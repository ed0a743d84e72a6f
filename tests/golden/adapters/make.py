"""Makes this folder's adapters, one of every method of November 2026 (format 1), and what they predicted then.

    python tests/golden/adapters/make.py

Made once: an adapter that was shared must load for good. Another format gets a folder of its own beside this one.
"""

from pathlib import Path

import numpy as np
import torch

from tribetune.adapt.adapter import Adapter
from tribetune.adapt.base import Base
from tribetune.adapt.latents import window_latents
from tribetune.adapt.methods import fit_method
from tribetune.model.checkpoint import checkpoint_hash, load_checkpoint, save_checkpoint
from tribetune.model.tribe import Tribe, TribeConfig
from tribetune.share.bundle import save_adapter
from tribetune.windows import Window

HERE = Path(__file__).parent
N_OUTPUTS, N_SAMPLES, N_CHANNELS = 10, 20, 6

SETTINGS = {
    "zero-shot": {},
    "gain": {},
    "ridge": {"penalty": 1.0},
    "low-rank": {"rank": 2, "penalty": 1.0},
    "readout": {"learning_rate": 0.1},
    "lora": {"rank": 2, "alpha": 4.0, "learning_rate": 0.003, "readout_learning_rate": 0.1},
    "full": {"readout_rank": 2, "learning_rate": 0.001, "readout_learning_rate": 0.1},
}


def main() -> None:
    """Write the checkpoint, an adapter of every method, the features and the predictions."""
    save_checkpoint(_tribe(), HERE / "checkpoint", half=True)
    tribe = load_checkpoint(HERE / "checkpoint").requires_grad_(False)
    windows = _windows(tribe)
    kept = {f"features-{name}": values for name, values in windows[0].features.items()}
    for method, settings in SETTINGS.items():
        adapter = fit_method(method, Base(tribe), windows, settings, seed=33)
        save_adapter(adapter, HERE / method, _facts())
        kept[f"predicted-{method}"] = _predicted(tribe, adapter, windows[0])
    np.savez_compressed(HERE / "golden.npz", **kept)


def _tribe() -> Tribe:
    torch.manual_seed(0)
    config = TribeConfig(
        modalities={"text": (2, 3), "audio": (1, 4)}, hidden=32, depth=1, heads=1, low_rank=N_CHANNELS, ff_mult=1,
        n_outputs=N_OUTPUTS, rows=1, max_steps=2 * N_SAMPLES, space="table", subject_dropout=0.1,
    )  # fmt: skip
    return Tribe(config).eval()


def _windows(tribe: Tribe) -> list[Window]:
    """Four windows in two runs; BOLD is the group's, a readout of the subject's own, and noise."""
    rng = np.random.default_rng(0)
    own = torch.from_numpy(rng.standard_normal((N_CHANNELS, N_OUTPUTS), np.float32))
    found = []
    for place in range(4):
        features = {
            name: rng.standard_normal((*size, 2 * N_SAMPLES), np.float32)
            for name, size in tribe.config.modalities.items()
            if size is not None
        }
        window = Window(features, np.zeros((N_SAMPLES, N_OUTPUTS), np.float32), np.ones(N_SAMPLES, bool), "", 0.0)
        values = window_latents(tribe, window)
        bold = (tribe.readout(values[None])[0] + values @ own).numpy()
        bold = bold + rng.standard_normal(bold.shape, np.float32)
        found.append(Window(features, bold, window.mask, f"sub-01_run-{place // 2 + 1}", N_SAMPLES * (place % 2)))
    return found


def _facts() -> dict:
    """What `tribetune adapt` said of an adapter then."""
    return {
        "base": {"name": "checkpoint", "hash": checkpoint_hash(HERE / "checkpoint"), "licence": "other"},
        "calibration_minutes": 4 * N_SAMPLES / 60,
        "runs": ["sub-01_run-1", "sub-01_run-2"],
        "space": "table",
        "n_outputs": N_OUTPUTS,
        "cleaning": "tribe",
        "cleaning_choices": {"strategy": "tribe"},
        "lag_s": 5.0,
        "window_s": float(N_SAMPLES),
        "modalities": ["text", "audio"],
        "encoders": "tiny",
    }


def _predicted(tribe: Tribe, adapter: Adapter, window: Window) -> np.ndarray:
    model = adapter.apply(tribe)
    row = torch.tensor([0]) if adapter.tensors else None
    return model.readout(window_latents(model, window)[None], row)[0].numpy()


if __name__ == "__main__":
    main()
