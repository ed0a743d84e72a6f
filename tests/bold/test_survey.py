"""What is said of runs whose data nobody has read."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from tribetune.bold.find import list_runs
from tribetune.bold.survey import Survey, n_volumes, survey
from tribetune.errors import BoldError

N = 10242
FUNC = "derivatives/fmriprep/sub-01/func"


@pytest.fixture
def write_surfaces(tmp_path: Path, bold: np.ndarray, write_hemisphere: Callable) -> Callable[..., tuple[Path, Path]]:
    """Write both hemispheres of a run, each as long as asked for."""

    def write(run: str = "1", left: int = 6, right: int = 6, **settings: object) -> tuple[Path, Path]:
        stem = f"sub-01_task-movie_run-{run}_hemi-{{}}_space-fsaverage5_bold.func.gii"
        return (
            write_hemisphere(tmp_path / FUNC / stem.format("L"), bold[:left, :N], **settings),
            write_hemisphere(tmp_path / FUNC / stem.format("R"), bold[:right, N:], **settings),
        )

    return write


def look(folder: Path, stimuli: Path | None = None) -> Survey:
    (found,) = survey(list_runs(folder), stimuli)
    return found


@pytest.mark.parametrize("one_array", [False, True])
def test_a_whole_run_is_known_by_its_headers(
    tmp_path: Path, write_surfaces: Callable, touch: Callable, one_array: bool
) -> None:
    write_surfaces(one_array=one_array, TimeStep="1490")
    events = "onset\tduration\tstim_file\n0\t5\tfilm.mp4\n5\t3\tfilm.mp4\n8\t1\tn/a\n"
    (tmp_path / "stimuli").mkdir()
    (tmp_path / "stimuli/film.mp4").touch()
    touch(tmp_path, t_r={"task-movie_bold.json": 1.49})
    (tmp_path / "task-movie_run-1_events.tsv").write_text(events)
    (tmp_path / FUNC / "sub-01_task-movie_run-1_desc-confounds_timeseries.tsv").write_text("csf\n" + "1\n" * 6)
    found = look(tmp_path, tmp_path / "stimuli")
    assert (found.n_trs, found.t_r, found.stimuli) == (6, 1.49, ("film.mp4",))
    assert found.minutes == pytest.approx(6 * 1.49 / 60)
    assert (found.missing, found.faults, found.notes) == ((), (), ())


def test_what_is_missing_is_named(tmp_path: Path, write_surfaces: Callable) -> None:
    left, _ = write_surfaces()
    left.unlink()
    found = look(tmp_path)
    assert found.missing == ("hemisphere L", "events.tsv", "confounds")
    assert "t_r is unknown" in found.faults[0]
    assert (found.t_r, found.minutes) == (None, None)


def test_a_stimulus_that_is_not_there_is_named(tmp_path: Path, write_surfaces: Callable) -> None:
    write_surfaces(TimeStep="1.5")
    (tmp_path / "task-movie_events.tsv").write_text("onset\tduration\tstim_file\n0\t5\tgone.mp4\n")
    assert look(tmp_path, tmp_path / "stimuli").missing == ("gone.mp4", "confounds")
    assert look(tmp_path).missing == ("confounds",)
    (tmp_path / "task-movie_events.tsv").write_text("onset\tduration\n0\t5\n")
    assert look(tmp_path).missing == ("stim_file in events.tsv", "confounds")


def test_words_in_the_events_are_a_stimulus(tmp_path: Path, write_surfaces: Callable) -> None:
    write_surfaces(TimeStep="1.5")
    (tmp_path / "task-movie_events.tsv").write_text("onset\tduration\ttrial_type\tword\n0\t1\tword\thi\n")
    found = look(tmp_path, tmp_path / "stimuli")
    assert (found.stimuli, found.missing) == (("words",), ("confounds",))


def test_events_between_commas_are_read_as_the_study_reads_them(tmp_path: Path, write_surfaces: Callable) -> None:
    write_surfaces(TimeStep="1.5")
    (tmp_path / "task-movie_events.tsv").write_text("onset,duration,stim_file\n0,5,film.mp4\n")
    assert look(tmp_path).stimuli == ("film.mp4",)


def test_swapped_hemispheres_are_seen_without_reading_them(tmp_path: Path, write_surfaces: Callable) -> None:
    write_surfaces(TimeStep="1.5", AnatomicalStructurePrimary="CortexLeft")
    (fault,) = look(tmp_path).faults
    assert "AnatomicalStructurePrimary says L, expected hemisphere R" in fault


def test_faults_are_told_and_not_raised(tmp_path: Path, write_surfaces: Callable) -> None:
    left, right = write_surfaces(left=6, right=5, TimeStep="1.5")
    found = look(tmp_path)
    assert (found.n_trs, found.t_r) == (None, 1.5)
    assert found.faults == ("sub-01_task-movie_run-1: its files have 5 and 6 volumes",)
    for path in (left, right):
        path.write_bytes(path.read_bytes()[:-300])
    assert [fault.split("gii: ")[1].split(",")[0] for fault in look(tmp_path).faults[:2]] == ["cut short"] * 2


def test_a_broken_sidecar_is_a_fault(tmp_path: Path, write_surfaces: Callable) -> None:
    write_surfaces()
    (tmp_path / "task-movie_bold.json").write_text("not json")
    assert any("task-movie_bold.json: not a BIDS sidecar" in fault for fault in look(tmp_path).faults)


def test_wrong_counts_and_meshes_are_faults(tmp_path: Path, write_hemisphere: Callable, bold: np.ndarray) -> None:
    for side in "LR":
        name = f"sub-01_task-movie_hemi-{side}_space-fsaverage6_bold.func.gii"
        write_hemisphere(tmp_path / FUNC / name, bold[:, :N], TimeStep="1.5")
    (tmp_path / FUNC / "sub-01_task-movie_desc-confounds_timeseries.tsv").write_text("csf\n" + "1\n" * 7)
    faults = look(tmp_path).faults
    assert sum("10,242 vertices, expected 40,962 per hemisphere of fsaverage6" in fault for fault in faults) == 2
    assert "6 volumes, but sub-01_task-movie_desc-confounds_timeseries.tsv has 7" in faults[-1]


def test_two_runs_of_one_name_are_both_marked(tmp_path: Path, write_surfaces: Callable) -> None:
    for path in write_surfaces(TimeStep="1.5"):
        (tmp_path / "derivatives/other/sub-01/func").mkdir(parents=True, exist_ok=True)
        (tmp_path / "derivatives/other/sub-01/func" / path.name).write_bytes(path.read_bytes())
    found = survey(list_runs(tmp_path))
    assert [one.faults for one in found] == [("sub-01_task-movie_run-1: 2 runs have this name",)] * 2


def test_volumes_are_surveyed_too(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.ones((3, 3, 3, 40), np.int16), np.eye(4))
    image.header.set_zooms((2, 2, 2, 1.5))
    path = tmp_path / FUNC / "sub-01_task-movie_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz"
    path.parent.mkdir(parents=True)
    nibabel.save(image, path)
    found = look(tmp_path)
    assert (found.files.kind, found.n_trs, found.t_r, found.minutes) == ("volume", 40, 1.5, 1.0)
    assert found.missing == ("events.tsv", "confounds", "brain mask")
    path.write_bytes(path.read_bytes()[:-20])
    assert "cut short" in look(tmp_path).faults[0]


def test_discarded_volumes_and_slice_times_are_noted(tmp_path: Path, write_surfaces: Callable) -> None:
    write_surfaces()
    told = {"RepetitionTime": 2.0, "NumberOfVolumesDiscardedByScanner": 4, "StartTime": 0.98}
    (tmp_path / "task-movie_bold.json").write_text(json.dumps(told))
    scanner, slices = look(tmp_path).notes
    assert scanner.startswith("4 volumes were discarded by the scanner")
    assert "0.98 s after each volume's start" in slices


def test_volumes_are_counted_without_reading_them(tmp_path: Path, write_surfaces: Callable) -> None:
    write_surfaces(left=5)
    (files,) = list_runs(tmp_path)
    with pytest.raises(BoldError, match="its files have 5 and 6 volumes"):
        n_volumes(files)
    assert n_volumes(replace(files, bold=files.bold[1:])) == 6
