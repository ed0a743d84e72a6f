from dataclasses import replace

import numpy as np
import pytest
import torch

from tribetune.adapt.base import Base
from tribetune.errors import AdaptationError
from tribetune.model.tribe import Tribe, TribeConfig
from tribetune.progress import Silent
from tribetune.share.bundle import load_adapter, save_adapter
from tribetune.spaces import Space
from tribetune.study.adapt import adapt
from tribetune.study.ladder import Climb, Judging, climb, climb_sentence, stretches
from tribetune.windows import Window

RUNGS = {"gain": {}, "ridge": {}, "low-rank": {}, "readout": {}}
JUDGING = Judging(block_s=20.0, draws=200, seed=0)


@pytest.fixture(scope="module")
def base():
    torch.manual_seed(0)
    config = TribeConfig(
        modalities={"text": (1, 5)}, hidden=32, depth=1, heads=1, low_rank=6, n_outputs=10, rows=1, space="table",
        subject_dropout=0.2,
    )  # fmt: skip
    return Base(Tribe(config).requires_grad_(False).eval())


def subject(base, own, noise, seed=0, n_runs=4):
    rng = np.random.default_rng(seed)
    row = own * torch.from_numpy(rng.standard_normal((6, 10), np.float32))
    windows = []
    for place in range(3 * n_runs):
        window = Window({"text": rng.standard_normal((1, 5, 200), np.float32)}, np.zeros((100, 10), np.float32),
                        np.ones(100, bool), f"run-{place // 3 + 1}", 100.0 * (place % 3))  # fmt: skip
        values = base.trunk_output(window)
        with torch.no_grad():
            bold = (base.tribe.readout(values[None])[0] + values @ row).numpy()
        bold = bold + noise * rng.standard_normal(bold.shape, np.float32)
        windows.append(Window(window.features, bold, window.mask, window.run, window.start_s))
    return windows


def test_a_subject_unlike_the_group_climbs_and_the_record_says_how_far(base):
    windows = subject(base, own=0.8, noise=1.0)
    adapter = climb(base, stretches(windows, []), RUNGS, JUDGING, Silent())
    told = adapter.chosen["ladder"]
    assert adapter.method == told["kept"] in ("ridge", "low-rank", "readout")
    assert [step["rung"] for step in told["steps"]] == list(RUNGS)
    first = told["steps"][1]
    assert first["against"] == "zero-shot"
    assert first["kept"] is (first["interval"][0] > 1e-5) is True
    assert told["judged_on"] == ["run-4"]
    assert f"keeps {adapter.method}" in climb_sentence(told)


@pytest.mark.parametrize("seed", range(3))
def test_pure_noise_stays_on_the_ground_or_takes_a_gain(base, seed):
    windows = subject(base, own=0.0, noise=1e3, seed=seed)
    adapter = climb(base, stretches(windows, []), RUNGS, JUDGING, Silent())
    assert adapter.method in ("zero-shot", "gain")


def test_of_a_part_of_the_checkpoints_outputs_the_ground_is_that_part(base, tmp_path):
    config = replace(base.tribe.config, space="fsaverage5+subcortex", n_outputs=20494)
    whole = Tribe(config).requires_grad_(False).eval()
    part = Base(whole).in_space(Space("subcortex", 10))
    windows = subject(part, own=0.0, noise=1e3)
    adapter = climb(part, stretches(windows, []), RUNGS, JUDGING, Silent())
    assert adapter.method == "zero-shot"
    save_adapter(adapter, tmp_path / "adapter", {"base": {"hash": "x"}, "space": "subcortex"})
    model = load_adapter(tmp_path / "adapter", "x").apply(whole)
    assert torch.equal(model.subjects.weights, part.tribe.subjects.weights)


def test_a_gain_is_no_step_up_because_it_changes_no_r(base):
    windows = subject(base, own=0.8, noise=1.0)
    (step,) = climb(base, stretches(windows, []), {"gain": {}}, JUDGING, Silent()).chosen["ladder"]["steps"]
    assert not step["kept"]
    assert abs(step["gain"]) < 1e-5


def test_what_judges_is_never_fitted_on(base):
    windows = subject(base, own=0.5, noise=1.0)
    by_run = stretches(windows, [])
    assert {window.run for window in by_run.judged} == {"run-4"}
    assert {window.run for window in by_run.fitted} == {"run-1", "run-2", "run-3"}
    given = stretches(windows[:6], windows[6:9])
    assert (given.judged, given.fitted, given.all) == (windows[6:9], windows[:6], windows[:6])
    single = stretches([replace(w, run="run-1", start_s=100.0 * k) for k, w in enumerate(windows[:6])], [])
    assert (len(single.fitted), len(single.judged)) == (3, 2)  # and one between them
    with pytest.raises(AdaptationError, match="too few for a ladder"):
        stretches(windows[:2], [])


def test_too_little_that_judges_keeps_the_ground(base):
    kept = []
    for seed in range(6):  # one block of 20 s, whose resampling always gives the same: half of all noise beats it
        windows = shortened(subject(base, own=0.0, noise=1e3, seed=seed, n_runs=2)[:4], 25)
        on = Climb(windows[:3], windows[3:], windows)
        kept.append(climb(base, on, {"ridge": {"penalty": 1.0}}, JUDGING, Silent()))
    assert {adapter.method for adapter in kept} == {"zero-shot"}
    assert any(adapter.chosen["ladder"]["steps"][0]["gain"] > 0 for adapter in kept)


