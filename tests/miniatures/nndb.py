"""Naturalistic Neuroimaging Database (ds002837): one viewer of one film, a volume per second, words beside the film."""

from pathlib import Path

import numpy as np

from tests.miniatures.writers import random_words, write_film, write_volume

FILM_S, T_R = 240, 1.0
SHOWN_AT = {"sub-1_task-500daysofsummer": (0, {"task-500daysofsummer.mp4"})}
OVERRIDES = ("windows.duration_s=40",)
"""Runs are shorter here."""


def make(folder: Path, subject: str = "1", task: str = "500daysofsummer") -> None:
    """A film of four minutes, to be split by blocks with a gap of 110 s."""
    rng = np.random.default_rng(2837)
    name = f"sub-{subject}_task-{task}_bold_no_blur_no_censor_ica.nii.gz"
    write_volume(folder / f"derivatives/sub-{subject}/func" / name, FILM_S, T_R, rng)
    write_film(folder / f"stimuli/task-{task}.mp4", FILM_S, rng)
    lines = [f"{text} {onset:.3f} {end:.3f}" for onset, end, text in random_words(FILM_S, rng)]
    (folder / f"stimuli/task-{task}_word-annotation.1D").write_text("\n".join(lines) + "\n")
