"""Wen et al. 2017: one viewer's volumes in MNI space, of seven films once and of a test film four times."""

from pathlib import Path

import numpy as np

from tests.miniatures.writers import write_film, write_volume

FILM_S, STILL_S, LATE_S, T_R = 8, 12, 2, 2.0
SHOWN = {**{f"seg{number}": 1 for number in range(1, 8)}, "test1": 4}
SHOWN_AT = {"sub-1_task-seg1_run-1": (-2, {"seg1.mp4"}), "sub-1_task-test1_run-3": (-2, {"test1.mp4"})}

OVERRIDES = ("windows.duration_s=40",)
"""Runs are shorter here."""


def make(folder: Path, subject: str = "1") -> None:
    """Recorded from 2 s after the film's start to the end of the 12 s of its last frame."""
    rng = np.random.default_rng(2017)
    for task, times in SHOWN.items():
        write_film(folder / f"stimuli/{task}.mp4", FILM_S, rng, with_sound=False)
        for run in range(1, times + 1):
            path = folder / f"subject{subject}/fmri/{task}/mni/{task}_{run}_mni.nii.gz"
            write_volume(path, round((FILM_S - LATE_S + STILL_S) / T_R), T_R, rng)