def shortened(windows, n_samples):
    """Windows of which the last holds fewer valid samples."""
    mask = np.arange(100) < n_samples
    return [*windows[:-1], replace(windows[-1], mask=mask, bold=np.where(mask[:, None], windows[-1].bold, 0))]


def test_a_remnant_of_a_run_does_not_judge_alone(base):
    windows = subject(base, own=0.5, noise=1.0)
    on = stretches(shortened(windows[:10], 30), [])
    assert [window.run for window in on.judged] == ["run-3"] * 3 + ["run-4"]
    assert {window.run for window in on.fitted} == {"run-1", "run-2"}
    two = stretches(shortened(windows[:4], 30), [])  # a third of all windows instead, and one between
    assert [window.start_s for window in two.judged] == [0.0]
    longer = stretches(shortened(windows[:3], 30), [])
    assert (len(longer.fitted), len(longer.judged)) == (1, 1)


def test_the_last_runs_that_hold_a_quarter_of_the_data_judge(base):
    windows = subject(base, own=0.5, noise=1.0, n_runs=8)
    by_run = {f"run-{k}": windows[3 * (k - 1) : 3 * k] for k in range(1, 9)}
    on = stretches(windows, [])
    assert on.judged == by_run["run-7"] + by_run["run-8"]
    on = stretches([*windows[:-3], windows[-3]], [])  # a remnant of 100 s
    assert on.judged == by_run["run-6"] + by_run["run-7"] + by_run["run-8"][:1]
    assert {window.run for window in on.fitted} == {"run-1", "run-2", "run-3", "run-4", "run-5"}


def test_overlapping_windows_judge_once_and_are_not_fitted_on(base):
    (first, *_) = subject(base, own=0.5, noise=1.0)
    windows = [replace(first, start_s=25.0 * k) for k in range(40)]
    on = stretches(windows, [])
    assert all(b.start_s - a.start_s >= 100 for a, b in zip(on.judged, on.judged[1:], strict=False))
    assert on.judged[0].start_s - on.fitted[-1].start_s == 200  # a window between the two
    assert [window.start_s for window in stretches(windows[:4], windows[8:17]).judged] == [200.0, 300.0, 400.0]


def test_the_rung_that_is_kept_is_fitted_on_all_calibration_data(base):
    from tribetune.adapt.methods import fit_method

    windows = subject(base, own=0.8, noise=1.0)
    adapter = climb(base, stretches(windows, []), {"ridge": {}}, JUDGING, Silent())
    again = fit_method("ridge", base, windows, {}, 0)
    assert all(torch.equal(tensor, again.tensors[name]) for name, tensor in adapter.tensors.items())


def test_a_checkpoint_without_these_outputs_begins_on_nothing(base):
    windows = [Window(w.features, w.bold[:, :4], w.mask, w.run, w.start_s) for w in subject(base, 0.8, 1.0)]
    adapter = climb(base, stretches(windows, []), {"ridge": {}}, JUDGING, Silent())
    assert adapter.method == "ridge"
    assert adapter.chosen["ladder"]["steps"][0]["gain"] > 0.3


def test_without_an_unseen_row_the_first_rung_is_kept_whatever_it_scores(base):
    noise = [Window(w.features, w.bold[:, :4], w.mask, w.run, w.start_s) for w in subject(base, 0.0, 1e3)]
    adapter = climb(base, stretches(noise, []), RUNGS, JUDGING, Silent())
    steps = adapter.chosen["ladder"]["steps"]
    assert [step["rung"] for step in steps] == ["ridge", "low-rank", "readout"]  # a gain is not defined
    assert (steps[0]["against"], steps[0]["kept"]) == ("nothing", True)
    assert adapter.apply(base.tribe).config.n_outputs == 4
    with pytest.raises(AdaptationError, match="no unseen row for these outputs"):
        climb(base, stretches(noise, []), {"gain": {}}, JUDGING, Silent())


def test_a_study_climbs_and_its_adapter_is_the_rung_that_was_kept(study_folder, tmp_path):
    overrides = ["adaptation={method: ladder, rungs: [gain, ridge]}", "data.split.validation=[3]"]
    result = adapt(str(study_folder / "recipe.yaml"), overrides, tmp_path / "run")
    rows = {row["method"]: row for row in result.rows}
    assert rows["ladder"]["mean_r"] > rows["zero-shot"]["mean_r"] + 0.1
    adapter = load_adapter(tmp_path / "run" / "adapter")
    assert adapter.method == "ridge"
    assert adapter.chosen["ladder"]["judged_on"] == ["sub-01_run-3"]
    assert any("The ladder keeps ridge" in note for note in result.notes)


def test_a_ladder_judged_on_too_little_for_an_interval_says_so():
    step = {"rung": "ridge", "against": "zero-shot", "gain": 0.01, "interval": [None, None]}  # as JSON keeps NaN
    told = climb_sentence({"kept": "zero-shot", "judged_on": ["1"], "steps": [step]})
    assert "ridge +0.0100 [not known, not known] over zero-shot" in told
