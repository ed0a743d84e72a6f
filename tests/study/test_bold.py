"""From files in many forms to a study: surfaces, parcels, volumes, explicit files; cleaned, kept, surveyed."""

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from tribetune.bold.clean import clean
from tribetune.bold.read import read_run
from tribetune.cli.app import build
from tribetune.errors import BoldError, SpaceError
from tribetune.model.checkpoint import load_checkpoint, save_checkpoint
from tribetune.model.tribe import Tribe
from tribetune.progress import Silent
from tribetune.recipe.file import read_recipe
from tribetune.share.bundle import load_adapter
from tribetune.share.verify import verify
from tribetune.study.adapt import adapt
from tribetune.study.bold import Reader, list_files, stimuli_of
from tribetune.study.check import check
from tribetune.study.facts import adapter_facts
from tribetune.study.nuisance import nuisance_baseline
from tribetune.study.prepare import bold_cache, prepare

N, N_TRS, T_R, N_PARCELS = 10242, 80, 2.0, 6
STEM = "sub-01_task-story_run-{}"
WORDS = ("the", "red", "dog", "ran", "to", "a", "small", "house", "and", "sang")


def parcel_of_vertices() -> np.ndarray:
    """Three parcels on the left, three others on the right."""
    side = np.arange(N) % (N_PARCELS // 2)
    return np.concatenate([side, side + N_PARCELS // 2])


def write_events(folder: Path, rng: np.random.Generator) -> None:
    (folder / "sub-01/func").mkdir(parents=True)
    for run in (1, 2):
        onsets = np.arange(2.0, 148.0, 0.7)
        rows = [f"{onset:.2f}\t0.3\tword\t{rng.choice(WORDS)}" for onset in onsets]
        events = "onset\tduration\ttrial_type\tword\n" + "\n".join(rows) + "\n"
        (folder / "sub-01/func" / f"{STEM.format(run)}_events.tsv").write_text(events)


def write_surface(path: Path, values: np.ndarray, side: str) -> None:
    meta = nibabel.gifti.GiftiMetaData({"AnatomicalStructurePrimary": f"Cortex{side}", "TimeStep": str(T_R)})
    array = nibabel.gifti.GiftiDataArray(
        np.ascontiguousarray(values.T), intent="NIFTI_INTENT_TIME_SERIES", encoding="GIFTI_ENCODING_B64BIN",
        datatype="NIFTI_TYPE_FLOAT32",
    )  # fmt: skip
    nibabel.save(nibabel.GiftiImage(meta=meta, darrays=[array]), path)


def write_confounds(path: Path, rng: np.random.Generator) -> None:
    names = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"] + ["csf", "white_matter"]
    names = [name + more for name in names for more in ("", "_derivative1", "_power2", "_derivative1_power2")]
    names += ["cosine00", "framewise_displacement", "std_dvars"]
    table = 0.1 * rng.random((N_TRS, len(names)))
    table[40, names.index("framewise_displacement")] = 3.0
    np.savetxt(path, table, delimiter="\t", header="\t".join(names), comments="")
    path.with_suffix(".json").write_text("{}")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Two runs of a story: surfaces with confounds, each parcel with a course of its own."""
    folder = tmp_path_factory.mktemp("bids")
    rng = np.random.default_rng(0)
    write_events(folder, rng)
    func = folder / "derivatives/fmriprep/sub-01/func"
    func.mkdir(parents=True)
    labels = parcel_of_vertices() + 1
    (folder / "parcels.csv").write_text("\n".join(str(label) for label in labels) + "\n")
    for run in (1, 2):
        course = rng.standard_normal((N_TRS, N_PARCELS)).astype(np.float32)
        values = 100 + course[:, labels - 1] + 0.1 * rng.standard_normal((N_TRS, 2 * N)).astype(np.float32)
        for letter, side, half in (("L", "Left", slice(0, N)), ("R", "Right", slice(N, None))):
            name = f"{STEM.format(run)}_hemi-{letter}_space-fsaverage5_bold.func.gii"
            write_surface(func / name, values[:, half], side)
        write_confounds(func / f"{STEM.format(run)}_desc-confounds_timeseries.tsv", rng)
    return folder


@pytest.fixture
def write_recipe(study_folder, tmp_path):
    """A recipe of words alone, on the toy of the other tests, with features and caches in the test's folder."""

    def write(**data):
        recipe = {
            "name": "small",
            "checkpoint": str(study_folder / "checkpoint"),
            "data": {"subject": "01", "task": "story", "split": {"by": "run", "test": [2]}, **data},
            "features": {"modalities": ["text"], "encoders": "tiny", "store": str(tmp_path / "features")},
            "windows": {"duration_s": 50, "stride_s": 50},
            "adaptation": {"method": "readout"},
            "evaluation": {"bootstrap_draws": 100},
        }
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        return str(tmp_path / "recipe.yaml")

    return write


def parcels(dataset):
    return {
        "bids": str(dataset), "space": f"parcels{N_PARCELS}", "parcellation": {"file": str(dataset / "parcels.csv")}
    }  # fmt: skip


def test_a_study_of_parcels_runs_from_surfaces_to_scores(dataset, write_recipe, tmp_path):
    result = adapt(write_recipe(**parcels(dataset)), [], tmp_path / "run")
    assert result.picture is None  # parcels are not drawn
    rows = {row["method"]: row for row in result.rows}
    assert rows["readout"]["n_outputs"] == rows["fir"]["n_outputs"] == N_PARCELS
    assert not rows["zero-shot"]["defined"]
    told = json.loads((tmp_path / "run/adapter/tribetune.json").read_text())
    assert (told["space"], told["n_outputs"], told["cleaning"]) == ("parcels6", N_PARCELS, "tribe")
    assert json.loads((tmp_path / "run/provenance.json").read_text())["cleaning"]["strategy"] == "tribe"
    inputs = json.loads((tmp_path / "run/provenance.json").read_text())["inputs"]
    assert any("parcels.csv" in name for name in inputs)


def test_parcels_are_the_means_of_their_vertices_then_cleaned(dataset, write_recipe):
    recipe = read_recipe(write_recipe(**parcels(dataset)))
    reader = Reader(recipe.data, bold_cache(recipe))
    files = list_files(recipe.data)[0]
    run = reader.read(files)
    vertices = read_run(files).values.astype(np.float64)
    expected = np.stack([vertices[:, parcel_of_vertices() == k].mean(1) for k in range(N_PARCELS)], axis=1)
    np.testing.assert_allclose(run.values, expected, rtol=1e-6)  # single
    np.testing.assert_array_equal(reader.cleaned(files, reader.key(files)).values, clean(run).values)


def test_the_second_study_reads_nothing_but_the_cache(dataset, write_recipe, monkeypatch):
    recipe = read_recipe(write_recipe(**parcels(dataset)))
    first = prepare(recipe, Silent())
    assert first.split.test[0].aligned.bold.base is not None  # a map, no array of its own
    monkeypatch.setattr("tribetune.study.bold.read_run", None)
    monkeypatch.setattr("tribetune.study.runs.align", None)
    second = prepare(recipe, Silent())
    assert first.fingerprint == second.fingerprint
    for one, other in zip(
        first.split.training + first.split.test, second.split.training + second.split.test, strict=True
    ):
        np.testing.assert_array_equal(one.aligned.bold, other.aligned.bold)
        np.testing.assert_array_equal(one.aligned.mask, other.aligned.mask)


def test_what_is_kept_at_one_lag_is_not_taken_for_another(dataset, write_recipe):
    path = write_recipe(**parcels(dataset))
    for _ in range(2):
        early, late = (
            prepare(read_recipe(path, [f"windows.hemodynamic_lag_s={lag_s}"]), Silent()).split.test[0].aligned
            for lag_s in (4, 5)
        )
        np.testing.assert_array_equal(early.bold[1:140], late.bold[:139])


def test_a_kept_run_that_was_damaged_is_made_again(dataset, write_recipe, tmp_path, caplog):
    recipe = read_recipe(write_recipe(**parcels(dataset)))
    before = np.array(prepare(recipe, Silent()).split.test[0].aligned.bold)
    for path in (tmp_path / "bold").glob("*run-2*.safetensors"):
        content = bytearray(path.read_bytes())
        content[-5] ^= 1
        path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        after = prepare(recipe, Silent()).split.test[0].aligned.bold
    assert "run-2_aligned" in caplog.text
    assert "run-2_cleaned" in caplog.text
    np.testing.assert_array_equal(before, after)


def test_every_choice_behind_bold_changes_the_fingerprint(dataset, write_recipe, tmp_path):
    recipe = write_recipe(**parcels(dataset))
    other = tmp_path / "other.csv"
    other.write_text("\n".join(str(k // 3414 + 1) for k in range(2 * N)) + "\n")
    choices = [[], ["data.cleaning=scrubbing"], ["data.cleaning=scrubbing", "data.thresholds.fd_threshold_mm=0.4"]]
    choices += [[f"data.parcellation.file={other}"]]
    keys = set()
    for overrides in choices:
        data = read_recipe(recipe, overrides).data
        keys |= {Reader(data, tmp_path).key(files) for files in list_files(data)}
    assert len(keys) == 2 * len(choices)  # two runs


def test_scrubbed_volumes_are_masked_and_another_cleaning_than_the_checkpoints_is_said(dataset, write_recipe):
    path = write_recipe(**parcels(dataset))
    plain, scrubbed = (
        prepare(read_recipe(path, [f"data.cleaning={name}"]), Silent()) for name in ("tribe", "scrubbing")
    )
    assert scrubbed.split.test[0].mask.sum() < plain.split.test[0].mask.sum()
    assert not any("cleaned by" in note for note in plain.notes)
    assert any(
        "trained on BOLD cleaned by `tribe`, this study's is cleaned by `scrubbing`" in n for n in scrubbed.notes
    )
    # the checkpoint has no row for these parcels: nothing starts there
    (told,) = [note for note in scrubbed.notes if "cleaned by" in note]
    assert told.endswith("cleaned by `scrubbing`: its trunk is for BOLD cleaned otherwise.")
    assert adapter_facts(scrubbed)["cleaning_choices"]["fd_threshold"] == 0.5


def test_confounds_fitted_across_a_split_are_said_out_loud(dataset, write_recipe):
    func, stem = dataset / "derivatives/fmriprep/sub-01/func", STEM.format(1)
    files = {
        "run": 1, "bold": [str(func / f"{stem}_hemi-{side}_space-fsaverage5_bold.func.gii") for side in "LR"],
        "events": str(dataset / "sub-01/func" / f"{stem}_events.tsv"),
        "confounds": str(func / f"{stem}_desc-confounds_timeseries.tsv"),
    }  # fmt: skip
    path = write_recipe(files=[files], cleaning="simple", split={"by": "block", "test": 0.25, "gap_s": 55})
    study = prepare(read_recipe(path), Silent())
    assert "fitted on the whole run, both sides of the split" in " ".join(study.notes)
    assert study.cleaning["regressors_fitted_on"] == "the whole run"
    plain = prepare(read_recipe(path, ["data.cleaning=tribe"]), Silent())
    assert "both sides of the split" not in " ".join(plain.notes)
    assert "regressors_fitted_on" not in plain.cleaning


def test_a_parcellation_of_another_size_than_its_name_is_refused(dataset, write_recipe):
    recipe = read_recipe(write_recipe(**parcels(dataset) | {"space": "parcels7"}))
    with pytest.raises(SpaceError, match="its files have 6 parcels") as caught:
        prepare(recipe, Silent())
    assert "parcels6" in caught.value.hint


@pytest.fixture
def volumes(tmp_path):
    """Two runs of a story as volumes of 8 mm around the brain."""
    folder = tmp_path / "volumes"
    rng = np.random.default_rng(1)
    write_events(folder, rng)
    affine = np.diag([8.0, 8.0, 8.0, 1.0])
    affine[:3, 3] = (-84, -120, -76)
    for run in (1, 2):
        values = (100 + rng.standard_normal((22, 27, 24, N_TRS))).astype(np.float32)
        image = nibabel.Nifti1Image(values, affine)
        image.header.set_xyzt_units("mm", "sec")
        image.header.set_zooms((8.0, 8.0, 8.0, T_R))
        nibabel.save(image, folder / f"run-{run}.nii")
    return folder


def explicit(volumes):
    return [
        {"run": run, "bold": [str(volumes / f"run-{run}.nii")],
         "events": str(volumes / "sub-01/func" / f"{STEM.format(run)}_events.tsv")}
        for run in (1, 2)
    ]  # fmt: skip


@pytest.mark.slow
def test_a_study_of_named_volumes_is_projected_to_the_surface_and_scored(volumes, write_recipe, tmp_path):
    result = adapt(write_recipe(files=explicit(volumes)), [], tmp_path / "run")
    rows = {row["method"]: row for row in result.rows}
    assert rows["readout"]["n_outputs"] > 20000
    written = sorted(path.name for path in (tmp_path / "run/predictions").glob("*.gii"))
    assert [("hemi-L" in name, "hemi-R" in name) for name in written] == [(True, False), (False, True)]
    assert result.picture == tmp_path / "run" / "scores.png"
    assert result.picture.read_bytes().startswith(b"\x89PNG")


def test_volumes_are_averaged_in_the_parcels_of_a_label_image(volumes, write_recipe, tmp_path):
    image = nibabel.load(volumes / "run-1.nii")
    labels = np.zeros(image.shape[:3], np.int16)
    labels[5:9, 5:9, 5:9], labels[12:15, 12:15, 12:15] = 1, 2
    nibabel.save(nibabel.Nifti1Image(labels, image.affine), tmp_path / "labels.nii")
    (tmp_path / "names.tsv").write_text("index\tname\n1\tone\n2\ttwo\n")
    own = {"file": str(tmp_path / "labels.nii"), "names": str(tmp_path / "names.tsv")}
    recipe = read_recipe(write_recipe(files=explicit(volumes), space="blocks2", parcellation=own))
    run = Reader(recipe.data, tmp_path).read(list_files(recipe.data)[0])
    assert (run.space, run.outputs) == ("blocks2", ("one", "two"))
    np.testing.assert_allclose(run.values[:, 1], image.get_fdata()[12:15, 12:15, 12:15].mean((0, 1, 2)), rtol=1e-5)


def test_voxels_below_the_cortex_are_named_and_ventricles_are_in_no_mean(volumes, write_recipe, tmp_path):
    image = nibabel.load(volumes / "run-1.nii")
    labels = np.zeros(image.shape[:3], np.int16)
    labels[10:12, 14:16, 9:11], labels[12, 14, 9] = 1, 2
    nibabel.save(nibabel.Nifti1Image(labels, image.affine), tmp_path / "atlas.nii")
    (tmp_path / "atlas.tsv").write_text("index\tname\n1\tLeft Thalamus\n2\tLeft Lateral Ventricle\n")
    path = write_recipe(files=explicit(volumes), space="subcortex", subcortex={"atlas": str(tmp_path / "atlas.nii")})
    study = prepare(read_recipe(path), Silent())
    assert study.split.test[0].aligned.bold.shape[1] == 9
    assert study.in_means.tolist() == [True] * 8 + [False]
    result = adapt(path, [], tmp_path / "run")
    assert {row["n_outputs"] for row in result.rows if row["method"] != "zero-shot"} == {8}


def test_cortex_and_what_lies_below_come_from_one_volume_of_a_dataset(volumes, write_recipe, tmp_path):
    func = volumes / "derivatives/fmriprep/sub-01/func"
    func.mkdir(parents=True)
    image = nibabel.load(volumes / "run-1.nii").slicer[..., :5]
    for run in (1, 2):
        nibabel.save(image, func / f"{STEM.format(run)}_space-MNI152NLin2009cAsym_res-2_desc-preproc_bold.nii.gz")
    labels = np.zeros(image.shape[:3], np.int16)
    labels[10:12, 14:16, 9:11] = 1
    nibabel.save(nibabel.Nifti1Image(labels, image.affine), tmp_path / "atlas.nii")
    (tmp_path / "atlas.tsv").write_text("index\tname\n1\tLeft Thalamus\n")
    own = {"space": "fsaverage5+subcortex", "subcortex": {"atlas": str(tmp_path / "atlas.nii")}}
    recipe = read_recipe(write_recipe(bids=str(volumes), **own))
    run = Reader(recipe.data, tmp_path).read(list_files(recipe.data)[0])
    assert (run.space, run.values.shape) == ("fsaverage5+subcortex", (5, 2 * N + 8))
    assert run.outputs[-1] == "Left Thalamus"
    chosen = read_recipe(write_recipe(bids=str(volumes), volume={"source": "MNI152NLin2009cAsym:res-2"}))
    assert [files.kind for files in list_files(chosen.data)] == ["volume", "volume"]
    with pytest.raises(BoldError, match="has no run with"):
        list_files(read_recipe(write_recipe(bids=str(volumes), volume={"source": "MNI152NLin2009cAsym:res-1"})).data)


@pytest.mark.slow
def test_below_the_cortex_a_readout_starts_from_nothing_and_the_cortex_is_held_against_zero_shot(
    volumes, write_recipe, tmp_path, study_folder
):
    config = replace(load_checkpoint(study_folder / "checkpoint").config, n_outputs=2 * N, space="fsaverage5")
    save_checkpoint(Tribe(config).eval(), tmp_path / "cortex")
    image = nibabel.load(volumes / "run-1.nii")
    labels = np.zeros(image.shape[:3], np.int16)
    labels[10:12, 14:16, 9:11] = 1
    nibabel.save(nibabel.Nifti1Image(labels, image.affine), tmp_path / "atlas.nii")
    (tmp_path / "atlas.tsv").write_text("index\tname\n1\tLeft Thalamus\n")
    own = {"space": "fsaverage5+subcortex", "subcortex": {"atlas": str(tmp_path / "atlas.nii")}}
    path = write_recipe(files=explicit(volumes), **own)
    overrides = [f"checkpoint={tmp_path / 'cortex'}", "adaptation.method=low-rank"]
    told = "Readouts of 8 outputs of subcortex start from nothing"
    lines = check(path, overrides)
    assert any(line.startswith(told) for line in lines)
    assert "zero-shot: not defined, readouts start from what it has of them" in lines
    assert any(line.endswith("20,484 outputs") for line in lines)  # the checkpoint's own
    result = adapt(path, overrides, tmp_path / "run")
    assert any(note.startswith(told) for note in result.notes)
    (row,) = [row for row in result.rows if row["method"] == "low-rank"]
    defined = np.isfinite(result.scores["low-rank"])
    assert row["n_outputs"] == defined.sum()
    assert defined[-8:].all()
    living = json.loads((tmp_path / "run/scores.json").read_text())["living"]["low-rank"]
    beside = living["beside_group"]
    assert beside["difference"]["n_outputs"] == defined[: 2 * N].sum() > 20000
    assert beside["told"] in result.notes
    loaded = load_adapter(tmp_path / "run/adapter")
    assert (loaded.space.name, loaded.space.n_outputs) == ("fsaverage5+subcortex", 2 * N + 8)
    assert verify(tmp_path / "run/adapter", str(tmp_path / "cortex"))


def test_a_named_file_that_is_not_there_is_refused(volumes, write_recipe):
    runs = explicit(volumes)
    runs[1]["bold"] = ["gone.nii.gz"]
    with pytest.raises(BoldError, match=r"sub-01_task-story_run-2: .*no file gone\.nii\.gz"):
        list_files(read_recipe(write_recipe(files=runs)).data)


def ls(*arguments):
    return CliRunner().invoke(build(), ["bold", "ls", *map(str, arguments)], env={"COLUMNS": "160"})


def test_ls_says_what_is_there(dataset, write_recipe, tmp_path):
    shown = ls(write_recipe(**parcels(dataset)))
    assert shown.exit_code == 0
    (first,) = [line for line in shown.stdout.splitlines() if line.strip().startswith("task-story_run-1 ")]
    for word in ("fsaverage5", "2 s", "80", "2.7"):
        assert word in first
    found = json.loads(ls(tmp_path / "recipe.yaml", "--json").stdout)
    assert [(row["run"], row["read"], row["volumes"]) for row in found["runs"]] == [
        (STEM.format(1), True, 80), (STEM.format(2), True, 80)
    ]  # fmt: skip
    assert found["faults"] == []


def test_ls_judges_and_draws_every_run(dataset, write_recipe, tmp_path):
    shown = ls(write_recipe(**parcels(dataset)), "--quality", "--pictures", tmp_path / "pictures")
    assert shown.exit_code == 0, shown.output
    assert "head motion: mean framewise displacement" in shown.stdout
    names = [f"{STEM.format(run)}_carpet.png" for run in (1, 2)]
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == names


def test_a_broken_run_stops_neither_ls_nor_the_judgement_of_the_others(dataset, write_recipe, tmp_path):
    runs = [
        {"run": run, "events": str(dataset / "sub-01/func" / f"{STEM.format(run)}_events.tsv"),
         "bold": [str(dataset / "derivatives/fmriprep/sub-01/func" / f"{STEM.format(run)}_hemi-{side}_space-fsaverage5"
                      "_bold.func.gii") for side in "LR"]}
        for run in (1, 2)
    ]  # fmt: skip
    runs[0]["bold"][0] = "gone.func.gii"
    path = write_recipe(files=runs)
    found = json.loads(ls(path, "--json", "--quality").stdout)
    assert "no file gone.func.gii" in found["runs"][0]["faults"][0]
    assert "quality" not in found["runs"][0]
    assert found["runs"][1]["verdict"] in ("ok", "look", "bad")
    assert "gone.func.gii" in ls(path).stdout


def test_ls_lists_a_dataset_whose_runs_would_be_refused(dataset, write_recipe, tmp_path):
    broken = tmp_path / "broken"
    write_events(broken, np.random.default_rng(0))
    func = broken / "derivatives/fmriprep/sub-01/func"
    func.mkdir(parents=True)
    write_surface(func / f"{STEM.format(1)}_hemi-L_space-fsaverage5_bold.func.gii", np.ones((3, N), np.float32), "Left")
    found = json.loads(ls(write_recipe(bids=str(broken)), "--json", "--quality").stdout)
    assert "hemisphere R" in found["runs"][0]["missing"]
    assert not found["runs"][0]["read"]
    assert "expected left and right" in found["runs"][0]["faults"][-1]
    assert "hemisphere R is missing" in found["faults"][0]


def test_ls_names_a_run_once_in_a_line_and_events_that_are_not_its_own(dataset, write_recipe, tmp_path):
    func = "derivatives/fmriprep/sub-01/func"
    copied = Path(shutil.copytree(dataset, tmp_path / "late"))
    events = copied / "sub-01/func" / f"{STEM.format(1)}_events.tsv"
    events.write_text("onset\tduration\ttrial_type\tword\n500\t1\tword\thi\n")
    shown = ls(write_recipe(bids=str(copied / func).removesuffix("/sub-01/func")))
    (line,) = [line for line in shown.stdout.splitlines() if "begins at 500 s" in line]
    assert "the run lasts 160 s" in line
    assert line.count(f"{STEM.format(1)}: ") == 1


def test_ls_of_an_unknown_subject_says_which_there_are(dataset, write_recipe):
    shown = ls(write_recipe(bids=str(dataset), subject="09"))
    assert shown.exit_code == 2
    assert "has no sub-09; it has sub-01" in shown.stderr


def test_stimuli_of_derivatives_are_those_of_the_raw_dataset(dataset, write_recipe, tmp_path):
    (tmp_path / "raw/stimuli").mkdir(parents=True)
    (tmp_path / "raw/derivatives/fmriprep").mkdir(parents=True)
    for bids in (tmp_path / "raw", tmp_path / "raw/derivatives", tmp_path / "raw/derivatives/fmriprep"):
        assert stimuli_of(read_recipe(write_recipe(bids=str(bids))).data) == tmp_path / "raw/stimuli"


def test_tables_are_listed_too(study_folder):
    found = json.loads(ls(study_folder / "recipe.yaml", "--json").stdout)
    assert [row["run"] for row in found["runs"]] == [f"sub-01_run-{run}" for run in range(1, 5)]
    assert found["runs"][0]["volumes"] == 110
    assert found["runs"][0]["stimuli"] == ["words-1.tsv"]


def test_no_warning_is_logged_where_the_cache_is_sound(dataset, write_recipe, caplog):
    recipe = read_recipe(write_recipe(**parcels(dataset)))
    with caplog.at_level(logging.WARNING, "tribetune.bold.cache"):
        prepare(recipe, Silent())
        prepare(recipe, Silent())
    assert caplog.text == ""


def test_the_nuisance_model_knows_head_motion_where_every_run_has_it(dataset, write_recipe):
    study = prepare(read_recipe(write_recipe(**parcels(dataset))), Silent())
    found = nuisance_baseline(study)
    # word rate at four delays, six parameters and their changes, a line and a square; for every parcel
    assert found["n_weights"] == (4 + 12 + 2) * N_PARCELS
    assert np.isfinite(found["test"]).all()
    assert not any("head motion" in note for note in study.notes)
