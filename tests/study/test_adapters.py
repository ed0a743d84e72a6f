import dataclasses
import json

import numpy as np
import pytest
import torch

from tribetune.errors import AdaptationError, CheckpointError
from tribetune.model.checkpoint import load_checkpoint
from tribetune.share.agreement import SAME, average_facts, check_agreement
from tribetune.share.bundle import load_adapter, read_facts, save_adapter
from tribetune.share.card import adapter_card
from tribetune.study.adapt import adapt
from tribetune.study.adapters import MERGED, average_adapters, merge_adapter
from tribetune.study.predict import PredictOptions, predict


@pytest.fixture(scope="module")
def fitted(study_folder, tmp_path_factory):
    """Adapters of one subject by three methods."""
    out, settings = tmp_path_factory.mktemp("fitted"), {
        "ridge": ["adaptation.penalty=1"],
        "gain": [],
        "lora": ["adaptation.learning_rate=0.001", "adaptation.readout_learning_rate=0.1", "adaptation.rank=2"],
    }  # fmt: skip
    for method, values in settings.items():
        own = [f"adaptation={{method: {method}}}", *values, "evaluation.baselines=[zero-shot]"]
        adapt(str(study_folder / "recipe.yaml"), own, out / method)
    return {method: out / method / "adapter" for method in settings}


def predicted(study_folder, out, checkpoint=None, adapter=None, subject=""):
    options = PredictOptions(store=study_folder / "features", subject=subject)
    words = ([], study_folder / "words-4.tsv")
    (written,) = predict(str(checkpoint or study_folder / "checkpoint"), adapter, words, out, options)
    return np.loadtxt(written, skiprows=1)


def test_an_average_is_an_adapter_that_predicts_the_average(study_folder, fitted, tmp_path):
    parts = [fitted["ridge"], fitted["gain"]]
    lines = average_adapters(parts, tmp_path / "mean", [3, 1], str(study_folder / "checkpoint"))
    one, other = (predicted(study_folder, tmp_path / f"p{k}", adapter=part) for k, part in enumerate(parts))
    mean = predicted(study_folder, tmp_path / "pm", adapter=tmp_path / "mean")
    np.testing.assert_allclose(mean, 0.75 * one + 0.25 * other, atol=1e-5)  # float32 sums in another order
    facts = read_facts(tmp_path / "mean")
    assert [part["weight"] for part in facts["average_of"]] == [0.75, 0.25]
    assert facts["calibration_minutes"] == read_facts(parts[0])["calibration_minutes"]  # of the same runs
    assert facts["base"] == read_facts(parts[0])["base"]
    assert any("not scored" in line for line in lines)


def test_an_average_of_two_people_is_never_said_to_be_one_persons(fitted, study_folder, tmp_path):
    facts = read_facts(fitted["ridge"])
    other = without_files(facts) | {"runs": ["sub-02_run-1"], "calibration_minutes": 3.0}
    save_adapter(load_adapter(fitted["ridge"]), tmp_path / "b", other)
    average_adapters([fitted["ridge"], tmp_path / "b"], tmp_path / "mean")
    assert read_facts(tmp_path / "mean")["calibration_minutes"] == facts["calibration_minutes"] + 3.0
    card, alone = ((folder / "README.md").read_text() for folder in (tmp_path / "mean", fitted["ridge"]))
    assert "one person" in alone
    assert "for one subject" in alone
    assert not any(word in card for word in ("one person", "that person", "one subject"))
    assert "the brain data of 2 people" in card
    assert "for the mean of 2 subjects" in card
    lines = merge_adapter(str(study_folder / "checkpoint"), tmp_path / "mean", tmp_path / "merged", "us")
    assert lines[-1] == "it holds brain data of sub-01, sub-02: share it only within the consent of each of them"


def test_minutes_of_runs_that_some_adapters_share_are_not_counted_twice(fitted):
    facts = read_facts(fitted["ridge"])
    of = [facts | {"runs": runs, "calibration_minutes": 4.0} for runs in (["a"], ["a", "b"], ["c"])]
    assert average_facts([of[0], of[2]], [0.5, 0.5])["calibration_minutes"] == 8.0
    assert average_facts([of[0], of[0] | {"calibration_minutes": 2.0}], [0.5, 0.5])["calibration_minutes"] == 4.0
    unknown = average_facts([of[0], of[1]], [0.5, 0.5]) | {"method": "average"}
    assert unknown["calibration_minutes"] is None
    assert "unknown minutes of BOLD" in adapter_card(unknown)


