"""Small models, the golden cases, and the reference's procedure written out in the benchmark."""

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tribetune.model.config import TribeConfig
from tribetune.model.official import read_official
from tribetune.model.tribe import Tribe

TESTS = Path(__file__).parent.parent


@dataclass(frozen=True)
class Golden:
    """One folder of the reference's inputs and outputs."""

    folder: Path
    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]

    def tribe(self) -> Tribe:
        return read_official(self.folder)

    def inputs(self, case: str) -> tuple[dict[str, Tensor], Tensor | None]:
        """Features and readout rows; no rows for the cases that average subjects."""
        prefix = f"{case}/in/"
        found = {
            key.removeprefix(prefix): torch.tensor(self.arrays[key]) for key in self.arrays if key.startswith(prefix)
        }
        rows = found.pop("subject_id", None)
        return found, None if rows is None or "average" in case else rows[:, 0]

    def array(self, key: str) -> Tensor:
        """An array of the reference, time before channels."""
        value = torch.tensor(self.arrays[key])
        return value.mT if value.ndim == 3 else value


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Golden]:
    def opened(name: str) -> Golden:
        folder = TESTS / "golden" / name
        with np.load(folder / "cases.npz") as file:
            return Golden(folder, dict(file), json.loads((folder / "meta.json").read_text()))

    return opened


@pytest.fixture(scope="session")
def benchmark() -> ModuleType:
    """``benchmarks/model.py``: its reference forward and its writer of the official layout."""
    spec = importlib.util.spec_from_file_location("benchmark_model", TESTS.parent / "benchmarks" / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def small() -> Callable[..., Tribe]:
    """A small seeded Tribe in evaluation mode; keywords change its config."""

    def made(seed: int = 0, **changes: Any) -> Tribe:
        sizes: dict[str, Any] = {
            "modalities": {"text": (2, 6), "audio": (1, 5), "video": (2, 4)},
            "hidden": 96,
            "depth": 1,
            "heads": 2,
            "n_outputs": 7,
            "rows": 3,
            "low_rank": 16,
            "max_steps": 32,
        }
        torch.manual_seed(seed)
        return Tribe(TribeConfig(**sizes | changes)).eval()

    return made


@pytest.fixture(scope="session")
def features_for() -> Callable[..., dict[str, Tensor]]:
    """Seeded features that fit a Tribe."""

    def made(tribe: Tribe, batch: int = 3, n_steps: int = 20, seed: int = 1) -> dict[str, Tensor]:
        noise = torch.Generator().manual_seed(seed)
        sizes = {name: size for name, size in tribe.config.modalities.items() if size is not None}
        return {name: torch.randn(batch, *size, n_steps, generator=noise) for name, size in sizes.items()}

    return made
