"""From the recipe's words about a method to the plain arguments that it takes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from tribetune.bold.label_files import read_csv
from tribetune.errors import SpaceError


def plain_settings(settings: Mapping[str, Any], n_outputs: int) -> dict[str, Any]:
    """A method's settings with the files that they name read.

    Raises
    ------
    SpaceError
        If the parcels are not those of the outputs.
    """
    if not settings.get("parcels"):
        return dict(settings)
    return {**settings, "parcels": _parcels(Path(settings["parcels"]), n_outputs)}


def _parcels(path: Path, n_outputs: int) -> Int[np.ndarray, " output"]:
    """One label per output; one label on both hemispheres is two parcels."""
    (left, _), (right, _) = read_csv(path)
    labels = np.concatenate([2 * left, 2 * right + 1])
    if len(labels) != n_outputs:
        raise SpaceError(
            f"{path}: labels of {len(labels):,} vertices, the BOLD has {n_outputs:,} outputs",
            hint="set adaptation.penalty_per to all or output",
        )
    return labels
