"""What more scan minutes would buy: a whole plan on a study small enough for a gate."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from tribetune.adapt.adapter import WEIGHTS
from tribetune.adapt.methods import fit_method
from tribetune.cli.app import build
from tribetune.errors import AdaptationError, BoldError, RecipeError, TribetuneError
from tribetune.evaluate.bootstrap import Estimate
from tribetune.evaluate.minutes import LogLine, Saved
from tribetune.evaluate.more_runs import OneMore
from tribetune.progress import Silent
from tribetune.study.adapt import adapt
from tribetune.study.plan import PlanOptions, plan, run_recipe
from tribetune.study.plan_words import one_more_sentence, sentences
from tribetune.study.prepare import prepare
from tribetune.study.sweep import Refitter, lengths_of, orders_of, points_of

OPTIONS = PlanOptions(minutes=(2.0, 5.0), orders=1, more=10.0)


@pytest.fixture(scope="module")
def run(study_folder, tmp_path_factory):
    """A run of a subject whose readout is not the group's."""
    out = tmp_path_factory.mktemp("planned") / "run"
    return adapt(str(study_folder / "recipe.yaml"), ["adaptation.learning_rate=0.3"], out)


@pytest.fixture(scope="module")
def planned(run):
    return plan(run.folder, OPTIONS, Silent())


def scores(result, method, where="all"):
    return [row[where]["mean"] for row in result.facts["rows"] if row["method"] == method]


def test_with_all_minutes_a_plan_scores_what_the_run_did(run, planned):
    assert planned.facts["minutes"][:2] == [2.0, 5.0]
    for row in run.rows:
        last = next(found for found in reversed(planned.facts["rows"]) if found["method"] == row["method"])
        # the same trunk, its output pooled before it is read out: float32 rounding
        assert last["all"]["mean"] == pytest.approx(row["mean_r"], abs=1e-5)
        assert last["all"]["interval"] == pytest.approx(row["interval"], abs=1e-5)
        assert last["chosen"]["mean"] == pytest.approx(row["mean_r_selected"], abs=1e-5)


def test_a_plan_judges_the_precision_of_every_fit_as_the_run_did(run, monkeypatch):
    study = prepare(run_recipe(run.folder), Silent())
    fits = Refitter(study, {})
    point = points_of(study.split, [5.0], [(0, 1, 2)], 100.0)[0][0]
    monkeypatch.setattr("tribetune.adapt.operators.has_fast_bf16", lambda _: True)
    monkeypatch.setattr("tribetune.adapt.operators.same_prediction", lambda *_: False)
    study.trunk.kept("precision", lambda: "bfloat16")  # of the trunk
    trunk, windows = fits.at(point).trunk, fits.at(point).calibration
    assert trunk.chosen_precision(windows[0]) == "bfloat16"
    judged, coarse = (
        fit_method("ridge", one, windows, {"penalty": 1.0}, seed=33).tensors[WEIGHTS]
        for one in (trunk, replace(trunk, precision="bfloat16"))
    )
    assert (judged - coarse).abs().max() > 1e-4


def test_a_ladder_is_climbed_at_every_length_and_scored_at_the_volumes_where_the_run_was(study_folder, tmp_path):
    own = ["adaptation={method: ladder, rungs: [gain, ridge]}", "evaluation.native_t_r=true"]
    run = adapt(str(study_folder / "recipe.yaml"), own, tmp_path / "run")
    found = plan(run.folder, PlanOptions(("ladder",), (5.0,), orders=0), Silent())
    for row in run.rows:
        assert scores(found, row["method"])[-1] == pytest.approx(row["mean_r"], abs=1e-5)
    assert len(scores(found, "ladder")) == 2


def test_a_length_too_short_for_a_ladder_is_refused_before_anything_is_fitted(study_folder, tmp_path):
    run = adapt(
        str(study_folder / "recipe.yaml"), ["data.split.test=[3, 4]", "adaptation.method=ridge"], tmp_path / "run"
    )
    for minutes in (2.0, 3.0):  # one and two windows of a run of 3.5 min
        with pytest.raises(AdaptationError, match=f"{minutes:g} min .* too few for a ladder") as refused:
            plan(run.folder, PlanOptions(("ladder",), (minutes, 5.0), orders=0), Silent())
        assert refused.value.hint == "give --minutes of 4 or more"
        assert not (run.folder / "plan").exists()
    found = plan(run.folder, PlanOptions(("ladder",), (4.0,), orders=0), Silent())
    assert np.isfinite(scores(found, "ladder")).all()


