"""What stands beside the scores: chance, ceilings, controls, and the baselines beyond zero-shot and FIR."""

import csv
import json
import shutil

import numpy as np
import pytest

from tribetune.errors import BoldError
from tribetune.evaluate.assess import assess
from tribetune.evaluate.bootstrap import HeldOut, bootstrap_scores
from tribetune.evaluate.ceilings import no_ceiling
from tribetune.evaluate.others import mean_of_subjects
from tribetune.evaluate.parcels import Parcels
from tribetune.evaluate.permutation import Scheme
from tribetune.evaluate.predict import predict_run
from tribetune.evaluate.significance import q_values
from tribetune.progress import Silent
from tribetune.recipe.file import read_recipe
from tribetune.share.bundle import read_facts
from tribetune.study.adapt import adapt
from tribetune.study.baselines import zero_shot_calibration
from tribetune.study.clock import on_clock
from tribetune.study.evaluation import Evaluation
from tribetune.study.prepare import prepare


@pytest.fixture(scope="module")
def cohort_folder(study_folder, tmp_path_factory):
    """The study with three more subjects, who saw run 4 alone, and a run 5 that shows run 4's words again."""
    folder = tmp_path_factory.mktemp("cohort")
    for path in study_folder.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    shutil.copytree(study_folder / "checkpoint", folder / "checkpoint")
    (folder / "recipe.yaml").write_text(
        (study_folder / "recipe.yaml").read_text().replace(str(study_folder), str(folder))
    )
    bold = np.load(folder / "sub-01_run-4.npz")["bold"]
    rng = np.random.default_rng(5)
    for subject in ("02", "03", "04"):
        noise = rng.standard_normal(bold.shape).astype(np.float32) * bold.std(0)
        np.savez(folder / f"sub-{subject}_run-4.npz", bold=bold + noise)
    np.savez(folder / "sub-01_run-5.npz", bold=bold + rng.standard_normal(bold.shape).astype(np.float32) * bold.std(0))
    shutil.copy(folder / "words-4.tsv", folder / "words-5.tsv")
    return folder


def run(folder, out, *overrides, fit=("adaptation.method=zero-shot",)):
    return adapt(str(folder / "recipe.yaml"), [*fit, *overrides], out)


def table(folder):
    with (folder / "scores.tsv").open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.fixture(scope="module")
