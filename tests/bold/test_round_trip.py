"""Runs that others wrote: a real one, and nilearn's fake fMRIPrep tree."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from tribetune.bold.find import find_runs, list_runs
from tribetune.bold.read import read_run
from tribetune.bold.run import Run
from tribetune.bold.run_files import run_of_files
from tribetune.bold.survey import survey
from tribetune.errors import BoldError

N = 10242
STEM = "brainspace/datasets/preprocessing/sub-010188_ses-02_task-rest_acq-AP_run-01.fsa5"


@pytest.fixture(scope="module")
def real(brainspace_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Both hemispheres of a resting run on fsaverage5, 652 volumes, as FreeSurfer wrote them."""
    folder = tmp_path_factory.mktemp("real")
    with zipfile.ZipFile(brainspace_wheel) as archive:
        left, right = (Path(archive.extract(f"{STEM}.{side}.mgz", folder)) for side in ("lh", "rh"))
    return left, right


@pytest.fixture(scope="module")
def run(real: tuple[Path, Path]) -> Run:
    return read_run(run_of_files(real, "sub-010188_ses-02_task-rest_run-01", t_r=1.0))


def test_a_real_run_is_read(real: tuple[Path, Path], run: Run) -> None:
    assert (run.values.shape, run.space) == ((652, 2 * N), "fsaverage5")
    assert run.label == "sub-010188_ses-02_task-rest_run-01"
    raw = np.concatenate([np.asarray(nibabel.load(path).dataobj)[:, 0, 0].T for path in real], axis=1)
    wall = np.isnan(run.values[0])
    np.testing.assert_array_equal(run.values[:, ~wall], raw[:, ~wall])
    assert not raw[:, wall].any()
    # FreeSurfer's cortex labels leave out as many vertices; it is by them that a swap is noticed
    assert [int(wall[:N].sum()), int(wall[N:].sum())] == [888, 881]


def test_a_real_header_says_a_second_where_nobody_knew(real: tuple[Path, Path]) -> None:
    with pytest.raises(BoldError, match=r"t_r is 1.4 s as given, but .*lh\.mgz has tr 1"):
        read_run(run_of_files(real, "1", t_r=1.4))
    with pytest.raises(BoldError, match=r"t_r is unknown: .* only a header says 1 s"):
        read_run(run_of_files(real, "1"))


def test_a_real_swap_is_noticed_by_the_medial_walls(real: tuple[Path, Path], tmp_path: Path) -> None:
    swapped = [Path(shutil.copy(path, tmp_path / f"{side}.mgz")) for path, side in zip(real, ("rh", "lh"), strict=True)]
    with pytest.raises(BoldError, match="hemispheres are swapped"):
        read_run(run_of_files(swapped[::-1], "1", t_r=1.0))


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["an array per volume", "one array", "mgz"])
def test_a_real_run_comes_back_bit_for_bit(run: Run, tmp_path: Path, write_hemisphere: Callable, layout: str) -> None:
    halves = []
    for name, values in (("lh", run.values[:, :N]), ("rh", run.values[:, N:])):
        path = tmp_path / f"{name}.run.{'mgz' if layout == 'mgz' else 'func.gii'}"
        if layout == "mgz":
            nibabel.save(nibabel.MGHImage(np.ascontiguousarray(values.T)[:, None, None], np.eye(4)), path)
        else:
            write_hemisphere(path, values, one_array=layout == "one array")
        halves.append(path)
    again = read_run(run_of_files(halves, "1", t_r=run.t_r))
    # bits and not numbers: the medial wall is NaN on both sides
    np.testing.assert_array_equal(again.values.view(np.int32), run.values.view(np.int32))


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    """nilearn's fake dataset: two sessions, events and sidecars beside the raw runs, derivatives without a pipeline."""
    from nilearn._utils.data_gen import create_fake_bids_dataset

    return create_fake_bids_dataset(tmp_path, n_sub=2, n_ses=2, tasks=["main"], n_runs=[2], n_vertices=N)


def test_nilearns_fake_fmriprep_tree_is_found_and_read(fake: Path) -> None:
    runs = [job() for _, job in find_runs(fake, "02", "main", "fsaverage5")]
    assert [files.label for files in runs] == [f"sub-02_ses-0{s}_task-main_run-0{r}" for s in (1, 2) for r in (1, 2)]
    for files in runs:
        assert (files.t_r, files.kind, files.space) == (1.5, "surface", "fsaverage5")
        assert files.events == fake / f"sub-02/ses-{files.session}/func/{files.label}_events.tsv"
        assert files.confounds is not None
    read = read_run(runs[0])
    assert read.values.shape == (30, 2 * N)
    (left,) = nibabel.load(runs[0].bold[0]).darrays
    np.testing.assert_array_equal(read.values[:, :N], left.data)  # (time, vertex), unlike what the standard says


@pytest.mark.parametrize("one_array", [False, True])
def test_nilearns_tree_in_both_layouts_reads_the_same(fake: Path, write_hemisphere: Callable, one_array: bool) -> None:
    files = find_runs(fake, "01", "main", "fsaverage5", session="01")[0][1]()
    before = read_run(files)
    for side, path in enumerate(files.bold):
        write_hemisphere(path, before.values[:, side * N : (side + 1) * N], one_array=one_array)
    np.testing.assert_array_equal(read_run(files).values, before.values)


def test_nilearns_volumes_are_listed_and_surveyed(fake: Path) -> None:
    kinds = {(files.kind, files.space) for files in list_runs(fake, "01")}
    assert kinds == {("surface", "fsaverage5"), ("volume", "MNI"), ("volume", "T1w")}
    found = survey(list_runs(fake, "01", space="MNI"))
    assert [one.n_trs for one in found] == [30] * 4
    assert all(one.files.brain_mask is not None for one in found)
    assert all(one.stimuli == () and "stim_file in events.tsv" in one.missing for one in found)
