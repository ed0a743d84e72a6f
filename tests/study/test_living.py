import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch

from tribetune.adapt.rows import with_rows
from tribetune.errors import AdaptationError
from tribetune.progress import Silent
from tribetune.recipe.file import read_recipe
from tribetune.share.bundle import UNCERTAINTY, read_facts, write_facts
from tribetune.spaces import Space
from tribetune.splits import Split
from tribetune.study.adapt import adapt
from tribetune.study.living import Lived, live_with, session_of
from tribetune.study.predict import PredictOptions, predict
from tribetune.study.prepare import prepare
from tribetune.study.stages import RunFolder

RATES = ["adaptation.learning_rate=0.001", "adaptation.readout_learning_rate=0.1", "adaptation.rank=2"]
METHODS = {"gain": [], "ridge": [], "low-rank": [], "lora": RATES}


@pytest.fixture(scope="module")
def finished(study_folder, tmp_path_factory):
    out, found = tmp_path_factory.mktemp("living"), {}
    for method, values in METHODS.items():
        own = [f"adaptation={{method: {method}}}", *values, "evaluation.baselines=[zero-shot]"]
        found[method] = adapt(str(study_folder / "recipe.yaml"), own, out / method)
    return found


def told(result, method):
    return json.loads((result.folder / "scores.json").read_text())["living"][method]


@pytest.mark.parametrize("method", list(METHODS))
def test_what_was_found_is_in_scores_facts_and_notes(finished, method):
    result = finished[method]
    living = told(result, method)
    assert set(living) == {"uncertainty", "forgetting"}  # these runs carry no sessions
    assert read_facts(result.folder / "adapter")["living"] == living
    assert all(part["told"] in result.notes for part in living.values())


@pytest.mark.parametrize("method", list(METHODS))
def test_intervals_of_a_prediction_cover_the_test(study_folder, finished, method, tmp_path):
    folder, options = finished[method].folder, PredictOptions(store=study_folder / "features", interval=True)
    words = ([], study_folder / "words-4.tsv")
    prediction, spread = predict(str(study_folder / "checkpoint"), folder / "adapter", words, tmp_path, options)
    assert spread.name == f"words-4_stat-std_desc-{method}_bold.tsv"
    sidecar = json.loads(spread.with_suffix(".json").read_text())
    assert "noise" in sidecar["Covers"]
    assert sidecar["HemodynamicLag"] == 5.0
    predicted, deviation = (np.loadtxt(path, skiprows=1) for path in (prediction, spread))
    study = prepared(study_folder)
    mask, bold, _ = study.held_out()
    inside = np.abs(bold[mask] - predicted[mask]) <= 1.96 * deviation[mask]
    assert 0.90 <= inside.mean() <= 0.99


def prepared(study_folder, *overrides):
    return prepare(read_recipe(study_folder / "recipe.yaml", overrides), Silent())


def test_intervals_of_r_hold_r(finished):
    result = finished["low-rank"]
    with np.load(result.folder / "scores.npz") as scores:
        for name in ("zero_shot", "low_rank"):
            r, low, high = (scores[name + end] for end in ("", "_r_low", "_r_high"))
            assert ((low < r) & (r < high)).all()
            assert ((high - low) < 1).all()


def test_only_a_trained_trunk_can_forget(finished):
    for method in ("gain", "ridge", "low-rank"):
        living = told(finished[method], method)["forgetting"]
        assert (living["changed"], "predicts what it did" in living["told"]) == (False, True)
    lora = told(finished["lora"], "lora")["forgetting"]
    assert lora["changed"]
    assert lora["after"]["mean"] - lora["before"]["mean"] == pytest.approx(lora["difference"]["mean"], abs=1e-6)
    before = next(row["mean_r"] for row in finished["lora"].rows if row["method"] == "zero-shot")
    assert lora["before"]["mean"] == pytest.approx(before, abs=1e-6)
    assert lora["difference"]["mean"] != 0
    low, high = lora["difference"]["interval"]
    assert ("no reliable change" in lora["told"]) == (low <= 0 <= high)


def test_too_little_test_data_to_tell_whether_a_trunk_forgot_is_no_word_of_no_change(study_folder, finished, tmp_path):
    place = shutil.copytree(finished["lora"].folder / "adapter", tmp_path / "adapter")
    write_facts(place, {name: value for name, value in read_facts(place).items() if name != "living"})
    study = prepared(study_folder, "evaluation.bootstrap_block_s=100", "evaluation.uncertainty=false")
    found = live_with(study, [Lived("lora", {}, place, np.zeros(0))], Silent())["lora"]["forgetting"]
    assert "too little test data for an interval): nothing can be said of it." in found["told"]
    assert "nan" not in found["told"]


