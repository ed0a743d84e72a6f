"""LoRA matrices on the trunk's linears, by peft: made, injected, taken out."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from tribetune.adapt.adapter import LORA_MAGNITUDE, LORA_MATRICES
from tribetune.errors import AdaptationError
from tribetune.model.tribe import Tribe
from tribetune.model.trunk import ATTENTION_LINEARS, FEEDFORWARD_LINEARS

Variant = Literal["lora", "rslora", "dora"]


def lora_config(rank: int, alpha: float, variant: Variant = "lora") -> dict[str, Any]:
    """Configuration for peft, as plain values.

    Parameters
    ----------
    rank : int
    alpha : float
        The update is scaled by ``alpha / rank``; by ``alpha / sqrt(rank)`` in rsLoRA (Kalajdzievski 2023).
    variant : str
        ``dora`` learns every output's magnitude apart from its direction (Liu et al. 2024).
    """
    config: dict[str, Any] = {
        "r": rank,
        "lora_alpha": alpha,
        "target_modules": list(ATTENTION_LINEARS + FEEDFORWARD_LINEARS),
        "lora_dropout": 0.0,
        "bias": "none",
    }
    return config if variant == "lora" else {**config, f"use_{variant}": True}


def inject(model: Tribe, config: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None, seed: int = 0) -> None:
    """Put LoRA matrices into the trunk in place: seeded fresh ones (which change nothing yet), or trained ones.

    Raises
    ------
    AdaptationError
        If trained matrices do not fit the trunk.
    """
    from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(LoraConfig(**config), model)
    if tensors is None:
        return
    if {name: tuple(t.shape) for name, t in tensors.items()} != {
        n: tuple(t.shape) for n, t in lora_tensors(model).items()
    }:
        raise AdaptationError(
            "the adapter's LoRA matrices do not fit this checkpoint's trunk",
            hint="use the checkpoint that the adapter was trained on",
        )
    set_peft_model_state_dict(model, dict(tensors))
    model.requires_grad_(False)


def lora_tensors(model: Tribe) -> dict[str, Tensor]:
    """The LoRA matrices of a model under the names that peft saves."""
    from peft import get_peft_model_state_dict

    found, ends = get_peft_model_state_dict(model), (*LORA_MATRICES, LORA_MAGNITUDE)
    return {name: tensor.detach().clone() for name, tensor in found.items() if name.endswith(ends)}
