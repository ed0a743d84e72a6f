"""The simulated cortical sheet: fsaverage5's sphere, its medial wall, places on it and smooth fields over it."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Bool, Float
from scipy.sparse import csr_array

from tribetune.simulate.areas import Area
from tribetune.spaces import N_HEMISPHERE

__all__ = ["HEMISPHERES", "N_KNOTS", "SPHERE_MM", "Cortex", "centre_of", "cortex", "smooth_basis", "spread", "turned"]

HEMISPHERES = ("left", "right")

SPHERE_MM = 100.0
"""Radius of FreeSurfer's sphere; a millimetre on it is about 0.75 mm of cortex."""

N_KNOTS = 642
"""The vertices of fsaverage3, the first ones of fsaverage5, about 14 mm apart: where smooth fields have their knots."""

_BASIS_MM = 8.0


@dataclass(frozen=True)
class Cortex:
    """Geometry of fsaverage5.

    Attributes
    ----------
    sphere : array of shape (10242, 3)
        Unit vectors; the same icosahedron for both hemispheres.
    middle_mm : array of shape (2, 10242, 3)
        Halfway between white matter and pial surface, in fsaverage coordinates, left first.
    wall : array of shape (2, 10242)
        True on the medial wall.
    """

    sphere: Float[np.ndarray, "vertex 3"]
    middle_mm: Float[np.ndarray, "2 vertex 3"]
    wall: Bool[np.ndarray, "2 vertex"]

    @property
    def inside(self) -> Bool[np.ndarray, " output"]:
        """True for the 20,484 outputs that are cortex, left hemisphere first."""
        return ~self.wall.reshape(-1)


@cache
def cortex() -> Cortex:
    """Read fsaverage5 as nilearn carries it.

    The medial wall is where white and pial surface meet (closer than 1 mm) and 10 mm around that on the sphere, which
    closes its holes: order of 8 % of the vertices, as in common parcellations.
    """
    from nilearn.datasets import load_fsaverage

    meshes = load_fsaverage("fsaverage5")
    pial = np.stack([meshes["pial"].parts[side].coordinates for side in HEMISPHERES])
    white = np.stack([meshes["white_matter"].parts[side].coordinates for side in HEMISPHERES])
    sphere = np.asarray(meshes["sphere"].parts["left"].coordinates, np.float64)
    sphere = sphere / np.linalg.norm(sphere, axis=1, keepdims=True)
    core = np.linalg.norm(pial - white, axis=2) < 1.0
    wall = np.stack([_around(sphere, where) for where in core])
    for array in (sphere, wall):
        array.flags.writeable = False
    return Cortex(sphere, (pial + white) / 2, wall)


def centre_of(area: Area, hemisphere: int) -> Float[np.ndarray, " 3"]:
    """The point of the sphere nearest to an area's MNI coordinates (mirrored for hemisphere 1)."""
    target = np.array(area.centre_mm, float) * ([1, -1][hemisphere], 1, 1)
    distance = np.linalg.norm(cortex().middle_mm[hemisphere] - target, axis=1)
    distance[cortex().wall[hemisphere]] = np.inf
    return cortex().sphere[int(distance.argmin())]


def turned(
    points: Float[np.ndarray, "point 3"], centre: np.ndarray, shift_mm: np.ndarray
) -> Float[np.ndarray, "point 3"]:
    """What lies at points of the sphere once ``centre`` and all around it moved by ``shift_mm`` (two directions)."""
    east = np.cross([0.0, 0.0, 1.0], centre)
    east /= np.linalg.norm(east)
    step = (shift_mm[0] * east + shift_mm[1] * np.cross(centre, east)) / SPHERE_MM
    axis = np.cross(centre, step)
    angle = np.linalg.norm(axis)
    axis = axis / max(angle, 1e-12)
    across = np.cross(axis, points)
    along = np.outer(np.einsum("pi,i->p", points, axis), axis) * (1 - np.cos(angle))
    return points * np.cos(angle) - across * np.sin(angle) + along  # the inverse turn: what now lies at these points


def smooth_basis(points: Float[np.ndarray, "point 3"]) -> csr_array:
    """Bumps of 8 mm SD around 642 knots: weights of unit variance give smooth fields of unit variance."""
    cosine = np.einsum("pi,ki->pk", points, cortex().sphere[:N_KNOTS])
    bumps = np.exp(np.maximum((cosine - 1) * (SPHERE_MM / _BASIS_MM) ** 2, -20))
    bumps[bumps < 1e-4] = 0
    return csr_array((bumps / np.linalg.norm(bumps, axis=1, keepdims=True)).astype(np.float32))


def spread(weights: Float[np.ndarray, "row column"], onto: csr_array) -> Float[np.ndarray, "row output"]:
    """Multiply weights of shape (n_rows, n_columns) by ``onto.T``, where ``onto`` is (n_outputs, n_columns).

    Sparse and on one thread, because the sums of a threaded dense product depend on how many threads there are.
    """
    return np.ascontiguousarray((onto @ weights.T).T)


def _around(sphere: np.ndarray, core: np.ndarray, radius_mm: float = 10.0) -> np.ndarray:
    """All vertices within a distance of the core, after islands far from its middle are dropped."""
    middle = sphere[core].mean(0)
    middle /= np.linalg.norm(middle)
    core = core & (np.einsum("pi,i->p", sphere, middle) > np.cos(60 / SPHERE_MM))
    near = np.einsum("pi,ci->pc", sphere, sphere[core]).max(1) > np.cos(radius_mm / SPHERE_MM)
    assert 0.02 * N_HEMISPHERE < near.sum() < 0.2 * N_HEMISPHERE
    return near
