"""From a film's properties to the BOLD a person shows without noise."""

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from tribetune.simulate.areas import AREAS
from tribetune.simulate.cortex import spread
from tribetune.simulate.hemodynamics import respond
from tribetune.simulate.people import Person, columns_of
from tribetune.simulate.properties import PROPERTIES
from tribetune.simulate.settings import FRAME_HZ, SCAN
from tribetune.simulate.typical import TYPICAL

__all__ = ["n_volumes", "noiseless"]


def n_volumes(duration_s: float) -> int:
    """Volumes of a run around a film of this duration."""
    return int(np.ceil((SCAN.onset_s + duration_s + SCAN.after_s) / SCAN.t_r))


def noiseless(person: Person, film: Float[np.ndarray, "time property"]) -> Float[np.ndarray, "volume output"]:
    """BOLD that a person shows while a film runs, without noise, in SDs of the noise.

    Parameters
    ----------
    person : Person
    film : array of shape (n_frames, n_properties)
        Properties over time at ``FRAME_HZ``, from the film's start.
    """
    return spread(_drives(person, film), csr_array(person.loadings.T))


def _drives(person: Person, film: np.ndarray) -> Float[np.ndarray, "volume column"]:
    """Every area's properties after its hemodynamic response, at the volumes' times."""
    volumes = n_volumes(len(film) / FRAME_HZ)
    times = np.arange(volumes) * SCAN.t_r
    steps = int(np.ceil(volumes * SCAN.t_r * FRAME_HZ)) + 1
    mean, scale = np.array([TYPICAL[name] for name in PROPERTIES]).T
    active = np.tile(np.maximum(-mean / scale, -1.0), (steps, 1))  # a grey screen and silence before and after the film
    start = round(SCAN.onset_s * FRAME_HZ)
    active[start : start + len(film)] = (film - mean) / scale
    return np.concatenate(
        [respond(active[:, columns_of(area.name)], person.responses[area.name], times) for area in AREAS], axis=1
    ).astype(np.float32)
