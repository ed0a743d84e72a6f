"""Adapters of one base put together: averaged in their own form, or merged into the checkpoint they were trained on."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tribetune.adapt.adapter import (
    BIAS,
    CORE,
    LEFT,
    LORA_KEYS,
    LORA_MATRICES,
    RIGHT,
    WEIGHTS,
    Adapter,
    personal_row,
    readout_names,
)
from tribetune.adapt.rows import share, starting_row
from tribetune.errors import AdaptationError
from tribetune.model.tribe import Tribe

AVERAGE = "average"
"""Method of an average of adapters that were made by several methods."""

_A, _B = LORA_MATRICES


def average(
    adapters: Sequence[Adapter], weights: Sequence[float], open_base: Callable[[], Tribe] | None = None
) -> Adapter:
    """The weighted mean of what adapters of one base changed: exact, and as small as their form allows.

    Rows and gains are averaged, low-rank differences put side by side, rows of several forms written out in full. LoRA
    updates are put side by side, too: the mean update has the sum of the ranks. Where an adapter has no LoRA its update
    is zero. Weights before the readout that were all trained are averaged where each adapter has its own. With the
    trunk left as it was, the prediction of the average is the average of the predictions.

    Parameters
    ----------
    adapters : sequence of Adapter
        Of one checkpoint, with the same outputs.
    weights : sequence of float
        One each, summing to 1.
    open_base : callable, optional
        Gives the checkpoint; asked only where forms differ.

    Raises
    ------
    AdaptationError
        If what was trained cannot be averaged, or forms differ and there is no checkpoint.
    """
    if len(adapters) != len(weights) or not math.isclose(sum(weights), 1, abs_tol=1e-6):
        raise ValueError(f"{len(weights)} weights that sum to {sum(weights)} for {len(adapters)} adapters")
    tensors = _average_rows(adapters, weights, open_base)
    tensors |= _average_core(adapters, weights)
    lora: dict[str, Any] = {}
    if any(adapter.lora for adapter in adapters):
        matrices, lora = _joined_lora(adapters, weights)
        tensors |= matrices
    methods, spaces = ({getattr(adapter, name) for adapter in adapters} for name in ("method", "space"))
    method = methods.pop() if len(methods) == 1 else AVERAGE
    return Adapter(method, tensors, lora, space=spaces.pop() if len(spaces) == 1 else None)


def merge(tribe: Tribe, adapter: Adapter, subject: str) -> Tribe:
    """A model with the adapter in its own weights: LoRA in the trunk, the personal row named, the unseen row after it.

    Parameters
    ----------
    tribe : Tribe
        The checkpoint; not changed.
    adapter : Adapter
        Trained on it.
    subject : str
        Name of the personal row.

    Returns
    -------
    Tribe
        Plain: without peft. The unseen row is the checkpoint's, read through the merged trunk; other rows are left out.

    Raises
    ------
    AdaptationError
        If the adapter changes nothing, or does not fit.
    """
    if not adapter.tensors:
        raise AdaptationError("a zero-shot adapter changes nothing", hint="use the checkpoint as it is")
    model = adapter.apply(tribe)
    if adapter.changes_trunk:
        _merge_lora(model)
    model = share(model)
    model.config = dataclasses.replace(model.config, subjects=[subject])
    return model


def _average_rows(
    adapters: Sequence[Adapter], weights: Sequence[float], open_base: Callable[[], Tribe] | None
) -> dict[str, Tensor]:
    rows = [{name: t for name, t in adapter.tensors.items() if name in readout_names()} for adapter in adapters]
    if len({(frozenset(row), adapter.space) for row, adapter in zip(rows, adapters, strict=True)}) > 1:
        rows = _in_full(adapters, rows, open_base)
    mean = {
        name: torch.stack([weight * row[name] for weight, row in zip(weights, rows, strict=True)]).sum(0)
        for name in rows[0]
        if name not in (LEFT, RIGHT)
    }
    if LEFT in rows[0]:
        mean[LEFT] = torch.cat([w * row[LEFT] for w, row in zip(weights, rows, strict=True)], 1)
        mean[RIGHT] = torch.cat([row[RIGHT] for row in rows])
    return mean


def _in_full(
    adapters: Sequence[Adapter], rows: Sequence[Mapping[str, Tensor]], open_base: Callable[[], Tribe] | None
) -> list[dict[str, Tensor]]:
    """Rows written out, for which gains and differences need the unseen row."""
    if open_base is None:
        raise AdaptationError(
            "the adapters' readouts are of several forms, whose mean needs the checkpoint", hint="give --checkpoint"
        )
    tribe = open_base()
    n_outputs = next(len(row[BIAS]) for row in rows if row)
    began = [adapter.began_on(tribe) for adapter in adapters]
    full = [personal_row(on, row) if row else starting_row(on, n_outputs) for on, row in zip(began, rows, strict=True)]
    return [{WEIGHTS: weights, BIAS: bias} for weights, bias in full]


def _average_core(adapters: Sequence[Adapter], weights: Sequence[float]) -> dict[str, Tensor]:
    """The mean of every weight before the readout; none where none was trained."""
    cores = [{name: t for name, t in adapter.tensors.items() if name.startswith(CORE)} for adapter in adapters]
    if not any(cores):
        return {}
    if len({frozenset(core) for core in cores}) > 1:
        raise AdaptationError(
            "some of the adapters are of every weight and some are not", hint="average adapters of `full` by themselves"
        )
    return {
        name: torch.stack([weight * core[name] for weight, core in zip(weights, cores, strict=True)]).sum(0)
        for name in cores[0]
    }


def _joined_lora(adapters: Sequence[Adapter], weights: Sequence[float]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """LoRA matrices side by side, so that ``B·A`` is the weighted mean update, and peft's settings for them."""
    unknown = sorted({key for adapter in adapters for key, value in adapter.lora.items()
                      if value and key not in (*LORA_KEYS, "use_rslora")})  # fmt: skip
    if unknown:
        raise AdaptationError(
            f"LoRA with {', '.join(unknown)} has no mean in the form of LoRA", hint="average adapters of plain LoRA"
        )
    matrices = [adapter.tensors for adapter in adapters]
    layers = {name.removesuffix(_A): t for tensors in matrices for name, t in tensors.items() if name.endswith(_A)}
    outs = {name.removesuffix(_B): t for tensors in matrices for name, t in tensors.items() if name.endswith(_B)}
    joined, ranks = {}, [adapter.lora.get("r", 0) for adapter in adapters]
    for layer in layers:
        pairs = [
            (own.get(layer + _A, layers[layer].new_zeros(rank, layers[layer].shape[1])),
             own.get(layer + _B, outs[layer].new_zeros(outs[layer].shape[0], rank)))
            for own, rank in zip(matrices, ranks, strict=True)
        ]  # fmt: skip
        scales = [weight * _scale(adapter.lora) for weight, adapter in zip(weights, adapters, strict=True)]
        joined[layer + _A] = torch.cat([a for a, _ in pairs])
        joined[layer + _B] = torch.cat([scale * b for scale, (_, b) in zip(scales, pairs, strict=True)], 1)
    targets = dict.fromkeys(name for adapter in adapters for name in adapter.lora.get("target_modules", []))
    plain = {"r": sum(ranks), "lora_alpha": float(sum(ranks)), "target_modules": list(targets)}
    return joined, {**plain, "lora_dropout": 0.0, "bias": "none"}


def _scale(lora: Mapping[str, Any]) -> float:
    """What peft multiplies ``B·A`` by; Kalajdzievski 2023 for rsLoRA."""
    if not lora:
        return 0.0
    return lora["lora_alpha"] / (math.sqrt(lora["r"]) if lora.get("use_rslora") else lora["r"])


def _merge_lora(model: Tribe) -> None:
    """Add every update to the weight it belongs to and take peft's layers out, in place; shared weights stay."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, layer in list(model.named_modules()):
        if not isinstance(layer, BaseTunerLayer):
            continue
        plain = layer.get_base_layer()
        plain.weight = nn.Parameter(plain.weight.detach().clone(), requires_grad=False)  # peft adds in place
        layer.merge(safe_merge=True)
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, plain)
