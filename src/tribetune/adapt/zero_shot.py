"""The unseen-subject row as it is: no data, no training."""

from collections.abc import Sequence
from dataclasses import dataclass

from tribetune.adapt.adapter import Adapter
from tribetune.adapt.base import Base
from tribetune.adapt.rows import has_unseen
from tribetune.errors import AdaptationError
from tribetune.windows import Window


@dataclass(frozen=True)
class ZeroShotSettings:
    """Zero-shot has nothing to set."""


def fit_zero_shot(base: Base, windows: Sequence[Window], settings: ZeroShotSettings, seed: int) -> Adapter:  # noqa: ARG001
    """An adapter that changes nothing.

    Raises
    ------
    AdaptationError
        If the checkpoint has no unseen row for these outputs.
    """
    n_outputs = windows[0].bold.shape[1] if windows else base.tribe.config.n_outputs
    if not has_unseen(base.tribe, n_outputs):
        raise AdaptationError(
            f"zero-shot is not defined: the checkpoint has no unseen row for these {n_outputs:,} outputs",
            hint="set adaptation.method to ridge, low-rank, readout or lora",
        )
    return Adapter("zero-shot")
