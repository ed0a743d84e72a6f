"""What simulated people respond to at every vertex: maps they have in common, and how each person's differ."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float

from tribetune.simulate.areas import AREAS, Area
from tribetune.simulate.cortex import N_KNOTS, SPHERE_MM, centre_of, cortex, smooth_basis, spread, turned
from tribetune.simulate.hemodynamics import CANONICAL, Response
from tribetune.simulate.properties import PROPERTIES
from tribetune.simulate.settings import NOISE, SPECIES, SPREAD, draw
from tribetune.simulate.typical import AREA_SD
from tribetune.spaces import N_HEMISPHERE

__all__ = ["COLUMNS", "Person", "average_person", "columns_of", "meet", "responses_of"]

_VARIETY = 0.6
"""SD over vertices of a property's weight relative to the area's: why neighbouring vertices differ."""

_REACH = 2.6
"""An area ends where its outline falls below exp(-2.6²/2) = 3 % of its peak."""


def _properties_of(area: Area) -> tuple[tuple[str, int | None, float], ...]:
    """(property, the hemisphere it is for or None for both, weight): the opposite field differs by hemisphere."""
    named = []
    for name, weight in area.weights.items():
        if name.startswith("other_"):
            stem = name.removeprefix("other_")
            named += [(f"{stem}_right", 0, weight), (f"{stem}_left", 1, weight)]
        else:
            named.append((name, None, weight))
    return tuple(named)


COLUMNS: tuple[tuple[str, str], ...] = tuple((area.name, entry[0]) for area in AREAS for entry in _properties_of(area))
"""(area, property) of each row of a person's loadings."""


@dataclass(frozen=True)
class Person:
    """How one person's cortex responds.

    Attributes
    ----------
    loadings : array of shape (n_columns, 20484)
        Weight of every property of every area (``COLUMNS``) at every vertex, in SDs of the noise.
    responses : dict
        Hemodynamic response of each area.
    """

    loadings: Float[np.ndarray, "column output"]
    responses: dict[str, Response]

    def lag_s(self) -> Float[np.ndarray, " output"]:
        """Time to peak per vertex: of the areas that reach it, by what they add to its variance; NaN elsewhere."""
        power = self.loadings.astype(np.float64) ** 2
        peaks = np.array([self.responses[area].peak_s for area, _ in COLUMNS])
        total = power.sum(0)
        return np.where(total > 0, np.einsum("c,cv->v", peaks, power) / np.where(total > 0, total, 1), np.nan)


@cache
def average_person() -> Person:
    """What everybody has in common: undisplaced maps, gains of 1, the canonical response."""
    return Person(_loadings(None), {area.name: CANONICAL for area in AREAS})


def meet(seed: int, subject: int) -> Person:
    """One subject of a cohort: the common maps, displaced, scaled and mixed with the person's own; own responses."""
    return Person(_loadings((seed, subject)), responses_of(seed, subject))


def responses_of(seed: int, subject: int) -> dict[str, Response]:
    """The hemodynamic response of each area of a subject: a delay and a width of the person, and of the area."""
    rng = draw(seed, "response", subject)
    delay, width = rng.normal(0, SPREAD.delay_sd_s), rng.normal(0, SPREAD.width_sd)
    responses = {}
    for area in AREAS:
        peak = CANONICAL.peak_s + delay + rng.normal(0, SPREAD.area_delay_sd_s)
        spread = CANONICAL.width_s * np.exp(width + rng.normal(0, SPREAD.width_sd / 2))
        responses[area.name] = Response(float(np.clip(peak, 3.0, 8.5)), float(spread))
    return responses


def _loadings(key: tuple[int, int] | None) -> Float[np.ndarray, "column output"]:
    loadings = np.zeros((len(COLUMNS), 2 * N_HEMISPHERE), np.float32)
    first = 0
    for area in AREAS:
        entries = _properties_of(area)
        gain = 1.0 if key is None else float(np.exp(draw(*key, "gain", area.name).normal(0, SPREAD.gain_sd)))
        for hemisphere in (0, 1):
            rows = [first + k for k, (_, side, _) in enumerate(entries) if side in (None, hemisphere)]
            where, values = _area_loadings(area, hemisphere, key)
            block = loadings[:, hemisphere * N_HEMISPHERE : (hemisphere + 1) * N_HEMISPHERE]
            block[np.array(rows)[:, None], where] = gain * values
        first += len(entries)
    loadings[:, ~cortex().inside] = 0
    return loadings


def _area_loadings(area: Area, hemisphere: int, key: tuple[int, int] | None) -> tuple[np.ndarray, np.ndarray]:
    """Vertices an area reaches in one hemisphere, and the weight of each of its properties there."""
    sphere, centre = cortex().sphere, centre_of(area, hemisphere)
    shift = np.zeros(2)
    if key is not None:
        spread = SPREAD.shift_mm * (1 if area.sensory else SPREAD.association_shift)
        shift = draw(*key, "shift", area.name, hemisphere).normal(0, spread, 2)
    moved = turned(sphere, centre, shift)
    distance = SPHERE_MM * np.arccos(np.clip(np.einsum("pi,i->p", moved, centre), -1, 1)) / area.size_mm
    where = np.flatnonzero(distance < _REACH)
    entries = [(name, weight) for name, side, weight in _properties_of(area) if side in (None, hemisphere)]
    weights = np.array([weight for _, weight in entries])[:, None]
    common = weights * (1 + _VARIETY * _fields((SPECIES,), area, hemisphere, entries, moved[where]))
    mixture = common / np.linalg.norm(common, axis=0)
    if key is not None:
        share = SPREAD.own_sensory if area.sensory else SPREAD.own_association
        tilt = draw(*key, "tilt", area.name).normal(0, 1, (len(weights), 1))
        own = np.abs(weights) * (0.6 * tilt + 0.8 * _fields(key, area, hemisphere, entries, sphere[where]))
        own /= np.linalg.norm(own, axis=0)
        mixture = np.sqrt(1 - share) * mixture + np.sqrt(share) * own
    outline = np.exp(-0.5 * distance[where] ** 2)
    height = area.peak_r / np.sqrt(1 - area.peak_r**2) * np.sqrt(1 + NOISE.drift_share + NOISE.global_share)
    side = area.right**0.5 if hemisphere else area.right**-0.5
    return where, (height * side / AREA_SD[area.name] * outline * mixture).astype(np.float32)


def _fields(
    key: tuple[int, ...], area: Area, hemisphere: int, entries: list[tuple[str, float]], points: np.ndarray
) -> Float[np.ndarray, "property vertex"]:
    """A smooth random field of unit variance for every property, over some points of the sphere."""
    knots = [draw(*key, "map", area.name, name, hemisphere).standard_normal(N_KNOTS) for name, _ in entries]
    return spread(np.stack(knots).astype(np.float32), smooth_basis(points))


def columns_of(area: str) -> list[int]:
    """Which properties an area's rows of the loadings belong to, as columns of ``PROPERTIES``."""
    return [PROPERTIES.index(name) for where, name in COLUMNS if where == area]
