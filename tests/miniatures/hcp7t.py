"""HCP 7T movies: four dense time series of fsLR, and four films that end in the same clip."""

from pathlib import Path

import numpy as np

from tests.miniatures.writers import write_cifti, write_film

FILMS = {"MOVIE1_7T_AP": "CC1", "MOVIE2_7T_PA": "HO1", "MOVIE3_7T_PA": "CC2", "MOVIE4_7T_AP": "HO2"}
N_TRS, CLIP_FROM_S, CLIP_S = 36, 24, 10
OVERRIDES = ("windows.duration_s=40", "data.repeats={1: [24, 34], 2: [24, 34], 3: [24, 34], 4: [24, 34]}")
"""The films are shorter here."""
SHOWN_AT = {"sub-100610_run-2": (0, {"7T_MOVIE2_HO1.mp4"})}


def make(folder: Path, subject: str = "100610") -> None:
    """Films of 36 s with the clip from 24 to 34 s."""
    rng = np.random.default_rng(7)
    for number, (scan, film) in enumerate(FILMS.items(), 1):
        name = f"tfMRI_{scan}"
        path = folder / subject / "MNINonLinear/Results" / name / f"{name}_Atlas_MSMAll_hp2000_clean.dtseries.nii"
        write_cifti(path, N_TRS, 1.0, rng)
        clip = (CLIP_FROM_S, CLIP_S, np.random.default_rng(0))
        write_film(folder / f"movie_stimulus/Pre_20140821_version/7T_MOVIE{number}_{film}.mp4", N_TRS, rng, clip=clip)
