"""Output spaces: how many places, in which order, and what a vertex of fsaverage5 is near to."""

from dataclasses import dataclass

from tribetune.errors import SpaceError

N_HEMISPHERE = 10242
"""Vertices of one fsaverage5 hemisphere; the left hemisphere always comes first."""


@dataclass(frozen=True)
class Space:
    """Where BOLD lives: a name and the number of its outputs.

    Attributes
    ----------
    name : str
        ``fsaverage5``, ``subcortex`` or ``table``.
    n_outputs : int
        Columns of every BOLD array of this space.
    """

    name: str
    n_outputs: int

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


def space_named(name: str, n_outputs: int | None = None) -> Space:
    """The space of that name; a ``table`` has as many outputs as the caller says.

    Raises
    ------
    SpaceError
        If the name is unknown, or a table comes without a size.
    """
    known = {space.name: space for space in (FSAVERAGE5, SUBCORTEX)}
    if name in known:
        return known[name]
    if name == "table" and n_outputs is not None:
        return Space(name, n_outputs)
    raise SpaceError(f"unknown space {name!r}", hint=f"one of: {', '.join([*known, 'table'])}")
