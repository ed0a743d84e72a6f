"""Parcellations as they come in files, and means over what is defined in each parcel."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel import Nifti1Image
from nibabel.freesurfer import write_annot
from nilearn.maskers import NiftiLabelsMasker

from tribetune.bold.parcellation import Parcellation, parcels_of_image, read_parcellation
from tribetune.bold.parcels import parcel_means, to_parcels, volume_to_parcels
from tribetune.bold.run import Run
from tribetune.errors import SpaceError

N = 10242
APARC = ["unknown", "bankssts", "corpuscallosum", "pericalcarine"]
SCHAEFER = ["Background+FreeSurfer_Defined_Medial_Wall", "7Networks_{}_Vis_1", "7Networks_{}_Default_1"]

Write = Callable[[Path, np.ndarray, list[str]], Path]


def annot(path: Path, labels: np.ndarray, names: list[str]) -> Path:
    colours = np.arange(len(names))
    table = np.stack([colours, colours, colours, 0 * colours, 0 * colours], axis=1)
    write_annot(path, labels, table, names, fill_ctab=True)
    return path


def gifti(path: Path, labels: np.ndarray, names: list[str], structure: str = "") -> Path:
    array = nibabel.gifti.GiftiDataArray(labels.astype(np.int32), intent="NIFTI_INTENT_LABEL")
    image = nibabel.gifti.GiftiImage(darrays=[array])
    image.meta = nibabel.gifti.GiftiMetaData({"AnatomicalStructurePrimary": structure})
    for key, name in enumerate(names):
        label = nibabel.gifti.GiftiLabel(key)
        label.label = name
        image.labeltable.labels.append(label)
    nibabel.save(image, path)
    return path


@pytest.fixture
def labels() -> np.ndarray:
    """Values 0 to 3 of both hemispheres' vertices."""
    return np.random.default_rng(3).integers(0, 4, (2, N))


@pytest.mark.parametrize(("write", "suffix"), [(annot, ".annot"), (gifti, ".label.gii")])
def test_a_name_of_both_hemispheres_is_two_parcels(
    tmp_path: Path, labels: np.ndarray, write: Write, suffix: str
) -> None:
    pair = (
        write(tmp_path / f"lh.aparc{suffix}", labels[0], APARC),
        write(tmp_path / f"rh.aparc{suffix}", labels[1], APARC),
    )
    found = read_parcellation(pair)
    assert found.name == "aparc"
    assert found.names == ("L_bankssts", "L_pericalcarine", "R_bankssts", "R_pericalcarine")  # no wall, no callosum
    expected = np.array([-1, 0, -1, 1])[labels]
    expected[1][expected[1] >= 0] += 2
    np.testing.assert_array_equal(found.labels, expected.reshape(-1))
    assert found.space.labels == found.names


def test_names_that_tell_the_hemisphere_stay_as_they_are(tmp_path: Path, labels: np.ndarray) -> None:
    few = labels % 3
    pair = tuple(
        annot(tmp_path / f"{side.lower()}.schaefer.annot", half, [name.format(side) for name in SCHAEFER])
        for side, half in zip(("LH", "RH"), few, strict=True)
    )
    found = read_parcellation(pair, "schaefer4")
    assert found.names == (
        "7Networks_LH_Vis_1", "7Networks_LH_Default_1", "7Networks_RH_Vis_1", "7Networks_RH_Default_1",
    )  # fmt: skip
    assert found.name == "schaefer4"


def test_a_table_that_lists_both_hemispheres_gives_each_its_own(tmp_path: Path, labels: np.ndarray) -> None:
    names = ["???", "LH_a", "LH_lost", "RH_a", "RH_lost"]
    left = gifti(tmp_path / "x_hemi-L.label.gii", np.minimum(labels[0], 1), names)
    right = gifti(tmp_path / "x_hemi-R.label.gii", 3 * np.minimum(labels[1], 1), names)
    found = read_parcellation((left, right))
    # A parcel without a vertex keeps its place, so that the space is the same for everybody.
    assert found.names == ("LH_a", "LH_lost", "RH_a", "RH_lost")
    halves = found.labels.reshape(2, N)
    assert {found.names[k] for k in set(halves[0]) - {-1}} == {"LH_a"}
    assert {found.names[k] for k in set(halves[1]) - {-1}} == {"RH_a"}


