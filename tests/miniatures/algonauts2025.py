"""Algonauts 2025: one HDF5 per subject with an array per half episode, films, and tables of words per TR."""

from pathlib import Path

import h5py
import numpy as np

from tests.miniatures.writers import random_words, write_film

T_R, N_TRS = 1.49, 6
HALVES = ("s01e02a", "s01e02b", "s01e03a", "s01e03b", "s01e04a", "s01e04b", "s01e05a", "s01e05b")
BOLD = (
    "fmri/sub-{0}/func/sub-{0}_task-friends_space-MNI152NLin2009cAsym_atlas-Schaefer18_parcel-1000Par7Net"
    "_desc-s123456_bold.h5"
)
SHOWN_AT = {"sub-01_ses-001_task-s01e02b": (0, {"friends_s01e02b.mkv"})}

OVERRIDES = ("windows.duration_s=40",)
"""Runs are shorter here."""


def make(folder: Path, subject: str = "01") -> None:
    """Eight half episodes of 9 s."""
    rng = np.random.default_rng(2025)
    path = folder / BOLD.format(subject)
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        for number, half in enumerate(HALVES):
            key = f"ses-{1 + number // 4:03d}_task-{half}"
            file.create_dataset(key, data=rng.standard_normal((N_TRS, 1000), np.float32))
    for half in HALVES:
        write_film(folder / f"stimuli/movies/friends/s1/friends_{half}.mkv", N_TRS * T_R, rng)
        _write_transcript(folder / f"stimuli/transcripts/friends/s1/friends_{half}.tsv", rng)


def _write_transcript(path: Path, rng: np.random.Generator) -> None:
    """A row per volume; one without words has empty lists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ["text_per_tr\twords_per_tr\tonsets_per_tr\tdurations_per_tr"]
    words = random_words(N_TRS * T_R, rng)
    for volume in range(N_TRS):
        own = [word for word in words if volume * T_R <= word[0] < (volume + 1) * T_R and volume != 3]
        texts, onsets = [text for _, _, text in own], [onset for onset, _, _ in own]
        rows.append(f"{' '.join(texts)}\t{texts}\t{onsets}\t{[0.4] * len(own)}")
    path.write_text("\n".join(rows) + "\n")
