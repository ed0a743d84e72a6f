"""Which tensors and settings make an adapter: what a file from elsewhere is held against before anything is built."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from tribetune.adapt.adapter import (
    BIAS,
    CORE,
    FORMS,
    GAIN,
    LEFT,
    LORA_KEYS,
    LORA_MAGNITUDE,
    LORA_MATRICES,
    LORA_VARIANTS,
    RIGHT,
    WEIGHTS,
    Adapter,
)
from tribetune.errors import AdaptationError
from tribetune.model.trunk import ATTENTION_LINEARS, FEEDFORWARD_LINEARS

_AXES = {
    WEIGHTS: ("inputs", "outputs"),
    BIAS: ("outputs",),
    GAIN: ("outputs",),
    LEFT: ("inputs", "ranks"),
    RIGHT: ("ranks", "outputs"),
}
_ENDS = (*LORA_MATRICES, LORA_MAGNITUDE)
_LINEARS = ATTENTION_LINEARS + FEEDFORWARD_LINEARS


def check_form(adapter: Adapter) -> None:
    """Refuse tensors and settings that no method makes.

    Parameters
    ----------
    adapter : Adapter
        As read from a file.

    Raises
    ------
    AdaptationError
        If tensors are missing or unknown, or do not fit each other or the LoRA settings.
    """
    core = {name for name in adapter.tensors if name.startswith(CORE)}
    matrices = {name: tensor for name, tensor in adapter.tensors.items() if name.endswith(_ENDS)}
    readout = {name: tensor for name, tensor in adapter.tensors.items() if name not in {*matrices, *core}}
    faults = _readout_faults(readout) if adapter.tensors else []
    if core and (matrices or adapter.lora):
        faults += ["holds both LoRA matrices and the weights that they are for"]
    elif matrices or adapter.lora:
        faults += _setting_faults(adapter.lora) or _matrix_faults(matrices, adapter.lora)
    if faults:
        raise AdaptationError("; ".join(faults), hint="fetch the adapter again, or update tribetune")


def _readout_faults(tensors: Mapping[str, Tensor]) -> list[str]:
    if frozenset(tensors) not in FORMS:
        known = ", or ".join(" with ".join(sorted(form)) for form in FORMS)
        return [f"holds {', '.join(sorted(tensors)) or 'LoRA matrices only'}, expected {known}"]
    faults = [
        f"{name} is {tuple(tensor.shape)}, expected {len(_AXES[name])} axes"
        for name, tensor in tensors.items()
        if tensor.ndim != len(_AXES[name])
    ]
    return faults or [
        " and ".join(f"{name} has {n} {axis}" for name, n in sizes.items())
        for axis in ("outputs", "ranks")
        if len(set((sizes := _sizes(tensors, axis)).values())) > 1
    ]


def _sizes(tensors: Mapping[str, Tensor], axis: str) -> dict[str, int]:
    return {name: tensor.shape[_AXES[name].index(axis)] for name, tensor in tensors.items() if axis in _AXES[name]}


def _setting_faults(lora: Mapping[str, Any]) -> list[str]:
    if unknown := sorted(set(lora) - {*LORA_KEYS, *LORA_VARIANTS}):
        return [f"LoRA setting {unknown[0]!r} is unknown, expected {', '.join(LORA_KEYS)}"]
    targets = lora.get("target_modules")
    right = {
        "r": type(lora.get("r")) is int,
        "lora_alpha": _is_number(lora.get("lora_alpha")),
        "target_modules": isinstance(targets, list) and bool(targets) and all(name in _LINEARS for name in targets),
        "lora_dropout": _is_number(lora.get("lora_dropout")),
        "bias": lora.get("bias") == "none",
    } | {name: isinstance(lora.get(name, False), bool) for name in LORA_VARIANTS}
    return [f"LoRA setting {name} is {lora.get(name)!r}" for name, fits in right.items() if not fits]


def _matrix_faults(matrices: Mapping[str, Tensor], lora: Mapping[str, Any]) -> list[str]:
    """Matrices without their partner or of another rank: peft would make room for any rank that the settings say."""
    wanted = _ENDS if lora.get("use_dora") else LORA_MATRICES
    layers = [{name.removesuffix(end) for name in matrices if name.endswith(end)} for end in _ENDS]
    complete = set.intersection(*layers[: len(wanted)])
    odd = set().union(*layers) - complete | set().union(*layers[len(wanted) :])
    if odd or not complete:
        return [f"LoRA matrices of {', '.join(sorted(odd)) or 'no layer'} are not complete"]
    sizes = [(lora["r"], None), (None, lora["r"]), (None,)]
    return [
        f"{name} is {tuple(tensor.shape)}, but LoRA's rank is {lora['r']}"
        for end, size in zip(_ENDS, sizes, strict=True)
        for name, tensor in matrices.items()
        if name.endswith(end) and not _fits(tensor, size)
    ]


def _fits(tensor: Tensor, size: Sequence[int | None]) -> bool:
    """Whether a tensor has a shape, of which some axes may be of any length."""
    return tensor.ndim == len(size) and all(want in (None, got) for got, want in zip(tensor.shape, size, strict=True))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
