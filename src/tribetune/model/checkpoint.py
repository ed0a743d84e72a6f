"""Checkpoints: ours (``model.safetensors`` and ``config.json``), and whichever kind a path, name or hub id leads to."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from tribetune.errors import CheckpointError
from tribetune.files import hash_file, whole
from tribetune.model import official
from tribetune.model.config import TribeConfig
from tribetune.model.hub import fetch, hub_id, source_of
from tribetune.model.tribe import Tribe
from tribetune.model.weights import all_finite, assemble
from tribetune.shipped import shipped_folder

FORMAT = 1
"""Version of our layout; a reader refuses a newer one."""

WEIGHTS, CONFIG = "model.safetensors", "config.json"

TRAINING = "training.json"
"""How it was trained and, under ``stimuli``, on what; where there is one."""

_MAX_CONFIG_BYTES = 5_000_000


def save_checkpoint(tribe: Tribe, folder: str | Path, *, half: bool = False) -> None:
    """Write a checkpoint in our layout, whole or not at all.

    Parameters
    ----------
    tribe : Tribe
        On any device.
    folder : path
        Made when missing; a checkpoint already there is replaced.
    half : bool
        Store the weights as float16, half the size; they are computed with as float32 again.

    Raises
    ------
    CheckpointError
        If a weight is not finite as it would be stored.
    """
    folder = Path(folder)
    weights = {key: _stored(key, weight, half) for key, weight in tribe.state_dict().items()}
    broken = [key for key, weight in weights.items() if not all_finite(weight)]
    if broken:
        raise CheckpointError(f"{folder}: {broken[0]} is not finite", hint="training diverged; lower the learning rate")
    # the config is what makes the folder a checkpoint: it goes before the weights change and comes back last
    with whole(folder / CONFIG) as config_part:
        _write_config(tribe.config, config_part)
        with whole(folder / WEIGHTS) as weights_part:
            _write_weights(weights, weights_part)
            (folder / CONFIG).unlink(missing_ok=True)


def load_checkpoint(folder: str | Path) -> Tribe:
    """Read a checkpoint in our layout, memory-mapped, in evaluation mode.

    Raises
    ------
    CheckpointError
        If a file is missing or damaged, the format is newer, or a key is wrong.
    """
    folder = Path(folder)
    return assemble(_read_config(folder / CONFIG), _read_weights(folder / WEIGHTS), folder / WEIGHTS)


def open_checkpoint(path_or_name: str | Path) -> Tribe:
    """Open a folder in our layout or the official one, a ``.ckpt`` file, a name from ``checkpoints/``, or a hub id.

    Raises
    ------
    CheckpointError
        If there is no such checkpoint, or it is unsafe or does not make a model.
    """
    path = find_checkpoint(path_or_name)
    return load_checkpoint(path) if _is_ours(path) else official.read_official(path)


def find_checkpoint(path_or_name: str | Path) -> Path:
    """The folder or ``.ckpt`` file that a path, a shipped checkpoint's name or an id on the hub means.

    What is on the hub is fetched into its cache: the files of the two layouts, and nothing else.

    Raises
    ------
    CheckpointError
        If there is none.
    """
    path = Path(path_or_name)
    if path.name in (WEIGHTS, CONFIG, official.CONFIG) and path.is_file():
        path = path.parent
    if path.is_dir():
        return _known_folder(path)
    if path.is_file():
        return path
    shipped = shipped_checkpoints()
    if str(path_or_name) in shipped:
        return shipped[str(path_or_name)]
    if where := hub_id(str(path_or_name)):
        found = fetch(where, (WEIGHTS, CONFIG, official.WEIGHTS, official.CONFIG), CheckpointError)
        if not found.is_dir():
            raise CheckpointError(f"{where}: no checkpoint, it has none of the files", hint="check the name")
        return _known_folder(found)
    raise CheckpointError(
        f"{path_or_name}: no such checkpoint, neither a path nor one of: {', '.join(shipped) or 'none shipped'}",
        hint="give a folder, a .ckpt file, one of these names, or ORGANISATION/NAME on the hub",
    )


def shipped_checkpoints() -> dict[str, Path]:
    """Name to folder of the checkpoints that came with tribetune, from the source tree or the wheel."""
    return {found.parent.name: found.parent for found in sorted(shipped_folder("checkpoints").glob(f"*/{CONFIG}"))}


def checkpoint_hash(path_or_name: str | Path) -> str:
    """SHA-256 over a checkpoint's weights and config, as hexadecimal: what an adapter was trained on.

    Raises
    ------
    CheckpointError
        If there is no such checkpoint.
    """
    path = find_checkpoint(path_or_name)
    folder = path if path.is_dir() else path.parent
    official_weights = official.WEIGHTS if path.is_dir() else path.name
    names = (WEIGHTS, CONFIG) if _is_ours(path) else (official_weights, official.CONFIG)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(f"{folder / missing[0]}: no such file", hint="the checkpoint is incomplete; get it again")
    # by content, not by name: a renamed official file is the same checkpoint
    return hashlib.sha256("".join(hash_file(folder / name) for name in names).encode()).hexdigest()


def identify(path: Path, licence: str, digest: str = "") -> dict[str, str | None]:
    """What an adapter says of the checkpoint it was trained on: name, hash, licence, and where the hub has it.

    Parameters
    ----------
    path : Path
        From `find_checkpoint`.
    licence : str
        Of its weights.
    digest : str
        Its `checkpoint_hash`, where that is known already.

    Raises
    ------
    CheckpointError
        If it is incomplete.
    """
    source = source_of(path)
    found: dict[str, str | None] = {"name": source.name if source else path.name}
    found |= {"hash": digest or checkpoint_hash(path), "licence": licence}
    return found | ({"id": source.name, "revision": source.revision} if source else {})


def _known_folder(path: Path) -> Path:
    if not (_is_ours(path) or (path / official.WEIGHTS).is_file()):
        found = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
        raise CheckpointError(
            f"{path}: not a checkpoint, holds {found}",
            hint=f"expected {CONFIG} and {WEIGHTS}, or {official.CONFIG} and {official.WEIGHTS}",
        )
    return path


def _is_ours(path: Path) -> bool:
    return (path / CONFIG).is_file() or (path / WEIGHTS).is_file()  # half of ours is ours, and named as such


def _stored(key: str, weight: Tensor, half: bool) -> Tensor:
    weight = weight.detach().cpu().contiguous()
    # rotation angles are multiplied by the step: float16 would turn late steps by whole radians
    return weight.half() if half and not key.endswith("inv_freq") else weight


def _write_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    from safetensors.torch import save_file

    save_file(dict(weights), path, metadata={"format": "pt"})


def _write_config(config: TribeConfig, path: Path) -> None:
    from tribetune import __version__

    values = {"format": FORMAT, "tribetune": __version__, "model": config.to_dict()}
    path.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _read_weights(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise CheckpointError(f"{path}: no such file", hint="the checkpoint is incomplete; get it again")
    try:
        return load_file(path)
    except (SafetensorError, ValueError, OSError, KeyError) as fault:
        raise CheckpointError(f"{path}: damaged: {fault}", hint="get the checkpoint again") from fault


def _read_config(path: Path) -> TribeConfig:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file", hint="the checkpoint is incomplete; get it again")
    if path.stat().st_size > _MAX_CONFIG_BYTES:
        raise CheckpointError(f"{path}: longer than {_MAX_CONFIG_BYTES:,} bytes", hint="get the checkpoint again")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as fault:
        raise CheckpointError(f"{path}: not JSON: {fault}", hint="get the checkpoint again") from fault
    return _checked_config(values, path)


def _checked_config(values: Any, path: Path) -> TribeConfig:
    if not isinstance(values, dict) or not isinstance(values.get("model"), dict):
        raise CheckpointError(
            f"{path}: no tribetune checkpoint, key 'model' is missing", hint="get the checkpoint again"
        )
    if values.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: format {values.get('format')!r}, this tribetune reads {FORMAT}", hint="pip install -U tribetune"
        )
    try:
        return TribeConfig.from_dict(values["model"])
    except CheckpointError as fault:
        raise CheckpointError(f"{path}: {fault}", hint=fault.hint) from fault
