"""Whether a study's BOLD follows its stimulus at the recipe's lag: from files to words."""

import json
import logging
import warnings
from dataclasses import replace

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from tribetune.cli.bold_lag import register
from tribetune.errors import BoldError
from tribetune.evaluate.bootstrap import Estimate
from tribetune.evaluate.lag import LagCurve, LagRange, LagSweep
from tribetune.progress import Silent
from tribetune.recipe.file import read_recipe
from tribetune.study.alignment import is_contradicted, lag_note, sentences
from tribetune.study.lag import draw_lag, find_lag
from tribetune.study.prepare import prepare

from .conftest import T_R

LAGS = np.arange(-2, 12.5, 0.5)


@pytest.fixture(scope="module")
def study(study_folder, tmp_path_factory):
    """The small study with its features in a store, and copies of its BOLD without the first volumes."""
    folder = tmp_path_factory.mktemp("lag")

    def recipe(left_out: int = 0) -> list[str]:
        for run in range(1, 5):
            with np.load(study_folder / f"sub-01_run-{run}.npz") as saved:
                np.savez(folder / f"sub-01_run-{run}_{left_out}.npz", bold=saved["bold"][left_out:])
        return [f"data.tables.path={folder}/sub-{{subject}}_run-{{run}}_{left_out}.npz"]

    return str(study_folder / "recipe.yaml"), recipe


def curve(best_s: float, half_s: float = 0.4, null_95: float = 0.02, at_edge: bool = False) -> LagCurve:
    r = 0.1 * np.exp(-((LAGS - best_s) ** 2) / 8)
    return LagCurve(r, r, r, best_s, (best_s - half_s, best_s + half_s), at_edge, null_95, 100)


def sweep(best: LagCurve, gain: tuple[float, float] = (-0.01, 0.01), **more: LagCurve) -> LagSweep:
    return LagSweep(LAGS, 5.0, {"all": best, **more}, Estimate(sum(gain) / 2, gain, 100), (), 20.0)


def test_the_lag_of_files_is_found_and_volumes_taken_off_move_it(study):
    path, recipe = study
    right = find_lag(path, recipe(), LagRange(), Silent())
    found = right.sweep.curves["all"]
    assert found.best_s == pytest.approx(5, abs=0.5)
    assert not right.facts["contradicted"]
    assert right.words[0].startswith(f"Best lag: {found.best_s:.1f} s")
    off_by_one = find_lag(path, recipe(1), LagRange(), Silent())
    assert off_by_one.sweep.curves["all"].best_s == pytest.approx(5 - T_R, abs=0.6)
    dummies = find_lag(path, recipe(4), LagRange(-6, 12), Silent())
    assert dummies.sweep.curves["all"].best_s == pytest.approx(5 - 4 * T_R, abs=0.6)


def test_an_adaptation_notes_a_lag_that_its_data_contradict(study):
    path, recipe = study
    right = prepare(read_recipe(path, recipe()), Silent())
    assert lag_note(right.split, 5.0) is None
    wrong = prepare(read_recipe(path, [*recipe(), "windows.hemodynamic_lag_s=9"]), Silent())
    note = lag_note(wrong.split, 9.0)
    assert note is not None
    assert "lag of 9 s is contradicted" in note
    assert "volumes left out at the start" in note
    assert "tribetune bold lag" in note
    short = replace(wrong.split, training=wrong.split.training[:1])
    assert lag_note(short, 9.0) is None  # three minutes tell nothing


def test_the_test_run_is_not_looked_at(study, tmp_path):
    path, recipe = study
    own = recipe()
    before = find_lag(path, own, LagRange(), Silent())
    held_out = own[0].partition("=")[2].replace("{subject}", "01").replace("{run}", "4")
    with np.load(held_out) as saved:
        np.savez(held_out, bold=saved["bold"][::-1])
    after = find_lag(path, own, LagRange(), Silent())
    np.testing.assert_array_equal(before.sweep.curves["all"].r, after.sweep.curves["all"].r)


def test_facts_are_plain_and_the_picture_is_drawn(study, tmp_path):
    path, recipe = study
    result = find_lag(path, recipe(), LagRange(0, 10, 1.0), Silent())
    facts = json.loads(json.dumps(result.facts))
    assert facts["lags_s"] == list(range(11))
    assert facts["curves"]["all"]["best_s"] == result.sweep.curves["all"].best_s
    assert facts["senses"] == ""
    draw_lag(result, tmp_path / "lag.png")
    assert (tmp_path / "lag.png").stat().st_size > 10_000


