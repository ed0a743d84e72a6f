"""From a cohort's files to R_group, in tables, on surfaces and in volumes."""

import json
import shutil
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import yaml
from torch.nn import functional
from typer.testing import CliRunner

from tribetune.adapt.rows import with_rows
from tribetune.cli.app import build
from tribetune.errors import AdaptationError, BoldError, LeakageError, RecipeError
from tribetune.evaluate.duplicates import plain_words, word_sketch
from tribetune.model.checkpoint import load_checkpoint, save_checkpoint
from tribetune.recipe.file import read_group_recipe
from tribetune.simulate.cohort import simulate
from tribetune.simulate.settings import CohortSettings
from tribetune.spaces import FSAVERAGE5
from tribetune.stimulus.words import read_words
from tribetune.study.check import check
from tribetune.study.group import predict_group
from tribetune.study.plan import run_recipe
from tribetune.study.rescore import rescore

SUBJECTS = ("01", "02", "03", "04")


@pytest.fixture(scope="module")
def cohort(study_folder, tmp_path_factory):
    """Four subjects with the BOLD of the small study, each with noise of his own, and a group recipe."""
    folder = tmp_path_factory.mktemp("cohort")
    rng = np.random.default_rng(3)
    for run in (1, 2):
        with np.load(study_folder / f"sub-01_run-{run}.npz") as saved:
            bold = saved["bold"]
        for subject in SUBJECTS:
            noisy = bold + rng.standard_normal(bold.shape) * bold.std(0)
            np.savez(folder / f"sub-{subject}_run-{run}.npz", bold=noisy.astype(np.float32))
    recipe = {
        "name": "together",
        "checkpoint": str(study_folder / "checkpoint"),
        "data": {
            "tables": {
                "path": str(folder / "sub-{subject}_run-{run}.npz"),
                "t_r": 2.0,
                "words": str(study_folder / "words-{run}.tsv"),
            },
            "subjects": "all",
            "space": "table",
        },
        "features": {"modalities": ["text"], "store": str(study_folder / "features")},
        "evaluation": {"bootstrap_draws": 100},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return folder


def run(folder, out, *overrides, **more):
    return predict_group(str(folder / "recipe.yaml"), overrides, out, **more)


def test_a_cohort_in_tables_is_averaged_predicted_and_scored(cohort, tmp_path):
    result = run(cohort, tmp_path / "run")
    scores = result.scores
    assert (result.subjects, scores.n_subjects, scores.r_group.n_outputs) == (list(SUBJECTS), 4, 8)
    assert scores.r_group.mean > scores.individual.mean() > 0
    assert [point.n_subjects for point in scores.curve] == [1, 2, 3, 4]
    told = json.loads((tmp_path / "run" / "group.json").read_text())
    assert told["r_group"] == scores.r_group.mean
    assert told["median_subject"] == pytest.approx(np.median([own["with_others"] for own in told["subjects"].values()]))
    assert set(told["subjects"]) == set(SUBJECTS)
    assert json.loads((tmp_path / "run" / "leakage.json").read_text())["leaks"] == []
    with np.load(tmp_path / "run" / "group.npz") as maps:
        assert np.nanmean(maps["r_group"]) == pytest.approx(scores.r_group.mean, abs=1e-6)
    assert len(list((tmp_path / "run" / "predictions").glob("*.tsv"))) == 2
    assert [picture.name for picture in result.pictures] == ["curve.png"]
    assert result.pictures[0].stat().st_size > 10_000


def test_the_figures_are_those_of_the_written_prediction_and_the_files(cohort, study_folder, tmp_path):
    result = run(cohort, tmp_path / "run", "data.runs=[2]")
    (written,) = (tmp_path / "run" / "predictions").glob("*.tsv")
    predicted = np.loadtxt(written, skiprows=1)
    start_s = read_words(study_folder / "words-2.tsv")[0].onset_s
    clock = start_s + 5.0 + np.arange(len(predicted))
    valid = clock <= 2.0 * 109
    mean = np.zeros((int(valid.sum()), 8))
    for subject in SUBJECTS:
        with np.load(cohort / f"sub-{subject}_run-2.npz") as saved:
            bold = saved["bold"].astype(float)
        line = np.polynomial.polynomial.polyfit(np.arange(110), bold, 1)
        bold = bold - line[0] - np.arange(110)[:, None] * line[1]
        own = np.stack([np.interp(clock[valid], 2.0 * np.arange(110), column) for column in bold.T], axis=1)
        mean += (own - own.mean(0)) / own.std(0)
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(predicted[valid].T, mean.T, strict=True)]
    np.testing.assert_allclose(result.scores.maps["r_group"], expected, atol=1e-4)  # files hold float32