def test_a_subject_who_differs_from_the_group_gains_with_minutes(planned):
    (zero_shot,), ridge = scores(planned, "zero-shot"), scores(planned, "ridge")
    assert len(ridge) == len(scores(planned, "readout")) == len(scores(planned, "fir")) == 3
    assert ridge[-1] > ridge[0] > zero_shot
    line = planned.facts["log_lines"]["ridge"]
    low, high = line["per_doubling"]["interval"]  # of six blocks: too few to be above zero for sure
    assert low < line["per_doubling"]["mean"] < high
    assert line["per_doubling"]["mean"] > 0
    assert line["gain"]["mean"] == pytest.approx(line["b"] * np.log(1 + 10 / planned.facts["minutes"][-1]))
    bought = planned.facts["one_more_run"]["all"]
    assert bought["new"]["mean"] > 0
    assert any("more minutes of new stimuli would buy about +" in sentence for sentence in planned.facts["words"])


def test_every_length_says_what_the_fir_needs_for_it(planned):
    fir = scores(planned, "fir")
    for row in planned.facts["rows"]:
        if row["method"] == "ridge":
            told, place = row["all"]["saved"], planned.facts["minutes"].index(row["minutes"])
            assert told["spent"] == row["minutes"]
            assert (told["words"] == "none") == (row["all"]["mean"] <= fir[place])
            assert row["all"]["beyond_fir"]["mean"] == pytest.approx(row["all"]["mean"] - fir[place])


def test_the_run_folder_holds_the_figures_and_the_picture(run, planned):
    assert json.loads((run.folder / "plan.json").read_text())["words"] == planned.facts["words"]
    assert (run.folder / "plan.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((run.folder / "scores.json").read_text())["rows"] == run.rows


def test_a_plan_that_was_stopped_refits_only_what_is_missing(run, planned):
    stages = run.folder / "plan" / "stages"
    lost = next(stages.glob("ridge-*"))
    lost.unlink()
    before = {path: path.stat().st_mtime_ns for path in stages.iterdir()}
    again = plan(run.folder, OPTIONS, Silent())
    assert again.facts == planned.facts
    assert lost.is_file()
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_more_orders_keep_the_fits_of_fewer(run, planned):
    stages = run.folder / "plan" / "stages"
    before = set(stages.iterdir())
    more = plan(run.folder, PlanOptions(("ridge",), (2.0, 5.0), orders=2), Silent())
    assert {row["method"] for row in more.facts["rows"]} == {"zero-shot", "fir", "ridge"}
    rows = {
        name: [r for r in one.facts["rows"] if r["method"] == "ridge"] for name, one in (("2", more), ("1", planned))
    }
    for fewer, now in zip(rows["1"], rows["2"], strict=True):
        assert now["all"]["by_order"][:2] == pytest.approx(fewer["all"]["by_order"])
    assert len(set(rows["2"][-1]["all"]["by_order"])) == 1  # all minutes are the same minutes in every order
    made = [path.name for path in set(stages.iterdir()) - before]
    assert all(name.startswith(("ridge-", "fir-")) for name in made)


def test_a_subject_who_is_noise_does_not_gain(study_folder, tmp_path):
    rng = np.random.default_rng(1)
    for number in range(1, 5):
        np.savez(tmp_path / f"sub-01_run-{number}.npz", bold=rng.standard_normal((110, 8)).astype(np.float32))
    path = f"data.tables.path={tmp_path}/sub-{{subject}}_run-{{run}}.npz"
    noise = adapt(str(study_folder / "recipe.yaml"), [path, "adaptation={method: ridge}"], tmp_path / "run")
    found = plan(noise.folder, OPTIONS, Silent())
    assert found.facts["log_lines"]["ridge"]["per_doubling"]["interval"][0] <= 0
    assert any("is not shown" in sentence or "no worse" in sentence for sentence in found.facts["words"])
    bought = found.facts["one_more_run"]["all"]
    assert bought is None or bought["new"]["interval"][0] <= 0


def test_too_few_blocks_for_an_interval_are_said_in_words():
    nothing = (float("nan"), float("nan"))
    line = LogLine(0.1, 0.02, np.full((9, 2), np.nan), 3, 8, 3)
    found = sentences({"ridge": Saved(5.0, 8.0, nothing, 20.0, 2.0)}, {"ridge": line}, 20.0, 10.0)
    gain = Estimate(0.012, nothing, 8)
    found.append(one_more_sentence(OneMore(Estimate(0.1, nothing, 8), Estimate(0.2, nothing, 8), gain, gain, 3.0, 4)))
    assert all("[no interval: too few blocks]" in sentence for sentence in found)
    assert not any("nan" in sentence or "not known" in sentence for sentence in found)
    assert "+0.0139 [no interval: too few blocks] mean r for each doubling" in found[1]


def test_an_interval_beyond_what_was_measured_has_one_end_in_words():
    saved = Saved(5.0, np.inf, (np.inf, np.inf), 11.85, 2.0)
    (told,) = sentences({"ridge": saved}, {}, 10.0, 20.0)
    assert told.endswith("more than 6.85 min saved [95 % interval more than 6.85].")


def test_what_is_at_most_so_many_minutes_has_no_least_that_is_as_many():
    (told,) = sentences({"zero-shot": Saved(0.0, 2.0, (2.0, 9.0), 10.0, 2.0)}, {}, 10.0, 10.0)
    assert "at most 2 min saved [95 % interval 0 to 9]" in told


def test_the_command_prints_a_row_per_length_and_says_it_in_words(run, planned):
    options = ["--minutes", "2", "--minutes", "5", "--orders", "1", "--more", "10"]
    shown = CliRunner().invoke(build(), ["plan", str(run.folder), *options], env={"COLUMNS": "140"})
    assert shown.exit_code == 0, shown.output
    for row in planned.facts["rows"]:
        assert re.search(rf"^ ?{row['method']} +{row['minutes']:.3g} ", shown.stdout, flags=re.M), row["method"]
    for sentence in planned.facts["words"]:
        assert sentence in shown.stdout
    as_json = CliRunner().invoke(build(), ["plan", str(run.folder), *options, "--json"])
    assert json.loads(as_json.stdout)["words"] == planned.facts["words"]


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="is not there"):
        plan(tmp_path / "nowhere", OPTIONS, Silent())
    (tmp_path / "recipe.yaml").write_text("name: mine")
    with pytest.raises(RecipeError, match="holds no run of tribetune adapt"):
        plan(tmp_path, OPTIONS, Silent())


