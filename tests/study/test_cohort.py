import json
import shutil

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from tribetune.adapt.latents import window_latents
from tribetune.cli.app import build
from tribetune.cli.cohort import print_cohort
from tribetune.errors import BoldError, RecipeError
from tribetune.study import others
from tribetune.study.adapt import adapt
from tribetune.study.cohort import CohortResult, adapt_cohort, cohort_rows, cohort_sentence
from tribetune.study.others import _of_subject as of_subject
from tribetune.study.rescore import rescore

RIDGE = ["adaptation={method: ridge}"]


@pytest.fixture(scope="module")
def folder(study_folder, tmp_path_factory):
    """Three subjects of the same stimuli: the study's own, one with more noise, and one whose runs are cut off."""
    folder = tmp_path_factory.mktemp("cohort")
    shutil.copytree(study_folder, folder, dirs_exist_ok=True)
    rng = np.random.default_rng(3)
    for run in range(1, 5):
        with np.load(folder / f"sub-01_run-{run}.npz") as table:
            bold = table["bold"]
        noisy = bold + rng.standard_normal(bold.shape).astype(np.float32) * bold.std(0)
        np.savez(folder / f"sub-02_run-{run}.npz", bold=noisy)
    np.savez(folder / "sub-03_run-1.npz", bold=bold)
    text = (folder / "recipe.yaml").read_text().replace(str(study_folder), str(folder))
    (folder / "recipe.yaml").write_text(text)
    return folder


def test_every_subject_gets_what_he_would_get_alone_and_the_trunk_runs_once_per_stimulus(folder, tmp_path, monkeypatch):
    runs = []
    monkeypatch.setattr("tribetune.adapt.base.window_latents", lambda *given: runs.append(1) or window_latents(*given))
    shutil.rmtree(folder / "trunk", ignore_errors=True)
    alone = adapt(str(folder / "recipe.yaml"), [*RIDGE, "data.subject='02'"], tmp_path / "alone")
    for_one = len(runs)
    shutil.rmtree(folder / "trunk")
    result = adapt_cohort(str(folder / "recipe.yaml"), RIDGE, "all", tmp_path / "all")
    assert list(result.subjects) == ["01", "02"]
    assert list(result.left_out) == ["03"]
    assert len(runs) - for_one == for_one > 5  # of calibration and test, for fits and for scores
    assert [row["mean_r"] for row in result.subjects["02"]] == [row["mean_r"] for row in alone.rows]
    saved = json.loads((tmp_path / "all" / "cohort.json").read_text())
    assert [row["mean"] for row in saved["rows"]] == [row["mean"] for row in result.rows]
    again = adapt_cohort(str(folder / "recipe.yaml"), RIDGE, "all", tmp_path / "all")
    assert str(again.rows) == str(result.rows)  # there are NaNs
    with pytest.raises(RecipeError, match="holds the runs of a cohort") as refused:
        rescore(tmp_path / "all")
    assert refused.value.hint == f"give one subject's: {tmp_path / 'all' / 'sub-01'}"


def test_whose_table_is_there_is_told_and_not_that_it_is_of_use(folder, tmp_path):
    for subject, value in (("06", 0.0), ("07", 3.0)):
        for run in range(1, 5):
            np.savez(folder / f"sub-{subject}_run-{run}.npz", bold=np.full((110, 8), value, np.float32))
    result = adapt_cohort(str(folder / "recipe.yaml"), RIDGE, "01,06,07", tmp_path / "flat")
    notes = json.loads((tmp_path / "flat" / "sub-01" / "scores.json").read_text())["notes"]
    for path in (*folder.glob("sub-06_*"), *folder.glob("sub-07_*")):
        path.unlink()
    assert list(result.left_out) == ["06", "07"]
    assert "5 subjects have a table; this is sub-01." in notes