def test_a_subject_who_saw_something_else_or_lacks_a_run_is_left_out_and_named(cohort, study_folder, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(cohort, folder)
    for n, subject in enumerate(SUBJECTS):
        for r in (1, 2):
            shutil.copy(study_folder / f"words-{3 if (n, r) == (3, 2) else r}.tsv", folder / f"words-{subject}-{r}.tsv")
    (folder / "sub-02_run-2.npz").unlink()
    own = [f"data.tables.path={folder}/sub-{{subject}}_run-{{run}}.npz"]
    own += [f"data.tables.words={folder}/words-{{subject}}-{{run}}.tsv"]
    result = predict_group(str(folder / "recipe.yaml"), own, tmp_path / "run")
    assert result.subjects == ["01", "03"]
    assert result.left_out == {
        "02": "saw something else than most, or other runs: run-2",
        "04": "saw something else than most, or other runs: run-2",
    }
    lines = check(str(folder / "recipe.yaml"), own)
    assert "subjects: 2: 01, 03" in lines
    assert any(line.startswith("left out: sub-04") for line in lines)
    one = predict_group(str(folder / "recipe.yaml"), [*own, "data.runs=[1]"], tmp_path / "first")
    assert one.subjects == list(SUBJECTS)
    with pytest.raises(BoldError, match="1 of 2 subjects can be used"):
        predict_group(str(folder / "recipe.yaml"), [*own, "data.subjects=['01', '02']"], tmp_path / "two")


def test_a_stimulus_of_the_checkpoint_is_refused_unless_it_is_allowed(cohort, study_folder, tmp_path):
    shutil.copytree(study_folder / "checkpoint", tmp_path / "checkpoint")
    words = plain_words([word.text for word in read_words(study_folder / "words-2.tsv")])
    story = {"name": "a story", "words": list(word_sketch(words))}
    (tmp_path / "checkpoint" / "training.json").write_text(json.dumps({"stimuli": [story]}))
    own = f"checkpoint={tmp_path}/checkpoint"
    with pytest.raises(LeakageError, match="in-checkpoint"):
        run(cohort, tmp_path / "run", own)
    allowed = run(cohort, tmp_path / "run", own, allow_leakage="to see by how much")
    assert any("to see by how much" in note for note in allowed.notes)
    assert json.loads((tmp_path / "run" / "leakage.json").read_text())["allowed"] == "to see by how much"
    assert run(cohort, tmp_path / "clean", own, "data.runs=[1]").scores.n_subjects == 4


def test_a_checkpoint_without_these_outputs_is_refused(cohort, tmp_path):
    with pytest.raises(AdaptationError, match="8 outputs of table; unseen rows of the checkpoint: one for 20,484"):
        run(cohort, tmp_path / "run", "checkpoint=tribe-toy", "features.encoders=tiny")


def test_a_group_recipe_and_one_of_a_subject_are_sent_to_their_verbs(cohort, study_folder, tmp_path):
    with pytest.raises(RecipeError, match="faults") as told:
        read_group_recipe(study_folder / "recipe.yaml")
    assert "group-zero-shot" in told.value.hint
    shown = CliRunner().invoke(build(), ["adapt", str(cohort / "recipe.yaml"), "--out", str(tmp_path / "out")])
    assert shown.exit_code == 2
    assert "tribetune group" in shown.stderr


def test_a_group_prediction_is_no_run_to_score_again(cohort, tmp_path):
    run(cohort, tmp_path / "run", "data.runs=[1]")
    with pytest.raises(RecipeError, match="group prediction"):
        rescore(tmp_path / "run")
    with pytest.raises(RecipeError, match="group prediction"):
        run_recipe(tmp_path / "run")
    again = run(cohort, tmp_path / "run", "data.runs=[1]")  # the same command again
    assert again.scores.n_subjects == 4
    with pytest.raises(RecipeError, match="another study"):
        run(cohort, tmp_path / "run", "data.runs=[2]")


def test_the_command_names_r_group_n_and_never_calls_individual_r_so(cohort, tmp_path):
    shown = CliRunner().invoke(
        build(), ["group", str(cohort / "recipe.yaml"), "--out", str(tmp_path / "run")], env={"COLUMNS": "120"}
    )
    assert shown.exit_code == 0, shown.stderr
    for wanted in ("N = 4 subjects", "R_group", "median subject", "individual r (no R_group)", "curve.png"):
        assert wanted in shown.stdout
    assert "With fewer than 5 subjects these intervals are too narrow" in shown.stdout
    shown = CliRunner().invoke(
        build(), ["group", str(cohort / "recipe.yaml"), "--out", str(tmp_path / "run"), "--json"]
    )
    assert json.loads(shown.stdout)["n_subjects"] == 4


def of_space(tribe, space):
    """The same outputs as a subcortex, alone or below a cortex."""
    if space != "subcortex":
        rows = [
            functional.pad(part, (FSAVERAGE5.n_outputs, 0)) for part in (tribe.subjects.weights, tribe.subjects.bias)
        ]
        tribe = with_rows(tribe, *rows, unseen_row=True)
    tribe.config = replace(tribe.config, space=space)
    return tribe


@pytest.mark.parametrize("space", ["subcortex", "fsaverage5+subcortex"])
def test_voxels_below_the_cortex_are_scored_and_ventricles_are_in_no_mean(study_folder, tmp_path, space):
    save_checkpoint(of_space(load_checkpoint(study_folder / "checkpoint"), space), tmp_path / "checkpoint")
    rng, bids = np.random.default_rng(0), tmp_path / "bids"
    onsets = np.arange(2.0, 100.0, 0.7)
    rows = [f"{onset:.2f}\t0.3\tword\t{rng.choice(['red', 'dog', 'ran', 'home'])}" for onset in onsets]
    affine = np.diag([8.0, 8.0, 8.0, 1.0])
    shared = rng.standard_normal((6, 6, 6, 60))
    for subject in ("01", "02", "03"):
        raw, func = bids / f"sub-{subject}/func", bids / f"derivatives/fmriprep/sub-{subject}/func"
        raw.mkdir(parents=True)
        func.mkdir(parents=True)
        stem = f"sub-{subject}_task-story_run-1"
        (raw / f"{stem}_events.tsv").write_text("onset\tduration\ttrial_type\tword\n" + "\n".join(rows) + "\n")
        values = 100 + shared + 0.5 * rng.standard_normal(shared.shape)
        image = nibabel.Nifti1Image(values.astype(np.float32), affine)
        image.header.set_xyzt_units("mm", "sec")
        image.header.set_zooms((8.0, 8.0, 8.0, 2.0))
        nibabel.save(image, func / f"{stem}_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz")
    labels = np.zeros((6, 6, 6), np.int16)
    labels[2:4, 2:4, 2], labels[2:4, 2, 3], labels[2:4, 3, 3] = 1, 1, 2
    nibabel.save(nibabel.Nifti1Image(labels, affine), tmp_path / "atlas.nii")
    (tmp_path / "atlas.tsv").write_text("index\tname\n1\tLeft Thalamus\n2\tLeft Lateral Ventricle\n")
    recipe = {
        "name": "below",
        "checkpoint": str(tmp_path / "checkpoint"),
        "data": {
            "bids": str(bids), "subjects": ["01", "02", "03"], "task": "story", "space": "subcortex",
            "subcortex": {"atlas": str(tmp_path / "atlas.nii")},
        },
        "features": {"modalities": ["text"], "store": str(tmp_path / "features")},
        "evaluation": {"bootstrap_draws": 100},
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    scores = predict_group(str(tmp_path / "recipe.yaml"), [], tmp_path / "run").scores
    assert scores.r_group.n_outputs == 6
    assert np.isfinite(scores.maps["r_group"]).all()
    # signal and noise of variance 1 and 1/4, smoothed alike: r of one with the mean of two is far above a half
    assert scores.median_subject.mean > 0.6
    assert scores.curve[-1].n_subjects == 3


@pytest.mark.slow
def test_a_cohort_on_the_surface_is_drawn_on_the_cortex(tmp_path):
    bids = simulate(tmp_path / "bids", CohortSettings(subjects=3, runs=1, minutes=1.0, seed=77))
    own = [f"data.bids={bids}", f"features.store={tmp_path}/features", "evaluation.bootstrap_draws=100"]
    recipe = str(tmp_path / "group.yaml")
    shown = CliRunner().invoke(build(), ["recipe", "cp", "group-zero-shot", recipe])
    assert shown.exit_code == 0
    result = predict_group(recipe, own, tmp_path / "run")
    assert result.scores.r_group.n_outputs > 15_000
    assert [picture.name for picture in result.pictures] == ["curve.png", "maps.png"]
    written = sorted(path.name for path in (tmp_path / "run/predictions").glob("*.gii"))
    assert len(written) == 2
