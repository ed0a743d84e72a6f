"""Adapters that were saved in November 2026 load and predict what they did; ``make.py`` beside them made them."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from tribetune.model.checkpoint import checkpoint_hash, load_checkpoint
from tribetune.share.bundle import load_adapter, read_facts

GOLDEN = Path(__file__).parent.parent / "golden"
METHODS = ("zero-shot", "gain", "ridge", "low-rank", "readout", "lora", "full")
VARIANTS = ("rslora", "dora")
PARTS = ("subcortex-zero-shot", "subcortex-gain", "subcortex-low-rank")
SAVED = {
    **{f"adapters/{name}": 1 for name in METHODS},
    "adapters/full": 2,
    **{f"adapter-variants/{name}": 2 for name in VARIANTS},
    **{f"adapter-variants/{name}": 3 for name in PARTS},
}
"""Every golden adapter, and the version of the layout that it is of."""

CHECKPOINT = GOLDEN / "adapters/checkpoint"

ROUNDING = 1e-4
"""Float32 through a trunk of one block, on any machine and version of torch; predictions are of size 1."""


def stored(name):
    """What an adapter predicted when it was saved."""
    folder, own = name.split("/")
    with np.load(GOLDEN / folder / "golden.npz") as golden:
        return golden[f"predicted-{own}"]


def with_cortex(tribe):
    return runpy.run_path(str(GOLDEN / "adapter-variants/make.py"))["with_cortex"](tribe)


@pytest.mark.parametrize("name", list(SAVED))
def test_an_adapter_of_every_format_predicts_what_it_did(name):
    tribe = load_checkpoint(CHECKPOINT).requires_grad_(False)
    adapter = load_adapter(GOLDEN / name, checkpoint_hash(CHECKPOINT))
    with np.load(GOLDEN / "adapters/golden.npz") as golden:
        features = {name: torch.from_numpy(golden[f"features-{name}"])[None] for name in tribe.config.modalities}
    row = torch.tensor([0]) if adapter.tensors else None
    model = adapter.apply(with_cortex(tribe) if adapter.space else tribe)
    with torch.no_grad():
        predicted = model(features, row, n_trs=len(stored(name)))[0].numpy()
    assert stored(name).std() > 0.1
    np.testing.assert_allclose(predicted, stored(name), atol=ROUNDING, rtol=0)


def test_the_golden_adapters_differ_and_are_small():
    for folder, own in (("adapters", {*METHODS, "checkpoint"}), ("adapter-variants", {*VARIANTS, *PARTS})):
        assert {path.name for path in (GOLDEN / folder).iterdir() if path.is_dir()} == own
        assert sum(path.stat().st_size for path in (GOLDEN / folder).rglob("*") if path.is_file()) < 200_000
    facts = {name: read_facts(GOLDEN / name) for name in SAVED}
    assert {name: told["format"] for name, told in facts.items()} == SAVED
    assert [facts[f"adapters/{method}"]["method"] for method in METHODS] == list(METHODS)
    predicted = [stored(name) for name in SAVED if name.split("/")[1] not in PARTS]  # which are as those of all outputs
    apart = [np.abs(one - other).max() for k, one in enumerate(predicted) for other in predicted[:k]]
    assert min(apart) > 10 * ROUNDING  # else one could stand for another