def test_too_short_a_study_is_refused_with_what_it_has(study):
    path, recipe = study
    with pytest.raises(BoldError, match=r"1\.7 min of calibration data in 1 stretches are too short"):
        find_lag(path, [*recipe(), "data.calibration_minutes=1.7"], LagRange(-2, 95), Silent())


def test_a_wrong_range_is_told_before_anything_is_read(study):
    with pytest.raises(BoldError, match=r"multiple of 0\.5"):
        find_lag(study[0], ["data.tables.path=nowhere.npz"], LagRange(step_s=0.1), Silent())


def test_a_lag_is_contradicted_only_by_a_better_one_more_than_two_seconds_outside():
    assert is_contradicted(sweep(curve(2.0), gain=(0.01, 0.03)))
    assert not is_contradicted(sweep(curve(2.0), gain=(-0.01, 0.03)))
    assert not is_contradicted(sweep(curve(3.2), gain=(0.01, 0.03)))  # an early response
    assert not is_contradicted(sweep(curve(6.8), gain=(0.01, 0.03)))
    assert not is_contradicted(sweep(curve(2.0, null_95=0.2), gain=(0.01, 0.03)))
    assert is_contradicted(sweep(curve(8.0), gain=(0.01, 0.03)))


def test_what_is_wrong_is_said_in_words():
    def said(found: LagSweep) -> str:
        return " ".join(sentences(found))

    assert len(sentences(sweep(curve(5.0)))) == 1
    assert "No lag predicts better than chance" in said(sweep(curve(5.0, null_95=0.2)))
    assert "too short for a null" in said(sweep(curve(5.0, null_95=float("nan"))))
    assert "The interval is wide" in said(sweep(curve(5.0, half_s=2.1)))
    assert "at the edge of the sweep" in said(sweep(curve(12.0, at_edge=True)))
    apart = sweep(curve(5.0), auditory=curve(3.0), visual=curve(6.0))
    assert "Auditory cortex follows best at 3.0 s, visual cortex at 6.0 s" in said(apart)
    assert len(sentences(sweep(curve(5.0), auditory=curve(4.0), visual=curve(6.0)))) == 1
    assert len(sentences(sweep(curve(5.0), auditory=curve(3.0, null_95=0.2), visual=curve(6.0)))) == 1
    assert len(sentences(sweep(curve(5.0), auditory=curve(3.0, half_s=1.8), visual=curve(6.0, half_s=1.8)))) == 1
    moving = replace(sweep(curve(5.0)), halves=(curve(4.0), curve(6.0)))
    assert "moves from 4.0 s in the first half of the runs to 6.0 s" in said(moving)
    assert len(sentences(replace(sweep(curve(5.0)), halves=(curve(4.0, half_s=1.8), curve(6.0))))) == 1


@pytest.fixture
def bold(monkeypatch):
    """The command alone, in this process; the log handler and warning hook that it sets are taken back."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setenv("COLUMNS", "80")
    root, ours = logging.getLogger(), logging.getLogger("tribetune")
    before = (root.handlers[:], root.level, ours.level)
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    yield lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])


def test_the_command_prints_the_best_lag_with_its_interval_and_draws_a_picture(bold, study, tmp_path):
    result = bold("lag", study[0], "--picture", tmp_path / "lag.png")
    assert result.exit_code == 0, result.stderr
    assert "Best lag: " in result.stdout
    assert "the recipe says 5 s" in result.stdout
    assert (tmp_path / "lag.png").is_file()


def test_the_command_prints_every_lag_as_json(bold, study):
    result = bold("lag", study[0], "--json", "--from", "3", "--to", "7", "--step", "1")
    facts = json.loads(result.stdout)
    assert facts["lags_s"] == [3, 4, 5, 6, 7]
    assert len(facts["curves"]["all"]["r"]) == 5


def test_a_wrong_step_is_the_users_to_mend(bold, study):
    result = bold("lag", study[0], "--step", "0.3")
    assert result.exit_code == 2
    assert "hint: --step 0.5" in result.stderr


def test_the_commands_help_says_what_a_lag_is(bold):
    said = " ".join(bold("lag", "--help").stdout.split())
    assert "BOLD follows the stimulus" in said
    assert "BOLD at t + 5 s" in said
