from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tribetune.simulate import CohortSettings, simulate
from tribetune.simulate.movie import make_film
from tribetune.simulate.settings import SPECIES


@pytest.fixture(scope="session")
def cohort_settings() -> CohortSettings:
    """Two subjects, one film of two minutes, shown twice."""
    return CohortSettings(subjects=2, runs=1, minutes=2.0, seed=5, repeat=True)


@pytest.fixture(scope="session")
def cohort(tmp_path_factory, cohort_settings) -> Path:
    """A cohort of these settings."""
    return simulate(tmp_path_factory.mktemp("cohort") / "bids", cohort_settings)


@pytest.fixture(scope="session")
def measured(cohort) -> Callable[[int, int], np.ndarray]:
    """BOLD of a subject's run, both hemispheres, (n_trs, 20484), read by nibabel alone."""

    def read(subject: int, run: int) -> np.ndarray:
        stem = f"derivatives/fmriprep/sub-{subject:02d}/func/sub-{subject:02d}_task-movie_run-{run}"
        halves = [nib.load(cohort / f"{stem}_hemi-{side}_space-fsaverage5_bold.func.gii") for side in "LR"]
        return np.concatenate([np.stack([volume.data for volume in half.darrays]) for half in halves], axis=1)

    return read


@pytest.fixture(scope="session")
def typical_film(tmp_path_factory):
    """The second of the five films that the typical sizes were measured on."""
    return make_film(tmp_path_factory.mktemp("film") / "film.mp4", SPECIES, 2, 480.0)
