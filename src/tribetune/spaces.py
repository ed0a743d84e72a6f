"""Output spaces: how many places, in which order, what they are called, and which of them count in means."""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int

from tribetune.errors import SpaceError

N_HEMISPHERE = 10242
"""Vertices of one fsaverage5 hemisphere; the left hemisphere always comes first."""

_PARCELS = re.compile(r"(?!fsaverage|fslr)[a-z][a-z-]*?(\d+)")
"""A parcellation is named by its family and its number of parcels: ``schaefer400``."""


@dataclass(frozen=True)
class Space:
    """Where BOLD lives: a name, the number of its outputs and, where they have any, their labels.

    Attributes
    ----------
    name : str
        ``fsaverage5``, ``subcortex``, ``fsaverage5+subcortex``, ``fsLR``, a parcellation such as ``schaefer400``, or
        ``table``.
    n_outputs : int
        Columns of every BOLD array of this space.
    labels : tuple of str
        Structure or parcel of every output, in order; empty where outputs have none.
    """

    name: str
    n_outputs: int
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.labels and len(self.labels) != self.n_outputs:
            raise SpaceError(
                f"{self.name}: {len(self.labels):,} labels for {self.n_outputs:,} outputs",
                hint="give one label per output, or none",
            )

    @cached_property
    def in_means(self) -> Bool[np.ndarray, " output"]:
        """False for ventricles: they are no brain, and serve as a negative control outside of every mean."""
        if not self.labels:
            return np.ones(self.n_outputs, bool)
        return np.array(["ventric" not in label.lower() for label in self.labels])

    @property
    def parts(self) -> dict[str, range]:
        """Outputs of cortex and subcortex, where it has both; else all of them under its own name."""
        first, *rest = self.name.split("+")
        if not rest or self.n_outputs <= FSAVERAGE5.n_outputs:
            return {self.name: range(self.n_outputs)}
        return {first: range(FSAVERAGE5.n_outputs), rest[0]: range(FSAVERAGE5.n_outputs, self.n_outputs)}

    def check(self, n_outputs: int, where: str) -> None:
        """Refuse an array of another size.

        Raises
        ------
        SpaceError
            If ``n_outputs`` is not this space's.
        """
        if n_outputs != self.n_outputs:
            raise SpaceError(
                f"{where}: {n_outputs:,} outputs, but {self.name} has {self.n_outputs:,}",
                hint="set data.space to the space the file is in, or resample the file",
            )


FSAVERAGE5 = Space("fsaverage5", 2 * N_HEMISPHERE)
SUBCORTEX = Space("subcortex", 8802)
"""By the paper's count (spec e.8); an atlas says how many voxels it really has."""
FSLR = Space("fsLR", 2 * 32492)
"""The 32k mesh of the Human Connectome Project, medial wall included, left first."""


def join_spaces(*spaces: Space) -> Space:
    """One space of several: their outputs one after the other, named ``a+b``."""
    labels: tuple[str, ...] = ()
    if any(space.labels for space in spaces):
        labels = tuple(label for space in spaces for label in space.labels or ("",) * space.n_outputs)
    return Space("+".join(space.name for space in spaces), sum(space.n_outputs for space in spaces), labels)


def places_within(space: Space, other: Space) -> Int[np.ndarray, " output"]:
    """Where each output of a space lies in another; -1 for what the other does not have.

    A part that both have by name is the same where it is as large: which atlas a subcortex is of no name tells.
    """
    places = np.full(space.n_outputs, -1)
    for name, own in space.parts.items():
        if len(theirs := other.parts.get(name, range(0))) == len(own):
            places[own] = theirs
    return places


def space_named(name: str, n_outputs: int | None = None, labels: tuple[str, ...] = ()) -> Space:
    """The space of that name.

    Parameters
    ----------
    name : str
        See `Space`. The number in a parcellation's name is its number of parcels.
    n_outputs : int, optional
        Outputs of a ``table``, which has no size of its own, or of a ``subcortex`` whose atlas is not the paper's.
    labels : tuple of str
        Structure or parcel of every output, as a run's ``outputs`` give them.

    Raises
    ------
    SpaceError
        If the name is unknown, a table comes without a size, or there are not as many labels as outputs.
    """
    known = {space.name: space for space in (FSAVERAGE5, SUBCORTEX, join_spaces(FSAVERAGE5, SUBCORTEX), FSLR)}
    if name in known:
        own_size = n_outputs if SUBCORTEX.name in name else None
        return Space(name, own_size or known[name].n_outputs, labels)
    if numbered := _PARCELS.fullmatch(name):
        return Space(name, int(numbered[1]), labels)
    if name == "table" and n_outputs is not None:
        return Space(name, n_outputs, labels)
    raise SpaceError(
        f"unknown space {name!r}",
        hint=f"one of: {', '.join([*known, 'table'])}, or a parcellation with its size, such as schaefer400",
    )
