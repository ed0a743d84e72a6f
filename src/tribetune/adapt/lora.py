"""LoRA on the trunk's linears together with a personal readout: one epoch, each window once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tribetune.adapt.adapter import Adapter
from tribetune.adapt.base import Base
from tribetune.adapt.lora_matrices import Variant, lora_config, lora_tensors
from tribetune.adapt.readout import ReadoutSettings
from tribetune.adapt.with_trunk import Kind, fit_with_trunk
from tribetune.windows import Window

RATES = (1e-4, 3e-4, 1e-3)
"""Adam learning rates tried for the LoRA weights."""


@dataclass(frozen=True)
class LoraSettings:
    """Plain arguments of `fit_lora`.

    Attributes
    ----------
    rank, alpha : int, float
        Of the low-rank update, which is scaled by ``alpha / rank``.
    variant : str
        ``lora``; ``rslora``: the update is scaled by ``alpha / sqrt(rank)``; ``dora``: magnitudes are learned, too.
    learning_rate : float or "auto"
        Of Adam for the LoRA matrices.
    readout_learning_rate, epochs, block_trs
        As in `ReadoutSettings`.
    readout_rank : int or "full"
        The trained readout's difference from the unseen row is cut down to this rank at the end.
    random_phase : bool
        Whether windows begin elsewhere in every epoch; each sample still comes once.
    modality_dropout : float
        Probability, in training, that a window loses a modality.
    """

    rank: int = 8
    alpha: float = 16.0
    variant: Variant = "lora"
    learning_rate: float | Literal["auto"] = "auto"
    readout_learning_rate: float | Literal["auto"] = "auto"
    readout_rank: int | Literal["full"] = "full"
    epochs: int = 1
    block_trs: int = 25
    random_phase: bool = False
    modality_dropout: float = 0.0

    @property
    def readout(self) -> ReadoutSettings:
        """The readout's share of the settings."""
        return ReadoutSettings(self.readout_learning_rate, self.epochs, self.block_trs)


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