@pytest.mark.parametrize("key", SAME)
def test_adapters_that_differ_are_refused_with_the_reason(fitted, tmp_path, key):
    facts = read_facts(fitted["ridge"])
    other = {"base": {"name": "other", "hash": "0" * 64}, "n_outputs": 9, "lag_s": 4.0, "window_s": 50.0,
             "cleaning_choices": {"x": 1}, "modalities": ["audio"]}.get(key, "other")  # fmt: skip
    save_adapter(load_adapter(fitted["ridge"]), tmp_path / "b", {**without_files(facts), key: other})
    with pytest.raises(AdaptationError, match=rf"no mean: {key} is"):
        average_adapters([fitted["ridge"], tmp_path / "b"], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()


def without_files(facts):
    return {name: value for name, value in facts.items() if name not in ("files", "format", "method", "probe")}


def test_the_fits_own_choices_may_differ(fitted):
    check_agreement({method: read_facts(folder) for method, folder in fitted.items()})


@pytest.mark.parametrize(("weights", "n"), [([1.0], 2), ([1.0, -1.0], 2), ([np.inf, 1.0], 2), (None, 1)])
def test_weights_that_make_no_mean_are_refused(fitted, tmp_path, weights, n):
    with pytest.raises(AdaptationError, match=r"weights|two or more"):
        average_adapters([fitted["ridge"]] * n, tmp_path / "mean", weights)


def test_forms_that_differ_need_their_own_checkpoint(fitted, tmp_path, study_folder):
    parts = [fitted["ridge"], fitted["gain"]]
    with pytest.raises(AdaptationError, match="several forms"):
        average_adapters(parts, tmp_path / "mean")
    with pytest.raises(CheckpointError, match="hashes differ"):
        average_adapters(parts, tmp_path / "mean", None, "tribe-toy")


@pytest.mark.parametrize("method", ["gain", "ridge", "lora"])
def test_a_merged_checkpoint_is_opened_as_usual_and_predicts_what_the_adapter_does(
    study_folder, fitted, tmp_path, method
):
    lines = merge_adapter(str(study_folder / "checkpoint"), fitted[method], tmp_path / "merged")
    found = predicted(study_folder, tmp_path / "a", tmp_path / "merged", subject="sub-01")
    wanted = predicted(study_folder, tmp_path / "b", adapter=fitted[method])
    np.testing.assert_allclose(found, wanted, atol=1e-4)  # LoRA added to the weights, float32 through the trunk
    group = predicted(study_folder, tmp_path / "c", tmp_path / "merged")
    before = predicted(study_folder, tmp_path / "d")
    assert np.array_equal(group, before) == (method != "lora")
    assert any("no longer predicts" in line for line in lines) == (method == "lora")
    assert json.loads((tmp_path / "merged" / MERGED).read_text())["adapter"]["method"] == method
    assert (tmp_path / "a" / "words-4_desc-sub01_bold.tsv").is_file()


def test_a_merged_checkpoint_is_adapted_as_usual(study_folder, fitted, tmp_path):
    merge_adapter(str(study_folder / "checkpoint"), fitted["ridge"], tmp_path / "merged", "sub-99")
    own = [f"checkpoint={tmp_path / 'merged'}", "adaptation={method: gain}"]
    result = adapt(str(study_folder / "recipe.yaml"), own, tmp_path / "run")
    assert [row["method"] for row in result.rows] == ["zero-shot", "fir", "gain"]
    assert load_checkpoint(tmp_path / "merged").config.subjects == ["sub-99"]


def test_a_row_of_another_lag_cannot_stand_beside_the_unseen_row(study_folder, fitted, tmp_path):
    facts = without_files(read_facts(fitted["ridge"]))
    save_adapter(load_adapter(fitted["ridge"]), tmp_path / "late", {**facts, "lag_s": 6.0})
    with pytest.raises(AdaptationError, match=r"cannot hold both.*lag_s 6\.0 and 5\.0"):
        merge_adapter(str(study_folder / "checkpoint"), tmp_path / "late", tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_outputs_that_the_checkpoint_lacks_make_a_checkpoint_of_one_row(study_folder, fitted, tmp_path):
    adapter, facts = load_adapter(fitted["ridge"]), without_files(read_facts(fitted["ridge"]))
    few = dataclasses.replace(adapter, tensors={name: t[..., :5] for name, t in adapter.tensors.items()})
    own = {**facts, "space": "parcels", "n_outputs": 5, "lag_s": 4.0, "window_s": 40.0}
    save_adapter(few, tmp_path / "few", own)
    lines = merge_adapter(str(study_folder / "checkpoint"), tmp_path / "few", tmp_path / "merged")
    config = load_checkpoint(tmp_path / "merged").config
    assert (config.unseen_row, config.rows, config.space, config.lag_s) == (False, 1, "parcels", 4.0)
    assert any("window_s: the adapter's are 40.0" in line for line in lines)
    tribe = load_checkpoint(tmp_path / "merged")
    assert torch.equal(tribe.subjects.weights[0], few.tensors["readout.weights"])


def test_a_name_that_the_checkpoint_does_not_know_is_refused(study_folder, fitted, tmp_path):
    with pytest.raises(CheckpointError, match="no row for 'sub-07'"):
        predicted(study_folder, tmp_path, subject="sub-07")
    with pytest.raises(AdaptationError, match="whose prediction"):
        predicted(study_folder, tmp_path, adapter=fitted["gain"], subject="sub-07")
