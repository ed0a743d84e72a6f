"""A lab's own layout: patterns, the runs they find, and what is said of those they do not."""

from pathlib import Path

import pytest

from tribetune.bold.layout import Layout, find_laid_out, list_laid_out_subjects
from tribetune.bold.patterns import filled, matching, nearest, read_names
from tribetune.errors import BoldError, together

LAYOUT = ("s{subject}/{task}_{run}.nii.gz",)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def layout(folder: Path, *bold: str, **others) -> Layout:
    at = {key: str(folder / value) if isinstance(value, str) else value for key, value in others.items()}
    return Layout(tuple(str(folder / one) for one in bold or LAYOUT), **at)


def laid_out(*arguments):
    return together(find_laid_out(*arguments))


def test_files_come_in_the_order_of_their_numbers_with_what_placeholders_stand_for(tmp_path):
    touch(tmp_path, "film_10.nii", "film_9.nii", "film_9.json")
    found = matching(str(tmp_path / "film_{run}.nii"))
    assert [(path.name, named) for path, named in found] == [
        ("film_9.nii", {"run": "9"}),
        ("film_10.nii", {"run": "10"}),
    ]


def test_a_folder_with_signs_that_patterns_know_is_a_folder(tmp_path):
    touch(tmp_path, "a[1]/x_1.nii")
    assert [path.name for path, _ in matching(str(tmp_path / "a[1]" / "x_{run}.nii"))] == ["x_1.nii"]


def test_a_star_stands_for_anything_but_a_folder():
    assert read_names("a/*_{run}.nii", "a/what_ever_2.nii") == {"run": "2"}
    assert read_names("a/*_{run}.nii", "a/b/c_2.nii") is None


def test_a_placeholder_that_comes_twice_stands_for_the_same():
    assert read_names("{subject}/{subject}_x", "1/2_x") is None
    assert filled("{subject}/{run}", {"subject": "1"}) == "1/{run}"


def test_a_name_that_may_be_meant_is_told(tmp_path):
    touch(tmp_path, "Film_01.mp4", "film_2.mkv", "old_film-3.mkv", "Legacy.TextGrid")
    assert nearest(tmp_path / "film1.mkv") == " (there is Film_01.mp4)"
    assert nearest(tmp_path / "film_3.mkv") == " (there is old_film-3.mkv)"
    assert nearest(tmp_path / "legacy.TextGrid") == " (there is Legacy.TextGrid)"
    assert nearest(tmp_path / "film_2_words.tsv") == "", "a film is not meant where its words are missing"
    assert nearest(tmp_path / "film_4.mkv") == "", "another run's file is never meant"
    assert nearest(tmp_path / "no" / "film1.mkv") == ""


def test_runs_are_found_by_the_names_of_their_files(tmp_path):
    touch(tmp_path, "s1/seg_2.nii.gz", "s1/seg_1.nii.gz", "s2/seg_1.nii.gz", "seg.mp4")
    found = laid_out(layout(tmp_path, media="{task}.mp4", t_r=2.0), "1")
    assert [one.files.label for one in found] == ["sub-1_task-seg_run-1", "sub-1_task-seg_run-2"]
    assert {one.media for one in found} == {tmp_path / "seg.mp4"}
    assert found[0].files.t_r == 2.0
    assert list_laid_out_subjects(layout(tmp_path)) == ["1", "2"]


def test_everything_that_wanted_runs_lack_is_told_at_once(tmp_path):
    touch(tmp_path, "s1/seg_1.nii.gz", "seg_1.txt")
    wanted = [{"task": "seg", "run": run} for run in "12"]
    with pytest.raises(BoldError) as caught:
        laid_out(layout(tmp_path, media="{task}.mp4", words="{task}_{run}.txt"), "1", wanted)
    told = caught.value.faults
    assert len(told) == 4
    for part, name in zip(
        told, ("no film or sound at", "no BOLD at", "no film or sound at", "no words at"), strict=True
    ):
        assert name in part
    assert told[1].endswith(str(tmp_path / "s1/seg_2.nii.gz"))


def test_a_pattern_that_matches_several_files_and_one_that_nothing_fills_are_told(tmp_path):
    touch(tmp_path, "s1/seg_1.nii.gz", "a.mp4", "b.mp4")
    with pytest.raises(BoldError, match=r"several film or sound at .*: a\.mp4, b\.mp4"):
        laid_out(layout(tmp_path, media="*.mp4"), "1")
    with pytest.raises(BoldError, match=r"nothing says what film stands for"):
        laid_out(layout(tmp_path, media="{film}.mp4"), "1")


def test_a_subject_without_any_file_is_told(tmp_path):
    touch(tmp_path, "s1/seg_1.nii.gz")
    with pytest.raises(
        BoldError, match=r"no file of sub-3 matches .*s3/\{task\}_\{run\}\.nii\.gz; there are files of 1"
    ):
        laid_out(layout(tmp_path), "3")


def test_scans_in_order_are_runs_from_one(tmp_path):
    touch(tmp_path, "x_15.nii", "x_16.nii", "x_18.nii", "w_1.txt", "w_2.txt", "w_3.txt")
    found = laid_out(layout(tmp_path, "x_{scan}.nii", words="w_{run}.txt", in_order=3), "1")
    assert [(one.files.run, one.files.bold[0].name) for one in found] == [
        ("1", "x_15.nii"),
        ("2", "x_16.nii"),
        ("3", "x_18.nii"),
    ]
    last = laid_out(layout(tmp_path, "x_{scan}.nii", words="w_{run}.txt", in_order=3), "1", [{"run": "3"}])
    assert [one.files.run for one in last] == ["3"]
    with pytest.raises(BoldError, match="sub-1 has no run 4; its runs are 1 to 3"):
        laid_out(layout(tmp_path, "x_{scan}.nii", in_order=3), "1", [{"run": "4"}])


def test_more_scans_than_runs_are_not_to_be_fetched(tmp_path):
    touch(tmp_path, "x_15.nii", "x_16.nii", "w_1.txt")
    with pytest.raises(BoldError, match="2 runs, expected 1") as caught:
        laid_out(layout(tmp_path, "x_{scan}.nii", words="w_{run}.txt", in_order=1), "1")
    assert caught.value.hint.startswith("set data.layout.in_order to 2")


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        (("15", "16", "18"), ["x_17.nii"]),
        (("15", "16", "17"), ["x_14.nii", "x_18.nii"]),
        (("01", "03"), ["x_00.nii", "x_02.nii", "x_04.nii"]),
    ],
)
def test_a_scan_that_lacks_would_shift_the_others_and_is_refused_by_its_name(tmp_path, there, missing):
    touch(tmp_path, *(f"x_{scan}.nii" for scan in there))
    touch(tmp_path, "w_1.txt", "w_2.txt", "w_3.txt")
    with pytest.raises(BoldError) as caught:
        laid_out(layout(tmp_path, "x_{scan}.nii", words="w_{run}.txt", in_order=4), "1")
    assert f"{len(there)} runs, expected 4" in str(caught.value)
    assert len(caught.value.faults) == 2, "the scan is told once, and beside it what else is missing"
    assert caught.value.faults[-1].endswith("w_4.txt")
    for name in missing:
        assert name in str(caught.value)
