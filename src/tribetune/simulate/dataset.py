"""The files of a simulated dataset: BIDS on the outside, fMRIPrep's names inside, each written whole or not at all."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from tribetune.files import whole, write_json, write_text
from tribetune.simulate.noise import Nuisance
from tribetune.simulate.settings import SCAN
from tribetune.spaces import N_HEMISPHERE

__all__ = ["Layout", "write_arrays", "write_bold", "write_confounds", "write_descriptions", "write_events"]

_HEMISPHERES = {"L": ("CortexLeft", 0), "R": ("CortexRight", N_HEMISPHERE)}
_MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")


class Layout:
    """Where each file of a dataset lies.

    Parameters
    ----------
    root : Path
        The dataset's folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def film(self, run: int) -> Path:
        """The film of a run."""
        return self.root / "stimuli" / f"film-{run:02d}.mp4"

    def words(self, run: int) -> Path:
        """The word timings of a film."""
        return self.root / "stimuli" / f"film-{run:02d}_words.tsv"

    def properties(self, run: int) -> Path:
        """The properties of a film that BOLD was planted from."""
        return self.root / "truth" / f"film-{run:02d}.npz"

    def truth(self, subject: int) -> Path:
        """A subject's truth."""
        return self.root / "truth" / f"sub-{subject:02d}.npz"

    def events(self, subject: int, run: int) -> Path:
        """What was shown in a run."""
        return self.root / f"sub-{subject:02d}" / "func" / f"{self._stem(subject, run)}_events.tsv"

    def bold(self, subject: int, run: int, side: str) -> Path:
        """One hemisphere's BOLD."""
        return self._derivatives(subject) / f"{self._stem(subject, run)}_hemi-{side}_space-fsaverage5_bold.func.gii"

    def sidecar(self, subject: int, run: int, side: str) -> Path:
        """What belongs to one hemisphere's BOLD."""
        return self._derivatives(subject) / f"{self._stem(subject, run)}_hemi-{side}_space-fsaverage5_bold.json"

    def confounds(self, subject: int, run: int) -> Path:
        """A run's confounds."""
        return self._derivatives(subject) / f"{self._stem(subject, run)}_desc-confounds_timeseries.tsv"

    def run_files(self, subject: int, run: int) -> list[Path]:
        """All files of a run."""
        sides = [at(subject, run, side) for at in (self.bold, self.sidecar) for side in _HEMISPHERES]
        return [*sides, self.confounds(subject, run), self.events(subject, run)]

    def _derivatives(self, subject: int) -> Path:
        return self.root / "derivatives" / "fmriprep" / f"sub-{subject:02d}" / "func"

    @staticmethod
    def _stem(subject: int, run: int) -> str:
        return f"sub-{subject:02d}_task-movie_run-{run}"


def write_descriptions(layout: Layout, subjects: int) -> None:
    """The dataset's and the derivatives' description, the participants and a README."""
    generated = [{"Name": "tribetune", "Description": "tribetune simulate: nobody was scanned"}]
    common = {"BIDSVersion": "1.10.0", "GeneratedBy": generated, "License": "CC0"}
    write_json(
        layout.root / "dataset_description.json",
        {"Name": "Simulated cohort with planted truth", "DatasetType": "raw", **common},
    )
    write_json(
        layout.root / "derivatives" / "fmriprep" / "dataset_description.json",
        {"Name": "Simulated BOLD in fMRIPrep's layout", "DatasetType": "derivative", **common},
    )
    rows = "".join(f"sub-{subject:02d}\n" for subject in range(1, subjects + 1))
    write_text(layout.root / "participants.tsv", "participant_id\n" + rows)
    write_text(
        layout.root / "README",
        "Made by `tribetune simulate`: films, and the BOLD that people would show if the truth in truth/ were true.\n",
    )


def write_events(path: Path, film: Path, duration_s: float) -> None:
    """One row: the film, from ``SCAN.onset_s`` after the first volume."""
    row = f"{SCAN.onset_s:.3f}\t{duration_s:.3f}\tfilm\t{film.name}\n"
    write_text(path, "onset\tduration\ttrial_type\tstim_file\n" + row)


def write_bold(layout: Layout, subject: int, run: int, bold: np.ndarray) -> None:
    """Both hemispheres of a run, (n_trs, 20484), as GIFTI with one array per volume, and their sidecars."""
    import nibabel as nib

    sidecar = {"RepetitionTime": SCAN.t_r, "StartTime": 0.0, "TaskName": "movie", "SpatialReference": "fsaverage5"}
    step = {"TimeStep": f"{1000 * SCAN.t_r:.1f}"}  # milliseconds, as FreeSurfer and so fMRIPrep write it
    for side, (structure, first) in _HEMISPHERES.items():
        path = layout.bold(subject, run, side)
        if not path.exists():
            arrays = [
                nib.gifti.GiftiDataArray(
                    np.ascontiguousarray(volume),
                    intent="NIFTI_INTENT_TIME_SERIES",
                    datatype="NIFTI_TYPE_FLOAT32",
                    encoding="GIFTI_ENCODING_B64BIN",
                    meta=step,
                )
                for volume in bold[:, first : first + N_HEMISPHERE]
            ]
            meta = nib.gifti.GiftiMetaData({"AnatomicalStructurePrimary": structure, **step})
            with whole(path) as part:
                part.write_bytes(nib.gifti.GiftiImage(meta=meta, darrays=arrays).to_bytes())
        write_json(layout.sidecar(subject, run, side), sidecar)


def write_confounds(path: Path, nuisance: Nuisance, rng: np.random.Generator) -> None:
    """Motion and its expansions, framewise displacement and mean signals, named as fMRIPrep names them."""
    moved = np.diff(nuisance.motion, axis=0, prepend=np.nan)
    table: dict[str, np.ndarray] = {}
    for name, column, change in zip(_MOTION, nuisance.motion.T, moved.T, strict=True):
        table |= {
            name: column,
            f"{name}_derivative1": change,
            f"{name}_power2": column**2,
            f"{name}_derivative1_power2": change**2,
        }
    for name, level in (("global_signal", 0.2), ("csf", 0.8), ("white_matter", 0.5)):
        table[name] = SCAN.baseline * (1 + 0.003 * (nuisance.breathing + level * rng.standard_normal(len(moved))))
    table["framewise_displacement"] = np.where(np.arange(len(moved)) > 0, nuisance.displacement, np.nan)
    text = pd.DataFrame(table).to_csv(sep="\t", index=False, na_rep="n/a", float_format="%.8g", lineterminator="\n")
    write_text(path, text)


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Arrays by name, compressed; the same arrays give the same bytes."""
    with whole(path) as part, part.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_settings(path: Path) -> dict | None:
    """The settings a dataset was begun with; None where there is none."""
    return json.loads(path.read_text(encoding="utf-8"))["settings"] if path.exists() else None