def test_the_plan_of_a_run_is_no_run(run, planned):
    with pytest.raises(RecipeError, match="holds a plan") as refused:
        plan(run.folder / "plan", OPTIONS, Silent())
    assert refused.value.hint == f"give the run's folder: {run.folder}"


@pytest.fixture
def copied(run, tmp_path):
    """The run without its plan."""
    return shutil.copytree(run.folder, tmp_path / "copied", ignore=shutil.ignore_patterns("plan*"))


def test_a_damaged_recipe_is_told(copied):
    (copied / "recipe.yaml").write_text("name: [")
    with pytest.raises(RecipeError, match="not readable YAML"):
        plan(copied, OPTIONS, Silent())


def test_data_that_are_gone_are_told_and_nothing_is_written(copied):
    values = yaml.safe_load((copied / "recipe.yaml").read_text())
    values["data"]["tables"]["path"] = str(copied / "gone" / "sub-{subject}_run-{run}.npz")
    (copied / "recipe.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(TribetuneError, match="gone"):
        plan(copied, OPTIONS, Silent())
    assert not (copied / "plan").exists()


def test_too_few_minutes_or_an_unknown_method_are_told(copied):
    with pytest.raises(BoldError, match="there is no curve"):
        plan(copied, PlanOptions(minutes=(40.0,)), Silent())
    with pytest.raises(BoldError, match="at least one window"):
        plan(copied, PlanOptions(minutes=(1.0,)), Silent())
    with pytest.raises(AdaptationError, match="unknown method rigde"):
        plan(copied, PlanOptions(("rigde",)), Silent())


def test_lengths_are_those_that_the_data_allow_and_all_of_it():
    assert lengths_of(23.7, (5, 10, 20, 40)) == [5, 10, 20, 23.7]
    assert lengths_of(60.1, (5, 10, 20, 40, 60)) == [5, 10, 20, 40, 60.1]  # 60 is nearly all: measured once


def test_orders_begin_with_the_true_one_and_never_repeat():
    found = orders_of(4, 6, seed=3)
    assert found[0] == (0, 1, 2, 3)
    assert len(set(found)) == len(found) == 7
    assert len(orders_of(2, 5, seed=3)) == 2  # there are no more
    assert orders_of(1, 5, seed=3) == [(0,)]
