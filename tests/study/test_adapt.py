import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import yaml

from tribetune.bold.clean import clean
from tribetune.bold.tables import TableSpec, read_table
from tribetune.errors import AdaptationError, BoldError, LeakageError, RecipeError
from tribetune.evaluate.leaks import KINDS
from tribetune.model.checkpoint import load_checkpoint, save_checkpoint
from tribetune.progress import Silent
from tribetune.recipe.file import read_recipe
from tribetune.share.bundle import load_adapter, read_facts
from tribetune.share.hub import Terms
from tribetune.share.probe import check_probe
from tribetune.stimulus.timeline import timeline_of_files
from tribetune.study.adapt import adapt
from tribetune.study.hub import push
from tribetune.study.predict import PredictOptions, predict
from tribetune.study.prepare import prepare
from tribetune.study.rescore import rescore


@pytest.fixture(scope="module", params=["readout", "lora"])
def finished(request, study_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp(request.param) / "run"
    return request.param, adapt(str(study_folder / "recipe.yaml"), [f"adaptation.method={request.param}"], out)


def test_a_study_ends_with_a_row_per_method_and_a_true_verdict(finished):
    method, result = finished
    assert [row["method"] for row in result.rows] == ["zero-shot", "fir", method]
    rows = {row["method"]: row for row in result.rows}
    assert rows[method]["calibration_minutes"] == pytest.approx(3 * 3.4, rel=0.1)
    assert rows[method]["trained_parameters"] >= 6 * 8 + 8
    difference = rows[method]["delta_zero_shot"]
    assert difference["mean"] == pytest.approx(rows[method]["mean_r"] - rows["zero-shot"]["mean_r"])
    assert ("beats zero-shot" in result.verdict) == (difference["interval"][0] > 0)


def test_a_planted_readout_of_the_subjects_own_is_found(finished):
    method, result = finished
    rows = {row["method"]: row for row in result.rows}
    # signal and noise have equal variance: no prediction reaches more than sqrt(1/2)
    assert rows["zero-shot"]["mean_r"] + 0.1 < rows[method]["mean_r"] < 0.75
    assert "beats zero-shot" in result.verdict


def test_all_methods_are_scored_on_the_same_outputs(finished):
    _, result = finished
    assert {(row["n_outputs"], row["n_selected"]) for row in result.rows} == {(8, 1)}


def test_the_run_folder_holds_what_was_done(finished, study_folder):
    method, result = finished
    folder = result.folder
    saved = json.loads((folder / "scores.json").read_text())
    assert saved["verdict"] == result.verdict
    assert [row["mean_r"] for row in saved["rows"]] == [row["mean_r"] for row in result.rows]
    assert yaml.safe_load((folder / "recipe.yaml").read_text())["adaptation"]["method"] == method
    told = json.loads((folder / "provenance.json").read_text())
    assert set(told["inputs"]) == {f"sub-01_run-{run}.npz" for run in range(1, 5)}
    assert str(study_folder) not in json.dumps(told)  # no paths of people
    facts = read_facts(folder / "adapter")
    assert facts["base"]["hash"] == told["base"]["hash"]
    assert facts["runs"] == [f"sub-01_run-{run}" for run in (1, 2, 3)]
    assert (facts["t_r"], facts["split"]["by"], facts["split"]["test"]) == (2.0, "run", ["sub-01_run-4"])
    assert facts["leakage"]["found"] == []
    assert len(facts["leakage"]["checked"]) == len(KINDS) == 8
    assert set(facts["encoder_identities"]) == {"text"}
    assert facts["scores"]["delta_fir"]["mean"] == pytest.approx(
        saved["rows"][2]["mean_r"] - saved["rows"][1]["mean_r"]
    )
    tribe = load_checkpoint(study_folder / "checkpoint")
    assert check_probe(load_adapter(folder / "adapter"), tribe, facts["probe"]) == "bitwise"
    with np.load(folder / "scores.npz") as scores:
        np.testing.assert_allclose(np.nanmean(scores[method]), saved["rows"][2]["mean_r"], atol=1e-6)


def test_the_saved_adapter_predicts_bitwise_what_was_scored(finished, study_folder, tmp_path):
    method, result = finished
    written = predict(
        str(study_folder / "checkpoint"),
        result.folder / "adapter",
        ([], study_folder / "words-4.tsv"),
        tmp_path,
        PredictOptions(store=study_folder / "features"),
    )
    (scored,) = (result.folder / "predictions").glob(f"*{method}*.tsv")
    assert written[0].read_bytes() == scored.read_bytes()
    for path in (written[0], scored):
        told = json.loads(path.with_suffix(".json").read_text())
        assert (told["HemodynamicLag"], told["Windows"]) == (5.0, "windows of 100 s, joined end to end")


def test_a_shared_adapter_predicts_bitwise_what_was_scored(finished, study_folder, tmp_path):
    method, result = finished
    place = str(tmp_path / "lab")
    revision = push(result.folder, place, Terms("project", "apache-2.0"), lambda _: True)
    options = PredictOptions(store=study_folder / "features")
    stimulus = ([], study_folder / "words-4.tsv")
    (written,) = predict(str(study_folder / "checkpoint"), f"{place}@{revision}", stimulus, tmp_path / "out", options)
    (scored,) = (result.folder / "predictions").glob(f"*{method}*.tsv")
    assert written.read_bytes() == scored.read_bytes()


def test_scores_at_the_scanners_own_rate_are_those_at_the_times_of_its_volumes(study_folder, tmp_path):
    result = adapt(str(study_folder / "recipe.yaml"), ["evaluation.native_t_r=true"], tmp_path / "run")
    spec = TableSpec(str(study_folder / "sub-{subject}_run-{run}.npz"), t_r=2.0)
    run = clean(read_table(spec, "01", "4"))
    method = result.rows[-1]["method"]
    (written,) = (result.folder / "predictions").glob(f"*{method}*.tsv")
    predicted = np.loadtxt(written, skiprows=1)
    words = timeline_of_files([], study_folder / "words-4.tsv").shifted(-run.first_volume_s)
    times = np.arange(len(run.values)) * run.t_r - words.start_s - 5.0
    inside = (times >= 0) & (times <= len(predicted) - 1)
    expected = [
        np.corrcoef(np.interp(times[inside], np.arange(len(predicted)), one), measured[inside])[0, 1]
        for one, measured in zip(predicted.T, run.values.T, strict=True)
    ]
    with np.load(result.folder / "scores.npz") as scores:
        # a few volumes at the end draw on samples whose BOLD is not known at 1 Hz; they are left out
        np.testing.assert_allclose(scores[method], expected, atol=0.02)
    assert any("own repetition time" in note for note in result.notes)


def test_an_adapter_of_other_windows_predicts_by_those(study_folder, tmp_path):
    windows = ["windows.duration_s=40", "windows.stride_s=40", "adaptation.learning_rate=0.1"]
    result = adapt(str(study_folder / "recipe.yaml"), windows, tmp_path / "run")
    checkpoint, words = str(study_folder / "checkpoint"), study_folder / "words-4.tsv"
    options = PredictOptions(store=study_folder / "features")
    (written,) = predict(checkpoint, result.folder / "adapter", ([], words), tmp_path / "out", options)
    (scored,) = (result.folder / "predictions").glob("*.tsv")
    assert written.read_bytes() == scored.read_bytes()


def test_the_card_tells_the_scores(finished):
    method, result = finished
    card = (result.folder / "adapter" / "README.md").read_text()
    assert f"Mean Pearson r {result.rows[2]['mean_r']:.3f} over 8 outputs" in card
    assert result.verdict in card
    assert read_facts(result.folder / "adapter")["scores"]["method"] == method


def test_without_baselines_outputs_are_not_chosen_and_the_notes_say_so(study_folder, tmp_path):
    overrides = ["evaluation.baselines=[]", "checkpoint=" + without_unseen_row(study_folder, tmp_path)]
    result = adapt(str(study_folder / "recipe.yaml"), overrides, tmp_path / "run")
    assert result.rows[-1]["n_selected"] == result.rows[-1]["n_outputs"] == 8
    assert any("nothing to choose outputs by" in note for note in result.notes)
    assert "held against no baseline" in result.verdict


def without_unseen_row(study_folder, tmp_path):
    """The same checkpoint where its only row is somebody's."""
    tribe = load_checkpoint(study_folder / "checkpoint")
    tribe.config = replace(tribe.config, unseen_row=False, subject_dropout=0.0, subjects=["sub-99"])
    save_checkpoint(tribe, tmp_path / "named")
    return str(tmp_path / "named")


def test_the_same_command_again_repeats_nothing_and_says_the_same(finished, study_folder):
    method, result = finished
    stages = {path: path.stat().st_mtime_ns for path in (result.folder / "stages").iterdir()}
    again = adapt(str(study_folder / "recipe.yaml"), [f"adaptation.method={method}"], result.folder)
    assert again.rows == result.rows
    assert {path: path.stat().st_mtime_ns for path in (result.folder / "stages").iterdir()} == stages


def test_another_study_does_not_overwrite_a_run(finished, study_folder):
    method, result = finished
    with pytest.raises(RecipeError, match="another study: recipe changed"):
        adapt(str(study_folder / "recipe.yaml"), [f"adaptation.method={method}", "seed=34"], result.folder)


def test_a_lag_that_is_not_the_checkpoints_and_the_level_of_chance_are_told(study_folder, tmp_path):
    own = ["windows.hemodynamic_lag_s=4", "adaptation.method=zero-shot"]
    notes = adapt(str(study_folder / "recipe.yaml"), own, tmp_path / "run").notes
    assert any("trained at a lag of 5 s, this study's is 4 s" in note for note in notes)
    assert any("By chance" in note for note in notes)


def test_another_cleaning_than_the_checkpoints_concerns_where_readouts_start(study_folder, tmp_path):
    folder = tmp_path / "checkpoint"
    tribe = load_checkpoint(study_folder / "checkpoint")
    tribe.config = replace(tribe.config, cleaning="simple")
    save_checkpoint(tribe, folder)
    recipe = read_recipe(str(study_folder / "recipe.yaml"), [f"checkpoint={folder}"])
    (told,) = [note for note in prepare(recipe, Silent()).notes if "cleaned by" in note]
    assert told.endswith("zero-shot, and where readouts start, are for BOLD cleaned otherwise.")


def test_a_folder_with_other_things_is_not_written_into(study_folder, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RecipeError, match="not empty"):
        adapt(str(study_folder / "recipe.yaml"), [], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_damaged_stage_is_made_again(study_folder, tmp_path):
    first = adapt(str(study_folder / "recipe.yaml"), ["adaptation.learning_rate=0.1"], tmp_path / "run")
    stage = tmp_path / "run" / "stages" / "fir.safetensors"
    stage.write_bytes(stage.read_bytes()[:-7])
    second = adapt(str(study_folder / "recipe.yaml"), ["adaptation.learning_rate=0.1"], tmp_path / "run")
    assert [row["mean_r"] for row in second.rows] == [row["mean_r"] for row in first.rows]
    assert "damaged" in (tmp_path / "run" / "log.jsonl").read_text()


@pytest.mark.parametrize("damage", ["removed", "cut off", "no facts"])
def test_an_adapter_that_was_removed_or_damaged_is_fitted_again_and_what_is_left_of_it_kept(
    study_folder, tmp_path, damage
):
    first = adapt(str(study_folder / "recipe.yaml"), ["adaptation.learning_rate=0.1"], tmp_path / "run")
    place = tmp_path / "run" / "adapter"
    weights = (place / "adapter_model.safetensors").read_bytes()
    if damage == "removed":
        shutil.rmtree(place)
    elif damage == "cut off":
        (place / "adapter_model.safetensors").write_bytes(weights[:-7])
    else:
        (place / "tribetune.json").unlink()
    with pytest.raises(AdaptationError) as refused:
        rescore(tmp_path / "run")
    assert "same `tribetune adapt` command again" in refused.value.hint
    second = adapt(str(study_folder / "recipe.yaml"), ["adaptation.learning_rate=0.1"], tmp_path / "run")
    assert [row["mean_r"] for row in second.rows] == [row["mean_r"] for row in first.rows]
    assert (place / "adapter_model.safetensors").read_bytes() == weights
    assert [note for note in second.notes if "readout was fitted again" in note]
    left = [path.name for path in (tmp_path / "run").glob("damaged-adapter-*/adapter/*")]
    assert ("README.md" in left) == (damage != "removed")
    third = adapt(str(study_folder / "recipe.yaml"), ["adaptation.learning_rate=0.1"], tmp_path / "run")
    assert third.notes == first.notes


def test_what_a_killed_process_was_writing_is_swept_away(study_folder, tmp_path):
    first = adapt(str(study_folder / "recipe.yaml"), ["adaptation.learning_rate=0.1"], tmp_path / "run")
    (tmp_path / "run" / ".part-x").mkdir()
    (tmp_path / "run" / "stages" / ".part-abc-fir.safetensors").write_bytes(b"half")
    second = adapt(str(study_folder / "recipe.yaml"), ["adaptation.learning_rate=0.1"], tmp_path / "run")
    assert second.rows == first.rows
    assert not list((tmp_path / "run").rglob(".part-*"))


def test_zero_shot_alone_trains_nothing_and_says_so(study_folder, tmp_path):
    result = adapt(str(study_folder / "recipe.yaml"), ["adaptation.method=zero-shot"], tmp_path / "run")
    assert [row["method"] for row in result.rows] == ["zero-shot", "fir"]
    assert "Nothing was adapted" in result.verdict
    assert not (tmp_path / "run" / "adapter").exists()


def test_calibration_minutes_cut_the_training_data(study_folder, tmp_path):
    result = adapt(str(study_folder / "recipe.yaml"), ["data.calibration_minutes=4"], tmp_path / "run")
    assert result.rows[2]["calibration_minutes"] == pytest.approx(4.0)


def test_a_single_run_is_split_by_blocks(study_folder, tmp_path):
    overrides = ["data.split={by: block, test: 0.2, gap_s: 60}", "windows.duration_s=50", "windows.stride_s=50"]
    one = f"data.tables.path={study_folder}/sub-{{subject}}_run-1.npz"
    words = f"data.tables.words={study_folder}/words-1.tsv"
    result = adapt(str(study_folder / "recipe.yaml"), [*overrides, one, words], tmp_path / "run")
    assert result.rows[2]["calibration_minutes"] < 2.0
    with pytest.raises(LeakageError, match="gap"):
        adapt(str(study_folder / "recipe.yaml"), [*overrides, one, words, "data.split.gap_s=20"], tmp_path / "other")


@pytest.mark.parametrize(
    ("override", "kind", "message"),
    [
        ("data.split.test=[9]", BoldError, "run 9 is not there"),
        ("data.subject=77", BoldError, "77"),
        ("data.calibration_minutes=1", BoldError, "at least one window"),
    ],
)
def test_what_the_data_lack_is_told_and_nothing_is_written(study_folder, tmp_path, override, kind, message):
    with pytest.raises(kind, match=message):
        adapt(str(study_folder / "recipe.yaml"), [override.replace("77", "'77'")], tmp_path / "run")
    assert not (tmp_path / "run").exists()
