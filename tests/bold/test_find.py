"""Which runs a BIDS dataset holds, and what is said when one is missing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tribetune.bold.find import events_file, find_runs, list_runs
from tribetune.bold.run_files import RunFiles, run_of_files
from tribetune.errors import BoldError, together

FUNC = "derivatives/fmriprep/sub-01/func"


def surfaces(name: str, folder: str = FUNC) -> list[str]:
    """Both hemispheres' files; ``{}`` stands for the hemisphere."""
    return [f"{folder}/{name.format(side)}_bold.func.gii" for side in "LR"]


def whole_runs(bids: Path, subject: str, task: str, space: str, session: str = "") -> list[RunFiles]:
    """The files of every run, as a study asks for them."""
    return together(job for _, job in find_runs(bids, subject, task, space, session))


def test_runs_are_found_in_both_entity_orders_and_sorted_by_number(tmp_path: Path, touch: Callable) -> None:
    touch(
        tmp_path,
        *surfaces("sub-01_task-movie_run-10_hemi-{}_space-fsaverage5"),
        *surfaces("sub-01_task-movie_run-2_space-fsaverage5_hemi-{}"),
        *surfaces("sub-01_task-rest_run-1_hemi-{}_space-fsaverage5"),
        *surfaces("sub-01_task-movie_run-2_hemi-{}_space-fsaverage6"),
    )
    runs = whole_runs(tmp_path, "01", "movie", "fsaverage5")
    assert [run.run for run in runs] == ["2", "10"]
    assert [["hemi-L" in runs[k].bold[0].name, "hemi-R" in runs[k].bold[1].name] for k in (0, 1)] == [[True, True]] * 2
    assert runs[0].label == "sub-01_task-movie_run-2"


def test_fslr_alone_is_answered_by_the_command_that_resamples_it(tmp_path: Path, touch: Callable) -> None:
    touch(tmp_path, f"{FUNC}/sub-01_task-movie_run-1_space-fsLR_den-91k_bold.dtseries.nii")
    with pytest.raises(BoldError, match="no run with task-movie, space-fsaverage5") as caught:
        whole_runs(tmp_path, "01", "movie", "fsaverage5")
    assert "wb_command -cifti-separate" in caught.value.hint
    assert "wb_command -metric-resample" in caught.value.hint


def test_labels_may_carry_their_key(tmp_path: Path, touch: Callable) -> None:
    touch(tmp_path, *surfaces("sub-01_task-movie_hemi-{}_space-fsaverage5"))
    (run,) = whole_runs(tmp_path, "sub-01", "task-movie", "space-fsaverage5")
    assert (run.subject, run.task, run.run, run.session) == ("01", "movie", "", "")


def test_sessions_are_told_apart(tmp_path: Path, touch: Callable) -> None:
    for session in "12":
        folder = f"derivatives/fmriprep/sub-01/ses-{session}/func"
        touch(tmp_path, *surfaces(f"sub-01_ses-{session}_task-movie_run-1_hemi-{{}}_space-fsaverage5", folder))
    assert [run.session for run in whole_runs(tmp_path, "01", "movie", "fsaverage5")] == ["1", "2"]
    assert [run.session for run in whole_runs(tmp_path, "01", "movie", "fsaverage5", session="2")] == ["2"]


def test_events_confounds_and_t_r_come_from_their_places(tmp_path: Path, touch: Callable) -> None:
    touch(
        tmp_path,
        *surfaces("sub-01_task-movie_run-1_hemi-{}_space-fsaverage5"),
        *surfaces("sub-01_task-movie_run-2_hemi-{}_space-fsaverage5"),
        f"{FUNC}/sub-01_task-movie_run-1_desc-confounds_timeseries.tsv",
        "sub-01/func/sub-01_task-movie_run-1_events.tsv",
        t_r={"task-movie_bold.json": 1.49},
    )
    first, second = whole_runs(tmp_path, "01", "movie", "fsaverage5")
    assert events_file(first) == tmp_path / "sub-01/func/sub-01_task-movie_run-1_events.tsv"
    assert first.confounds == tmp_path / f"{FUNC}/sub-01_task-movie_run-1_desc-confounds_timeseries.tsv"
    assert first.t_r == second.t_r == 1.49
    assert second.confounds is None
    with pytest.raises(BoldError, match=r"run-2: no events.tsv, expected sub-01_task-movie_run-2_events.tsv"):
        events_file(second)


