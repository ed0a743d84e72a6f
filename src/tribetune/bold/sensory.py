"""Auditory and visual cortex: where a stimulus must show, whatever else is wrong."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from tribetune.bold.parcellation import Parcellation
from tribetune.bold.project import surface_vertices
from tribetune.spaces import FSAVERAGE5, N_HEMISPHERE

_NAMES = {
    "auditory": r"A1|transverse_?temporal|G_temp_sup-G_T_transv|Aud|Heschl\w*",
    "visual": r"V1|pericalcarine|S_calcarine|Vis|VisCent|VisPeri|Calcarine",
}
"""How Glasser, Desikan-Killiany, Destrieux, Schaefer (17 networks; for vision also 7) and AAL call them."""

_NUMBERS = {
    360: {"auditory": ("24", "204"), "visual": ("1", "181")},
    70: {"auditory": ("34", "69"), "visual": ("21", "56")},
}
"""Glasser's 360 and Desikan-Killiany's 70 parcels, numbered on from left to right, where a file has numbers only."""

_CENTRES_MM = {"auditory": (43.0, -24.0, 9.0), "visual": (11.0, -82.0, 3.0)}
"""Right-hemisphere centres (mirrored for the left) of A1 and V1 of Glasser et al. 2016 on fsaverage5, between which
those of Desikan-Killiany's transverse temporal and pericalcarine cortex lie; rounded, MNI305."""

_RADII_MM = {"auditory": 8.0, "visual": 14.0}
"""So wide that 92 % of the vertices are Glasser's early auditory areas, and all of them V1 or V2."""

_NEAR_MM = 20.0
"""A parcel whose centre is farther than this from where it should be is another parcel."""


@dataclass(frozen=True)
class Sensory:
    """Outputs in auditory and in visual cortex.

    Attributes
    ----------
    auditory, visual : array of shape (n_outputs,)
        True inside.
    source : str
        Where that is known from, for a caption.
    """

    auditory: Bool[np.ndarray, " output"]
    visual: Bool[np.ndarray, " output"]
    source: str


def sensory_outputs(names: Sequence[str]) -> Sensory | None:
    """Sensory outputs by the names of parcels, as a run's ``outputs``; None where either has none."""
    masks = {kind: _called(names, pattern) for kind, pattern in _NAMES.items()}
    if not all(mask.any() for mask in masks.values()):
        return None
    return Sensory(**masks, source="names of parcels")


def sensory_vertices(parcellation: Parcellation | None = None) -> Sensory:
    """Sensory vertices of fsaverage5: by a parcellation's names or known numbers, else by coordinates.

    Parameters
    ----------
    parcellation : Parcellation, optional
        Of fsaverage5. Its parcels are believed where they lie within 20 mm of where they should.
    """
    by_parcels = None if parcellation is None else _by_parcels(parcellation)
    return by_parcels or _by_coordinates()


def _called(names: Sequence[str], pattern: str) -> Bool[np.ndarray, " output"]:
    whole_word = re.compile(rf"(?<![A-Za-z0-9])({pattern})(?![A-Za-z0-9])", re.IGNORECASE)
    return np.array([bool(whole_word.search(name)) for name in names], bool)


def _by_parcels(parcellation: Parcellation) -> Sensory | None:
    masks = {}
    for kind, pattern in _NAMES.items():
        chosen = _called(parcellation.names, pattern)
        if not chosen.any():
            chosen = np.isin(parcellation.names, _NUMBERS.get(len(parcellation.names), {}).get(kind, ()))
        masks[kind] = np.isin(parcellation.labels, np.flatnonzero(chosen))
    if not all(_is_near(mask, kind) for kind, mask in masks.items()):
        return None
    return Sensory(**masks, source=f"parcels of {parcellation.name}")


def _is_near(mask: Bool[np.ndarray, " vertex"], kind: str) -> bool:
    """Whether vertices of both hemispheres lie around where a sense has its cortex."""
    if len(mask) != FSAVERAGE5.n_outputs:
        return False
    halves = zip(mask.reshape(2, N_HEMISPHERE), surface_vertices("midthickness"), (-1, 1), strict=True)
    return all(
        half.any() and np.linalg.norm(points[half].mean(0) - _centre(kind, side)) < _NEAR_MM
        for half, points, side in halves
    )


def _by_coordinates() -> Sensory:
    middle = surface_vertices("midthickness")
    masks = {
        kind: np.concatenate(
            [
                np.linalg.norm(points - _centre(kind, side), axis=1) < radius
                for points, side in zip(middle, (-1, 1), strict=True)
            ]
        )
        for kind, radius in _RADII_MM.items()
    }
    told = " and ".join(f"{radius:g} mm around {kind} cortex" for kind, radius in _RADII_MM.items())
    return Sensory(**masks, source=f"{told}, by coordinates of fsaverage")


def _centre(kind: str, side: int) -> np.ndarray:
    x, y, z = _CENTRES_MM[kind]
    return np.array([side * x, y, z])
