"""HCP 7T movies: four dense time series of fsLR, and four films that end in the same clip."""

from pathlib import Path

import numpy as np

from tests.miniatures.writers import write_cifti, write_film

FILMS = {"MOVIE1_7T_AP": "CC1", "MOVIE2_7T_PA": "HO1", "MOVIE3_7T_PA": "CC2", "MOVIE4_7T_AP": "HO2"}
N_TRS, CLIP_S = 70, 25
OVERRIDES = ("data.repeats={1: [40, 65], 2: [40, 65], 3: [40, 65], 4: [40, 65]}",)
"""The films are shorter here."""
SHOWN_AT = {"sub-100610_run-2": (0, {"7T_MOVIE2_HO1.mp4"})}


def make(folder: Path, subject: str = "100610") -> None:
    """Films of 70 s with the clip from 40 to 65 s."""
    rng = np.random.default_rng(7)
    for number, (scan, film) in enumerate(FILMS.items(), 1):
        name = f"tfMRI_{scan}"
        path = folder / subject / "MNINonLinear/Results" / name / f"{name}_Atlas_MSMAll_hp2000_clean.dtseries.nii"
        write_cifti(path, N_TRS, 1.0, rng)
        clip = (40, CLIP_S, np.random.default_rng(0))
        write_film(folder / f"movie_stimulus/Pre_20140821_version/7T_MOVIE{number}_{film}.mp4", N_TRS, rng, clip=clip)