def test_a_derivatives_folder_alone_is_a_dataset(tmp_path: Path, touch: Callable) -> None:
    touch(
        tmp_path,
        *surfaces("sub-01_task-movie_hemi-{}_space-fsaverage5"),
        "sub-01/func/sub-01_task-movie_events.tsv",
    )
    (run,) = whole_runs(tmp_path / "derivatives/fmriprep", "01", "movie", "fsaverage5")
    assert run.events == tmp_path / "sub-01/func/sub-01_task-movie_events.tsv"


def test_the_nearest_and_most_specific_sidecar_wins(tmp_path: Path, touch: Callable) -> None:
    touch(
        tmp_path,
        *surfaces("sub-01_task-movie_run-1_hemi-{}_space-fsaverage5"),
        t_r={
            "task-movie_bold.json": 9.0,
            "sub-01/func/sub-01_task-movie_run-1_bold.json": 8.0,
            "sub-01/func/sub-01_task-movie_run-2_bold.json": 7.0,
            f"{FUNC}/sub-01_task-movie_bold.json": 6.0,
            f"{FUNC}/sub-01_task-movie_run-1_hemi-L_space-fsaverage5_bold.json": 2.0,
            f"{FUNC}/sub-01_task-movie_run-1_hemi-R_space-fsaverage5_bold.json": 2.0,
        },
    )
    (run,) = whole_runs(tmp_path, "01", "movie", "fsaverage5")
    assert run.t_r == 2.0


def test_hemispheres_with_another_t_r_are_refused(tmp_path: Path, touch: Callable) -> None:
    sidecars = {f"{FUNC}/sub-01_task-movie_hemi-{side}_bold.json": t_r for side, t_r in (("L", 2.0), ("R", 1.5))}
    touch(tmp_path, *surfaces("sub-01_task-movie_hemi-{}_space-fsaverage5"), t_r=sidecars)
    with pytest.raises(BoldError, match=r"disagree on t_r: .*hemi-L.* says 2 s, .*hemi-R.* says 1.5 s"):
        whole_runs(tmp_path, "01", "movie", "fsaverage5")


def test_a_broken_sidecar_is_named(tmp_path: Path, touch: Callable) -> None:
    touch(tmp_path, *surfaces("sub-01_task-movie_hemi-{}_space-fsaverage5"), "task-movie_bold.json")
    with pytest.raises(BoldError, match=r"task-movie_bold.json: not a BIDS sidecar"):
        whole_runs(tmp_path, "01", "movie", "fsaverage5")


def test_a_missing_hemisphere_is_named(tmp_path: Path, touch: Callable) -> None:
    touch(tmp_path, surfaces("sub-01_task-movie_run-3_hemi-{}_space-fsaverage5")[0])
    with pytest.raises(BoldError, match=r"sub-01_task-movie_run-3: hemisphere R is missing"):
        whole_runs(tmp_path, "01", "movie", "fsaverage5")


def test_two_files_of_one_hemisphere_are_refused(tmp_path: Path, touch: Callable) -> None:
    touch(tmp_path, *surfaces("sub-01_task-movie_hemi-{}_space-fsaverage5"))
    touch(tmp_path, *surfaces("sub-01_task-movie_space-fsaverage5_hemi-{}")[:1])
    with pytest.raises(BoldError, match=r"2 files claim hemisphere L: .*space-fsaverage5_hemi-L_bold\.func\.gii"):
        whole_runs(tmp_path, "01", "movie", "fsaverage5")


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("sub-01_task-movie_hemi-{}_space-fsaverage5", "derivatives/other/sub-01/func"),
        ("sub-01_task-movie_acq-fast_hemi-{}_space-fsaverage5", FUNC),
    ],
)
def test_two_runs_of_one_name_are_refused(tmp_path: Path, touch: Callable, name: str, folder: str) -> None:
    touch(tmp_path, *surfaces("sub-01_task-movie_hemi-{}_space-fsaverage5"))
    touch(tmp_path, *surfaces(name, folder))
    with pytest.raises(BoldError, match=r"sub-01_task-movie: 2 runs have this name: .*fmriprep") as caught:
        whole_runs(tmp_path, "01", "movie", "fsaverage5")
    assert f"{folder}/{name.format('L')}" in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"task": "story"}, r"task-story.* its BOLD files are sub-01_task-movie_hemi-L_space-fsaverage5"),
        ({"space": "fsLR"}, r"space-fsLR.* its BOLD files are"),
        ({"session": "2"}, r"ses-2.* its BOLD files are"),
        ({"subject": "02"}, r"no sub-02; it has sub-01"),
    ],
)
def test_a_run_that_is_not_there_is_answered_by_what_is(
    tmp_path: Path, touch: Callable, asked: dict[str, str], said: str
) -> None:
    touch(tmp_path, *surfaces("sub-01_task-movie_hemi-{}_space-fsaverage5"))
    with pytest.raises(BoldError, match=said) as caught:
        whole_runs(tmp_path, **{"subject": "01", "task": "movie", "space": "fsaverage5", **asked})
    assert caught.value.hint


