"""A small model and a subject whose BOLD is its prediction through a readout of his own."""

import numpy as np
import pytest
import torch

from tribetune.adapt.base import Base
from tribetune.model.tribe import Tribe, TribeConfig
from tribetune.windows import Window

N_OUTPUTS = 12


@pytest.fixture(scope="session")
def tribe():
    torch.manual_seed(0)
    config = TribeConfig(
        modalities={"text": (2, 5), "audio": (1, 4), "video": (2, 3)}, hidden=96, depth=2, heads=3, low_rank=8,
        n_outputs=N_OUTPUTS, rows=1, space="table", subject_dropout=0.2,
    )  # fmt: skip
    return Tribe(config).requires_grad_(False).eval()


@pytest.fixture(scope="session")
def base(tribe):
    return Base(tribe)


@pytest.fixture(scope="session")
def windows(tribe):
    """Six windows in three runs; every fourth sample of one is masked and the last output is undefined throughout."""
    return subject_windows(tribe, own=0.6, noise=0.5)


def subject_windows(tribe, own, noise, n_windows=6):
    rng = np.random.default_rng(1)
    own_weights = own * torch.from_numpy(rng.standard_normal((8, N_OUTPUTS), np.float32))
    found = []
    for place in range(n_windows):
        features = {
            name: rng.standard_normal((*size, 200), np.float32) for name, size in tribe.config.modalities.items()
        }
        with torch.no_grad():
            batch = {name: torch.from_numpy(values)[None] for name, values in features.items()}
            latents = tribe.latents(batch)[0]
            bold = tribe.readout(latents[None])[0] + latents @ own_weights
        bold = bold.numpy() + noise * rng.standard_normal(bold.shape, np.float32)
        bold[:, -1] = np.nan
        mask = np.ones(100, bool)
        if place == 2:
            mask[::4] = False
        bold[~mask] = 0
        found.append(Window(features, bold, mask, f"sub-01_run-{place // 2 + 1}", 100.0 * (place % 2)))
    return found
