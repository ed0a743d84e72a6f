"""Projection of volumes to fsaverage5, held against nilearn's own call."""

import logging
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel import Nifti1Image
from nibabel.testing import data_path
from nilearn.datasets import load_fsaverage
from nilearn.surface import InMemoryMesh, vol_to_surf

from tribetune.bold.project import project_to_surface, surface_vertices
from tribetune.errors import BoldError, SpaceError
from tribetune.spaces import N_HEMISPHERE


def directly(image: Nifti1Image, layer: str = "pial") -> np.ndarray:
    """What the reference computes (spec e.7)."""
    meshes = load_fsaverage("fsaverage5")
    halves = []
    for side in ("left", "right"):
        mesh = meshes["pial"].parts[side]
        if layer == "middle":
            mean = 0.5 * (mesh.coordinates + meshes["white_matter"].parts[side].coordinates)
            mesh = InMemoryMesh(mean, mesh.faces)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
            halves.append(vol_to_surf(image, mesh, radius=3, kind="ball", n_samples=20, interpolation="linear"))
    return np.concatenate(halves).T


@pytest.fixture(scope="module")
def image() -> Nifti1Image:
    """Four volumes of 8 mm voxels, turned a little, that do not reach the back and the right of the brain."""
    rng = np.random.default_rng(2)
    turn = np.array([[0.98, -0.17, 0.0], [0.17, 0.98, 0.1], [0.0, -0.1, 0.99]]) * [-8, 8, 7]
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn, (45, -80, -50)
    return Nifti1Image((1000 + 100 * rng.standard_normal((16, 21, 19, 4))).astype(np.float32), affine)


@pytest.fixture(scope="module")
def projected(image: Nifti1Image) -> np.ndarray:
    return project_to_surface(image)


