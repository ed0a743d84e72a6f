"""A run's scores are found again from what it saved, and what has changed since is named."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from tribetune.cli.app import build
from tribetune.errors import AdaptationError, BoldError, CheckpointError, RecipeError
from tribetune.progress import Silent
from tribetune.recipe.file import read_recipe
from tribetune.study.adapt import Wanted, adapt, adapter_places, fit_all
from tribetune.study.prepare import prepare
from tribetune.study.rescore import Kept, rescore
from tribetune.study.scoring import score_all
from tribetune.study.stages import RunFolder
from tribetune.study.stored import differences, values_found, values_stored


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
        with pytest.raises(
            AdaptationError,
            match=r"1 of \d+ scores are not those stored: readout: mean_r in scores.json differs by 0.002",
        ):
            rescore(run, verify)


def everything(folder):
    """Every number and word that the three files hold, by where it stands."""
    with np.load(folder / "scores.npz") as arrays:
        yield from (("scores.npz", name) for name in arrays)
    for row in json.loads((folder / "scores.json").read_text())["rows"]:
        yield from (("scores.json", f"{row['method']}.{name}") for name in row)
    with (folder / "scores.tsv").open() as file:
        for row in csv.DictReader(file, delimiter="\t"):
            yield from (("scores.tsv", f"{row['method']}.{row['parcel']}.{name}") for name in row)


def spoilt(folder, file, name):
    """Change one stored thing: a number by 0.3, the last of an array by 0.3, what is undefined to 0.3."""
    path = folder / file
    if file == "scores.npz":
        with np.load(path) as arrays:
            changed = dict(arrays)
        values = changed[name].astype(float)
        values[..., -1] = np.nan_to_num(values[..., -1]) + 0.3
        np.savez(path, **(changed | {name: values}))
    elif file == "scores.json":
        told, (method, key) = json.loads(path.read_text()), name.split(".")
        row = next(row for row in told["rows"] if row["method"] == method)
        row[key] = (row[key] or 0) + 0.3 if not isinstance(row[key], str | list | dict) else "other"
        path.write_text(json.dumps(told))
    else:
        lines = [line.split("\t") for line in path.read_text().splitlines()]
        method, parcel, key = name.split(".")
        (row,) = [line for line in lines if line[:2] == [method, parcel]]
        place = lines[0].index(key)
        cell = row[place].replace("n/a", "0")
        row[place] = f"{float(cell) + 0.3:.6g}" if re.fullmatch(r"[-+.e\d]+", cell) else "other"
        path.write_text("\n".join("\t".join(line) for line in lines) + "\n")


def test_every_number_that_the_files_hold_is_compared(changed):
    """Each stored thing is changed in turn, and found out by its name; what was scored is scored once."""
    run, _ = changed
    study = prepare(read_recipe(run / "recipe.yaml"), Silent())
    stages, places = Kept(RunFolder(run)), adapter_places(run, ["readout"])
    wanted = {method: Wanted(method, {}, place) for method, place in places.items()}
    scored = score_all(study, fit_all(study, stages, wanted, Silent()), list(places))
    found, names = values_found(scored), list(everything(run))
    assert not any(one.size for one in differences(found, values_stored(run, scored), remade=False))
    assert len(names) > 150
    kept = {file: (run / file).read_bytes() for file in ("scores.npz", "scores.json", "scores.tsv")}
    for file, name in names:
        spoilt(run, file, name)
        told = differences(found, values_stored(run, scored), remade=False)
        beyond = [one for one in told if one.size > one.allowed]
        assert beyond, (file, name)
        assert {one.file for one in beyond} == {file}, (file, name)
        (run / file).write_bytes(kept[file])


@pytest.mark.parametrize(
    ("name", "where"), [("fir_p", -1), ("readout_r2", 0), ("readout_interval", 0), ("readout_q", 2)]
)
def test_p_values_intervals_and_r2_that_were_changed_are_found_out_by_verifying(changed, name, where):
    run, _ = changed
    with np.load(run / "scores.npz") as arrays:
        stored = dict(arrays)
    stored[name][..., where] += 0.2
    np.savez(run / "scores.npz", **stored)
    with pytest.raises(AdaptationError, match=f"1 of .* not those stored: {name} in scores.npz differs by 0.2"):
        rescore(run, verify=True)


def test_predictions_that_were_changed_are_found_out_by_their_scores(changed):
    run, _ = changed
    shutil.copy(run / "stages" / "zero-shot.safetensors", run / "stages" / "predict-readout.safetensors")
    with pytest.raises(AdaptationError, match=r"not those stored: readout's r in scores.npz differs by \d"):
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


def test_shares_may_differ_as_shares_do_and_counts_as_counts():
    def beyond(name, size):
        key = ("scores.json", f"ridge: {name}")
        (told,) = differences({key: np.asarray(size)}, {key: np.asarray(0.0)}, remade=True)
        return told.size > told.allowed

    assert (beyond("normalised", 0.02), beyond("normalised", 0.2)) == (False, True)
    assert (beyond("retrieval_top_1", 0.4), beyond("retrieval_top_1", 0.6)) == (False, True)
    assert (beyond("n_ceiling", 3), beyond("n_ceiling", 30)) == (False, True)  # an interval that ends next to zero
