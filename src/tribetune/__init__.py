"""Adapt a pretrained TRIBE brain encoder to one new subject from at most one hour of fMRI."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tribetune.model.tribe import Tribe

__all__ = ["Tribe"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import torch only when ``Tribe`` is asked for, so that the command line answers at once."""
    if name == "Tribe":
        return import_module("tribetune.model.tribe").Tribe
    raise AttributeError(f"module 'tribetune' has no attribute {name!r}")
