"""A BIDS dataset with fMRIPrep's volumes in MNI space, and an atlas of two structures where nilearn has none."""

from pathlib import Path

import nibabel
import numpy as np

from tests.miniatures.writers import random_words, write_volume

T_R, N_TRS = 2.0, 25
OPTIONAL = ("dataset_description.json",)
OVERRIDES = ("data.subcortex.atlas=data/my-study/atlas.nii.gz", "features.modalities=[text]")
SHOWN_AT = {"sub-01_task-movie_run-1": (0.5, set())}


def make(folder: Path, subject: str = "01") -> None:
    """Four runs of words."""
    rng = np.random.default_rng(8)
    folder.mkdir(parents=True)
    (folder / "dataset_description.json").write_text('{"Name": "mine", "BIDSVersion": "1.8.0"}')
    for run in range(1, 5):
        name = f"sub-{subject}_task-movie_run-{run}"
        place = folder / "derivatives/fmriprep" / f"sub-{subject}/func"
        write_volume(place / f"{name}_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz", N_TRS, T_R, rng)
        rows = [f"{a:g}\t{b - a:g}\tword\t{text}" for a, b, text in random_words(N_TRS * T_R - 6, rng)]
        events = folder / f"sub-{subject}/func/{name}_events.tsv"
        events.parent.mkdir(parents=True, exist_ok=True)
        events.write_text("onset\tduration\ttrial_type\tword\n" + "\n".join(rows) + "\n")
    _write_atlas(folder)


def _write_atlas(folder: Path) -> None:
    labels = np.zeros((30, 36, 30), np.uint8)
    labels[12:14, 17:19, 14], labels[16:18, 17:19, 14] = 1, 2
    affine = np.array([[6.0, 0, 0, -90], [0, 6, 0, -126], [0, 0, 6, -72], [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(labels, affine), folder / "atlas.nii.gz")
    (folder / "atlas.tsv").write_text("index\tname\n1\tLeft Thalamus\n2\tRight Lateral Ventricle\n")
