"""Le Petit Prince (ds003643): one English listener; the scanner's run numbers begin at 15."""

from pathlib import Path

import numpy as np

from tests.miniatures.writers import random_words, write_sound, write_text_grid, write_volume

T_R, SECTION_S, AFTER_S = 2.0, 8.0, 8.0
SHOWN_AT = {"sub-EN057_run-9": (0, {"task-lppEN_section-9.wav"})}

OVERRIDES = ("windows.duration_s=40",)
"""Runs are shorter here."""


def make(folder: Path, subject: str = "EN057", first_scan: int = 15) -> None:
    """Nine sections of 8 s; BOLD goes on for 8 s after each, as in the dataset's derivatives."""
    rng = np.random.default_rng(3643)
    for section in range(1, 10):
        name = f"sub-{subject}_task-lppEN_run-{first_scan + section - 1:02d}_space-MNIColin27_desc-preproc_bold.nii.gz"
        n_trs = round((SECTION_S + AFTER_S) / T_R)
        write_volume(folder / f"derivatives/sub-{subject}/func" / name, n_trs, T_R, rng)
        words = random_words(SECTION_S, rng)
        write_text_grid(folder / f"annotation/EN/lppEN_section{section}.TextGrid", {"words": words}, SECTION_S)
        write_sound(folder / f"stimuli/task-lppEN_section-{section}.wav", SECTION_S, rng)