def test_finer_meshes_begin_with_the_vertices_of_fsaverage5(tmp_path: Path, labels: np.ndarray) -> None:
    fine = np.zeros((2, 40962), int)
    fine[:, :N] = labels
    plain = [annot(tmp_path / f"{h}.p.annot", half, APARC) for h, half in zip(("lh", "rh"), labels, strict=True)]
    nested = [annot(tmp_path / f"{h}.f.annot", half, APARC) for h, half in zip(("lh", "rh"), fine, strict=True)]
    expected = read_parcellation((plain[0], plain[1]))
    found = read_parcellation((nested[0], nested[1]))
    np.testing.assert_array_equal(found.labels, expected.labels)


def test_swapped_hemispheres_are_refused(tmp_path: Path, labels: np.ndarray) -> None:
    left = annot(tmp_path / "lh.a.annot", labels[0], APARC)
    right = annot(tmp_path / "rh.a.annot", labels[1], APARC)
    with pytest.raises(SpaceError, match=r"rh\.a\.annot: its name says R, expected L"):
        read_parcellation((right, left))
    told = gifti(tmp_path / "hemi-L_a.label.gii", labels[0], APARC, "CortexRight")
    with pytest.raises(SpaceError, match="AnatomicalStructurePrimary says R, expected L"):
        read_parcellation((told, right))
    silent = annot(tmp_path / "a.annot", labels[0], APARC)
    with pytest.raises(SpaceError, match="nothing says which hemisphere it is"):
        read_parcellation((silent, right))


def test_a_file_whose_parcels_are_the_other_hemispheres_is_refused(tmp_path: Path, labels: np.ndarray) -> None:
    few = labels % 3
    wrong = annot(tmp_path / "lh.s.annot", few[0], [name.format("RH") for name in SCHAEFER])
    right = annot(tmp_path / "rh.s.annot", few[1], [name.format("RH") for name in SCHAEFER])
    with pytest.raises(SpaceError, match=r"2 parcels of hemisphere L have names such as '7Networks_RH_Default_1'"):
        read_parcellation((wrong, right))


def test_files_of_another_size_or_kind_are_refused(tmp_path: Path, labels: np.ndarray) -> None:
    right = annot(tmp_path / "rh.a.annot", labels[1], APARC)
    small = annot(tmp_path / "lh.a.annot", labels[0][:2562], APARC)
    with pytest.raises(SpaceError, match=r"lh\.a\.annot: 2,562 vertices, expected 10,242"):
        read_parcellation((small, right))
    with pytest.raises(SpaceError, match="one file of a pair"):
        read_parcellation(right)
    (tmp_path / "lh.b.annot").write_bytes(b"no labels")
    (tmp_path / "lh.b.label.gii").write_bytes(b"no labels")
    whole = annot(tmp_path / "lh.c.annot", labels[0], APARC).read_bytes()
    (tmp_path / "lh.cut.annot").write_bytes(whole[:-40])
    (tmp_path / "lh.uncoloured.annot").write_bytes(whole[: 4 + 8 * N] + bytes(8))
    for name in ("lh.b.annot", "lh.b.label.gii", "lh.absent.annot", "lh.cut.annot", "lh.uncoloured.annot"):
        with pytest.raises(SpaceError, match="cannot be read as labels"):
            read_parcellation((tmp_path / name, right))
    (tmp_path / "half.csv").write_text("1\n" * N)
    with pytest.raises(SpaceError, match=r"half\.csv: 10,242 labels, expected one per vertex of fsaverage5"):
        read_parcellation(tmp_path / "half.csv")
    (tmp_path / "none.csv").write_text("0\n" * 2 * N)
    with pytest.raises(SpaceError, match="no vertex has a parcel"):
        read_parcellation(tmp_path / "none.csv")