def test_a_row_for_some_of_the_outputs_is_asked_whether_the_trunk_forgot_those(study_folder, finished, tmp_path):
    place = shutil.copytree(finished["lora"].folder / "adapter", tmp_path / "adapter")
    write_facts(place, {name: value for name, value in read_facts(place).items() if name != "living"})
    study = prepared(study_folder, "evaluation.uncertainty=false")
    block = study.tribe.subjects
    bias = block.bias[-1:].clone()
    bias[:, :3] = torch.nan
    tribe = with_rows(study.tribe, block.weights[-1:], bias, unseen_row=True)
    space = Space("table", bias.shape[1])
    study = dataclasses.replace(study, trunk=dataclasses.replace(study.trunk, tribe=tribe, space=space))
    with np.load(finished["lora"].folder / "scores.npz") as scores:
        r = scores["zero_shot"]
    found = live_with(study, [Lived("lora", {}, place, study.held_out()[1])], Silent())["lora"]
    assert found["forgetting"]["difference"]["n_outputs"] == np.isfinite(r[3:]).sum() < np.isfinite(r).sum()
    assert found["forgetting"]["before"]["mean"] == pytest.approx(np.nanmean(r[3:]), abs=1e-6)
    assert found["forgetting"]["difference"]["mean"] != 0
    assert found["beside_group"]["scores"]["lora"]["mean"] == pytest.approx(1)


def test_the_same_command_again_finds_the_same(study_folder, finished):
    own = ["adaptation={method: gain}", "evaluation.baselines=[zero-shot]"]
    again = adapt(str(study_folder / "recipe.yaml"), own, finished["gain"].folder)
    assert again.notes == finished["gain"].notes


def test_uncertainty_can_be_left_out_and_is_then_asked_for_in_vain(study_folder, tmp_path):
    own = ["adaptation={method: gain}", "evaluation.uncertainty=false", "evaluation.baselines=[zero-shot]"]
    result = adapt(str(study_folder / "recipe.yaml"), own, tmp_path / "run")
    assert set(told(result, "gain")) == {"forgetting"}
    assert not (result.folder / "adapter" / UNCERTAINTY).exists()
    options = PredictOptions(store=study_folder / "features", interval=True)
    checkpoint, words = str(study_folder / "checkpoint"), ([], study_folder / "words-4.tsv")
    with pytest.raises(AdaptationError, match="is not known"):
        predict(checkpoint, result.folder / "adapter", words, tmp_path / "out", options)
    with pytest.raises(AdaptationError, match="differs from subject to subject"):
        predict(checkpoint, None, words, tmp_path / "out", options)


@pytest.mark.parametrize(
    ("label", "session"), [("sub-01_ses-2_task-movie_run-1", "2"), ("sub-01_run-1", ""), ("ses-pre_run-1", "pre")]
)
def test_a_session_is_read_off_a_runs_name(label, session):
    assert session_of(label) == session


def in_sessions(study, noise):
    """The same study with two runs in each of two sessions, the second with more noise."""
    rng, sessions = np.random.default_rng(0), {"1": "a", "2": "a", "3": "b", "4": "b"}

    def moved(part):
        run = part.aligned
        session = sessions[run.run]
        bold = run.bold + (noise if session == "b" else 0) * rng.standard_normal(run.bold.shape).astype(np.float32)
        bold = (bold - bold[run.mask].mean(0)) / bold[run.mask].std(0)
        bold[~run.mask] = 0
        label = run.label.replace("_run", f"_ses-{session}_run")
        return dataclasses.replace(part, aligned=dataclasses.replace(run, label=label, bold=bold))

    sides = [tuple(moved(part) for part in side) for side in (study.split.training, study.split.test)]
    return dataclasses.replace(study, split=Split(sides[0], (), sides[1]), notes=[])


@pytest.mark.parametrize(("noise", "drifts"), [(0.0, False), (3.0, True)])
def test_a_planted_drift_between_sessions_is_found_and_none_where_there_is_none(
    study_folder, finished, tmp_path, noise, drifts
):
    place = tmp_path / "adapter"
    shutil.copytree(finished["ridge"].folder / "adapter", place)
    write_facts(place, {key: value for key, value in read_facts(place).items() if key != "living"})
    study = in_sessions(prepared(study_folder, "adaptation={method: ridge}"), noise)
    test = RunFolder(finished["ridge"].folder).load("predict-ridge")["test"]
    found = live_with(study, [Lived("ridge", {}, place, test)], Silent())
    drift = found["ridge"]["drift"]
    assert [one["session"] for one in drift["sessions"]] == ["a", "b"]
    assert sum(one["n_samples"] for one in drift["sessions"]) == sum(
        int(part.mask.sum()) for part in (*study.split.training, *study.split.test)
    )
    assert (drift["score_moves"], drift["gain_moves"]) == (drifts, drifts)
    # the group's readout predicts next to nothing of this subject: nothing of it can drift
    assert not found["zero-shot"]["drift"]["score_moves"]
    assert any("Between sessions ridge" in note for note in study.notes)
    assert read_facts(place)["living"]["drift"]["score_moves"] == drifts