def repeated(cohort_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("repeated") / "run"
    return run(cohort_folder, out, "data.split.test=[3,4,5]", "evaluation.baselines=[zero-shot,fir,banded,nuisance]")


@pytest.fixture(scope="module")
def shared(cohort_folder, tmp_path_factory):
    for path in cohort_folder.glob("*-5.*"):
        path.rename(path.with_name("kept-" + path.name))
    out = tmp_path_factory.mktemp("shared") / "run"
    result = run(cohort_folder, out, "evaluation.baselines=[zero-shot,fir,others]")
    for path in cohort_folder.glob("kept-*"):
        path.rename(path.with_name(path.name.removeprefix("kept-")))
    return result


def test_every_baseline_is_a_row_with_its_chance_and_its_ceiling(repeated):
    assert [row["method"] for row in repeated.rows] == ["zero-shot", "fir", "banded", "nuisance"]
    for row in repeated.rows:
        assert 0 < row["p"] <= 1
        assert row["n_tested"] == row["n_outputs"] == 8
        assert 0 <= row["n_significant"] <= 8
        assert row["ceiling_kind"] == "repeat"
        assert row["retrieval_n"] == 3 * 19  # three runs of some 195 s, segments of 10 s
        assert {"delta_zero_shot", "delta_fir", "delta_banded", "delta_nuisance"} <= set(row)


def test_a_repeated_stimulus_gives_the_planted_ceiling(repeated):
    """Run 5 is run 4 with as much noise again: their correlation is sqrt(1/2), and a ceiling's square is that."""
    ceilings = {row["ceiling"] for row in repeated.rows}
    assert len(ceilings) == 1
    assert ceilings.pop() == pytest.approx(0.5**0.25, abs=0.05)
    assert any(
        note.startswith("Noise ceiling (repeat, 2 repeats): reliably above zero in 8") for note in repeated.notes
    )


def test_showings_whose_mean_is_tested_give_the_ceiling_of_that_mean(study_folder, tmp_path):
    """Four showings with as much noise each as signal: their mean has four fifths of its variance from the signal."""
    for path in study_folder.glob("*-?.*"):
        shutil.copy(path, tmp_path)
    bold = np.load(study_folder / "sub-01_run-4.npz")["bold"]
    noise = np.random.default_rng(6).standard_normal((4, *bold.shape)).astype(np.float32) * bold.std(0)
    np.savez(tmp_path / "sub-01_run-4.npz", bold=(bold + noise).mean(0), showings=bold + noise)
    tables = [f"data.tables.path={tmp_path}/sub-{{subject}}_run-{{run}}.npz", "data.tables.repeats=showings"]
    result = run(study_folder, tmp_path / "run", *tables, "evaluation.noise_ceiling=repeat")
    assert result.rows[0]["ceiling_kind"] == "repeat"
    assert result.rows[0]["ceiling"] == pytest.approx(0.8**0.5, abs=0.03)
    assert any(note.startswith("Noise ceiling (repeat, 4 repeats)") for note in result.notes)


def test_without_another_run_shuffling_runs_is_no_control(repeated, shared):
    assert any(note.startswith("Control, shuffled runs, expected not above chance: ") for note in repeated.notes)
    assert "Control, shuffled runs: not possible, the test shows one stimulus." in shared.notes
    assert not any(row["parcel"] == "shuffled runs" for row in table(shared.folder))
    shuffled = [row for row in table(repeated.folder) if row["parcel"] == "shuffled runs"]
    assert [row["method"] for row in shuffled] == ["zero-shot", "fir", "banded", "nuisance"]
    assert all(0 < float(row["p"]) <= 1 and row["n_outputs"] == "8" for row in shuffled)


def test_an_area_outside_of_the_family_of_tests_has_no_count_of_discoveries():
    predicted, bold = np.random.default_rng(0).standard_normal((2, 200, 4)).astype(np.float32)
    held_out, counted = HeldOut(bold, ("1",) * 200), [True, True, True, False]
    parcels = Parcels(("all outputs", "ventricles"), np.array([counted, [not one for one in counted]]))
    found = assess(predicted, held_out, parcels, Scheme(draws=100), 10)
    by_parcel = bootstrap_scores({"fir": predicted}, held_out, parcels.sets, block=30, draws=100, seed=0)
    everywhere, ventricles = Evaluation({"fir": found}, no_ceiling(4, "none"), parcels, by_parcel, {}).rows()
    assert (everywhere["n_tested"], ventricles["n_tested"]) == (3, 0)
    assert everywhere["n_significant"] >= 0
    assert np.isnan(ventricles["n_significant"])
    assert ventricles["p"] > 0


def test_files_hold_what_the_table_was_made_from(repeated):
    with np.load(repeated.folder / "scores.npz") as scores:
        for row in repeated.rows:
            name = row["method"].replace("-", "_")
            assert row["mean_r"] == pytest.approx(np.nanmean(scores[name]), abs=1e-6)
            np.testing.assert_allclose(scores[f"{name}_q"], q_values(scores[f"{name}_p"]))
            assert row["n_significant"] == (scores[f"{name}_q"] <= 0.05).sum()
        assert scores["ceiling"].shape == (8,)
        assert (scores["ceiling_interval"][0] < scores["ceiling"]).all()
    rows = [row for row in table(repeated.folder) if row["parcel"] == "all outputs"]
    for row, saved in zip(rows, json.loads((repeated.folder / "scores.json").read_text())["rows"], strict=True):
        assert float(row["mean_r"]) == pytest.approx(saved["mean_r"], abs=1e-5)
        assert float(row["low"]) == pytest.approx(saved["interval"][0], abs=1e-5)
        assert float(row["p"]) == pytest.approx(saved["p"], abs=1e-5)
        assert float(row["normalised"]) == pytest.approx(saved["normalised"], rel=1e-4)


def test_what_the_test_data_can_resolve_is_said(repeated):
    (told,) = [note for note in repeated.notes if "min of test data" in note]
    assert "differences in mean r between zero-shot and fir" in told
    assert ", nuisance 0." in told


def test_the_nuisance_model_says_that_it_knows_no_motion(repeated):
    assert "The nuisance model knows no head motion: not every run has a table of it." in repeated.notes


def test_other_subjects_give_a_ceiling_and_a_baseline(shared, cohort_folder):
    row = {row["method"]: row for row in shared.rows}["others"]
    assert row["ceiling_kind"] == "inter-subject"
    # the baseline is what the ceiling is made of
    assert row["mean_r"] == pytest.approx(row["ceiling"], abs=0.01)
    others = [np.load(cohort_folder / f"sub-{name}_run-4.npz")["bold"] for name in ("02", "03", "04")]
    mean = mean_of_subjects(others, np.zeros(len(others[0])))
    own = np.load(cohort_folder / "sub-01_run-4.npz")["bold"]
    direct = np.mean([np.corrcoef(mean[:, k], own[:, k])[0, 1] for k in range(8)])
    assert row["mean_r"] == pytest.approx(direct, abs=0.02)  # at 1 Hz, detrended, and without the first seconds
    assert any("3 other subjects" in note and "may exceed it" in note for note in shared.notes)


def test_a_faulty_subject_is_left_out_by_name(cohort_folder, tmp_path):
    np.savez(cohort_folder / "sub-05_run-4.npz", bold=np.full((110, 8), np.nan, np.float32))
    try:
        overrides = ["data.split.test=[4,5]", "evaluation.noise_ceiling=inter-subject"]
        result = run(cohort_folder, tmp_path / "run", *overrides, fit=("adaptation.method=ridge",))
    finally:
        (cohort_folder / "sub-05_run-4.npz").unlink()
    assert any(note.startswith("sub-05 is left out of the others") for note in result.notes)
    row = result.rows[0]
    assert row["ceiling_kind"] == "inter-subject"
    told = {"kind": "inter-subject", "mean_r": row["ceiling"], "n_outputs": row["n_ceiling"]}
    assert read_facts(tmp_path / "run" / "adapter")["ceiling"] == told


def test_repeats_that_are_too_short_are_said_to_be_that(cohort_folder, tmp_path):
    alone = tmp_path / "alone"
    shutil.copytree(cohort_folder, alone, ignore=shutil.ignore_patterns("sub-0[234]_*"))
    recipe = alone / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace(str(cohort_folder), str(alone)))
    result = run(alone, tmp_path / "run", "data.split.test=[4,5]", "evaluation.bootstrap_block_s=60")
    (told,) = [note for note in result.notes if note.startswith("Noise ceiling")]
    assert "of repeats, " in told
    assert "samples are fewer than 4 blocks of 60" in told
    assert told.endswith("and no other subject of the dataset had it.")