@pytest.mark.parametrize("header", ["", "label\n"])
def test_a_csv_of_numbers_takes_its_names_from_a_table(tmp_path: Path, header: str) -> None:
    values = np.repeat([0, 7, 2, -1, 30], [242, 5000, 5000, 242, 10000])
    (tmp_path / "p.csv").write_text(header + "\n".join(map(str, values)))
    plain = read_parcellation(tmp_path / "p.csv")
    assert plain.names == ("2", "7", "30")
    np.testing.assert_array_equal(plain.labels, np.repeat([-1, 1, 0, -1, 2], [242, 5000, 5000, 242, 10000]))
    (tmp_path / "names.tsv").write_text("index\tname\n0\tnone\n2\tL_two\n7\tMedial_wall\n9\tL_nine\n30\tR_thirty\n")
    named = read_parcellation(tmp_path / "p.csv", names=tmp_path / "names.tsv")
    assert named.names == ("L_two", "L_nine", "R_thirty")
    np.testing.assert_array_equal(named.labels == -1, np.isin(values, [0, -1, 7]))
    (tmp_path / "names.tsv").write_text("index\tname\n2\tL_two\n7\tL_seven\n")
    with pytest.raises(SpaceError, match=r"names\.tsv: no name for \[30\] of p\.csv"):
        read_parcellation(tmp_path / "p.csv", names=tmp_path / "names.tsv")


def test_a_csv_may_hold_the_names_themselves(tmp_path: Path) -> None:
    words = np.repeat(["Medial_wall", "V1", "A1", "V1", "A1"], [242, 5000, 5000, 5000, 5242])
    (tmp_path / "p.csv").write_text("\n".join(words))
    found = read_parcellation(tmp_path / "p.csv")
    assert found.names == ("L_A1", "L_V1", "R_A1", "R_V1")
    assert np.bincount(found.labels + 1).tolist() == [242, 5000, 5000, 5242, 5000]