def test_means_are_over_subjects_and_differences_are_paired():
    def row(method, r, delta):
        return {
            "method": method, "defined": r == r, "mean_r": r, "mean_r_selected": r,
            "delta_zero_shot": {"mean": delta}, "delta_fir": None,
        }  # fmt: skip

    nan = float("nan")
    subjects = {"01": [row("ridge", 0.2, 0.1)], "02": [row("ridge", 0.4, 0.3)], "03": [row("ridge", nan, nan)]}
    (found,) = cohort_rows(subjects, seed=0)
    assert found["mean"] == pytest.approx(0.3)
    assert (found["n_subjects"], found["n_positive"]) == (2, 2)
    assert found["delta_zero_shot"]["mean"] == pytest.approx(0.2)
    # Student's t for two: mean ± 12.71 · 0.1
    assert found["delta_zero_shot"]["interval"] == pytest.approx([-1.07, 1.47], abs=0.05)
    assert found["delta_fir"]["n_subjects"] == 0
    (alone,) = cohort_rows({"01": subjects["01"]}, seed=0)
    assert np.isnan(alone["interval"]).all()  # one subject says nothing about others


def test_few_subjects_who_differ_by_chance_are_rarely_a_win_or_a_loss():
    deltas = np.random.default_rng(0).standard_normal((300, 3))
    told = 0
    for values in deltas:
        subjects = {
            str(k): [{"method": "m", "defined": True, "mean_r": 0.1, "mean_r_selected": 0.1, "delta_fir": {"mean": d}}]
            for k, d in enumerate(values)
        }
        low, high = cohort_rows(subjects, seed=0)[0]["delta_fir"]["interval"]
        told += low > 0 or high < 0
    assert 0 < told / 300 < 0.1  # 5 %; percentiles of the draws tell it in every fourth case


def test_a_cohort_of_one_has_no_interval_and_says_so(tmp_path, capsys):
    row = {"method": "ridge", "defined": True, "mean_r": 0.3, "mean_r_selected": 0.4, "delta_fir": {"mean": 0.1}}
    subjects = {"01": [row]}
    print_cohort(CohortResult(cohort_rows(subjects, seed=0), subjects, {}, tmp_path), as_json=False)
    told = capsys.readouterr().out
    assert ".300" in told
    assert "[–]" in told
    assert "nan" not in told
    assert "Over one subject ridge is +0.100 mean r from the FIR baseline, of one subject, who says nothing" in told


