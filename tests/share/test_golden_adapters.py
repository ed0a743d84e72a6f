"""Adapters that were saved in November 2026 load and predict what they did; ``make.py`` beside them made them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tribetune.model.checkpoint import checkpoint_hash, load_checkpoint
from tribetune.share.bundle import load_adapter, read_facts

GOLDEN = Path(__file__).parent.parent / "golden" / "adapters"
METHODS = ("zero-shot", "gain", "ridge", "low-rank", "readout", "lora", "full")

ROUNDING = 1e-4
"""Float32 through a trunk of one block, on any machine and version of torch; predictions are of size 1."""


@pytest.mark.parametrize("method", METHODS)
def test_an_adapter_of_format_1_predicts_what_it_did(method):
    tribe = load_checkpoint(GOLDEN / "checkpoint")
    adapter = load_adapter(GOLDEN / method, checkpoint_hash(GOLDEN / "checkpoint"))
    with np.load(GOLDEN / "golden.npz") as golden:
        features = {name: torch.from_numpy(golden[f"features-{name}"])[None] for name in tribe.config.modalities}
        stored = golden[f"predicted-{method}"]
    row = torch.tensor([0]) if adapter.tensors else None
    with torch.no_grad():
        predicted = adapter.apply(tribe)(features, row, n_trs=len(stored))[0].numpy()
    assert stored.std() > 0.1
    np.testing.assert_allclose(predicted, stored, atol=ROUNDING, rtol=0)


def test_the_golden_adapters_differ_and_are_small():
    assert {path.name for path in GOLDEN.iterdir() if path.is_dir()} == {*METHODS, "checkpoint"}
    assert [read_facts(GOLDEN / method)["method"] for method in METHODS] == list(METHODS)
    with np.load(GOLDEN / "golden.npz") as golden:
        predicted = [golden[f"predicted-{method}"] for method in METHODS]
    apart = [np.abs(one - other).max() for k, one in enumerate(predicted) for other in predicted[:k]]
    assert min(apart) > 10 * ROUNDING  # else one could stand for another
    assert sum(path.stat().st_size for path in GOLDEN.rglob("*") if path.is_file()) < 200_000
