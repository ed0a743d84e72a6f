"""Volumes, MGZ and CIFTI: opened unread, read exactly, or refused with a reason."""

import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, SeriesAxis

from tribetune.bold.images import open_volume, volume_t_r
from tribetune.bold.read import read_run
from tribetune.bold.run_files import RunFiles
from tribetune.errors import BoldError, SpaceError

N = 10242
N_FSLR = 32492


@pytest.fixture
def write_volume(tmp_path: Path) -> Callable[..., RunFiles]:
    """Write a small 4-D NIfTI and give its files."""

    def write(
        shape: tuple[int, ...] = (4, 5, 3, 8),
        name: str = "film.nii.gz",
        step: float = 1.5,
        unit: str = "sec",
        t_r: float | None = 1.5,
    ) -> RunFiles:
        data = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        image = nibabel.Nifti1Image(data, np.eye(4))
        if len(shape) == 4:
            image.header.set_zooms((2, 2, 2, step))
        image.header.set_xyzt_units("mm", unit)
        nibabel.save(image, tmp_path / name)
        return RunFiles("01", "", "movie", "1", "MNI152NLin2009cAsym", (tmp_path / name,), t_r=t_r, kind="volume")

    return write


@pytest.fixture
def write_cifti(tmp_path: Path) -> Callable[..., RunFiles]:
    """Write cortex, (time, grayordinate), and a few voxels as a dense time series."""

    def write(left: np.ndarray, right: np.ndarray, size: int = N_FSLR, unit: str = "SECOND") -> RunFiles:
        models = BrainModelAxis.from_surface(left, size, "CIFTI_STRUCTURE_CORTEX_LEFT")
        models += BrainModelAxis.from_surface(right, size, "CIFTI_STRUCTURE_CORTEX_RIGHT")
        models += BrainModelAxis.from_mask(np.ones((2, 2, 2)), name="THALAMUS_LEFT", affine=np.eye(4))
        data = np.arange(4 * len(models), dtype=np.float32).reshape(4, -1)
        path = tmp_path / "film.dtseries.nii"
        nibabel.save(Cifti2Image(data, (SeriesAxis(0, 1.5, 4, unit), models)), path)
        return RunFiles("01", "", "movie", "1", "fsLR", (path,), kind="cifti")

    return write


def cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


@pytest.mark.parametrize("name", ["film.nii", "film.nii.gz"])
def test_a_volume_is_opened_unread(write_volume: Callable, name: str) -> None:
    files = write_volume(name=name)
    image = open_volume(files)
    assert nibabel.is_proxy(image.dataobj)
    assert image.shape == (4, 5, 3, 8)
    assert volume_t_r(files) == 1.5
    if name == "film.nii":
        assert isinstance(np.asanyarray(image.dataobj), np.memmap)


@pytest.mark.parametrize(("step", "unit"), [(1.5, "sec"), (1500, "msec"), (1500, "sec"), (1.5, 0), (1500, 0), (0, 0)])
def test_headers_in_either_unit_confirm_a_sidecar(write_volume: Callable, step: float, unit: str) -> None:
    assert volume_t_r(write_volume(step=step, unit=unit)) == 1.5


@pytest.mark.parametrize(("step", "unit"), [(1.49, "sec"), (1490, "msec"), (1_490_000, "usec"), (1.49, 0)])
def test_a_header_alone_is_read_in_its_own_unit(write_volume: Callable, step: float, unit: str) -> None:
    assert volume_t_r(write_volume(step=step, unit=unit, t_r=None)) == 1.49


@pytest.mark.parametrize(
    ("step", "unit", "t_r", "said"),
    [
        (1.49, "sec", 1.5, r"t_r is 1.5 s as given, but film.nii.gz has pixdim\[4\] 1.49"),
        (1.0, "sec", 1.4, r"has pixdim\[4\] 1"),
        (2000, "sec", None, r"t_r is 2000 s \(milliseconds\?\)"),
        (2000, 0, None, r"t_r is 2000 s \(milliseconds\?\)"),
        (2, "sec", 2000.0, r"t_r is 2000 s \(milliseconds\?\)"),
        (0, "sec", None, "t_r is unknown: .* no header has it"),
        (1.0, "sec", None, "t_r is unknown: .* only a header says 1 s, as writers do that do not know"),
        (1.0, "hz", None, "t_r is unknown"),
    ],
)
def test_a_doubtful_t_r_is_refused(
    write_volume: Callable, step: float, unit: str, t_r: float | None, said: str
) -> None:
    with pytest.raises(BoldError, match=said) as caught:
        open_volume(write_volume(step=step, unit=unit, t_r=t_r))
    assert caught.value.hint


