"""Surface runs read bit for bit, or refused with a reason."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tribetune.bold.find import RunFiles
from tribetune.bold.read import read_run
from tribetune.errors import BoldError, SpaceError

N = 10242


@pytest.fixture
def write_run(tmp_path: Path, write_hemisphere: Callable[..., Path]) -> Callable[..., RunFiles]:
    """Write a run, (time, vertex), and give its files."""

    def write(values: np.ndarray, **settings: object) -> RunFiles:
        sides = {"L": values[:, : values.shape[1] // 2], "R": values[:, values.shape[1] // 2 :]}
        bold = tuple(
            write_hemisphere(tmp_path / f"sub-01_task-movie_hemi-{side}_bold.func.gii", half, **settings)
            for side, half in sides.items()
        )
        return RunFiles("01", "", "movie", "1", "fsaverage5", bold, t_r=2.0)

    return write


@pytest.mark.parametrize("one_array", [False, True])
def test_both_layouts_come_back_bit_for_bit(bold: np.ndarray, write_run: Callable, one_array: bool) -> None:
    run = read_run(write_run(bold, one_array=one_array))
    np.testing.assert_array_equal(run.values, bold)
    assert (run.values.dtype, run.t_r, run.space, run.label) == (
        np.float32,
        2.0,
        "fsaverage5",
        "sub-01_task-movie_run-1",
    )
    assert run.mask.all()
    assert len(run.mask) == len(bold)


def test_a_vertex_without_data_is_medial_wall(bold: np.ndarray, write_run: Callable) -> None:
    bold[:, 7], bold[:, 12000], bold[:, 20483] = np.nan, 0.0, 812.5
    run = read_run(write_run(bold))
    assert np.flatnonzero(np.isnan(run.values).any(0)).tolist() == [7, 12000, 20483]
    assert np.isnan(run.values[:, [7, 12000, 20483]]).all()


def test_scattered_faults_are_counted_and_located(bold: np.ndarray, write_run: Callable) -> None:
    bold[:, 7] = np.nan
    bold[3, 11], bold[4, 11], bold[5, 15000] = np.nan, np.nan, np.inf
    with pytest.raises(BoldError, match=r"3 values are not finite, in 2 outputs .*first: volume 3, output 11\)"):
        read_run(write_run(bold))


@pytest.mark.parametrize(
    ("level", "said"), [(0.0, "all zeros"), (5.0, "no output varies"), (np.nan, "no output varies")]
)
def test_a_run_without_variation_is_refused(bold: np.ndarray, write_run: Callable, level: float, said: str) -> None:
    with pytest.raises(BoldError, match=said):
        read_run(write_run(np.full_like(bold, level)))


@pytest.mark.parametrize("one_array", [False, True])
def test_another_number_of_vertices_is_refused(bold: np.ndarray, write_run: Callable, one_array: bool) -> None:
    with pytest.raises(SpaceError, match=r"10,241.* vertices, expected 10,242") as caught:
        read_run(write_run(bold[:, : 2 * (N - 1)], one_array=one_array))
    assert "fsaverage5" in caught.value.hint


def test_swapped_files_are_noticed_by_name(bold: np.ndarray, write_run: Callable) -> None:
    files = write_run(bold)
    with pytest.raises(BoldError, match="file name says R, expected hemisphere L"):
        read_run(replace(files, bold=files.bold[::-1]))


def test_swapped_content_is_noticed_by_the_header(
    tmp_path: Path, bold: np.ndarray, write_run: Callable, write_hemisphere: Callable
) -> None:
    files = write_run(bold)
    write_hemisphere(files.bold[1], bold[:, :N], AnatomicalStructurePrimary="CortexLeft")
    with pytest.raises(BoldError, match="AnatomicalStructurePrimary says L, expected hemisphere R"):
        read_run(files)


def test_a_hemisphere_that_nothing_names_is_refused(
    tmp_path: Path, bold: np.ndarray, write_hemisphere: Callable
) -> None:
    left = write_hemisphere(tmp_path / "a.func.gii", bold[:, :N])
    right = write_hemisphere(tmp_path / "b.func.gii", bold[:, N:])
    with pytest.raises(BoldError, match="nothing says which hemisphere"):
        read_run(RunFiles("01", "", "movie", "1", "fsaverage5", (left, right), t_r=2.0))


def test_freesurfer_names_say_the_hemisphere(tmp_path: Path, bold: np.ndarray, write_hemisphere: Callable) -> None:
    left = write_hemisphere(tmp_path / "lh.movie.func.gii", bold[:, :N])
    right = write_hemisphere(tmp_path / "rh.movie.func.gii", bold[:, N:])
    run = read_run(RunFiles("01", "", "movie", "1", "fsaverage5", (left, right), t_r=2.0))
    np.testing.assert_array_equal(run.values, bold)


def test_hemispheres_of_unequal_length_are_refused(
    bold: np.ndarray, write_run: Callable, write_hemisphere: Callable
) -> None:
    files = write_run(bold)
    write_hemisphere(files.bold[1], bold[:-1, N:])
    with pytest.raises(BoldError, match="6 volumes on the left, 5 on the right"):
        read_run(files)


def test_t_r_comes_from_the_header_where_there_is_no_sidecar(bold: np.ndarray, write_run: Callable) -> None:
    assert read_run(replace(write_run(bold, TimeStep="1.49"), t_r=None)).t_r == 1.49


def test_freesurfer_milliseconds_confirm_a_sidecar(bold: np.ndarray, write_run: Callable) -> None:
    assert read_run(write_run(bold, TimeStep="2000.0")).t_r == 2.0


@pytest.mark.parametrize(
    ("sidecar", "header", "said"),
    [
        (2.0, "1.5", "2 s by its sidecar, but .* has TimeStep 1.5"),
        (2.0, "1500", "has TimeStep 1500"),
        (2000.0, "", r"t_r is 2000 s \(milliseconds\?\)"),
        (None, "2000", r"t_r is 2000 s \(milliseconds\?\)"),
        (0.0, "", "t_r is 0 s"),
        (None, "", "t_r is unknown"),
        (2.0, "two", "TimeStep 'two' is not a number"),
    ],
)
def test_a_doubtful_t_r_is_refused(
    bold: np.ndarray, write_run: Callable, sidecar: float | None, header: str, said: str
) -> None:
    with pytest.raises(BoldError, match=said):
        read_run(replace(write_run(bold, **({"TimeStep": header} if header else {})), t_r=sidecar))


@pytest.mark.parametrize("content", [b"", b"not xml at all", b"<?xml version='1.0'?><GIFTI></GIFTI>"])
def test_a_file_that_is_no_gifti_is_refused(bold: np.ndarray, write_run: Callable, content: bytes) -> None:
    files = write_run(bold)
    files.bold[0].write_bytes(content)
    with pytest.raises(BoldError, match=r"hemi-L_bold\.func\.gii"):
        read_run(files)


def test_a_truncated_file_is_refused(bold: np.ndarray, write_run: Callable) -> None:
    files = write_run(bold)
    whole = files.bold[1].read_bytes()
    files.bold[1].write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BoldError, match=r"hemi-R_bold\.func\.gii: cannot be read as GIFTI"):
        read_run(files)


def test_a_missing_file_is_refused(bold: np.ndarray, write_run: Callable) -> None:
    files = write_run(bold)
    files.bold[0].unlink()
    with pytest.raises(BoldError, match="cannot be read as GIFTI"):
        read_run(files)
