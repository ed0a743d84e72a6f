"""Every method under its name in a recipe, with one contract: ``fit(tribe, windows, settings, seed) → Adapter``."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from tribetune.adapt.adapter import Adapter
from tribetune.adapt.lora import LoraSettings, fit_lora
from tribetune.adapt.readout import ReadoutSettings, fit_readout
from tribetune.adapt.zero_shot import ZeroShotSettings, fit_zero_shot
from tribetune.model.tribe import Tribe
from tribetune.windows import Window


class Fit(Protocol):
    """A method: calibration windows and its own settings in, an adapter out; the model is not changed."""

    def __call__(self, tribe: Tribe, windows: Sequence[Window], settings: Any, seed: int) -> Adapter:
        """Fit."""
        ...


class Method(NamedTuple):
    """A method and the dataclass of its settings, whose fields are the recipe's."""

    fit: Fit
    settings: type


METHODS: Mapping[str, Method] = {
    "zero-shot": Method(fit_zero_shot, ZeroShotSettings),
    "readout": Method(fit_readout, ReadoutSettings),
    "lora": Method(fit_lora, LoraSettings),
}
"""The ladder, in the order of its rungs."""


def fit_method(name: str, tribe: Tribe, windows: Sequence[Window], settings: Mapping[str, Any], seed: int) -> Adapter:
    """Fit a method by its name in a recipe; ``settings`` are the recipe's values."""
    method = METHODS[name]
    return method.fit(tribe, windows, method.settings(**settings), seed)
