"""Subcortical voxels: which are kept, in which order, and what is sampled there, held against nilearn."""

from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel import Nifti1Image
from nilearn.image import resample_to_img, smooth_img

from tribetune.bold.run import Run
from tribetune.bold.subcortex import Atlas, project_to_subcortex, read_atlas, with_subcortex
from tribetune.errors import BoldError, SpaceError

NAMES = [
    "Left Cerebral White Matter",
    "Left Cerebral Cortex",
    "Left Lateral Ventrical",
    "Left Thalamus",
    "Brain-Stem",
    "Right Cerebral Cortex",
    "Right Caudate",
]
"""As FSL writes them, its misspelling included; the value in the image is the position from 1."""


def label_image() -> Nifti1Image:
    """FSL's grid is stored from right to left; here in 6 mm voxels, a block of four voxels for each label."""
    values = np.zeros((30, 36, 30), np.uint8)
    for value in range(1, len(NAMES) + 1):
        values[8 + 2 * value : 10 + 2 * value, 17:19, 14] = value
    affine = np.array([[-6.0, 0, 0, 90], [0, 6, 0, -126], [0, 0, 6, -72], [0, 0, 0, 1]])
    return Nifti1Image(values, affine)


@pytest.fixture
def fsl(tmp_path: Path) -> Path:
    """A synthetic Harvard-Oxford atlas in FSL's places, under nilearn's folder."""
    atlases = tmp_path / "fsl" / "data" / "atlases"
    (atlases / "HarvardOxford").mkdir(parents=True)
    label_image().to_filename(atlases / "HarvardOxford" / "HarvardOxford-sub-maxprob-thr50-2mm.nii.gz")
    labels = [f'<label index="{k}" x="1" y="2" z="3">{name}</label>' for k, name in enumerate(NAMES)]
    (atlases / "HarvardOxford-Subcortical.xml").write_text(f"<atlas><data>{''.join(labels)}</data></atlas>")
    return atlases / "HarvardOxford" / "HarvardOxford-sub-maxprob-thr50-2mm.nii.gz"


@pytest.fixture
def atlas(fsl: Path) -> Atlas:
    return read_atlas(fsl)


@pytest.fixture
def image() -> Nifti1Image:
    """Three volumes of 4 mm voxels, off the atlas's grid."""
    rng = np.random.default_rng(5)
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = (-81, -101, -61)
    return Nifti1Image((1000 + 100 * rng.standard_normal((42, 50, 40, 3))).astype(np.float32), affine)


def as_the_reference(image: Nifti1Image, smoothing_mm: float | None) -> np.ndarray:
    """Smooth, resample the whole brain, take the voxels in row-major order (spec e.8)."""
    labels = nibabel.as_closest_canonical(label_image())
    smooth = smooth_img(image, smoothing_mm)
    moved = resample_to_img(smooth, labels, interpolation="continuous", force_resample=True, copy_header=True)
    return np.asarray(moved.dataobj)[np.isin(labels.dataobj, [3, 4, 7])].T


def test_cortex_white_matter_and_stem_are_left_out(atlas: Atlas) -> None:
    # Four voxels each; from left to right, because the grid is turned to a positive diagonal as nilearn turns it.
    assert atlas.structures == ("Right Caudate",) * 4 + ("Left Thalamus",) * 4 + ("Left Lateral Ventricle",) * 4
    x_mm = atlas.voxels @ atlas.affine[:3, :3].T[:, 0] + atlas.affine[0, 3]
    np.testing.assert_array_equal(x_mm, np.repeat([-48, -42, -12, -6, 0, 6], 2))


def test_ventricles_are_kept_but_outside_of_every_mean(atlas: Atlas) -> None:
    assert atlas.space.n_outputs == 12
    np.testing.assert_array_equal(atlas.space.in_means, [True] * 8 + [False] * 4)


def test_nilearns_own_copy_gives_the_same_voxels(fsl: Path, tmp_path: Path, atlas: Atlas) -> None:
    fetched = read_atlas(folder=tmp_path)
    assert fetched.structures == atlas.structures
    np.testing.assert_array_equal(fetched.voxels, atlas.voxels)
    np.testing.assert_array_equal(fetched.affine, atlas.affine)


@pytest.mark.parametrize(("suffix", "comma"), [(".tsv", "\t"), (".csv", ",")])
def test_a_label_image_with_a_table_of_names_is_read(tmp_path: Path, atlas: Atlas, suffix: str, comma: str) -> None:
    label_image().to_filename(tmp_path / "atlas.nii.gz")
    rows = [f"{k + 1}{comma}{name.replace('Ventrical', 'Ventricle')}" for k, name in enumerate(NAMES)]
    (tmp_path / f"atlas{suffix}").write_text("\n".join([f"index{comma}name", *rows]))
    assert read_atlas(tmp_path / "atlas.nii.gz").structures == atlas.structures


def test_without_atlas_or_network_the_error_says_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for scheme in ("http", "https"):  # a port that nothing listens on: no name is looked up, nothing leaves the machine
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:9")
    with pytest.raises(
        SpaceError, match="sub-maxprob-thr50-2mm is not on this machine and cannot be fetched"
    ) as refusal:
        read_atlas(folder=tmp_path)
    assert "fetch_atlas_harvard_oxford" in refusal.value.hint
    assert "data.subcortex.atlas" in refusal.value.hint


