"""Everything: every weight before the readout and a personal readout, one epoch, each window once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tribetune.adapt.adapter import Adapter
from tribetune.adapt.base import Base
from tribetune.adapt.core import core_tensors
from tribetune.adapt.readout import ReadoutSettings
from tribetune.adapt.with_trunk import Kind, fit_with_trunk
from tribetune.windows import Window

RATES = (1e-5, 3e-5, 1e-4)
"""Adam learning rates tried for the trunk; the last is the reference's."""


@dataclass(frozen=True)
class FullSettings:
    """Plain arguments of `fit_full`.

    Attributes
    ----------
    learning_rate : float or "auto"
        Of Adam for the weights before the readout.
    readout_learning_rate, epochs, block_trs
        As in `ReadoutSettings`.
    readout_rank : int or "full"
        The trained readout's difference from the unseen row is cut down to this rank at the end, by the singular value
        decomposition that keeps its predictions.
    random_phase : bool
        Whether windows begin elsewhere in every epoch; each sample still comes once.
    modality_dropout : float
        Probability, in training, that a window loses a modality.
    """

    learning_rate: float | Literal["auto"] = "auto"
    readout_learning_rate: float | Literal["auto"] = "auto"
    readout_rank: int | Literal["full"] = 128
    epochs: int = 1
    block_trs: int = 25
    random_phase: bool = False
    modality_dropout: float = 0.0

    @property
    def readout(self) -> ReadoutSettings:
        """The readout's share of the settings."""
        return ReadoutSettings(self.readout_learning_rate, self.epochs, self.block_trs)


def fit_full(base: Base, windows: Sequence[Window], settings: FullSettings, seed: int) -> Adapter:
    """Train every weight before the readout, and a personal readout. The unseen row itself is not trained.

    Parameters
    ----------
    base : Base
    windows : sequence of Window
        The subject's calibration windows.
    settings : FullSettings
    seed : int
        Order of the windows, and what is drawn in training.

    Raises
    ------
    BoldError
        If no sample is valid.
    """
    return fit_with_trunk(base, windows, settings, Kind("full", {}, RATES, core_tensors), seed)
