"""Surface meshes, told apart by the number of vertices of a hemisphere."""

from tribetune.errors import SpaceError
from tribetune.spaces import FSAVERAGE5, FSLR, N_HEMISPHERE

N_VERTICES = {FSAVERAGE5.name: N_HEMISPHERE, "fsaverage6": 40962, "fsaverage": 163842, FSLR.name: FSLR.n_outputs // 2}
"""Of one hemisphere; fsLR is the 32k mesh."""

NESTED = (FSAVERAGE5.name, "fsaverage6", "fsaverage")
"""Icosahedra that are subdivisions of each other: the vertices of a coarse one come first in a finer one (spec e.7)."""

_ALIASES = {"fsa5": "fsaverage5", "fsa6": "fsaverage6", "fsaverage7": "fsaverage"}
_DENSITIES = {"10k": "fsaverage5", "41k": "fsaverage6", "164k": "fsaverage"}


def mesh_named(space: str, density: str = "") -> str:
    """One name for the spellings of a mesh: ``fsaverage`` with ``den-10k`` is fsaverage5, and so is ``fsa5``."""
    if space == "fsaverage" and density in _DENSITIES:
        return _DENSITIES[density]
    return _ALIASES.get(space, space)


def mesh_of(n_vertices: int, named: str, where: str) -> str:
    """The mesh that a hemisphere has by its count, which its name must not contradict.

    Parameters
    ----------
    n_vertices : int
        Of one hemisphere.
    named : str
        As the file's name says; empty where it says nothing.
    where : str
        The file, for messages.

    Raises
    ------
    SpaceError
        If no mesh has as many vertices, or another one than the name says.
    """
    found = next((mesh for mesh, size in N_VERTICES.items() if size == n_vertices), "")
    if found and named in ("", found):
        return found
    wanted = named if named in N_VERTICES else FSAVERAGE5.name
    sizes = ", ".join(f"{mesh} has {size:,} vertices" for mesh, size in N_VERTICES.items() if mesh != wanted)
    raise SpaceError(
        f"{where}: {n_vertices:,} vertices, expected {N_VERTICES[wanted]:,} per hemisphere of {wanted}",
        hint=f"name it for its mesh, or use fMRIPrep's {wanted} output ({sizes})",
    )


def n_kept(n_vertices: int) -> int:
    """How many of a hemisphere's first vertices are read: of a nested mesh only those of fsaverage5."""
    return N_HEMISPHERE if n_vertices in {N_VERTICES[mesh] for mesh in NESTED} else n_vertices


def space_of(mesh: str) -> str:
    """The output space that a mesh is read as."""
    return FSAVERAGE5.name if mesh in NESTED else mesh


def resampling(path: str, mesh: str, wanted: str) -> str:
    """What turns fsLR into fsaverage5: Connectome Workbench's commands for the left hemisphere, and how to be spared.

    The spheres and areas are the Human Connectome Project's ``standard_mesh_atlases/resample_fsaverage``.
    """
    if (mesh, wanted) != (FSLR.name, FSAVERAGE5.name):
        return f"set data.space to {space_of(mesh)}, or run fMRIPrep with --output-spaces {wanted}"
    separate = (
        f"wb_command -cifti-separate {path} COLUMN -metric CORTEX_LEFT L.func.gii; " if ".dtseries" in path else ""
    )
    metric = "L.func.gii" if separate else path
    return (
        f"{separate}wb_command -metric-resample {metric} fs_LR-deformed_to-fsaverage.L.sphere.32k_fs_LR.surf.gii"
        " fsaverage5_std_sphere.L.10k_fsavg_L.surf.gii ADAP_BARY_AREA hemi-L_space-fsaverage5_bold.func.gii"
        " -area-metrics fs_LR.L.midthickness_va_avg.32k_fs_LR.shape.gii"
        " fsaverage5.L.midthickness_va_avg.10k_fsavg_L.shape.gii"
        " (the same for R); or set data.space to fsLR, or run fMRIPrep with --output-spaces fsaverage5"
    )
