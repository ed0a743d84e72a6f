"""Studyforrest (ds000113): fMRIPrep surfaces of the eight runs of Forrest Gump; run N shows film segment N − 1."""

from pathlib import Path

import numpy as np

from tests.miniatures.writers import write_film, write_surface

SEGMENT_S, N_TRS, T_R = 12, 8, 2.0
FSAVERAGE5 = 10242
SHOWN_AT = {"sub-01_run-1": (0, {"fg_av_ger_seg0.mkv"}), "sub-01_run-8": (0, {"fg_av_ger_seg7.mkv"})}
OVERRIDES = ("windows.duration_s=40",)
"""Runs are shorter here."""


def make(folder: Path, subject: str = "01") -> None:
    """Segments of 30 s."""
    rng = np.random.default_rng(113)
    place = folder / f"derivatives/fmriprep/sub-{subject}/ses-movie/func"
    for run in range(1, 9):
        name = f"sub-{subject}_ses-movie_task-movie_run-{run}"
        for side in "LR":
            write_surface(place / f"{name}_hemi-{side}_space-fsaverage5_bold.func.gii", N_TRS, T_R, FSAVERAGE5, rng)
        write_film(folder / f"stimuli/fg_av_ger_seg{run - 1}.mkv", SEGMENT_S, rng)
