"""From what neurons do to what BOLD shows: a double-gamma response of varying delay and width."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.signal import fftconvolve

from tribetune.simulate.settings import FRAME_HZ

__all__ = ["CANONICAL", "Response", "respond"]

_LENGTH_S = 32.0


@dataclass(frozen=True)
class Response:
    """A double-gamma hemodynamic response.

    Attributes
    ----------
    peak_s, width_s : float
        Time to peak, and width, of the first gamma; the defaults are Glover's (1999) for auditory cortex: a peak at 5.4
        s, an undershoot at 10.8 s of 0.35 times its size.
    """

    peak_s: float = 5.4
    width_s: float = 2.2
    undershoot: float = 0.35

    def kernel(self, hz: float = FRAME_HZ) -> Float[np.ndarray, " time"]:
        """The response to an impulse over 32 s, with a sum of absolute values of 1."""
        seconds = np.arange(0, _LENGTH_S, 1 / hz)
        early = _gamma(seconds, self.peak_s, self.width_s)
        late = _gamma(seconds, 2 * self.peak_s, self.width_s * np.sqrt(2))
        kernel = early - self.undershoot * late
        return kernel / np.abs(kernel).sum()


CANONICAL = Response()


def respond(
    drive: Float[np.ndarray, "time column"], response: Response, times: Float[np.ndarray, " volume"]
) -> Float[np.ndarray, "volume column"]:
    """Convolve with a response and read off at the volumes' times.

    Parameters
    ----------
    drive : array of shape (n_steps, n_columns)
        What neurons do from the first volume on, at ``FRAME_HZ``.
    response : Response
    times : array of shape (n_trs,)
        Seconds from the first volume.
    """
    slow = fftconvolve(drive, response.kernel()[:, None], axes=0)[: len(drive)]
    place = np.clip(times * FRAME_HZ, 0, len(slow) - 1)
    low = np.minimum(place.astype(int), len(slow) - 2)
    share = (place - low)[:, None]
    return slow[low] * (1 - share) + slow[low + 1] * share


def _gamma(seconds: np.ndarray, peak_s: float, width_s: float) -> np.ndarray:
    """A gamma density's shape with the given peak, scaled to 1 there."""
    power = (peak_s / width_s) ** 2
    x = np.maximum(seconds, 1e-9) / peak_s
    return np.exp(power * (np.log(x) - x + 1))
