"""What a simulated cohort is made of: its size, and the fixed numbers of the simulation with their sources.

The numbers were fixed before any method of adaptation was compared on simulated data, and are never tuned to make one
win. "Order of" marks a figure that stands for a range in the literature, not for a single published value.
"""

import math
import zlib
from dataclasses import dataclass

import numpy as np

from tribetune.errors import TribetuneError

SPECIES = 2026
"""Seed of all that simulated people have in common in every cohort: where areas sit and what they respond to."""


@dataclass(frozen=True)
class CohortSettings:
    """How large a simulated cohort is, and which one.

    Attributes
    ----------
    subjects, runs : int
        Subjects, and runs of each; every run shows another film, the same to all subjects.
    minutes : float
        Duration of each film.
    seed : int
        Chooses the subjects and their noise, and the films unless ``stimulus_seed`` does.
    stimulus_seed : int, optional
        Chooses the films apart from the subjects.
    repeat : bool
        Whether one more run shows the first film again.

    Raises
    ------
    TribetuneError
        If a number is out of range.
    """

    subjects: int = 1
    runs: int = 4
    minutes: float = 8.0
    seed: int = 0
    stimulus_seed: int | None = None
    repeat: bool = False

    def __post_init__(self) -> None:
        for name, lowest, highest in (("subjects", 1, 99), ("runs", 1, 99), ("minutes", 0.25, 60), ("seed", 0, 2**32)):
            value = getattr(self, name)
            if not (math.isfinite(value) and lowest <= value <= highest):
                raise TribetuneError(
                    f"simulate: {name} is {value}, expected {lowest} to {highest:,}",
                    hint=f"call it with --{name} between {lowest} and {highest:,}",
                )
        if self.stimulus_seed is not None and self.stimulus_seed < 0:
            raise TribetuneError(
                f"simulate: stimulus_seed is {self.stimulus_seed}, expected 0 or more", hint="set --stimulus-seed 0"
            )

    @property
    def film_seed(self) -> int:
        """The seed that chooses the films."""
        return self.seed if self.stimulus_seed is None else self.stimulus_seed

    @property
    def duration_s(self) -> float:
        """Duration of a film in seconds, a whole number of frames."""
        return math.floor(self.minutes * 60 * FRAME_HZ) / FRAME_HZ


@dataclass(frozen=True)
class Scan:
    """How a run is measured.

    Attributes
    ----------
    t_r : float
        Repetition time in seconds: 1.5, as in Algonauts 2025 (1.49 s) and close to Narratives (1.5 s).
    onset_s, after_s : float
        Stimulus onset after the first volume, and scanning after its end, in seconds: order of what public datasets
        have.
    baseline : float
        Mean BOLD in arbitrary units of an EPI image.
    noise_percent : float
        Standard deviation of the noise in percent of the baseline: a temporal SNR of about 60 (Triantafyllou et al.
        2005: order of 50 to 80 at 3 T and 2-3 mm, before smoothing).
    """

    t_r: float = 1.5
    onset_s: float = 6.0
    after_s: float = 10.0
    baseline: float = 1000.0
    noise_percent: float = 1.6


@dataclass(frozen=True)
class Spread:
    """How simulated subjects differ.

    Attributes
    ----------
    gain_sd : float
        SD of the log of a subject's gain per area. BOLD amplitudes of one area differ by order of 30 % between healthy
        subjects (Aguirre et al. 1998; Handwerker et al. 2004 find amplitude as variable as delay).
    shift_mm : float
        SD, per direction, of an area's displacement on the sphere of 100 mm radius. After surface alignment areas are
        still apart by several mm, more in association than in primary cortex (Frost & Goebel 2012: overlap from over 80
        % in V1 to below 40 %; Glasser et al. 2016): order of 4 mm, times ``association_shift`` outside sensory areas.
    association_shift : float
        How many times further association areas are displaced.
    own_sensory, own_association : float
        Share of the explainable variance from a subject's own mixture of the same stimulus properties, before
        displacement, gain and delay separate subjects further. With these, 60-70 % is shared in sensory and 40-50 % in
        association cortex, the order found by inter-subject correlation and hyperalignment (Hasson et al. 2004; Haxby
        et al. 2011; Nastase et al. 2019).
    delay_sd_s, area_delay_sd_s : float
        SD of the time to peak between subjects, and between areas of one subject (Aguirre et al. 1998: peaks 2.7-6.2 s
        over subjects, little variance within; Handwerker et al. 2004: SD of order 0.5-1 s between regions and
        subjects).
    width_sd : float
        SD of the log of the response's width (order of 10 %, same sources).
    """

    gain_sd: float = 0.30
    shift_mm: float = 4.0
    association_shift: float = 1.5
    own_sensory: float = 0.38
    own_association: float = 0.56
    delay_sd_s: float = 0.75
    area_delay_sd_s: float = 0.4
    width_sd: float = 0.10


@dataclass(frozen=True)
class Noise:
    """What a scanner and a body add.

    Attributes
    ----------
    ar : tuple of float
        Lowest and highest AR(1) coefficient of a vertex at a t_r of 1.5 s: grey matter is order of 0.2-0.5 (Woolrich et
        al. 2001; Bullmore et al. 2001).
    smooth_share : float
        Share of the noise variance that is smooth over the cortex (point spread, vessels, ongoing activity; order of
        half, as neighbouring voxels' residuals correlate by 0.3-0.6).
    drift_share, global_share : float
        Variance of drift slower than 128 s, and of the subject's global signal (respiration, arousal: Power et al.
        2012, Murphy et al. 2009), relative to the rest: order of each.
    spikes_per_minute : float
        Motion spikes: frames of more than 0.5 mm framewise displacement; order of 0.3 a minute in compliant adults
        (Power et al. 2012).
    spike_percent : float
        Signal change, in percent of the baseline, per mm of displacement (Power et al. 2012: order of 1-3 % at 0.5-1
        mm).
    offset_sd : float
        SD of the log of a run's overall intensity: order of 1 %.
    """

    ar: tuple[float, float] = (0.25, 0.5)
    smooth_share: float = 0.45
    drift_share: float = 0.20
    global_share: float = 0.06
    spikes_per_minute: float = 0.3
    spike_percent: float = 1.5
    offset_sd: float = 0.01


SCAN, SPREAD, NOISE = Scan(), Spread(), Noise()

FRAME_HZ = 12.5
"""Frames per second of a film; the stimulus's properties have the same clock."""

SOUND_HZ = 16000
"""Samples per second of a film's sound."""

FRAME_HEIGHT, FRAME_WIDTH = 120, 160


def draw(*key: int | str) -> np.random.Generator:
    """Random numbers that depend on ``key`` alone, so that no part of a cohort depends on another's size."""
    return np.random.default_rng([part if isinstance(part, int) else zlib.crc32(part.encode()) for part in key])
