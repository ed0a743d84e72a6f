"""The official TRIBE v2 layout: the one module that knows the keys of ``best.ckpt`` and ``config.yaml`` (spec b, c)."""

import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tribetune.errors import CheckpointError
from tribetune.model.config import TribeConfig, modality_sizes
from tribetune.model.safe_yaml import read_yaml
from tribetune.model.tribe import Tribe
from tribetune.model.weights import assemble
from tribetune.spaces import FSAVERAGE5, SUBCORTEX

WEIGHTS, CONFIG = "best.ckpt", "config.yaml"

_PREFIX = "model."

_OUR_TRUNK = {
    "cross_attend": False,
    "causal": False,
    "use_scalenorm": True,
    "use_rmsnorm": False,
    "rel_pos_bias": False,
    "alibi_pos_bias": False,
    "rotary_pos_emb": True,
    "rotary_xpos": False,
    "residual_attn": False,
    "scale_residual": True,
}
"""Settings of the official encoder that make it our trunk; any other value makes another model."""

_OUR_MODEL = {"subject_embedding": False, "extractor_aggregation": "cat", "linear_baseline": False}
"""The same for the settings of the whole model."""

_RENAMED: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    (r"^time_embedding$", "time_pos_embed"),
    (r"^smoothing\.", "temporal_smoothing."),
    (r"^low_rank\.", "low_rank_head."),
    (r"^subjects\.", "predictor."),
    (r"^trunk\.inv_freq$", "encoder.rotary_pos_emb.inv_freq"),
    (r"^trunk\.final_norm\.", "encoder.final_norm."),
    (r"^trunk\.attentions\.(\d+)", lambda found: f"encoder.layers.{2 * int(found[1])}"),
    (r"^trunk\.feedforwards\.(\d+)", lambda found: f"encoder.layers.{2 * int(found[1]) + 1}"),
    (r"\.norm\.", ".0.0."),
    (r"\.residual_scale$", ".2.residual_scale"),
    (r"\.branch\.ff_in\.", ".1.ff.0.0."),
    (r"\.branch\.ff_out\.", ".1.ff.2."),
    (r"\.branch\.", ".1."),
]
"""Our key, part by part, in the official words (spec b)."""


def read_official(path: str | Path) -> Tribe:
    """Read a checkpoint in the official layout; nothing in its files is run.

    Parameters
    ----------
    path : path
        The folder of ``best.ckpt`` and ``config.yaml``, or a ``.ckpt`` file beside its ``config.yaml``.

    Returns
    -------
    Tribe
        Memory-mapped from the file, with as many readout rows as the file has, whatever its config says (spec c).

    Raises
    ------
    CheckpointError
        If a file is missing, unsafe or damaged, the model is not ours, or a key is wrong.
    """
    path = Path(path)
    weights = path / WEIGHTS if path.is_dir() else path
    saved = _read_weights(weights)
    values = read_yaml(weights.parent / CONFIG)
    try:
        tensors = _tensors(saved)
        config = _config(values, saved["model_build_args"], tensors)
        _add_absent_bias(tensors, config, values)
    except CheckpointError as fault:
        raise CheckpointError(f"{weights.parent}: {fault}", hint=fault.hint) from fault
    except (LookupError, TypeError, AttributeError, ValueError) as fault:
        raise CheckpointError(
            f"{weights.parent}: not an official TRIBE checkpoint: {type(fault).__name__} {fault}",
            hint=f"expected state_dict and model_build_args in {weights.name}, brain_model_config and data in {CONFIG}",
        ) from fault
    return assemble(config, tensors, weights, official_key)


def official_key(key: str) -> str:
    """The official name of one key of ``Tribe.state_dict()``."""
    for ours, theirs in _RENAMED:
        key = re.sub(ours, theirs, key)
    return _PREFIX + key


def _reason(fault: Exception) -> str:
    """Torch's reason in one line, without its advice to load the file unsafely."""
    said = str(fault).rpartition("WeightsUnpickler error:")[2].strip()
    return re.split(r"\n|\. ", said)[0]


def _read_weights(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file", hint=f"a checkpoint folder holds {WEIGHTS} and {CONFIG}")
    if not zipfile.is_zipfile(path):
        raise CheckpointError(
            f"{path}: not a torch checkpoint",
            hint="download it again; a git-lfs pointer is a text file, and bare pickles are not opened",
        )
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as fault:  # torch names a dozen kinds of damage and of refusal; all are the file's
        raise CheckpointError(
            f"{path}: unsafe or damaged, nothing of it was run: {_reason(fault)}",
            hint="ask its author for a file with tensors and plain values only",
        ) from fault
    if not isinstance(saved, Mapping):
        raise CheckpointError(f"{path}: holds {type(saved).__name__}, expected a mapping", hint="get the original file")
    return saved


def _tensors(saved: Mapping[str, Any]) -> dict[str, Tensor]:
    tensors = dict(saved["state_dict"])
    for key, value in tensors.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"state_dict key {key} is {type(value).__name__}, expected a tensor")
    return tensors