def test_real_parcellations_have_the_parcels_that_their_names_say(
    data_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = data_folder / "parcellations"
    with caplog.at_level(logging.WARNING):
        found = {path.stem: read_parcellation(path) for path in sorted(folder.glob("*.csv"))}
    sizes = {name: len(parcellation.names) for name, parcellation in found.items()}
    assert sizes == {"aparc_fsa5": 70, "glasser_360_fsa5": 360, "schaefer_200_fsa5": 200, "schaefer_400_fsa5": 400}
    for parcellation in found.values():
        halves = [set(half) - {-1} for half in parcellation.labels.reshape(2, N).tolist()]
        assert not halves[0] & halves[1]
        assert max(halves[0]) < min(halves[1])
    # The stray vertices that the data's README tells of.
    assert "parcel 180 has 23 vertices on the left, 17 on the right; the fewer are left out" in caplog.text
    assert (found["glasser_360_fsa5"].labels == 179).sum() == 23


@pytest.fixture
def parcellation() -> Parcellation:
    return Parcellation("p3", ("a", "b", "c"), np.array([0, 0, 1, -1, 1, 0]))


def run_of(values: np.ndarray) -> Run:
    return Run("01", "", "movie", "1", values.astype(np.float32), 2.0, "x", np.ones(len(values), bool))


def test_a_parcel_is_the_mean_of_its_defined_places(parcellation: Parcellation) -> None:
    values = np.arange(12, dtype=np.float32).reshape(2, 6)
    values[1, 5] = np.nan
    means = parcel_means(values, parcellation)
    np.testing.assert_array_equal(means, np.array([[0.5, 3, np.nan], [6.5, 9, np.nan]], np.float32))
    one_map = parcel_means(values[:1], parcellation, defined=np.array([True, False, True, True, True, True]))
    np.testing.assert_array_equal(one_map, np.array([[2.5, 3, np.nan]], np.float32))


def test_means_over_many_volumes_are_exact(data_folder: Path) -> None:
    parcels = read_parcellation(data_folder / "parcellations" / "schaefer_400_fsa5.csv")
    values = (1e4 + np.random.default_rng(0).standard_normal((300, 20484))).astype(np.float32)
    means = parcel_means(values, parcels)
    for k in (0, 199, 399):
        inside = values[:, parcels.labels == k].astype(np.float64)
        np.testing.assert_allclose(means[:, k], inside.mean(1), rtol=6e-8)  # float32 at the end only


def test_a_constant_or_undefined_vertex_does_not_spoil_its_parcel(parcellation: Parcellation) -> None:
    rng = np.random.default_rng(1)
    values = rng.standard_normal((20, 6))
    values[:, 1], values[:, 2] = 0, np.nan
    run = run_of(values)
    parcels = to_parcels(run, parcellation)
    np.testing.assert_allclose(parcels.values[:, 0], values[:, [0, 5]].mean(1), atol=1e-6)  # float32
    np.testing.assert_allclose(parcels.values[:, 1], values[:, 4], atol=1e-6)
    assert np.isnan(parcels.values[:, 2]).all()
    assert (parcels.space, parcels.outputs, parcels.label) == ("p3", ("a", "b", "c"), run.label)
    assert np.isnan(run.values[:, 2]).all()
    assert not run.values[:, 1].any()


def test_a_vertex_that_varies_only_where_volumes_are_invalid_is_constant(parcellation: Parcellation) -> None:
    values = np.random.default_rng(1).standard_normal((20, 6))
    values[:, 4], values[3, 4] = 0, 9
    run = replace(run_of(values), mask=np.arange(20) != 3)
    np.testing.assert_allclose(to_parcels(run, parcellation).values[:, 1], values[:, 2], atol=1e-6)  # float32


def test_empty_parcels_are_told_and_none_at_all_is_refused(
    parcellation: Parcellation, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        to_parcels(run_of(np.random.default_rng(1).standard_normal((5, 6))), parcellation)
    assert "sub-01_task-movie_run-1: 1 of 3 parcels are undefined: c" in caplog.text
    with pytest.raises(SpaceError, match="no parcel of p3 has a defined place"):
        to_parcels(run_of(np.zeros((5, 6))), parcellation)


def test_a_parcellation_of_another_space_is_refused(parcellation: Parcellation) -> None:
    with pytest.raises(SpaceError, match="7 outputs, but p3 is a parcellation of 6 places"):
        parcel_means(np.zeros((2, 7), np.float32), parcellation)


def test_volumes_are_averaged_as_nilearns_masker_does(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    image = Nifti1Image((1000 + rng.standard_normal((9, 10, 8, 7))).astype(np.float32), affine)
    fine = np.zeros((14, 15, 12), np.int16)
    fine[2:6, 2:6, 2:6], fine[8:12, 4:9, 3:9], fine[2:5, 6:13, 2:9] = 4, 1, 9
    labels = Nifti1Image(fine, np.diag([2.0, 2.0, 2.0, 1.0]))
    inside = np.zeros((9, 10, 8), np.uint8)
    inside[:, :5] = 1
    mask = Nifti1Image(inside, affine)
    parcels = parcels_of_image(labels, {0: "Background", 1: "one", 4: "four", 7: "absent"}, image, "p3")
    assert parcels.names == ("one", "four", "absent")
    monkeypatch.setattr("tribetune.bold.volumes._BLOCK_VALUES", 3 * 9 * 10 * 8)  # blocks of 3, 3 and 1 volumes
    for brain_mask in (None, mask):
        masker = NiftiLabelsMasker(labels, mask_img=brain_mask, resampling_target="data", standardize=None)
        expected = masker.fit_transform(image)[:, :2]  # values 1, 4; the last is 9, which has no name here
        ours = volume_to_parcels(image, parcels, brain_mask)
        np.testing.assert_allclose(ours[:, :2], expected, rtol=1e-6)  # float32 values of 1,000
        assert np.isnan(ours[:, 2]).all()
