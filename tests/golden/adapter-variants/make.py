"""Makes this folder's adapters: LoRA's variants, and readouts that began from a part of the checkpoint's outputs.

    python tests/golden/adapter-variants/make.py

Made once, in November 2026 (formats 2 and 3): an adapter that was shared must load for good. Checkpoint, windows and
facts are those of ``adapters`` beside this folder.
"""

import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from tribetune.adapt.base import Base
from tribetune.adapt.methods import fit_method
from tribetune.adapt.rows import with_rows
from tribetune.model.checkpoint import load_checkpoint
from tribetune.model.tribe import Tribe
from tribetune.share.bundle import save_adapter
from tribetune.spaces import FSAVERAGE5, Space

HERE = Path(__file__).parent
ADAPTERS = HERE.parent / "adapters"

LORA = {"rank": 2, "alpha": 4.0, "learning_rate": 0.003, "readout_learning_rate": 0.1}
VARIANTS = {"rslora": {**LORA, "variant": "rslora"}, "dora": {**LORA, "variant": "dora"}}
PARTS = {"zero-shot": {}, "gain": {}, "low-rank": {"rank": 2, "penalty": 1.0}}
"""Of the subcortex, where the checkpoint has cortex and subcortex: all methods that need the unseen row to be read."""


def main() -> None:
    """Write the adapters and what they predict."""
    adapters = runpy.run_path(str(ADAPTERS / "make.py"))
    tribe = load_checkpoint(ADAPTERS / "checkpoint").requires_grad_(False)
    windows, kept = adapters["_windows"](tribe), {}
    below = Base(with_cortex(tribe)).in_space(Space("subcortex", tribe.config.n_outputs))
    wanted = {name: ("lora", Base(tribe), settings) for name, settings in VARIANTS.items()}
    wanted |= {f"subcortex-{method}": (method, below, settings) for method, settings in PARTS.items()}
    for name, (method, base, settings) in wanted.items():
        adapter = fit_method(method, base, windows, settings, seed=33)
        facts = {**adapters["_facts"](), "space": "table" if base.space is None else base.space.name}
        save_adapter(adapter, HERE / name, facts)
        kept[f"predicted-{name}"] = adapters["_predicted"](base.tribe, adapter, windows[0])
    np.savez_compressed(HERE / "golden.npz", **kept)


def with_cortex(tribe: Tribe) -> Tribe:
    """The checkpoint with its outputs below a cortex that is always predicted to be 0: its file would be large."""
    weights, bias = (part[-1:] for part in (tribe.subjects.weights, tribe.subjects.bias))
    rows = [torch.cat([part.new_zeros(*part.shape[:-1], FSAVERAGE5.n_outputs), part], -1) for part in (weights, bias)]
    model = with_rows(tribe, *rows, unseen_row=True)
    model.config = replace(model.config, space="fsaverage5+subcortex")
    return model


if __name__ == "__main__":
    main()
