"""LoRA on the trunk's linears together with a personal readout: one epoch, each window once."""

from collections.abc import Sequence
from dataclasses import dataclass

from tribetune.adapt.adapter import Adapter
from tribetune.adapt.base import Base
from tribetune.adapt.lora_matrices import Variant, lora_config, lora_tensors
from tribetune.adapt.with_trunk import Kind, TrunkSettings, fit_with_trunk
from tribetune.windows import Window

RATES = (3e-4, 1e-3, 3e-3)
"""Adam learning rates tried for the LoRA weights."""


@dataclass(frozen=True, kw_only=True)
class LoraSettings(TrunkSettings):
    """Plain arguments of `fit_lora`: those of every method that trains the trunk, and LoRA's own.

    Attributes
    ----------
    rank, alpha : int, float
        Of the low-rank update, which is scaled by ``alpha / rank``.
    variant : str
        ``lora``; ``rslora``: the update is scaled by ``alpha / sqrt(rank)``; ``dora``: magnitudes are learned, too.
    """

    rank: int = 8
    alpha: float = 16.0
    variant: Variant = "lora"


def fit_lora(base: Base, windows: Sequence[Window], settings: LoraSettings, seed: int) -> Adapter:
    """Train LoRA matrices on every attention and feed-forward linear, and a personal readout.

    The readout's learning rate is chosen first, as for `fit_readout`; then LoRA's in the same way. At a LoRA rate of
    zero the course is `fit_readout`'s.

    Parameters
    ----------
    base : Base
    windows : sequence of Window
        The subject's calibration windows.
    settings : LoraSettings
    seed : int
        Order of the windows, the first LoRA matrices, and what is drawn in training.

    Raises
    ------
    BoldError
        If no sample is valid.
    """
    config = lora_config(settings.rank, settings.alpha, settings.variant)
    return fit_with_trunk(base, windows, settings, Kind("lora", config, RATES, lora_tensors), seed)