def test_the_error_of_a_wrong_header_has_the_command_that_mends_it(write_volume: Callable) -> None:
    with pytest.raises(BoldError) as caught:
        open_volume(write_volume(step=1.0, t_r=1.4))
    assert "3drefit -TR 1.4 film.nii.gz" in caught.value.hint


@pytest.mark.parametrize(("shape", "said"), [((4, 5, 3), "4 × 5 × 3, "), ((4, 5, 3, 1), "4 × 5 × 3 × 1, ")])
def test_one_volume_is_no_time_series(write_volume: Callable, shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(BoldError, match=said):
        open_volume(write_volume(shape))


@pytest.mark.parametrize("name", ["film.nii", "film.nii.gz"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.999])
def test_a_truncated_volume_is_refused_before_it_is_read(write_volume: Callable, name: str, share: float) -> None:
    files = write_volume(name=name)
    cut(files.bold[0], share)
    with pytest.raises(BoldError, match=r"film.nii.*: cut short, [\d,]+ of the 2,272 bytes|cannot be opened"):
        open_volume(files)


@pytest.mark.parametrize("name", ["film.nii", "film.nii.gz"])
def test_a_header_without_data_is_refused(write_volume: Callable, name: str) -> None:
    files = write_volume(name=name)
    path = files.bold[0]
    packed = name.endswith(".gz")
    header = (gzip.decompress(path.read_bytes()) if packed else path.read_bytes())[:352]
    path.write_bytes(gzip.compress(header) if packed else header)
    with pytest.raises(BoldError, match="cut short, 352 of the 2,272 bytes that its header announces"):
        open_volume(files)


def test_a_file_packed_in_pieces_is_whole(write_volume: Callable) -> None:
    files = write_volume()
    content = gzip.decompress(files.bold[0].read_bytes())
    files.bold[0].write_bytes(gzip.compress(content[:1000]) + gzip.compress(content[1000:]))
    assert np.isfinite(np.asarray(open_volume(files).dataobj)).all()


@pytest.mark.parametrize("content", [b"", b"no image at all" * 50])
@pytest.mark.parametrize("name", ["film.nii", "film.nii.gz", "film.mgz"])
def test_a_file_that_is_no_image_is_refused(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    files = RunFiles("01", "", "movie", "1", "MNI152NLin2009cAsym", (tmp_path / name,), t_r=1.5, kind="volume")
    with pytest.raises(BoldError, match=f"{name}: cannot be opened"):
        open_volume(files)


def test_nibabels_own_example_has_a_t_r_of_2000_seconds() -> None:
    from nibabel.testing import data_path

    path = Path(data_path) / "example4d.nii.gz"
    files = RunFiles("01", "", "movie", "1", "T1w", (path,), kind="volume")
    with pytest.raises(BoldError, match=r"t_r is 2000 s \(milliseconds\?\)"):
        open_volume(files)


def mgz(path: Path, values: np.ndarray, t_r_ms: float = 2000.0) -> Path:
    image = nibabel.MGHImage(np.ascontiguousarray(values.T)[:, None, None, :], np.eye(4))
    image.header.set_zooms((1, 1, 1, t_r_ms))
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("suffix", [".mgz", ".mgh"])
@pytest.mark.parametrize("n_vertices", [N, 40962])
def test_mgz_comes_back_bit_for_bit(tmp_path: Path, bold: np.ndarray, suffix: str, n_vertices: int) -> None:
    halves = []
    for k, side in enumerate(("lh", "rh")):
        whole = np.full((6, n_vertices), np.inf, np.float32)
        whole[:, :N] = bold[:, k * N : (k + 1) * N]
        halves.append(mgz(tmp_path / f"{side}.film{suffix}", whole))
    run = read_run(RunFiles("01", "", "movie", "1", "", tuple(halves)))
    np.testing.assert_array_equal(run.values, bold)
    assert (run.values.dtype, run.t_r, run.space) == (np.float32, 2.0, "fsaverage5")


def test_mgz_of_another_t_r_is_refused_with_the_command_that_mends_it(tmp_path: Path, bold: np.ndarray) -> None:
    halves = (mgz(tmp_path / "lh.film.mgz", bold[:, :N], 1000), mgz(tmp_path / "rh.film.mgz", bold[:, N:], 1000))
    files = RunFiles("01", "", "movie", "1", "", halves, t_r=1.4)
    with pytest.raises(BoldError, match=r"t_r is 1.4 s as given, but lh.film.mgz has tr 1") as caught:
        read_run(files)
    assert "mri_convert -tr 1400 lh.film.mgz" in caught.value.hint


def test_swapped_mgz_is_noticed_by_name(tmp_path: Path, bold: np.ndarray) -> None:
    halves = (mgz(tmp_path / "rh.film.mgz", bold[:, N:]), mgz(tmp_path / "lh.film.mgz", bold[:, :N]))
    with pytest.raises(BoldError, match="file name says R, expected hemisphere L"):
        read_run(RunFiles("01", "", "movie", "1", "", halves))


def test_a_truncated_mgz_is_refused(tmp_path: Path, bold: np.ndarray) -> None:
    halves = (mgz(tmp_path / "lh.film.mgz", bold[:, :N]), mgz(tmp_path / "rh.film.mgz", bold[:, N:]))
    cut(halves[1], 0.5)
    with pytest.raises(BoldError, match=r"rh.film.mgz: cannot be opened .*ended before"):
        read_run(RunFiles("01", "", "movie", "1", "", halves))


def test_a_volume_in_mgz_is_no_hemisphere(tmp_path: Path) -> None:
    paths = tuple(tmp_path / f"{side}.film.mgz" for side in ("lh", "rh"))
    for path in paths:
        nibabel.save(nibabel.MGHImage(np.ones((4, 5, 3, 8), np.float32), np.eye(4)), path)
    with pytest.raises(SpaceError, match="4 × 5 × 3 × 8, expected vertices × 1 × 1 × time"):
        read_run(RunFiles("01", "", "movie", "1", "", paths))


def test_the_cortex_of_cifti_lies_at_its_vertices(write_cifti: Callable) -> None:
    left, right = np.arange(5, N_FSLR), np.arange(N_FSLR - 7)
    run = read_run(write_cifti(left, right))
    data = np.arange(4 * (len(left) + len(right) + 8), dtype=np.float32).reshape(4, -1)
    assert (run.values.shape, run.space, run.t_r) == ((4, 2 * N_FSLR), "fsLR", 1.5)
    np.testing.assert_array_equal(run.values[:, left], data[:, : len(left)])
    np.testing.assert_array_equal(run.values[:, N_FSLR + right], data[:, len(left) : -8])
    assert np.flatnonzero(np.isnan(run.values[0])).tolist() == [*range(5), *range(2 * N_FSLR - 7, 2 * N_FSLR)]


def test_cifti_is_refused_for_fsaverage5_with_the_commands_that_mend_it(write_cifti: Callable) -> None:
    files = write_cifti(np.arange(9), np.arange(9))
    with pytest.raises(SpaceError, match=r"film.dtseries.nii is in fsLR, but fsaverage5 is asked for") as caught:
        read_run(files, "fsaverage5")
    for wanted in ("wb_command -cifti-separate", "wb_command -metric-resample", "10k_fsavg_L", "data.space"):
        assert wanted in caught.value.hint


def test_cifti_of_another_mesh_is_refused(write_cifti: Callable) -> None:
    with pytest.raises(SpaceError, match="59,292 vertices in CORTEX_LEFT, expected 32,492"):
        read_run(write_cifti(np.arange(9), np.arange(9), size=59292))


def test_cifti_that_is_no_time_series_is_refused(tmp_path: Path, write_cifti: Callable) -> None:
    with pytest.raises(BoldError, match="its series is in HERTZ, expected seconds"):
        read_run(write_cifti(np.arange(9), np.arange(9), unit="HERTZ"))
    plain = nibabel.Nifti1Image(np.ones((2, 2, 2, 3), np.float32), np.eye(4))
    nibabel.save(plain, tmp_path / "plain.dtseries.nii")
    with pytest.raises(BoldError, match=r"plain.dtseries.nii: no dense time series"):
        read_run(RunFiles("01", "", "movie", "1", "fsLR", (tmp_path / "plain.dtseries.nii",), kind="cifti"))


def test_truncated_cifti_is_refused(write_cifti: Callable) -> None:
    files = write_cifti(np.arange(900), np.arange(900))
    cut(files.bold[0], 0.9)
    with pytest.raises(BoldError, match="cut short"):
        read_run(files)


def test_cifti_is_not_opened_as_a_volume(write_cifti: Callable) -> None:
    with pytest.raises(BoldError, match="CIFTI, expected a volume"):
        open_volume(write_cifti(np.arange(9), np.arange(9)))