def test_no_dataset_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(BoldError, match="no dataset at"):
        whole_runs(tmp_path / "nowhere", "01", "movie", "fsaverage5")


def volume(space: str, run: str = "1", more: str = "", desc: str = "preproc") -> str:
    return f"{FUNC}/sub-01_task-movie_run-{run}_space-{space}{more}_desc-{desc}_bold.nii.gz"


def test_the_best_files_for_the_cortex_are_taken(tmp_path: Path, touch: Callable) -> None:
    def found() -> tuple[str, str, int]:
        (run,) = whole_runs(tmp_path, "01", "movie", "fsaverage5")
        return run.kind, run.space, len(run.bold)

    touch(tmp_path, volume("MNI152NLin6Asym"))
    assert found() == ("volume", "MNI152NLin6Asym", 1)
    touch(tmp_path, volume("MNI152NLin2009cAsym"), volume("T1w"), volume("MNI152NLin2009cAsym", desc="smoothed"))
    assert found() == ("volume", "MNI152NLin2009cAsym", 1)
    touch(tmp_path, *surfaces("sub-01_task-movie_run-1_hemi-{}_space-fsaverage"))
    assert found() == ("surface", "fsaverage", 2)
    touch(tmp_path, *surfaces("sub-01_task-movie_run-1_hemi-{}_space-fsaverage6"))
    assert found() == ("surface", "fsaverage6", 2)
    touch(tmp_path, *surfaces("sub-01_task-movie_run-1_hemi-{}_space-fsaverage_den-10k"))
    assert found() == ("surface", "fsaverage5", 2)


def test_a_run_that_only_has_other_files_is_told(
    tmp_path: Path, touch: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, *surfaces("sub-01_task-movie_run-1_hemi-{}_space-fsaverage5"), volume("MNI152NLin2009cAsym", "2"))
    assert [run.run for run in whole_runs(tmp_path, "01", "movie", "fsaverage5")] == ["1"]
    assert "sub-01_task-movie_run-2 left out: it has MNI152NLin2009cAsym, the others fsaverage5" in caplog.text


def test_volumes_come_with_their_brain_mask(tmp_path: Path, touch: Callable) -> None:
    mask = f"{FUNC}/sub-01_task-movie_run-1_space-MNI152NLin2009cAsym_res-2_desc-brain_mask.nii.gz"
    other = mask.replace("res-2", "res-1")
    touch(tmp_path, volume("MNI152NLin2009cAsym", more="_res-2"), mask, other)
    (run,) = whole_runs(tmp_path, "01", "movie", "subcortex")
    assert (run.kind, run.brain_mask) == ("volume", tmp_path / mask)


def test_resolutions_are_told_apart_as_fmriprep_writes_them(tmp_path: Path, touch: Callable) -> None:
    touch(tmp_path, volume("MNI152NLin2009cAsym", more="_res-2"), volume("MNI152NLin2009cAsym", more="_res-1"))
    with pytest.raises(BoldError, match="2 runs have this name"):
        whole_runs(tmp_path, "01", "movie", "MNI152NLin2009cAsym")
    (run,) = whole_runs(tmp_path, "01", "movie", "MNI152NLin2009cAsym:res-2")
    assert run.bold == (tmp_path / volume("MNI152NLin2009cAsym", more="_res-2"),)


def test_cifti_is_a_kind_of_its_own(tmp_path: Path, touch: Callable) -> None:
    touch(tmp_path, f"{FUNC}/sub-01_task-movie_run-1_space-fsLR_den-91k_bold.dtseries.nii")
    (run,) = whole_runs(tmp_path, "01", "movie", "fsLR")
    assert (run.kind, run.space, run.label) == ("cifti", "fsLR", "sub-01_task-movie_run-1")
    with pytest.raises(BoldError, match=r"no run with task-movie, space-fsaverage5; its BOLD files are .*dtseries"):
        whole_runs(tmp_path, "01", "movie", "fsaverage5")