def test_wrong_atlases_are_refused(fsl: Path, tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="cannot be read as a label image"):
        read_atlas(tmp_path / "absent.nii.gz", fsl.parent.parent / "HarvardOxford-Subcortical.xml")
    label_image().to_filename(tmp_path / "atlas.nii.gz")
    with pytest.raises(SpaceError, match="no names of its structures; looked for"):
        read_atlas(tmp_path / "atlas.nii.gz")
    (tmp_path / "few.tsv").write_text("index\tname\n3\tLeft Lateral Ventricle\n")
    with pytest.raises(SpaceError, match=r"values \[1, 2, 4, 5, 6, 7\] have no name"):
        read_atlas(tmp_path / "atlas.nii.gz", tmp_path / "few.tsv")
    (tmp_path / "cortex.tsv").write_text("index\tname\n" + "".join(f"{k}\tCortex {k}\n" for k in range(1, 8)))
    with pytest.raises(SpaceError, match="no voxel of a subcortical structure"):
        read_atlas(tmp_path / "atlas.nii.gz", tmp_path / "cortex.tsv")
    (tmp_path / "wrong.tsv").write_text("number\tword\n3\tthree\n")
    with pytest.raises(SpaceError, match="expected columns index and name"):
        read_atlas(tmp_path / "atlas.nii.gz", tmp_path / "wrong.tsv")
    Nifti1Image(np.full((4, 4, 4), 0.5, np.float32), np.eye(4)).to_filename(tmp_path / "prob.nii.gz")
    with pytest.raises(SpaceError, match="expected a 3-D image of whole numbers"):
        read_atlas(tmp_path / "prob.nii.gz", tmp_path / "few.tsv")


@pytest.mark.parametrize("smoothing_mm", [6.0, 0.0, 48.0])
def test_sampling_is_nilearns_on_the_whole_brain(image: Nifti1Image, atlas: Atlas, smoothing_mm: float) -> None:
    ours = project_to_subcortex(image, atlas, smoothing_mm)
    assert ours.shape == (3, 12)
    # The spline of a part of the brain forgets its edge to 1e-7; both are rounded to float32.
    np.testing.assert_allclose(ours, as_the_reference(image, smoothing_mm or None), rtol=2e-6)


def test_smoothing_is_the_references_by_default(image: Nifti1Image, atlas: Atlas) -> None:
    np.testing.assert_array_equal(project_to_subcortex(image, atlas), project_to_subcortex(image, atlas, 6.0))


def test_what_is_outside_the_brain_mask_counts_as_zero(image: Nifti1Image, atlas: Atlas) -> None:
    inside = np.zeros(image.shape[:3], np.uint8)
    inside[10:21] = 1
    masked = Nifti1Image(np.asarray(image.dataobj) * inside[..., None], image.affine)
    ours = project_to_subcortex(image, atlas, brain_mask=Nifti1Image(inside, image.affine))
    # Values up to 1,100, rounded to float32 before and after smoothing.
    np.testing.assert_allclose(ours, as_the_reference(masked, 6.0), atol=1e-3)
    assert np.abs(ours - project_to_subcortex(image, atlas)).max() > 100


@pytest.mark.parametrize("smoothing_mm", [6.0, 0.0])
def test_voxels_without_data_count_as_zero(image: Nifti1Image, atlas: Atlas, smoothing_mm: float) -> None:
    values = np.asarray(image.dataobj).copy()
    values[18:22] = np.nan
    empty = Nifti1Image(np.nan_to_num(values), image.affine)
    ours = project_to_subcortex(Nifti1Image(values, image.affine), atlas, smoothing_mm)
    np.testing.assert_array_equal(ours, project_to_subcortex(empty, atlas, smoothing_mm))


def test_voxels_outside_the_field_of_view_are_undefined(image: Nifti1Image, atlas: Atlas) -> None:
    whole = project_to_subcortex(image, atlas)
    part = project_to_subcortex(image.slicer[19:], atlas)  # from x = -5 mm on
    np.testing.assert_array_equal(np.isnan(part), np.broadcast_to(np.arange(12) < 8, (3, 12)))
    assert np.isfinite(whole).all()
    with pytest.raises(SpaceError, match="no voxel of the atlas lies in its field of view"):
        project_to_subcortex(image.slicer[30:], atlas)


def run_of(values: np.ndarray, space: str, outputs: tuple[str, ...] = (), t_r: float = 2.0) -> Run:
    return Run("01", "", "movie", "1", values, t_r, space, np.ones(len(values), bool), (Path(space),), outputs)


def test_cortex_and_subcortex_are_one_run(image: Nifti1Image, atlas: Atlas) -> None:
    values = project_to_subcortex(image, atlas)
    below = run_of(values, "subcortex", atlas.structures)
    below = replace(below, mask=np.array([True, False, True]))
    both = with_subcortex(run_of(np.ones((3, 20484), np.float32), "fsaverage5"), below)
    assert (both.space, both.values.shape) == ("fsaverage5+subcortex", (3, 20496))
    assert both.outputs[20484:] == atlas.structures
    assert both.mask.tolist() == [True, False, True]
    assert both.sources == (Path("fsaverage5"), Path("subcortex"))
    np.testing.assert_array_equal(both.values[:, 20484:], values)


def test_runs_that_do_not_belong_together_are_refused() -> None:
    cortex = run_of(np.ones((3, 20484), np.float32), "fsaverage5")
    with pytest.raises(BoldError, match="has 3 volumes on the cortex, sub-01_task-movie_run-1 4 below it"):
        with_subcortex(cortex, run_of(np.ones((4, 12), np.float32), "subcortex"))
    with pytest.raises(BoldError, match=r"t_r is 2 s on the cortex, 1\.5 s below it"):
        with_subcortex(cortex, run_of(np.ones((3, 12), np.float32), "subcortex", t_r=1.5))
    with pytest.raises(SpaceError, match="9 outputs, but fsaverage5 has 20,484"):
        with_subcortex(run_of(np.ones((3, 9), np.float32), "fsaverage5"), run_of(np.ones((3, 12), np.float32), "s"))
