"""A run's scores are found again from what it saved, and what has changed since is named."""

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from tribetune.cli.app import build
from tribetune.errors import AdaptationError, BoldError, CheckpointError, RecipeError
from tribetune.study.adapt import adapt
from tribetune.study.rescore import rescore


@pytest.fixture(scope="module")
def done(study_folder, tmp_path_factory):
    """A finished run of a copy of the small study."""
    folder = tmp_path_factory.mktemp("rescore")
    for path in (*study_folder.glob("sub-01*.npz"), *study_folder.glob("words-*.tsv")):
        shutil.copy(path, folder / path.name)
    shutil.copytree(study_folder / "checkpoint", folder / "checkpoint")
    own = [f"data.tables.path={folder}/sub-{{subject}}_run-{{run}}.npz", f"checkpoint={folder}/checkpoint"]
    own += [f"data.tables.words={folder}/words-{{run}}.tsv", f"features.store={study_folder}/features"]
    result = adapt(str(study_folder / "recipe.yaml"), [*own, "adaptation.learning_rate=0.1"], folder / "run")
    return folder, result


@pytest.fixture
def changed(done, tmp_path):
    """The run, in a folder of its own, to be spoilt; and a way to put a file of the study back."""
    folder, _ = done
    shutil.copytree(folder / "run", tmp_path / "run")
    kept: dict = {}

    def spoil(name, content):
        path = folder / name
        kept.setdefault(path, path.read_bytes())
        path.write_bytes(content)

    yield tmp_path / "run", spoil
    for path, content in kept.items():
        path.write_bytes(content)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_scores_from_what_was_saved_are_the_same_and_nothing_is_written(done):
    folder, result = done
    before = contents(folder / "run")
    again = rescore(folder / "run")
    assert again.rows == result.rows
    assert again.verdict == result.verdict
    assert again.notes[:-1] == result.notes
    assert set(again.largest.values()) == {0.0}
    assert contents(folder / "run") == before


def test_scores_from_bold_and_adapter_are_the_same_and_nothing_is_written(done):
    folder, result = done
    before = contents(folder / "run")
    again = rescore(folder / "run", verify=True)
    assert [row["mean_r"] for row in again.rows] == [row["mean_r"] for row in result.rows]
    assert set(again.largest) == {"zero-shot", "fir", "readout"}
    assert max(again.largest.values()) == 0.0  # the same machine
    assert "Predicted again" in again.notes[-1]
    assert contents(folder / "run") == before


def test_stored_scores_that_were_changed_are_found_out(changed):
    run, _ = changed
    told = json.loads((run / "scores.json").read_text())
    told["rows"][2]["mean_r"] += 0.002
    (run / "scores.json").write_text(json.dumps(told))
    for verify in (False, True):
        with pytest.raises(AdaptationError, match="readout: the scores are not those stored: mean r is"):
            rescore(run, verify)


def test_predictions_that_were_changed_are_found_out_by_their_scores(changed):
    run, _ = changed
    shutil.copy(run / "stages" / "zero-shot.safetensors", run / "stages" / "predict-readout.safetensors")
    with pytest.raises(AdaptationError, match=r"readout: the scores are not those stored: r differs by up to 0\."):
        rescore(run)
    assert rescore(run, verify=True).rows  # they are not looked at


def test_an_adapter_that_was_changed_is_found_out_only_by_verifying(changed, done):
    run, _ = changed
    assert rescore(run).rows
    adapter = run / "adapter" / "adapter_model.safetensors"
    adapter.write_bytes(adapter.read_bytes()[:-4] + b"\x00\x00\x80\x3f")
    with pytest.raises(AdaptationError):
        rescore(run, verify=True)


@pytest.mark.parametrize(
    ("name", "kind", "wanted"),
    [
        ("words-4.tsv", BoldError, "words of sub-01_run-4 have changed"),
        ("sub-01_run-2.npz", BoldError, "sub-01_run-2.npz: not the file of the run"),
        ("checkpoint/config.json", CheckpointError, "not the checkpoint"),
    ],
)
def test_an_input_that_has_changed_is_named(changed, done, name, kind, wanted):
    run, spoil = changed
    path = done[0] / name
    if path.suffix == ".npz":
        with np.load(path) as saved:
            bold = saved["bold"].copy()
        bold[3] += 1
        np.savez(run.parent / "other.npz", bold=bold)
        spoil(name, (run.parent / "other.npz").read_bytes())
    else:
        spoil(name, path.read_bytes().replace(b"dog", b"cat") if path.suffix == ".tsv" else path.read_bytes() + b"\n")
    with pytest.raises(kind, match=wanted):
        rescore(run)


def test_a_recipe_that_has_changed_is_told(changed):
    run, _ = changed
    (run / "recipe.yaml").write_text((run / "recipe.yaml").read_text().replace("seed: 33", "seed: 34"))
    with pytest.raises(RecipeError, match=r"recipe\.yaml has changed since the run"):
        rescore(run)


@pytest.mark.parametrize("name", ["scores.json", "scores.npz", "stages/fir.safetensors"])
def test_a_run_that_is_not_finished_asks_to_be_continued(changed, name):
    run, _ = changed
    (run / name).unlink()
    with pytest.raises(AdaptationError, match="not finished") as told:
        rescore(run)
    assert "tribetune adapt" in told.value.hint


def test_a_folder_that_is_no_run_is_told(tmp_path):
    with pytest.raises(RecipeError, match="holds no run"):
        rescore(tmp_path)


def test_the_command_prints_the_table_again(done):
    folder, result = done
    shown = CliRunner().invoke(build(), ["evaluate", str(folder / "run"), "--json"])
    assert shown.exit_code == 0, shown.stderr
    told = json.loads(shown.stdout)
    assert told["verdict"] == result.verdict
    assert [row["mean_r"] for row in told["rows"]] == [row["mean_r"] for row in result.rows]
    shown = CliRunner().invoke(build(), ["evaluate", str(folder)])
    assert shown.exit_code == 2
    assert "hint:" in shown.stderr