def test_without_repeats_and_others_there_is_no_ceiling_and_words_for_it(study_folder, tmp_path):
    result = run(study_folder, tmp_path / "run")
    assert result.rows[0]["ceiling"] is None
    assert result.rows[0]["ceiling_kind"] == "none"
    assert (
        "Noise ceiling: not estimable from these data: no stimulus is repeated within the test, and no other subject of"
        " the dataset had it." in result.notes
    )
    with pytest.raises(BoldError, match="no other subject than 01"):
        run(study_folder, tmp_path / "others", "evaluation.baselines=[others]")


@pytest.mark.parametrize("native", [False, True])
def test_held_out_samples_know_when_they_were_measured(study_folder, native):
    overrides = ["data.cleaning=tribe", f"evaluation.native_t_r={str(native).lower()}"]
    study = prepare(read_recipe(str(study_folder / "recipe.yaml"), overrides), Silent())
    (part,) = study.split.test
    part.aligned.mask[40:45] = False  # as scrubbing does
    n = part.span[1] - part.span[0]
    held_out = on_clock(study, {"x": np.zeros((n, 8), np.float32)}).held_out
    assert len(held_out.at) == len(held_out.bold)
    steps = np.diff(held_out.at)
    # five seconds at 1 Hz, and the three volumes of 2 s that draw on them
    assert sorted(set(steps.tolist())) == ([1, 4] if native else [1, 6])


def test_what_outputs_are_chosen_by_z_scores_each_run(study_folder):
    study = prepare(read_recipe(str(study_folder / "recipe.yaml"), []), Silent())
    total, n = np.zeros(8), 0
    for part in study.split.training:
        predicted, mask = predict_run(study.tribe, part.aligned, None), part.mask
        r = [np.corrcoef(predicted[mask, k], part.aligned.bold[mask, k])[0, 1] for k in range(8)]
        total, n = total + int(mask.sum()) * np.array(r), n + int(mask.sum())
    np.testing.assert_allclose(zero_shot_calibration(study), total / n, atol=1e-5)  # predictions are float32


def test_principal_components_are_of_training_runs_and_change_the_fit(study_folder, tmp_path):
    whole, few = (
        {row["method"]: row for row in run(study_folder, tmp_path / name, *more).rows}["fir"]
        for name, more in (("whole", ()), ("few", ("evaluation.fir_components=5",)))
    )
    assert few["trained_parameters"] == 5 * 4 * 8  # components, delays, outputs
    assert whole["trained_parameters"] == 2 * 64 * 4 * 8
    assert few["mean_r"] != whole["mean_r"]
