"""What a scanner and a body add to BOLD: autocorrelated noise, drift, motion spikes and a global signal."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from tribetune.simulate.cortex import N_KNOTS, cortex, smooth_basis, spread
from tribetune.simulate.settings import NOISE, SCAN, draw
from tribetune.spaces import N_HEMISPHERE

__all__ = ["Body", "Nuisance", "add_noise", "move"]


@dataclass(frozen=True)
class Nuisance:
    """What happened to a body during a run.

    Attributes
    ----------
    motion : array of shape (n_trs, 6)
        Translations in mm, then rotations in radians.
    displacement : array of shape (n_trs,)
        Framewise displacement in mm (Power et al. 2012: rotations on a sphere of 50 mm radius); 0 at the first volume.
    breathing : array of shape (n_trs,)
        The global signal, of unit variance.
    """

    motion: Float[np.ndarray, "time 6"]
    displacement: Float[np.ndarray, " time"]
    breathing: Float[np.ndarray, " time"]


@dataclass(frozen=True)
class Body:
    """What stays the same over a person's runs: mean image, SD and AR(1) of the noise, and the global map."""

    baseline: Float[np.ndarray, " output"]
    noise_sd: Float[np.ndarray, " output"]
    ar: Float[np.ndarray, " output"]
    breathing: Float[np.ndarray, " output"]

    @classmethod
    def of(cls, seed: int, subject: int) -> "Body":
        """The body of one subject of a cohort."""
        rng = draw(seed, "body", subject)
        base, loud, ar, breathing = (_smooth_field(rng) for _ in range(4))
        low, high = NOISE.ar
        middle = cortex().middle_mm.reshape(-1, 3)
        # signal is lost and noise grows where air is near: above the nose and the ears
        air = np.exp(-0.5 * (np.linalg.norm(middle - (0, 38, -22), axis=1) / 14) ** 2)
        air += (
            0.6 * np.exp(-0.5 * (np.linalg.norm(np.abs(middle) - (50, 20, 28), axis=1) / 12) ** 2) * (middle[:, 2] < 0)
        )
        baseline = SCAN.baseline * np.exp(0.12 * base) * (1 - 0.4 * np.minimum(air, 1))
        noise_sd = SCAN.baseline * SCAN.noise_percent / 100 * np.exp(0.2 * loud) * (1 + 0.4 * np.minimum(air, 1))
        spread = np.clip((low + high) / 2 + (high - low) / 4 * ar, 0.05, 0.7)
        return cls(*(x.astype(np.float32) for x in (baseline, noise_sd, spread, np.maximum(0.2, 1 + 0.4 * breathing))))


def move(rng: np.random.Generator, n_trs: int) -> Nuisance:
    """Let a head drift slowly, twitch now and then, and breathe."""
    step = np.concatenate([rng.normal(0, 0.012, (n_trs, 3)), rng.normal(0, 0.0002, (n_trs, 3))], axis=1)
    twitch = rng.random(n_trs) < NOISE.spikes_per_minute * SCAN.t_r / 60
    twitch[:2] = False
    jump = np.concatenate([rng.normal(0, 0.25, (n_trs, 3)), rng.normal(0, 0.004, (n_trs, 3))], axis=1) * twitch[:, None]
    motion = np.cumsum(step + jump, axis=0)
    motion[1:] -= 0.9 * np.cumsum(jump, axis=0)[:-1]  # most of a twitch is taken back at the next volume
    scaled = motion * ([1.0] * 3 + [50.0] * 3)
    displacement = np.abs(np.diff(scaled, axis=0, prepend=scaled[:1])).sum(1)
    slow = _autocorrelated(rng.standard_normal((n_trs, 1)), np.array([0.7]))[:, 0]
    return Nuisance(motion, displacement, slow / slow.std())


def add_noise(
    signal: Float[np.ndarray, "time output"], body: Body, nuisance: Nuisance, rng: np.random.Generator
) -> np.ndarray:
    """Turn a noiseless signal into a measured run.

    Parameters
    ----------
    signal : array of shape (n_trs, 20484)
        In SDs of the noise.
    body : Body
    nuisance : Nuisance
    rng : Generator
        The run's randomness.

    Returns
    -------
    array of shape (n_trs, 20484)
        BOLD in the scanner's units, zero on the medial wall; float32.
    """
    n_trs = len(signal)
    bold = _thermal_and_ongoing(rng, n_trs, body.ar)
    bold += signal
    bold += np.sqrt(NOISE.drift_share) * _drift(rng, n_trs)
    bold += np.sqrt(NOISE.global_share) * nuisance.breathing[:, None].astype(np.float32) * body.breathing
    bold *= body.noise_sd
    hit = np.where(nuisance.displacement > 0.5, nuisance.displacement, 0)
    hit = hit + 0.4 * np.concatenate([[0], hit[:-1]])
    effect = SCAN.baseline * NOISE.spike_percent / 100 * (_smooth_field(rng) - 0.5).astype(np.float32)
    struck = np.flatnonzero(hit)
    bold[struck] += hit[struck, None].astype(np.float32) * effect
    bold += body.baseline * np.float32(np.exp(rng.normal(0, NOISE.offset_sd)))
    bold[:, ~cortex().inside] = 0
    return bold


def _thermal_and_ongoing(rng: np.random.Generator, n_trs: int, ar: np.ndarray) -> np.ndarray:
    """Unit-variance AR(1) noise, part of it smooth over the cortex."""
    noise = rng.standard_normal((n_trs, 2 * N_HEMISPHERE), np.float32)
    noise *= np.float32(np.sqrt(1 - NOISE.smooth_share))
    basis = _basis()
    for hemisphere in (0, 1):
        knots = rng.standard_normal((n_trs, N_KNOTS), np.float32) * np.float32(np.sqrt(NOISE.smooth_share))
        noise[:, hemisphere * N_HEMISPHERE : (hemisphere + 1) * N_HEMISPHERE] += spread(knots, basis)
    return _autocorrelated(noise, ar)


def _autocorrelated(innovations: np.ndarray, ar: np.ndarray) -> np.ndarray:
    """AR(1) over time of every column, in place, keeping unit variance."""
    scale = np.sqrt(1 - ar**2).astype(innovations.dtype)
    for t in range(1, len(innovations)):
        innovations[t] *= scale
        innovations[t] += ar * innovations[t - 1]
    return innovations


def _drift(rng: np.random.Generator, n_trs: int) -> np.ndarray:
    """A trend and cosines slower than 128 s, each with its own smooth map; unit variance on average."""
    n_slow = max(1, int(2 * n_trs * SCAN.t_r / 128))
    steps = (np.arange(n_trs) + 0.5) / n_trs
    slow = np.stack(
        [np.sqrt(12) * (steps - 0.5)] + [np.sqrt(2) * np.cos(np.pi * k * steps) for k in range(1, n_slow + 1)], axis=1
    )
    strength = 1 / np.arange(1, n_slow + 2)
    strength /= np.linalg.norm(strength)
    maps = np.stack([_smooth_field(rng) for _ in strength]) * strength[:, None]
    return np.einsum("tk,kv->tv", slow.astype(np.float32), maps.astype(np.float32))


def _smooth_field(rng: np.random.Generator) -> Float[np.ndarray, " output"]:
    """A smooth random field of unit variance over both hemispheres."""
    return spread(rng.standard_normal((2, N_KNOTS), np.float32), _basis()).reshape(-1)


@cache
def _basis() -> csr_array:
    return smooth_basis(cortex().sphere)
