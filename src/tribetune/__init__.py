"""Adapt a pretrained TRIBE brain encoder to one new subject from at most one hour of fMRI."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tribetune.model.tribe import Tribe

__all__ = ["Tribe", "load_adapter"]
__version__ = "0.1.0"

_PLACES = {"Tribe": ("tribetune.model.tribe", "Tribe"), "load_adapter": ("tribetune.share.hub", "open_adapter")}


def __getattr__(name: str) -> Any:
    """Import torch only when it is needed, so that the command line answers at once."""
    if name in _PLACES:
        module, member = _PLACES[name]
        return getattr(import_module(module), member)
    raise AttributeError(f"module 'tribetune' has no attribute {name!r}")