def test_freesurfer_names_are_understood(tmp_path: Path, touch: Callable) -> None:
    names = [f"{FUNC}/sub-01_ses-02_task-rest_acq-AP_run-01.fsa5.{side}.mgz" for side in ("rh", "lh")]
    touch(tmp_path, *names)
    (run,) = whole_runs(tmp_path, "01", "rest", "fsaverage5")
    assert [path.name.split(".")[-2] for path in run.bold] == ["lh", "rh"]
    assert (run.session, run.run, run.space) == ("02", "01", "fsaverage5")


def test_confounds_of_old_fmriprep_are_found(tmp_path: Path, touch: Callable) -> None:
    old = f"{FUNC}/sub-01_task-movie_run-1_desc-confounds_regressors.tsv"
    touch(tmp_path, *surfaces("sub-01_task-movie_run-1_hemi-{}_space-fsaverage5"), old)
    assert whole_runs(tmp_path, "01", "movie", "fsaverage5")[0].confounds == tmp_path / old


def test_predictions_beside_the_data_are_no_data(tmp_path: Path, touch: Callable) -> None:
    touch(tmp_path, *surfaces("sub-01_task-movie_run-1_hemi-{}_space-fsaverage5"))
    touch(tmp_path, *surfaces("sub-01_task-movie_run-1_hemi-{}_space-fsaverage5_desc-predicted"))
    (run,) = whole_runs(tmp_path, "01", "movie", "fsaverage5")
    assert all("desc" not in path.name for path in run.bold)


def test_a_survey_lists_broken_runs_too(tmp_path: Path, touch: Callable) -> None:
    touch(
        tmp_path,
        *surfaces("sub-01_task-movie_run-2_hemi-{}_space-fsaverage5"),
        surfaces("sub-01_task-movie_run-1_hemi-{}_space-fsaverage5")[1],
        *surfaces("sub-01_task-rest_hemi-{}_space-fsaverage5"),
        volume("MNI152NLin2009cAsym"),
        "derivatives/fmriprep/sub-02/func/sub-02_task-movie_space-T1w_desc-preproc_bold.nii.gz",
        "task-movie_bold.json",
    )
    listed = [(run.label, run.kind, len(run.bold)) for run in list_runs(tmp_path)]
    assert sorted(listed) == [
        ("sub-01_task-movie_run-1", "surface", 1),
        ("sub-01_task-movie_run-1", "volume", 1),
        ("sub-01_task-movie_run-2", "surface", 2),
        ("sub-01_task-rest", "surface", 2),
        ("sub-02_task-movie", "volume", 1),
    ]
    assert [run.label for run in list_runs(tmp_path, subject="sub-02")] == ["sub-02_task-movie"]
    assert len(list_runs(tmp_path, task="movie", space="fsaverage5")) == 2


def test_files_may_be_named_outright(tmp_path: Path, touch: Callable) -> None:
    touch(tmp_path, "lh.movie.mgz", "rh.movie.mgz", "film.nii.gz", "hcp.dtseries.nii", t_r={"film.json": 1.4})
    pair = run_of_files([tmp_path / "lh.movie.mgz", tmp_path / "rh.movie.mgz"], "3", t_r=2.0)
    assert (pair.label, pair.kind, pair.space, pair.t_r) == ("run-3", "surface", "", 2.0)
    film = run_of_files([tmp_path / "film.nii.gz"], "sub-01_task-movie_run-1")
    assert (film.label, film.subject, film.kind, film.t_r) == ("sub-01_task-movie_run-1", "01", "volume", 1.4)
    assert run_of_files([tmp_path / "hcp.dtseries.nii"], "1").space == "fsLR"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "its BOLD is no file"),
        (["lh.movie.mgz"], "its BOLD is lh.movie.mgz"),
        (["a.nii", "a.nii"], "its BOLD is a.nii, a.nii"),
        (["table.mat"], "its BOLD is table.mat"),
        (["gone.nii"], "no file .*gone.nii"),
    ],
)
def test_files_that_are_no_run_are_refused(tmp_path: Path, touch: Callable, names: list[str], said: str) -> None:
    touch(tmp_path, "lh.movie.mgz", "a.nii", "table.mat")
    with pytest.raises(BoldError, match=said) as caught:
        run_of_files([tmp_path / name for name in names], "1")
    assert caught.value.hint
