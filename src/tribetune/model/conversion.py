"""Any checkpoint written in our layout, and held against what it was made of."""

import hashlib
import shutil
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from tribetune.errors import CheckpointError
from tribetune.model.checkpoint import TRAINING, find_checkpoint, load_checkpoint, open_checkpoint, save_checkpoint
from tribetune.model.tribe import Tribe

_CHECK_STEPS = 20
"""Steps of the prediction that both must agree on."""


def convert(source: str | Path, out: str | Path) -> Path:
    """Write any checkpoint in our layout, and check that weights and outputs agree bit for bit.

    Parameters
    ----------
    source : path
        Anything ``open_checkpoint`` opens.
    out : path
        Folder that does not exist or is empty.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    CheckpointError
        If the source cannot be opened, the folder is in use, or the two disagree; nothing is left then.
    """
    out = Path(out)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise CheckpointError(f"{out}: already there", hint="name a folder that does not exist yet")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=out.parent) as scratch:
        copy = Path(scratch) / "checkpoint"
        wanted = _saved_copy(source, copy)
        got = _fingerprint(load_checkpoint(copy))
        differing = [key for key, value in wanted.items() if got.get(key) != value]
        if differing:
            raise CheckpointError(
                f"{out}: {differing[0]} differs after conversion", hint="is the disk sound? try again"
            )
        trained_on = find_checkpoint(source) / TRAINING
        if trained_on.is_file():
            shutil.copyfile(trained_on, copy / TRAINING)
        copy.replace(out)
    return out


def _saved_copy(source: str | Path, copy: Path) -> dict[str, str]:
    """Save the source as ``copy`` and return its fingerprint; the source's memory is free again afterwards."""
    tribe = open_checkpoint(source)
    save_checkpoint(tribe, copy)
    return _fingerprint(tribe)


def _fingerprint(tribe: Tribe) -> dict[str, str]:
    """Hashes of every weight, and of one short prediction by the first and the last row."""
    parts = tribe.state_dict() | {"the prediction": _short_prediction(tribe)}
    return {key: hashlib.sha256(part.contiguous().numpy()).hexdigest() for key, part in parts.items()}


@torch.no_grad()
def _short_prediction(tribe: Tribe) -> Tensor:
    config, noise = tribe.config, torch.Generator().manual_seed(0)
    n_steps = min(_CHECK_STEPS, config.max_steps)
    rows = torch.tensor(sorted({0, config.rows - 1}))
    features = {
        name: torch.randn(len(rows), *size, n_steps, generator=noise)
        for name, size in config.modalities.items()
        if size is not None
    }
    return tribe(features, rows, n_trs=max(1, n_steps // 2))
