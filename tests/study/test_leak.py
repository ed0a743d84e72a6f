"""Each leak, planted in a dataset, is refused by its name; clean datasets are not."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from tribetune.cli.app import build
from tribetune.errors import LeakageError
from tribetune.evaluate.duplicates import plain_words, word_sketch
from tribetune.progress import Silent
from tribetune.recipe.file import read_recipe
from tribetune.share.bundle import read_facts
from tribetune.splits import Part
from tribetune.stimulus.words import read_words
from tribetune.study.adapt import adapt
from tribetune.study.check import check
from tribetune.study.leaks import find_leaks
from tribetune.study.prepare import prepare

from .conftest import WORDS, _write_words

FAST = ["evaluation.baselines=[]", "adaptation.learning_rate=0.1"]


@pytest.fixture
def mine(study_folder, tmp_path):
    """A copy of the small study, to plant something in, and its overrides."""
    for path in (*study_folder.glob("sub-01*.npz"), *study_folder.glob("words-*.tsv")):
        shutil.copy(path, tmp_path / path.name)
    shutil.copytree(study_folder / "checkpoint", tmp_path / "checkpoint")
    own = [f"data.tables.path={tmp_path}/sub-{{subject}}_run-{{run}}.npz", f"checkpoint={tmp_path}/checkpoint"]
    own += [f"data.tables.words={tmp_path}/words-{{run}}.tsv", f"features.store={study_folder}/features"]
    return str(study_folder / "recipe.yaml"), own


def refused(recipe, own, out):
    with pytest.raises(LeakageError) as told:
        adapt(recipe, own, out)
    found = json.loads((out / "leakage.json").read_text())
    assert [path.name for path in out.iterdir()] == ["leakage.json"]
    assert all(leak["kind"] in str(told.value) for leak in found["leaks"])
    assert "--allow-leakage" in told.value.hint
    return [(leak["kind"], leak["training"]) for leak in found["leaks"]]


def test_the_same_words_in_training_and_test(mine, tmp_path):
    shutil.copy(tmp_path / "words-2.tsv", tmp_path / "words-4.tsv")
    ((kind, training),) = refused(*mine, tmp_path / "run")
    assert kind == "same-words"
    assert training.startswith("sub-01_run-2, 0-")


def test_the_same_run_under_another_name(mine, tmp_path):
    shutil.copy(tmp_path / "sub-01_run-2.npz", tmp_path / "sub-01_run-4.npz")
    ((kind, training),) = refused(*mine, tmp_path / "run")
    assert kind == "same-run"
    assert training.startswith("sub-01_run-2")


def test_a_lag_that_was_chosen_on_the_test(mine, tmp_path):
    recipe, own = mine
    chosen = "chosen_on={windows.hemodynamic_lag_s: [1, 4]}"
    assert refused(recipe, [*own, chosen], tmp_path / "run") == [("chosen-on-test", "windows.hemodynamic_lag_s")]
    lines = check(recipe, [*own, "chosen_on={windows.hemodynamic_lag_s: [1, 2, 9]}"])
    assert any("none" in line and "names run 9, which this study does not use" in line for line in lines)


def test_a_story_that_the_checkpoint_was_trained_on(mine, tmp_path):
    words = plain_words([word.text for word in read_words(tmp_path / "words-4.tsv")])
    story = {"name": "a story", "words": list(word_sketch(words))}
    (tmp_path / "checkpoint" / "training.json").write_text(json.dumps({"stimuli": [story]}))
    assert refused(*mine, tmp_path / "run") == [("in-checkpoint", "a story")]
    with pytest.raises(LeakageError, match="in-checkpoint"):
        check(*mine)


def test_scores_over_training_and_test_and_blocks_too_near(mine):
    recipe, own = mine
    block = ["data.split={by: block, test: 0.25, gap_s: 60}", "windows.duration_s=50", "windows.stride_s=50"]
    one = [text.replace("{run}", "1") for text in own]
    study = prepare(read_recipe(recipe, [*one, *block]), Silent())
    assert not find_leaks(study).leaks
    (training,), (test,) = study.split.training, study.split.test
    whole = replace(study, split=replace(study.split, training=(Part(training.aligned, training.span),)))
    assert [leak.kind for leak in find_leaks(whole).leaks] == ["fitted-across"]
    near = Part(test.aligned, (test.span[0] - 20, test.span[1]), (test.span[0] - 20, test.span[1]))
    closer = replace(study, split=replace(study.split, test=(near,)))
    assert [leak.kind for leak in find_leaks(closer).leaks] == ["split-edge"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_ten_clean_datasets_give_no_alarm(mine, tmp_path, seed):
    rng = np.random.default_rng([11, seed])
    assert len(WORDS) == 15
    for run in range(1, 5):
        _write_words(tmp_path / f"words-{run}.tsv", rng)
        bold = np.cumsum(rng.standard_normal((110, 8)), axis=0) + rng.standard_normal((110, 8))
        np.savez(tmp_path / f"sub-01_run-{run}.npz", bold=bold.astype(np.float32))
    recipe, own = mine
    found = find_leaks(prepare(read_recipe(recipe, own), Silent()))
    assert not found.leaks
    assert not found.repeats
    assert found.unchecked == ["checkpoint does not list its training stimuli: whether it met the test is not known"]


def test_a_leak_that_is_allowed_goes_on_the_record_and_on_the_card(mine, tmp_path):
    shutil.copy(tmp_path / "words-2.tsv", tmp_path / "words-4.tsv")
    recipe, own = mine
    result = adapt(recipe, [*own, *FAST], tmp_path / "run", allow_leakage="a repeat is what we study")
    found = json.loads((tmp_path / "run" / "leakage.json").read_text())
    assert found["allowed"] == "a repeat is what we study"
    assert [leak["kind"] for leak in found["leaks"]] == ["same-words"]
    assert any("same-words" in note and "not held out" in note for note in result.notes)
    assert read_facts(tmp_path / "run" / "adapter")["leakage"]["allowed"] == "a repeat is what we study"
    card = (tmp_path / "run" / "adapter" / "README.md").read_text()
    assert "a repeat is what we study" in card
    assert "- same-words: sub-01_run-4" in card


def test_a_clean_run_records_what_was_chosen_on_which_runs(mine, tmp_path):
    recipe, own = mine
    adapt(recipe, own, tmp_path / "run")
    found = json.loads((tmp_path / "run" / "leakage.json").read_text())
    assert found["leaks"] == []
    decided = {decision["what"]: {run for run, *_ in decision["stretches"]} for decision in found["decisions"]}
    assert {"readout: learning_rate", "fir: penalty", "outputs in the chosen set"} <= set(decided)
    assert all(runs == {"sub-01_run-1", "sub-01_run-2", "sub-01_run-3"} for runs in decided.values())
    assert "not held out" not in (tmp_path / "run" / "adapter" / "README.md").read_text()


def test_a_refused_folder_is_used_again_once_the_split_is_mended(mine, tmp_path):
    recipe, own = mine
    refused(recipe, [*own, "chosen_on={seed: [4]}"], tmp_path / "run")
    assert adapt(recipe, [*own, *FAST], tmp_path / "run").rows


def test_on_the_command_line_a_leak_exits_2_with_its_name(mine, tmp_path):
    recipe, own = mine
    shutil.copy(tmp_path / "words-2.tsv", tmp_path / "words-4.tsv")
    options = [word for override in own for word in ("--set", override)]
    result = CliRunner().invoke(build(), ["adapt", recipe, *options, "--out", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert "same-words: sub-01_run-4" in result.stderr
