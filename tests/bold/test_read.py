"""Surface runs read bit for bit, or refused with a reason."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tribetune.bold.find import RunFiles
from tribetune.bold.read import read_run
from tribetune.bold.walls import inner_walls
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
        (2.0, "1.5", "2 s as given, but .* has TimeStep 1.5"),
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


@pytest.mark.parametrize(("mesh", "n_vertices"), [("fsaverage6", 40962), ("fsaverage", 163842)])
@pytest.mark.parametrize("one_array", [False, True])
def test_finer_icosahedra_are_read_at_the_vertices_they_share(
    tmp_path: Path, bold: np.ndarray, write_hemisphere: Callable, mesh: str, n_vertices: int, one_array: bool
) -> None:
    def finer(side: str, values: np.ndarray) -> Path:
        # what lies between the shared vertices is spoilt, so that whoever looks at it is caught
        whole = np.full((3, n_vertices), np.inf, np.float32)
        whole[:, :N] = values
        return write_hemisphere(tmp_path / f"sub-01_hemi-{side}_space-{mesh}_bold.func.gii", whole, one_array)

    halves = (finer("L", bold[:3, :N]), finer("R", bold[:3, N:]))
    run = read_run(RunFiles("01", "", "movie", "1", mesh, halves, t_r=2.0))
    np.testing.assert_array_equal(run.values, bold[:3])
    assert run.space == "fsaverage5"


def test_the_rule_of_nesting_holds_on_fsaverage5_itself() -> None:
    # nilearn ships no finer mesh; what fsaverage5 is to fsaverage6, fsaverage4 with its 2,562 vertices is to fsaverage5
    from nilearn.datasets import fetch_surf_fsaverage
    from nilearn.surface import load_surf_mesh

    faces = np.asarray(load_surf_mesh(fetch_surf_fsaverage("fsaverage5")["sphere_left"]).faces)
    pairs = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    edges = np.unique(pairs, axis=0)
    from_coarse = edges[edges[:, 0] < 2562]
    # every edge between two coarse vertices was divided: each later vertex lies between exactly two of them
    assert from_coarse[:, 1].min() >= 2562
    assert np.unique(np.bincount(from_coarse[:, 1], minlength=N)[2562:]).tolist() == [2]


def test_the_count_must_not_contradict_the_name(tmp_path: Path, write_hemisphere: Callable) -> None:
    finer = np.random.default_rng(0).standard_normal((2, 40962)).astype(np.float32)
    halves = tuple(write_hemisphere(tmp_path / f"a_hemi-{side}_bold.func.gii", finer) for side in "LR")
    with pytest.raises(SpaceError, match="40,962 vertices, expected 10,242 per hemisphere of fsaverage5"):
        read_run(RunFiles("01", "", "movie", "1", "fsaverage5", halves, t_r=2.0))


def test_the_count_decides_where_the_name_is_silent(bold: np.ndarray, write_run: Callable) -> None:
    assert read_run(replace(write_run(bold), space="")).space == "fsaverage5"


def test_hemispheres_of_two_meshes_are_refused(tmp_path: Path, bold: np.ndarray, write_hemisphere: Callable) -> None:
    left = write_hemisphere(tmp_path / "lh.func.gii", bold[:, :N])
    right = write_hemisphere(tmp_path / "rh.func.gii", np.ones((6, 40962), np.float32))
    with pytest.raises(SpaceError, match="40,962 vertices, expected 10,242 per hemisphere of fsaverage5"):
        read_run(RunFiles("01", "", "movie", "1", "", (left, right), t_r=2.0))


def test_one_hemisphere_twice_is_told(bold: np.ndarray, write_run: Callable, caplog: pytest.LogCaptureFixture) -> None:
    read_run(write_run(bold))
    assert not caplog.text
    bold[:, N:] = bold[:, :N]
    read_run(write_run(bold))
    assert "hold the same numbers" in caplog.text


@pytest.mark.parametrize("spread", [0, 300])
def test_swapped_content_is_noticed_by_any_medial_wall(bold: np.ndarray, write_run: Callable, spread: int) -> None:
    wall = inner_walls().copy()
    wall[:, :spread] = True  # other atlases draw it wider
    bold[:, wall.reshape(-1)] = 0
    assert np.isnan(read_run(write_run(bold)).values[0]).sum() == wall.sum()
    with pytest.raises(BoldError, match=r"hemispheres are swapped: .* right medial wall"):
        read_run(write_run(np.roll(bold, N, axis=1)))


def test_holes_anywhere_are_no_swap(bold: np.ndarray, write_run: Callable) -> None:
    bold[:, ::7] = 0
    read_run(write_run(bold))


@pytest.mark.parametrize("side", [0, 1])
def test_a_hemisphere_without_variation_is_refused(bold: np.ndarray, write_run: Callable, side: int) -> None:
    bold[:, side * N : (side + 1) * N] = 0
    with pytest.raises(BoldError, match=f"hemi-{'LR'[side]}.*: no vertex varies over time"):
        read_run(write_run(bold))


@pytest.mark.parametrize("wanted", ["fsaverage5", "fsLR"])
def test_surfaces_of_fslr_are_their_own_space(tmp_path: Path, write_hemisphere: Callable, wanted: str) -> None:
    values = np.random.default_rng(1).standard_normal((4, 2, 32492)).astype(np.float32)
    halves = tuple(
        write_hemisphere(tmp_path / f"a_hemi-{side}_space-fsLR_den-32k_bold.func.gii", values[:, k])
        for k, side in enumerate("LR")
    )
    files = RunFiles("01", "", "movie", "1", "fsLR", halves, t_r=2.0)
    if wanted == "fsLR":
        run = read_run(files, wanted)
        np.testing.assert_array_equal(run.values, values.reshape(4, -1))
        assert run.space == "fsLR"
        return
    with pytest.raises(SpaceError, match=r"hemi-L_space-fsLR_den-32k_bold.func.gii is in fsLR") as caught:
        read_run(files, wanted)
    assert "wb_command -metric-resample" in caught.value.hint


def test_fewer_arrays_than_promised_are_refused(bold: np.ndarray, write_run: Callable) -> None:
    files = write_run(bold)
    text = files.bold[0].read_text()
    files.bold[0].write_text(text.replace('NumberOfDataArrays="6"', 'NumberOfDataArrays="7"'))
    with pytest.raises(BoldError, match="6 data arrays, but it says 7"):
        read_run(files)


def test_volumes_that_the_confounds_do_not_have_are_refused(
    tmp_path: Path, bold: np.ndarray, write_run: Callable
) -> None:
    confounds = tmp_path / "confounds.tsv"
    confounds.write_text("csf\n" + "1.0\n" * 5)
    with pytest.raises(BoldError, match=r"6 volumes, but confounds.tsv has 5"):
        read_run(replace(write_run(bold), confounds=confounds))
    confounds.write_text("csf\n" + "1.0\n" * 6)
    assert len(read_run(replace(write_run(bold), confounds=confounds)).values) == 6


@pytest.mark.parametrize(
    ("told", "n_trs"),
    [
        ({"dcmmeta_shape": [64, 64, 36, 6]}, 6),
        ({"dcmmeta_shape": [64, 64, 36, 7]}, 7),
        ({"dcmmeta_shape": [64, 64, 36, 8], "NumberOfVolumesDiscardedByUser": 2}, 6),
        ({"NumberOfVolumes": 5}, 5),
    ],
)
def test_an_off_by_one_volume_is_noticed_by_the_raw_sidecar(
    tmp_path: Path, bold: np.ndarray, write_run: Callable, told: dict, n_trs: int
) -> None:
    sidecar = tmp_path / "sub-01_task-movie_run-1_bold.json"
    sidecar.write_text(json.dumps(told))
    files = replace(write_run(bold), sidecars=((sidecar,), (sidecar,)))
    if n_trs == 6:
        assert len(read_run(files).values) == 6
        return
    with pytest.raises(BoldError, match=f"6 volumes, but sub-01_task-movie_run-1_bold.json has {n_trs}"):
        read_run(files)


def test_a_volume_is_not_read_as_a_surface(tmp_path: Path) -> None:
    files = RunFiles("01", "", "movie", "1", "MNI152NLin6Asym", (tmp_path / "a.nii.gz",), kind="volume")
    with pytest.raises(BoldError, match="a volume in MNI152NLin6Asym, expected surfaces") as caught:
        read_run(files)
    assert "fsaverage5" in caught.value.hint