def _config(values: Mapping[str, Any], build: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> TribeConfig:
    brain, data = values["brain_model_config"], values.get("data") or {}
    _check_kind(brain)
    encoder, readout = brain["encoder"], brain["subject_layers"]
    modalities, n_outputs = modality_sizes(build["feature_dims"]), build["n_outputs"]
    unseen_row = bool(readout.get("subject_dropout"))
    rows = len(_needed(tensors, "predictor.weights"))
    return TribeConfig(
        modalities=modalities,
        hidden=brain["hidden"],
        depth=encoder["depth"],
        heads=encoder["heads"],
        n_outputs=n_outputs,
        rows=rows,
        unseen_row=unseen_row,
        low_rank=brain.get("low_rank_head"),
        layer_aggregation=brain.get("layer_aggregation", "cat"),
        combiner=brain.get("combiner") is not None,
        temporal_smoothing=_kernel(brain, tensors),
        time_embedding=brain.get("time_pos_embedding", True),
        ff_mult=encoder.get("ff_mult", 4),
        max_steps=brain.get("max_seq_len", 1024),
        modality_dropout=brain.get("modality_dropout") or 0.0,
        temporal_dropout=brain.get("temporal_dropout") or 0.0,
        subject_dropout=readout.get("subject_dropout") or 0.0,
        dropout=brain.get("dropout") or 0.0,
        space={space.n_outputs: space.name for space in (FSAVERAGE5, SUBCORTEX)}.get(n_outputs, "table"),
        subjects=_subjects(data, rows - unseen_row),
        lag_s=float((data.get("neuro") or {}).get("offset", 5.0)),
        encoders={name: found for name in modalities if (found := _encoder(data, name))},
        licence="cc-by-nc-4.0",
    )


def _check_kind(brain: Mapping[str, Any]) -> None:
    """Refuse a model whose settings our code does not compute."""
    got = {key: brain.get(key, ours) for key, ours in _OUR_MODEL.items()}
    got |= {f"encoder.{key}": brain["encoder"].get(key, ours) for key, ours in _OUR_TRUNK.items()}
    ours = _OUR_MODEL | {f"encoder.{key}": value for key, value in _OUR_TRUNK.items()}
    for name in ("projector", "combiner"):
        got[f"{name}.hidden_sizes"] = (brain.get(name) or {}).get("hidden_sizes") or None
    for key, value in got.items():
        if value != ours.get(key):
            raise CheckpointError(
                f"{CONFIG}: brain_model_config.{key} is {value!r}, only {ours.get(key)!r} is supported",
                hint="this is another architecture than the released TRIBE v2",
            )


def _needed(tensors: Mapping[str, Tensor], key: str) -> Tensor:
    if _PREFIX + key not in tensors:
        raise CheckpointError(f"{_PREFIX}{key} is missing", hint="get the original file")
    return tensors[_PREFIX + key]


def _kernel(brain: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> int | None:
    smoothing = brain.get("temporal_smoothing")
    if smoothing is None:
        return None
    return _needed(tensors, "temporal_smoothing.weight").shape[-1]


def _add_absent_bias(tensors: dict[str, Tensor], config: TribeConfig, values: Mapping[str, Any]) -> None:
    """A readout without bias is one with a bias of zero."""
    if values["brain_model_config"]["subject_layers"].get("bias", True) is False:
        tensors.setdefault(_PREFIX + "predictor.bias", torch.zeros(config.rows, config.n_outputs))


def _subjects(data: Mapping[str, Any], n_subjects: int) -> list[str]:
    """Names by row, where the config names exactly the rows there are."""
    known = (data.get("subject_id") or {}).get("predefined_mapping") or {}
    names = sorted(known, key=lambda name: known[name])
    return [str(name) for name in names] if len(names) == n_subjects else []


def _encoder(data: Mapping[str, Any], modality: str) -> dict[str, Any]:
    """Which encoder and layers made a modality's features; the video extractor nests it under ``image``."""
    extractor: Mapping[str, Any] = data.get(f"{modality}_feature") or {}
    extractor = extractor.get("image") or extractor
    kept = ("model_name", "layers", "cache_n_layers", "layer_aggregation", "token_aggregation")
    return {key: extractor[key] for key in kept if key in extractor}
