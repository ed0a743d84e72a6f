"""Files of an encoder: found in a folder or on the hub, read and hashed."""

import hashlib
import json
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from tribetune.errors import FeatureError
from tribetune.files import hash_file

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_EXTRA = {
    "text": ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    "audio": ("preprocessor_config.json",),
    "video": ("video_preprocessor_config.json", "preprocessor_config.json"),
}
_VOLATILE = ("transformers_version", "_name_or_path", "architectures", "dtype", "torch_dtype", "use_cache")
_GATED = {
    "meta-llama/Llama-3.2-3B": "accept its licence at https://huggingface.co/meta-llama/Llama-3.2-3B, then run "
    "`hf auth login`; the open alternative is `mini` (Qwen/Qwen3-0.6B), which does not fit TRIBE's released checkpoint",
}


def find_files(source: str, modality: str) -> Path:
    """Find an encoder's folder, downloading from the hub what is not in the cache yet.

    Parameters
    ----------
    source : str
        A folder, or a model's name on the hub.
    modality : str

    Raises
    ------
    FeatureError
        If the encoder is not there, or access to it was not granted.
    """
    if Path(source).is_dir():
        return Path(source)
    folder = _from_hub(source, "config.json", modality).parent
    for name in _EXTRA[modality]:
        _from_hub(source, name, modality, required=False)
    if not _from_hub(source, _WEIGHTS[0], modality, required=False).is_file():
        for name in _shards(_from_hub(source, _WEIGHTS[1], modality)):
            _from_hub(source, name, modality)
    return folder


@lru_cache(maxsize=16)
def hash_weights(folder: Path) -> str:
    """SHA-256 over an encoder's weight files; one hash per process and folder."""
    single, index = (folder / name for name in _WEIGHTS)
    if not (single.is_file() or index.is_file()):
        raise FeatureError(
            f"{folder}: no weights found, expected {' or '.join(_WEIGHTS)}",
            hint="save the encoder with save_pretrained (safetensors)",
        )
    files = [single] if single.is_file() else [folder / name for name in _shards(index)]
    return hashlib.sha256("".join(_hash_blob(file) for file in files).encode()).hexdigest()


def hash_tokenizer(folder: Path) -> str:
    """SHA-256 of a text encoder's tokenizer."""
    names = ("tokenizer.json", "vocab.json", "vocab.txt", "merges.txt", "tokenizer.model")
    files = [folder / name for name in names if (folder / name).is_file()]
    if not files:
        raise FeatureError(
            f"{folder}: no tokenizer found", hint="save the tokenizer beside the encoder (save_pretrained)"
        )
    return hashlib.sha256("".join(hash_file(file) for file in files).encode()).hexdigest()


def read_config(folder: Path) -> dict[str, Any]:
    """Read what an encoder's ``config.json`` says about the computation; names and versions are left out."""
    config = _read(folder / "config.json")
    return {key: value for key, value in config.items() if key not in _VOLATILE}


def read_preprocessor(folder: Path, modality: str) -> dict[str, Any]:
    """Read how an encoder of sound or pictures wants its input."""
    for name in _EXTRA[modality]:
        if (folder / name).is_file():
            return _read(folder / name)
    raise FeatureError(f"{folder}: found none of {', '.join(_EXTRA[modality])}", hint="copy it from the encoder's page")


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FeatureError(f"{path}: cannot be read ({error})", hint="copy the encoder again") from error
    if not isinstance(value, dict):
        raise FeatureError(f"{path}: expected a JSON object", hint="copy the encoder again")
    return value


def _shards(index: Path) -> Sequence[str]:
    return sorted(set(_read(index).get("weight_map", {}).values()))


def _hash_blob(file: Path) -> str:
    """Hash a file; one in the hub's cache is already named by its hash."""
    blob = file.resolve()
    if blob.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", blob.name):
        return blob.name
    return hash_file(file)


def _from_hub(source: str, name: str, modality: str, required: bool = True) -> Path:
    """Fetch one file; one that is not required may turn out not to exist."""
    from transformers.utils.hub import cached_file

    try:
        found = cached_file(source, name, _raise_exceptions_for_missing_entries=required)
    except OSError as error:
        first_line = str(error).strip().splitlines()[0]
        raise FeatureError(
            f"the {modality} encoder {source} is not on this machine and cannot be fetched: {first_line}",
            hint=_GATED.get(source, f"fetch it once where there is a network: `hf download {source}`"),
        ) from error
    return Path(found or name)
