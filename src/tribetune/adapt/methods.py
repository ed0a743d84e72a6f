"""Every method under its name in a recipe, with one contract: ``fit(base, windows, settings, seed) → Adapter``."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from tribetune.adapt.adapter import Adapter
from tribetune.adapt.base import Base
from tribetune.adapt.float32 import fast_float32
from tribetune.adapt.full import FullSettings, fit_full
from tribetune.adapt.gain import GainSettings, fit_gain
from tribetune.adapt.lora import LoraSettings, fit_lora
from tribetune.adapt.low_rank import LowRankSettings, fit_low_rank
from tribetune.adapt.readout import ReadoutSettings, fit_readout
from tribetune.adapt.ridge import RidgeSettings, fit_ridge
from tribetune.adapt.zero_shot import ZeroShotSettings, fit_zero_shot
from tribetune.windows import Window


class Fit(Protocol):
    """A method: calibration windows and its own settings in, an adapter out; the model is not changed."""

    def __call__(self, base: Base, windows: Sequence[Window], settings: Any, seed: int) -> Adapter:
        """Fit."""
        ...


class Method(NamedTuple):
    """A method and the dataclass of its settings, whose fields are the recipe's."""

    fit: Fit
    settings: type


METHODS: Mapping[str, Method] = {
    "zero-shot": Method(fit_zero_shot, ZeroShotSettings),
    "gain": Method(fit_gain, GainSettings),
    "ridge": Method(fit_ridge, RidgeSettings),
    "low-rank": Method(fit_low_rank, LowRankSettings),
    "readout": Method(fit_readout, ReadoutSettings),
    "lora": Method(fit_lora, LoraSettings),
    "full": Method(fit_full, FullSettings),
}
"""The ladder, in the order of its rungs."""


def fit_method(name: str, base: Base, windows: Sequence[Window], settings: Mapping[str, Any], seed: int) -> Adapter:
    """Fit a method by its name in a recipe; ``settings`` are the recipe's values."""
    method = METHODS[name]
    with fast_float32(base.device):
        adapter = method.fit(base, windows, method.settings(**settings), seed)
    return replace(adapter, space=base.space)
