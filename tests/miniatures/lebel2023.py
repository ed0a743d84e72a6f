"""Lebel et al. 2023 (ds003020): one listener's preprocessed stories, which lack ten seconds of sound at either end."""

from pathlib import Path

import h5py
import numpy as np

from tests.miniatures.writers import random_words, write_sound, write_text_grid

STORIES = (
    "alternateithicatom",
    "souls",
    "avatar",
    "legacy",
    "odetostepfather",
    "howtodraw",
    "wheretheressmoke",
)
STORY_S, TRIMMED_S, T_R, N_VOXELS = 50, 10, 2.0, 64
SHOWN_AT = {"sub-UTS01_run-souls": (-10, {"souls.wav"})}


def make(folder: Path, subject: str = "UTS01") -> None:
    """Stories of 50 s, of which 30 were kept; a voxel outside of the brain, and the test story's ten repeats."""
    rng = np.random.default_rng(3020)
    n_trs = round((STORY_S - 2 * TRIMMED_S) / T_R)
    path = folder / "derivative/preprocessed_data" / subject
    path.mkdir(parents=True)
    for story in STORIES:
        with h5py.File(path / f"{story}.hf5", "w") as file:
            repeats = rng.standard_normal((10 if story == "wheretheressmoke" else 1, n_trs, N_VOXELS))
            repeats[..., 0] = np.nan
            file["data"] = repeats.mean(0)
            if len(repeats) > 1:
                file["individual_repeats"] = repeats
        words = random_words(STORY_S, rng)
        phones = [(onset, end, word[:2].upper()) for onset, end, word in words]
        tiers = {"phone": phones, "word": [(onset, end, word.upper()) for onset, end, word in words]}
        write_text_grid(folder / f"derivative/TextGrids/{story}.TextGrid", tiers, STORY_S, "sp")
        write_sound(folder / f"stimuli/{story}.wav", STORY_S, rng)
