"""The medial walls of fsaverage5, by which swapped hemispheres are told."""

from functools import cache

import numpy as np
from jaxtyping import Bool

from tribetune.bold.project import surface_vertices

_MEET_MM = 0.01
"""Closer than this white and pial surface are one: there is no cortex between them."""

_COVERED = 0.5
"""Share of a wall's inner part without data that says it is this wall."""


@cache
def inner_walls() -> Bool[np.ndarray, "2 vertex"]:
    """True in the inner part of each medial wall, left first: where white and pial surface meet.

    Left and right have hardly a vertex in common, because their meshes are no mirror images.
    """
    found = np.linalg.norm(surface_vertices("pial") - surface_vertices(1.0), axis=2) < _MEET_MM
    found.flags.writeable = False
    return found


def are_swapped(empty: Bool[np.ndarray, "2 vertex"]) -> bool:
    """Whether each hemisphere of fsaverage5 lacks data on the other's medial wall, and has some on its own.

    Parameters
    ----------
    empty : array of shape (2, 10242)
        True where a vertex has no data, left hemisphere first.
    """
    if not empty.any(1).all():
        return False
    inner = inner_walls()
    own, other = ([empty[k][inner[abs(side - k)]].mean() for k in range(2)] for side in range(2))
    return bool(min(other) > _COVERED > max(own))
