"""Which runs a BIDS dataset holds, and what is said when one is missing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tribetune.bold.find import events_file, find_runs
from tribetune.errors import BoldError

FUNC = "derivatives/fmriprep/sub-01/func"


def surfaces(name: str, folder: str = FUNC) -> list[str]:
    """Both hemispheres' files; ``{}`` stands for the hemisphere."""
    return [f"{folder}/{name.format(side)}_bold.func.gii" for side in "LR"]


def test_runs_are_found_in_both_entity_orders_and_sorted_by_number(tmp_path: Path, touch: Callable) -> None:
    touch(
        tmp_path,
        *surfaces("sub-01_task-movie_run-10_hemi-{}_space-fsaverage5"),
        *surfaces("sub-01_task-movie_run-2_space-fsaverage5_hemi-{}"),
        *surfaces("sub-01_task-rest_run-1_hemi-{}_space-fsaverage5"),
        *surfaces("sub-01_task-movie_run-2_hemi-{}_space-fsaverage6"),
    )
    runs = find_runs(tmp_path, "01", "movie", "fsaverage5")
    assert [run.run for run in runs] == ["2", "10"]
    assert [["hemi-L" in runs[k].bold[0].name, "hemi-R" in runs[k].bold[1].name] for k in (0, 1)] == [[True, True]] * 2
    assert runs[0].label == "sub-01_task-movie_run-2"


def test_labels_may_carry_their_key(tmp_path: Path, touch: Callable) -> None:
    touch(tmp_path, *surfaces("sub-01_task-movie_hemi-{}_space-fsaverage5"))
    (run,) = find_runs(tmp_path, "sub-01", "task-movie", "space-fsaverage5")
    assert (run.subject, run.task, run.run, run.session) == ("01", "movie", "", "")


def test_sessions_are_told_apart(tmp_path: Path, touch: Callable) -> None:
    for session in "12":
        folder = f"derivatives/fmriprep/sub-01/ses-{session}/func"
        touch(tmp_path, *surfaces(f"sub-01_ses-{session}_task-movie_run-1_hemi-{{}}_space-fsaverage5", folder))
    assert [run.session for run in find_runs(tmp_path, "01", "movie", "fsaverage5")] == ["1", "2"]
    assert [run.session for run in find_runs(tmp_path, "01", "movie", "fsaverage5", session="2")] == ["2"]


def test_events_confounds_and_t_r_come_from_their_places(tmp_path: Path, touch: Callable) -> None:
    touch(
        tmp_path,
        *surfaces("sub-01_task-movie_run-1_hemi-{}_space-fsaverage5"),
        *surfaces("sub-01_task-movie_run-2_hemi-{}_space-fsaverage5"),
        f"{FUNC}/sub-01_task-movie_run-1_desc-confounds_timeseries.tsv",
        "sub-01/func/sub-01_task-movie_run-1_events.tsv",
        t_r={"task-movie_bold.json": 1.49},
    )
    first, second = find_runs(tmp_path, "01", "movie", "fsaverage5")
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
    (run,) = find_runs(tmp_path / "derivatives/fmriprep", "01", "movie", "fsaverage5")
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
    (run,) = find_runs(tmp_path, "01", "movie", "fsaverage5")
    assert run.t_r == 2.0


def test_hemispheres_with_another_t_r_are_refused(tmp_path: Path, touch: Callable) -> None:
    sidecars = {f"{FUNC}/sub-01_task-movie_hemi-{side}_bold.json": t_r for side, t_r in (("L", 2.0), ("R", 1.5))}
    touch(tmp_path, *surfaces("sub-01_task-movie_hemi-{}_space-fsaverage5"), t_r=sidecars)
    with pytest.raises(BoldError, match=r"disagree on t_r: .*hemi-L.* says 2 s, .*hemi-R.* says 1.5 s"):
        find_runs(tmp_path, "01", "movie", "fsaverage5")


def test_a_broken_sidecar_is_named(tmp_path: Path, touch: Callable) -> None:
    touch(tmp_path, *surfaces("sub-01_task-movie_hemi-{}_space-fsaverage5"), "task-movie_bold.json")
    with pytest.raises(BoldError, match=r"task-movie_bold.json: not a BIDS sidecar"):
        find_runs(tmp_path, "01", "movie", "fsaverage5")


def test_a_missing_hemisphere_is_named(tmp_path: Path, touch: Callable) -> None:
    touch(tmp_path, surfaces("sub-01_task-movie_run-3_hemi-{}_space-fsaverage5")[0])
    with pytest.raises(BoldError, match=r"sub-01_task-movie_run-3: hemisphere R is missing"):
        find_runs(tmp_path, "01", "movie", "fsaverage5")


def test_two_files_of_one_hemisphere_are_refused(tmp_path: Path, touch: Callable) -> None:
    touch(tmp_path, *surfaces("sub-01_task-movie_hemi-{}_space-fsaverage5"))
    touch(tmp_path, *surfaces("sub-01_task-movie_hemi-{}_space-fsaverage5", "derivatives/other/sub-01/func"))
    with pytest.raises(BoldError, match="2 files claim hemisphere L"):
        find_runs(tmp_path, "01", "movie", "fsaverage5")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"task": "story"}, r"task-story.* its surface files are sub-01_task-movie_hemi-L_space-fsaverage5"),
        ({"space": "fsLR"}, r"space-fsLR.* its surface files are"),
        ({"session": "2"}, r"ses-2.* its surface files are"),
        ({"subject": "02"}, r"no sub-02; it has sub-01"),
    ],
)
def test_a_run_that_is_not_there_is_answered_by_what_is(
    tmp_path: Path, touch: Callable, asked: dict[str, str], said: str
) -> None:
    touch(tmp_path, *surfaces("sub-01_task-movie_hemi-{}_space-fsaverage5"))
    with pytest.raises(BoldError, match=said) as caught:
        find_runs(tmp_path, **{"subject": "01", "task": "movie", "space": "fsaverage5", **asked})
    assert caught.value.hint


def test_no_dataset_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(BoldError, match="no dataset at"):
        find_runs(tmp_path / "nowhere", "01", "movie", "fsaverage5")
