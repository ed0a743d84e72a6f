"""Tensors from a file into a Tribe: strict about every key, finite, float32, and without a second copy in memory."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from tribetune.errors import CheckpointError
from tribetune.model.config import TribeConfig
from tribetune.model.tribe import Tribe

_SHOWN = 5
"""Keys named in an error, of each kind; the rest are counted."""


def assemble(
    config: TribeConfig, tensors: Mapping[str, Tensor], where: Path, name_of: Callable[[str], str] = str
) -> Tribe:
    """Build a Tribe around tensors that may be memory-mapped.

    Parameters
    ----------
    config : TribeConfig
        Decides which keys and shapes are expected.
    tensors : mapping of str to Tensor
        By the file's own keys; float32, or a shorter float that is widened.
    where : Path
        The file, for messages.
    name_of : callable
        From a key of ``Tribe.state_dict()`` to the file's key; the same key when left out.

    Returns
    -------
    Tribe
        In evaluation mode, on the CPU.

    Raises
    ------
    CheckpointError
        If a key is missing, unexpected or misshapen, or a weight is not finite.
    """
    tribe = _empty(config, len(tensors), where)
    own = tribe.state_dict()
    faults = _key_faults({name_of(key): tuple(weight.shape) for key, weight in own.items()}, tensors)
    faults += [f"{key} is not finite" for key, weight in tensors.items() if not faults and not all_finite(weight)]
    if faults:
        shown = "; ".join(faults[:_SHOWN]) + (f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else "")
        raise CheckpointError(f"{where}: {shown}", hint="the file is damaged, or its config belongs to another model")
    tribe.load_state_dict({key: tensors[name_of(key)].float() for key in own}, strict=True, assign=True)
    return tribe.eval()


def all_finite(weight: Tensor) -> bool:
    """Whether no value is NaN or infinite; a finite sum proves it without a temporary of the weight's size."""
    return bool(torch.isfinite(weight.sum())) or bool(torch.isfinite(weight).all())


def _empty(config: TribeConfig, n_tensors: int, where: Path) -> Tribe:
    """A Tribe without memory for its weights."""
    if config.depth > n_tensors:  # a config from elsewhere must not make us build a million layers
        raise CheckpointError(
            f"{where}: {n_tensors} weights for a trunk of depth {config.depth}",
            hint="the config belongs to another model",
        )
    try:
        with torch.device("meta"):
            return Tribe(config)
    except (RuntimeError, OverflowError, TypeError, KeyError) as fault:
        raise CheckpointError(
            f"{where}: no model of these sizes: {fault}", hint="check the sizes in its config"
        ) from fault


def _key_faults(expected: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor]) -> list[str]:
    missing = [f"{key} is missing, expected {shape}" for key, shape in expected.items() if key not in tensors]
    unexpected = [f"{key} is unexpected" for key in tensors if key not in expected]
    misshapen = [
        f"{key} is {tuple(tensors[key].shape)}, expected {shape}"
        for key, shape in expected.items()
        if key in tensors and tuple(tensors[key].shape) != shape
    ]
    integers = [
        f"{key} is {got.dtype}, expected a float" for key, got in tensors.items() if not got.is_floating_point()
    ]
    return missing + unexpected + misshapen + integers
