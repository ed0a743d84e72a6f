"""An adapter on disk: safetensors, JSON and a card; written whole or not at all, and read without running anything."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from tribetune.adapt.adapter import FORMS, Adapter, readout_names
from tribetune.errors import AdaptationError
from tribetune.files import whole, write_json, write_text
from tribetune.model.weights import all_finite
from tribetune.share.card import adapter_card

FORMAT = 1
"""Version of the bundle's layout."""

_WEIGHTS, _FACTS, _LORA, _CARD = "adapter_model.safetensors", "tribetune.json", "adapter_config.json", "README.md"


def save_adapter(adapter: Adapter, folder: Path, facts: Mapping[str, Any]) -> None:
    """Write a bundle; the folder appears when everything in it is on disk.

    Parameters
    ----------
    adapter : Adapter
        Its tensors go to ``adapter_model.safetensors``.
    folder : Path
        Replaced where it exists.
    facts : mapping
        Plain values for ``tribetune.json``: base checkpoint and its hash, minutes, runs, space, lag.

    Raises
    ------
    OSError
        If the disk is full; no half bundle stays.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=folder.parent))
    try:
        with whole(part / _WEIGHTS) as weights:
            save_file({name: tensor.contiguous() for name, tensor in adapter.tensors.items()}, weights)
        told = {"format": FORMAT, "method": adapter.method, "trained_weights": adapter.n_weights}
        _describe(part, {**told, "chosen": dict(adapter.chosen), **facts})
        if adapter.lora:
            write_json(part / _LORA, {"peft_type": "LORA", **adapter.lora})
        part.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def add_scores(folder: Path, scores: Mapping[str, Any], verdict: str) -> None:
    """Write held-out scores, known only after the adapter was saved, into its facts and its card.

    Parameters
    ----------
    folder : Path
        Made by `save_adapter`.
    scores : mapping
        Plain values: ``mean_r``, its ``interval``, ``n_outputs`` and the chance level ``null_95``.
    verdict : str
        Whether adapting helped, in words.
    """
    _describe(folder, {**read_facts(folder), "scores": dict(scores), "verdict": verdict})


def load_adapter(folder: Path, base_hash: str | None = None) -> Adapter:
    """Read a bundle.

    Parameters
    ----------
    folder : Path
        Made by `save_adapter`.
    base_hash : str, optional
        Hash of the checkpoint it is to be used with.

    Raises
    ------
    AdaptationError
        If it is not a bundle, is damaged, is from a later version, or belongs to another checkpoint.
    """
    facts = read_facts(folder)
    if base_hash is not None and facts.get("base", {}).get("hash") != base_hash:
        raise AdaptationError(
            f"{folder} was trained on another checkpoint, {facts.get('base', {}).get('name')!r} (the hashes differ)",
            hint="give the checkpoint that tribetune.json names under `base`",
        )
    try:
        tensors = load_file(folder / _WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise AdaptationError(f"{folder / _WEIGHTS} cannot be read: {error}", hint="fetch the adapter again") from error
    if tensors and tensors.keys() & readout_names() not in FORMS:
        raise AdaptationError(
            f"{folder / _WEIGHTS}: holds {', '.join(sorted(tensors))}, expected {_forms()} among them",
            hint="update tribetune, or fetch the adapter again",
        )
    broken = [name for name, tensor in tensors.items() if not all_finite(tensor)]
    if broken:
        raise AdaptationError(f"{folder / _WEIGHTS}: {broken[0]} is not finite", hint="fetch the adapter again")
    lora = _read_json(folder / _LORA) if (folder / _LORA).exists() else {}
    lora.pop("peft_type", None)
    return Adapter(facts["method"], tensors, lora, facts.get("chosen", {}))


def read_facts(folder: Path) -> dict[str, Any]:
    """What ``tribetune.json`` says, checked for its version.

    Raises
    ------
    AdaptationError
        If it is missing, damaged or from a later version.
    """
    if not (folder / _FACTS).is_file():
        raise AdaptationError(f"{folder} holds no {_FACTS}: not an adapter", hint="give the adapter/ folder of a run")
    facts = _read_json(folder / _FACTS)
    if facts.get("format") != FORMAT or not all(isinstance(facts.get(key), str) for key in ("method", "space")):
        raise AdaptationError(
            f"{folder / _FACTS}: format {facts.get('format')!r}, expected {FORMAT}", hint="update tribetune"
        )
    return facts


def _forms() -> str:
    return ", or ".join(" and ".join(sorted(form)) for form in FORMS)


def _describe(folder: Path, facts: Mapping[str, Any]) -> None:
    write_json(folder / _FACTS, facts)
    write_text(folder / _CARD, adapter_card(facts))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise AdaptationError(f"{path} cannot be read: {error}", hint="fetch the adapter again") from error
    if not isinstance(value, dict):
        raise AdaptationError(f"{path} holds {type(value).__name__}, not keys and values", hint="fetch it again")
    return value