def test_a_cohort_of_many_methods_fits_into_80_columns(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    methods = ("zero-shot", "fir", "banded", "nuisance", "low-rank")
    subjects = {
        f"{number:02d}": [
            {"method": m, "defined": True, "mean_r": -0.1 * number, "mean_r_selected": 0.4} for m in methods
        ]
        for number in range(3)
    }
    print_cohort(CohortResult(cohort_rows(subjects, seed=0), subjects, {}, tmp_path), as_json=False)
    words = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["subject", *methods] in words
    assert ["sub-02", *["-.200"] * 5] in words
    mean = words.index(["mean", *["-.100"] * 5])
    assert words[mean + 1 : mean + 3] == [["[95", "%]", *["[-.346,"] * 5], [".146]"] * 5]


def test_the_others_of_a_cohort_are_read_once_each_and_are_who_they_would_be_alone(folder, tmp_path, monkeypatch):
    rng, read = np.random.default_rng(4), []
    for subject in ("04", "05"):
        for run in range(1, 5):
            with np.load(folder / f"sub-01_run-{run}.npz") as table:
                bold = table["bold"]
            noisy = bold + rng.standard_normal(bold.shape).astype(np.float32) * bold.std(0)
            np.savez(folder / f"sub-{subject}_run-{run}.npz", bold=noisy)
    options = ["adaptation={method: zero-shot}", "evaluation.baselines=[zero-shot,others]"]
    recipe = str(folder / "recipe.yaml")
    alone = {name: adapt(recipe, [*options, f"data.subject='{name}'"], tmp_path / name).rows for name in ("02", "05")}
    monkeypatch.setattr(others, "_of_subject", lambda study, name: read.append(name) or of_subject(study, name))
    result = adapt_cohort(recipe, options, "01,02,04,05", tmp_path / "all")
    for path in (*folder.glob("sub-04_*"), *folder.glob("sub-05_*")):
        path.unlink()
    assert sorted(read) == ["01", "02", "03", "04", "05"]
    for name, rows in alone.items():
        for row, wanted in zip(result.subjects[name], rows, strict=True):
            assert row["ceiling_kind"] == "inter-subject"
            # a subtraction instead of a sum, in float32
            assert row["ceiling"] == pytest.approx(wanted["ceiling"], abs=1e-5)
            assert row["mean_r"] == pytest.approx(wanted["mean_r"], abs=1e-5)


def test_a_cohort_is_held_against_other_subjects_too(tmp_path):
    def row(delta):
        return {
            "method": "ridge",
            "defined": True,
            "mean_r": 0.3,
            "mean_r_selected": 0.4,
            "delta_others": {"mean": delta},
        }

    subjects = {f"{number:02d}": [row(-0.1 - 0.1 * (number % 2))] for number in range(8)}
    result = CohortResult(cohort_rows(subjects, seed=0), subjects, {}, tmp_path)
    assert "is worse than the mean of the other subjects (-0.150 mean r" in cohort_sentence(result, "ridge")


@pytest.mark.parametrize(("names", "message"), [("04", "no subject 04; there are 01, 02, 03"), (",", "no subject")])
def test_a_subject_who_is_not_there_is_told_with_those_who_are(folder, tmp_path, names, message):
    with pytest.raises(BoldError, match=message):
        adapt_cohort(str(folder / "recipe.yaml"), RIDGE, names, tmp_path / "run")


def test_a_cohort_of_whom_nobody_can_be_adapted_to_is_an_error_that_says_why(folder, tmp_path):
    with pytest.raises(BoldError, match=r"no subject of 1 could be adapted to; sub-03: .*run 4 is not there"):
        adapt_cohort(str(folder / "recipe.yaml"), RIDGE, "03", tmp_path / "run")


def test_a_setting_that_fits_nobody_is_told_with_what_mends_it(folder, tmp_path):
    with pytest.raises(BoldError, match=r"adaptation\.rank is 99") as caught:
        adapt_cohort(str(folder / "recipe.yaml"), ["adaptation={method: low-rank, rank: 99}"], "01", tmp_path / "run")
    assert caught.value.hint.startswith("set adaptation.rank to")


def test_a_subject_to_whom_the_method_does_not_apply_is_left_out_and_the_others_go_on(folder, tmp_path):
    for run in range(1, 5):
        with np.load(folder / f"sub-01_run-{run}.npz") as table:
            np.savez(folder / f"sub-00_run-{run}.npz", bold=table["bold"][:, :5])  # outputs that no unseen row predicts
    result = adapt_cohort(str(folder / "recipe.yaml"), ["adaptation={method: gain}"], "00,01", tmp_path / "run")
    for path in folder.glob("sub-00_*"):
        path.unlink()
    assert "a gain is not defined" in result.left_out["00"]
    assert list(result.subjects) == ["01"]


def test_the_command_prints_a_row_per_subject_the_mean_and_a_verdict(folder, tmp_path):
    command = ["adapt", str(folder / "recipe.yaml"), "--subjects", "sub-01,02", "--out", str(tmp_path / "run")]
    shown = CliRunner().invoke(build(), [*command, "--set", RIDGE[0]], env={"COLUMNS": "120"})
    assert shown.exit_code == 0, shown.output
    for wanted in ("sub-01", "sub-02", "mean", "Over 2 subjects ridge does not differ reliably from"):
        assert wanted in shown.stdout
    told = json.loads(CliRunner().invoke(build(), [*command, "--set", RIDGE[0], "--json"]).stdout)
    assert yaml.safe_load(json.dumps(told))["rows"][-1]["n_subjects"] == 2
