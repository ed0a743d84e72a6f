"""Half precision where it is fast."""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def half_precision(device: "torch.device") -> AbstractContextManager[Any]:
    """Run matrix products in bfloat16 (float16 where that is not known) on accelerators, in float32 on a CPU."""
    import torch

    if device.type == "cpu":
        return nullcontext()
    has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.autocast(device.type, dtype=torch.bfloat16 if has_bf16 else torch.float16)
