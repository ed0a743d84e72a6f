"""The unseen-subject row as it is: no data, no training."""

from collections.abc import Sequence
from dataclasses import dataclass

from tribetune.adapt.adapter import Adapter
from tribetune.errors import AdaptationError
from tribetune.model.tribe import Tribe
from tribetune.windows import Window


@dataclass(frozen=True)
class ZeroShotSettings:
    """Zero-shot has nothing to set."""


def fit_zero_shot(tribe: Tribe, windows: Sequence[Window], settings: ZeroShotSettings, seed: int) -> Adapter:  # noqa: ARG001
    """An adapter that changes nothing.

    Raises
    ------
    AdaptationError
        If the checkpoint has no unseen row for these outputs.
    """
    n_outputs = windows[0].bold.shape[1] if windows else tribe.config.n_outputs
    if not tribe.config.unseen_row or n_outputs != tribe.config.n_outputs:
        raise AdaptationError(
            f"zero-shot is not defined: the checkpoint has no unseen row with {n_outputs:,} outputs",
            hint="set adaptation.method to readout or lora",
        )
    return Adapter("zero-shot")
