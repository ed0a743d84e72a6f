"""Narratives (ds002345): fMRIPrep 1.5 surfaces of a listener of four stories, sounds, and words aligned by gentle."""

import json
from pathlib import Path

import numpy as np

from tests.miniatures.writers import random_words, write_sound, write_surface

STORIES = ("piemanpni", "bronx", "black", "forgot")
STORY_S, N_TRS, T_R = 55, 46, 1.5
FSAVERAGE6 = 40962
SHOWN_AT = {"sub-276_task-bronx": (12, {"bronx_audio.wav"})}


def make(folder: Path, subject: str = "276") -> None:
    """Stories of 55 s after 12 s of silence; one word of each was not found in the sound."""
    rng = np.random.default_rng(2345)
    for story in STORIES:
        name = f"sub-{subject}_task-{story}_space-fsaverage6"
        for side in "LR":
            path = folder / f"derivatives/fmriprep/sub-{subject}/func/{name}_hemi-{side}.func.gii"
            write_surface(path, N_TRS, T_R, FSAVERAGE6, rng)
        write_sound(folder / f"stimuli/{story}_audio.wav", STORY_S, rng)
        _write_aligned(folder / f"stimuli/gentle/{story}/align.json", rng)


def _write_aligned(path: Path, rng: np.random.Generator) -> None:
    transcript, words = "", []
    for number, (onset, end, text) in enumerate(random_words(STORY_S, rng)):
        place = {"word": text, "startOffset": len(transcript), "endOffset": len(transcript) + len(text)}
        heard = {"alignedWord": text, "case": "success", "start": onset, "end": end, "phones": []}
        words.append(place | (heard if number != 5 else {"case": "not-found-in-audio"}))
        transcript += text + (". " if number % 8 == 7 else " ")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"transcript": transcript, "words": words}))