def agree(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.dtype == np.float32
    # Ours is rounded to float32, 6e-8, from weights that nilearn computed in double precision.
    np.testing.assert_allclose(ours, theirs, rtol=3e-7, atol=1e-6 * np.nanmax(np.abs(theirs)))


def test_projection_is_nilearns(image: Nifti1Image, projected: np.ndarray) -> None:
    expected = directly(image)
    assert 0.02 < np.isnan(expected).mean() < 0.5  # undefined where the image does not reach
    agree(projected, expected)


def test_left_comes_first() -> None:
    affine = np.diag([6.0, 6.0, 6.0, 1.0])
    affine[:3, 3] = (-90, -126, -72)
    x_mm = affine[0, 3] + 6 * np.arange(31)
    values = np.broadcast_to(x_mm[:, None, None, None], (31, 37, 31, 2)).astype(np.float32)
    seen = project_to_surface(Nifti1Image(values, affine))[0]
    # The mean of a linear field over a ball is its value at the vertex, but for the ball's few points: 0.2 mm.
    np.testing.assert_allclose(seen, surface_vertices().reshape(-1, 3)[:, 0], atol=0.3)
    assert seen[:N_HEMISPHERE].mean() < -20 < 20 < seen[N_HEMISPHERE:].mean()


def test_midthickness_lies_halfway(image: Nifti1Image, projected: np.ndarray) -> None:
    middle = project_to_surface(image, depth="midthickness")
    agree(middle, directly(image, "middle"))
    np.testing.assert_array_equal(middle, project_to_surface(image, depth=0.5))
    assert np.nanmax(np.abs(middle - projected)) > 10


def test_voxels_without_data_are_left_out_of_the_mean(image: Nifti1Image) -> None:
    values = np.asarray(image.dataobj).copy()
    values[5:9, 6:12] = np.nan
    holed = Nifti1Image(values, image.affine)
    agree(project_to_surface(holed), directly(holed))


def test_what_is_outside_the_brain_mask_counts_as_zero(image: Nifti1Image) -> None:
    inside = np.zeros(image.shape[:3], np.uint8)
    inside[2:13, 4:19, 3:15] = 1
    masked = Nifti1Image(np.asarray(image.dataobj) * inside[..., None], image.affine)
    values = np.asarray(image.dataobj).copy()
    values[inside == 0] = np.nan
    ours = project_to_surface(Nifti1Image(values, image.affine), brain_mask=Nifti1Image(inside, image.affine))
    agree(ours, directly(masked))


@pytest.mark.parametrize("name", ["functional.nii", pytest.param("example4d.nii.gz", marks=pytest.mark.slow)])
def test_nibabels_own_volumes_are_projected(name: str, caplog: pytest.LogCaptureFixture) -> None:
    image = nibabel.load(Path(data_path) / name)
    with caplog.at_level(logging.WARNING):
        ours = project_to_surface(image)
    expected = directly(image)
    assert ours.shape == (image.shape[3], 20484)
    assert f"{name}: {np.isnan(expected[0]).sum()} vertices lie outside the field of view" in caplog.text
    agree(ours, expected)


def test_blocks_of_a_compressed_file_are_the_whole(
    image: Nifti1Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image.to_filename(tmp_path / "bold.nii.gz")
    projected = project_to_surface(nibabel.load(tmp_path / "bold.nii.gz"))
    monkeypatch.setattr("tribetune.bold.volumes._BLOCK_VALUES", 3 * 16 * 21 * 19)  # blocks of 3 and 1 volumes
    np.testing.assert_array_equal(project_to_surface(nibabel.load(tmp_path / "bold.nii.gz")), projected)


def test_a_labs_own_surfaces_are_used(image: Nifti1Image, projected: np.ndarray, tmp_path: Path) -> None:
    meshes = load_fsaverage("fsaverage5")
    for side, short in (("left", "lh"), ("right", "rh")):
        for layer, key in (("pial", "pial"), ("white", "white_matter")):
            mesh = meshes[key].parts[side]
            moved = InMemoryMesh(mesh.coordinates + np.float32(4), mesh.faces)
            moved.to_gifti(tmp_path / f"{short}.{layer}.fsaverage5.gii")
    for depth in ("pial", 0.25):
        shift = surface_vertices(depth, tmp_path) - surface_vertices(depth)
        np.testing.assert_allclose(shift, 4, atol=1e-4)  # float32 coordinates of up to 100 mm
    shifted = image.affine.copy()
    shifted[:3, 3] += 4
    agree(project_to_surface(Nifti1Image(np.asarray(image.dataobj), shifted), "pial", tmp_path), projected)


def test_surfaces_of_the_wrong_side_size_or_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"no lh\.pial\.fsaverage5\.gii or lh\.pial\.surf\.gii or lh\.pial\.gii"):
        surface_vertices("pial", tmp_path)
    parts = load_fsaverage("fsaverage5")["pial"].parts
    parts["left"].to_gifti(tmp_path / "rh.pial.gii")
    parts["right"].to_gifti(tmp_path / "lh.pial.gii")
    with pytest.raises(SpaceError, match=r"lh\.pial lies to the right of rh\.pial"):
        surface_vertices("pial", tmp_path)
    few = InMemoryMesh(parts["left"].coordinates[:100], np.array([[0, 1, 2]]))
    few.to_gifti(tmp_path / "lh.pial.gii")
    with pytest.raises(SpaceError, match="100 vertices, expected 10,242"):
        surface_vertices("pial", tmp_path)
    (tmp_path / "lh.pial.gii").write_text("no surface")
    with pytest.raises(SpaceError, match=r"lh\.pial\.gii: cannot be read as a surface"):
        surface_vertices("pial", tmp_path)


@pytest.mark.parametrize("depth", [-0.1, 1.5, float("nan")])
def test_a_depth_outside_the_cortex_is_refused(depth: float) -> None:
    with pytest.raises(SpaceError, match="projection depth"):
        surface_vertices(depth)


def test_an_image_elsewhere_is_refused(image: Nifti1Image) -> None:
    far = image.affine.copy()
    far[:3, 3] += 1000
    with pytest.raises(SpaceError, match="no vertex of fsaverage5 lies in its field of view"):
        project_to_surface(Nifti1Image(np.asarray(image.dataobj), far))


def test_a_single_volume_is_no_run(image: Nifti1Image) -> None:
    with pytest.raises(BoldError, match="image of 3 dimensions, expected 4"):
        project_to_surface(image.slicer[..., 0])


def test_values_that_are_missing_here_and_there_are_refused(image: Nifti1Image) -> None:
    values = np.asarray(image.dataobj).copy()
    values[9, 9, 9, 2] = np.inf
    with pytest.raises(BoldError, match="not finite in some of volumes 0 to 3"):
        project_to_surface(Nifti1Image(values, image.affine))


@pytest.mark.parametrize("first", [2, 3])
def test_values_that_go_missing_in_a_later_block_are_refused(
    image: Nifti1Image, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    values = np.asarray(image.dataobj).copy()
    values[9, 9, 9, first:] = np.nan
    monkeypatch.setattr("tribetune.bold.volumes._BLOCK_VALUES", 2 * 16 * 21 * 19)
    with pytest.raises(BoldError, match="not finite in some of volumes 2 to 3"):
        project_to_surface(Nifti1Image(values, image.affine))


def test_a_mask_of_another_grid_is_refused(image: Nifti1Image) -> None:
    for shape, affine in (((16, 21, 18), image.affine), (image.shape[:3], np.eye(4))):
        with pytest.raises(SpaceError, match=r"shape .* or affine differ"):
            project_to_surface(image, brain_mask=Nifti1Image(np.ones(shape, np.uint8), affine))


def test_a_truncated_file_is_refused(image: Nifti1Image, tmp_path: Path) -> None:
    image.to_filename(tmp_path / "whole.nii.gz")
    content = (tmp_path / "whole.nii.gz").read_bytes()
    (tmp_path / "bold.nii.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(BoldError, match=r"bold\.nii\.gz: volumes from 0 on cannot be read"):
        project_to_surface(nibabel.load(tmp_path / "bold.nii.gz"))


def test_the_image_that_came_in_is_not_changed(image: Nifti1Image) -> None:
    values = np.asarray(image.dataobj).copy(order="F")  # the order of blocks: they must not be views
    mask = Nifti1Image(np.zeros(image.shape[:3], np.uint8), image.affine)
    assert not np.nan_to_num(project_to_surface(Nifti1Image(values, image.affine), brain_mask=mask)).any()
    np.testing.assert_array_equal(values, image.dataobj)
