"""Everything: every weight before the readout and a personal readout, one epoch, each window once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tribetune.adapt.adapter import Adapter
from tribetune.adapt.base import Base
from tribetune.adapt.core import core_tensors
from tribetune.adapt.with_trunk import Kind, TrunkSettings, fit_with_trunk
from tribetune.windows import Window

RATES = (3e-5, 1e-4, 3e-4)
"""Adam learning rates tried for the trunk; the middle one is the reference's."""


@dataclass(frozen=True, kw_only=True)
class FullSettings(TrunkSettings):
    """Plain arguments of `fit_full`: those of every method that trains the trunk."""

    readout_rank: int | Literal["full"] = 128


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
