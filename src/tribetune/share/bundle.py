"""An adapter on disk: safetensors, JSON and a card; written whole or not at all, and read without running anything."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from tribetune.adapt.adapter import LORA_KEYS, LORA_MAGNITUDE, LORA_MATRICES, LORA_VARIANTS, Adapter
from tribetune.adapt.forms import check_form
from tribetune.errors import AdaptationError
from tribetune.files import hash_file, whole, without_nan, write_json, write_text
from tribetune.model.weights import all_finite
from tribetune.share.card import adapter_card
from tribetune.share.facts import FORMAT, check_facts
from tribetune.share.plain_files import check_folder, check_tensor_file, read_plain_json
from tribetune.spaces import Space

WEIGHTS, FACTS, LORA, CARD, PICTURE, UNCERTAINTY = (
    "adapter_model.safetensors", "tribetune.json", "adapter_config.json", "README.md", "scores.png",
    "uncertainty.safetensors",
)  # fmt: skip
BUNDLE = (WEIGHTS, FACTS, LORA, CARD, PICTURE, UNCERTAINTY)
"""All files that a bundle may have."""

_HASHED = (WEIGHTS, LORA, PICTURE, UNCERTAINTY)
_PEFT_PREFIX = "base_model.model."
_PEFT_FACTS = ("peft_type", "base_model_name_or_path", "revision", "task_type", "inference_mode")


def save_adapter(adapter: Adapter, folder: Path, facts: Mapping[str, Any], picture: Path | None = None) -> None:
    """Write a bundle; the folder appears when everything in it is on disk.

    Parameters
    ----------
    adapter : Adapter
        Its tensors go to ``adapter_model.safetensors``; LoRA matrices have the names by which ``PeftModel`` finds them.
    folder : Path
        Replaced where it exists.
    facts : mapping
        Plain values for ``tribetune.json``, see `tribetune.share.facts.Facts`.
    picture : Path, optional
        PNG of held-out scores on the cortex, for the card.

    Raises
    ------
    AdaptationError
        If facts are missing or of the wrong type.
    OSError
        If the disk is full; no half bundle stays.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=folder.parent))
    try:
        with whole(part / WEIGHTS) as weights:
            save_file({_in_file(name): tensor.contiguous() for name, tensor in adapter.tensors.items()}, weights)
        if adapter.lora:
            write_json(part / LORA, _peft_config(adapter.lora, facts.get("base") or {}))
        if picture:
            shutil.copyfile(picture, part / PICTURE)
        told = {"method": adapter.method, "trained_weights": adapter.n_weights, "chosen": dict(adapter.chosen)}
        write_facts(part, {**told, **facts, **_version(adapter), "files": file_facts(part)})
        part.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def add_scores(folder: Path, scores: Mapping[str, Any], verdict: str, ceiling: Mapping[str, Any] | None = None) -> None:
    """Write held-out scores, known only after the adapter was saved, into its facts and its card.

    Parameters
    ----------
    folder : Path
        Made by `save_adapter`.
    scores : mapping
        Plain values: ``mean_r``, its ``interval``, ``n_outputs`` and the chance level ``null_95``.
    verdict : str
        Whether adapting helped, in words.
    ceiling : mapping, optional
        What a perfect model would score on the same data: ``kind``, ``mean_r`` where it is reliably above zero, and
        ``n_outputs`` where it is. None where these data allow no estimate.
    """
    told = {"scores": dict(scores), "verdict": verdict, "ceiling": dict(ceiling) if ceiling else None}
    write_facts(folder, {**read_facts(folder), **told})


def write_facts(folder: Path, facts: Mapping[str, Any], called: str = "FOLDER") -> None:
    """Write ``tribetune.json`` and the card that is made from it.

    Parameters
    ----------
    folder : Path
    facts : mapping
        See `tribetune.share.facts.Facts`.
    called : str
        Where the card says the adapter is found: a folder, or an id on the hub.

    Raises
    ------
    AdaptationError
        If a value is missing or of the wrong type; then nothing is written.
    """
    told = check_facts(without_nan(dict(facts)), folder / FACTS)
    write_json(folder / FACTS, told)
    write_text(folder / CARD, adapter_card(told, called))


def file_facts(folder: Path) -> dict[str, dict[str, Any]]:
    """SHA-256 and size of a bundle's files, all but facts and card."""
    return {
        name: {"sha256": hash_file(folder / name), "size": (folder / name).stat().st_size}
        for name in _HASHED
        if (folder / name).is_file()
    }


