"""Individual Brain Charting: sub-01's thirteen runs of Raiders of the Lost Ark, of which three show a chapter again."""

from pathlib import Path

import numpy as np

from tests.miniatures.writers import write_film, write_volume

N_TRS, T_R, CHAPTER_S = 9, 2.0, 10
SHOWN_AT = {"sub-01_ses-16_run-01": (1.643, {"raiders01.mp4"}), "sub-01_ses-17_run-11": (1.248, {"raiders01.mp4"})}
OVERRIDES = ("windows.duration_s=40",)
"""Runs are shorter here."""


def make(folder: Path, subject: str = "01") -> None:
    """Chapters of 10 s and 8 s of fixation; runs 11 to 13 are chapters 1 to 3 again."""
    rng = np.random.default_rng(2685)
    for run in range(1, 14):
        session, phase = 16 if run <= 6 else 17, "ap" if run in (4, 5, 6) or run >= 9 else "pa"
        name = f"sub-{subject}_ses-{session}_task-Raiders_dir-{phase}_run-{run:02d}"
        path = folder / f"sub-{subject}/ses-{session}/func"
        write_volume(path / f"{name}_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz", N_TRS, T_R, rng)
    for chapter in range(1, 11):
        write_film(folder / f"stimuli/raiders{chapter:02d}.mp4", CHAPTER_S, rng)