def load_adapter(folder: Path, base_hash: str | None = None) -> Adapter:
    """Read a bundle of this or an earlier version; nothing in it is run.

    Parameters
    ----------
    folder : Path
        Made by `save_adapter`.
    base_hash : str, optional
        Hash of the checkpoint it is to be used with.

    Raises
    ------
    AdaptationError
        If it is not a bundle, is unsafe or damaged, is from a later version, or belongs to another checkpoint.
    """
    facts = read_facts(folder)
    base = facts.get("base") or {}
    if base_hash is not None and base.get("hash") != base_hash:
        raise AdaptationError(
            f"{folder} was trained on another checkpoint, {base.get('name')!r} (the hashes differ)",
            hint="give the checkpoint that tribetune.json names under `base`",
        )
    check_tensor_file(folder / WEIGHTS)
    lora = _lora_settings(folder / LORA) if (folder / LORA).exists() else {}
    _check_hashes(folder, facts)
    try:
        tensors = {_in_memory(name): tensor.float() for name, tensor in load_file(folder / WEIGHTS).items()}
    except (OSError, SafetensorError) as error:
        raise AdaptationError(f"{folder / WEIGHTS} cannot be read: {error}", hint="fetch the adapter again") from error
    adapter = Adapter(facts["method"], tensors, lora, facts["chosen"], _space(facts))
    try:
        check_form(adapter)
    except AdaptationError as error:
        raise AdaptationError(f"{folder / WEIGHTS}: {error}", hint=error.hint) from error
    broken = [name for name, tensor in adapter.tensors.items() if not all_finite(tensor)]
    if broken:
        raise AdaptationError(f"{folder / WEIGHTS}: {broken[0]} is not finite", hint="fetch the adapter again")
    return adapter


def read_facts(folder: Path) -> dict[str, Any]:
    """What ``tribetune.json`` says, checked against its schema.

    Raises
    ------
    AdaptationError
        If it is missing, damaged, unsafe or from a later version.
    """
    if not (folder / FACTS).is_file():
        raise AdaptationError(f"{folder} holds no {FACTS}: not an adapter", hint="give the adapter/ folder of a run")
    check_folder(folder)
    facts: dict[str, Any] = {"chosen": {}} | check_facts(read_plain_json(folder / FACTS), folder / FACTS)
    listed = set(facts.get("files", {}))
    if not listed <= set(_HASHED) or (facts["format"] > 1 and WEIGHTS not in listed):
        raise AdaptationError(
            f"{folder / FACTS}: files are {', '.join(sorted(listed)) or 'none'}, expected {WEIGHTS} and at most"
            f" {' and '.join(_HASHED[1:])}",
            hint="fetch the adapter again",
        )
    return facts


def _version(adapter: Adapter) -> dict[str, Any]:
    """The first version that reads it right, and what that version needs to know."""
    if adapter.space is None:
        return {"format": FORMAT - 1}
    return {"format": FORMAT, "space": adapter.space.name, "n_outputs": adapter.space.n_outputs}


def _space(facts: Mapping[str, Any]) -> Space | None:
    """Where the adapter's outputs live, if it began from the unseen row for another space."""
    if facts["format"] < FORMAT:
        return None
    if facts.get("n_outputs") is None:
        raise AdaptationError(f"{FACTS} does not tell n_outputs", hint="fetch the adapter again")
    return Space(facts["space"], facts["n_outputs"])


def _check_hashes(folder: Path, facts: Mapping[str, Any]) -> None:
    """Files are those that the facts tell of, all of them and no other weights or settings."""
    listed = facts.get("files", {})
    if facts["format"] > 1 and LORA not in listed and (folder / LORA).exists():
        raise AdaptationError(f"{folder / LORA} is not among the files that {FACTS} tells of", hint="fetch it again")
    for name, told in listed.items():
        path = folder / name
        if not path.is_file():
            raise AdaptationError(f"{path} is missing, {FACTS} tells of it", hint="fetch the adapter again")
        if path.stat().st_size != told["size"] or hash_file(path) != told["sha256"]:
            raise AdaptationError(f"{path}: its hash is not the one in {FACTS}", hint="fetch the adapter again")


def _peft_config(lora: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """What ``PeftModel.from_pretrained`` reads."""
    named = {"base_model_name_or_path": base.get("id") or base.get("name"), "revision": base.get("revision")}
    return {"peft_type": "LORA", "task_type": None, "inference_mode": True, **named, **lora}


def _lora_settings(path: Path) -> dict[str, Any]:
    found = read_plain_json(path)
    if found.get("peft_type") != "LORA":
        raise AdaptationError(f"{path}: peft_type is {found.get('peft_type')!r}, expected LORA", hint="fetch it again")
    unknown = sorted(set(found) - {*LORA_KEYS, *LORA_VARIANTS, *_PEFT_FACTS})
    if unknown:
        raise AdaptationError(f"{path}: setting {unknown[0]!r} is not one of ours", hint="fetch the adapter again")
    return {name: value for name, value in found.items() if name in (*LORA_KEYS, *LORA_VARIANTS)}


def _in_file(name: str) -> str:
    return _PEFT_PREFIX + name if name.endswith((*LORA_MATRICES, LORA_MAGNITUDE)) else name


def _in_memory(name: str) -> str:
    return name.removeprefix(_PEFT_PREFIX)
