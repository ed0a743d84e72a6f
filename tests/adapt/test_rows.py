"""A checkpoint for cortex adapted to cortex and subcortex, and one for both adapted to either: toys of six inputs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.adapt.test_methods import BARELY
from tribetune.adapt.adapter import BIAS, LEFT, RIGHT, WEIGHTS, Adapter
from tribetune.adapt.base import Base
from tribetune.adapt.combine import average, merge
from tribetune.adapt.latents import window_latents
from tribetune.adapt.left_out import Made, left_out
from tribetune.adapt.methods import METHODS, fit_method
from tribetune.adapt.rows import has_unseen, in_space, starting_row
from tribetune.adapt.uncertainty import uncertainty
from tribetune.errors import AdaptationError
from tribetune.model.tribe import Tribe, TribeConfig
from tribetune.share.bundle import load_adapter, read_facts, save_adapter
from tribetune.spaces import FSAVERAGE5, Space
from tribetune.study.checks import check_change, weights_digest
from tribetune.windows import Window

N_CORTEX, N_BELOW = FSAVERAGE5.n_outputs, 9
BELOW, BOTH = Space("subcortex", N_BELOW), Space("fsaverage5+subcortex", N_CORTEX + N_BELOW)
CORTEX = FSAVERAGE5

PARTS = [(CORTEX, BOTH), (BELOW, BOTH), (BOTH, CORTEX), (BOTH, BELOW)]
"""The checkpoint's space, and the data's."""

GROWN, CUT = PARTS[:2], PARTS[2:]

LINEAR = ("ridge", "low-rank", "readout")
"""Methods whose solver is kept for the next subject, or that ask for what others keep."""

TRAINED = [name for name in METHODS if name not in ("zero-shot", "gain")]
"""Methods that need no unseen row."""

FITTED = {
    "ridge": {"penalty": 0.01},
    "low-rank": {"rank": 6, "penalty": 0.01},
    "readout": {"learning_rate": 1.0, "epochs": 10},
    "lora": {"learning_rate": 1e-4, "readout_learning_rate": 1.0, "epochs": 10},
    "full": {"learning_rate": 1e-5, "readout_learning_rate": 1.0, "epochs": 10},
}
"""Settings at which a method learns a readout from nothing."""

ROUNDING = 2e-5
"""A readout is folded out of standardised coordinates, one of another width summed in another order: in float32."""


def named(spaces):
    return " in ".join(space.name for space in spaces)


def checkpoint(space):
    """The first weights of every space are the same: parts of one row."""
    config = TribeConfig(
        modalities={"text": (1, 5)}, hidden=32, depth=1, heads=1, low_rank=6, n_outputs=space.n_outputs, rows=2,
        space=space.name, subject_dropout=0.2,
    )  # fmt: skip
    torch.manual_seed(0)
    tribe = Tribe(config).requires_grad_(False).eval()
    with torch.no_grad():
        tribe.subjects.bias.normal_()
    return tribe


@pytest.fixture(scope="module")
def tribes():
    return {space: checkpoint(space) for space in (CORTEX, BELOW, BOTH)}


@pytest.fixture(scope="module")
def windows(tribes):
    """Four windows of two runs, BOLD of both by readouts that no row of a checkpoint has."""
    rng = np.random.default_rng(3)
    own = torch.from_numpy(rng.standard_normal((6, BOTH.n_outputs), np.float32))
    found = []
    for place in range(4):
        features = {"text": rng.standard_normal((1, 5, 100), np.float32)}
        window = Window(features, np.zeros((50, 1), np.float32), np.ones(50, bool), f"run-{place // 2}", 50.0 * place)
        bold = (window_latents(tribes[CORTEX], window) @ own).numpy() + 0.1
        found.append(Window(features, bold, window.mask, window.run, window.start_s))
    return found


def of(windows, space):
    """The windows with BOLD of a space's outputs."""
    part = BOTH.parts.get(space.name, range(BOTH.n_outputs))
    return [Window(w.features, w.bold[:, part.start : part.stop], w.mask, w.run, w.start_s) for w in windows]


def predict(model, window, row=0):
    with torch.no_grad():
        return model.readout(window_latents(model, window)[None], torch.tensor([row]))[0]


def unseen(tribe, window):
    return predict(tribe, window, tribe.config.rows - 1)


def known(space, theirs):
    """The outputs of a space that another has, and their places there."""
    part = space.parts.get(theirs.name, range(space.n_outputs))
    other = theirs.parts.get(space.name, range(theirs.n_outputs))
    return slice(part.start, part.stop), slice(other.start, other.stop)


@pytest.mark.parametrize("spaces", PARTS, ids=named)
def test_the_row_is_that_of_the_checkpoint_where_both_have_an_output_and_undefined_elsewhere(tribes, windows, spaces):
    space, data = spaces
    model = in_space(tribes[space], data)
    found, own = unseen(model, windows[0]), unseen(tribes[space], windows[0])
    here, there = known(data, space)
    torch.testing.assert_close(found[:, here], own[:, there], atol=ROUNDING, rtol=0)
    lacking = torch.ones(data.n_outputs, dtype=bool)
    lacking[here] = False
    assert lacking.sum() == max(0, data.n_outputs - space.n_outputs)
    assert found[:, lacking].isnan().all()
    assert has_unseen(model, data.n_outputs) is not lacking.any().item()
    assert in_space(model, data) is model
    weights, bias = starting_row(model, data.n_outputs)
    assert not weights[:, lacking].any()
    assert not bias[lacking].any()


@pytest.mark.parametrize("data", [Space("fsLR", 64984), Space("schaefer400", 400), Space("table", 9), CORTEX])
def test_a_space_without_a_common_part_is_left_alone(tribes, data):
    assert in_space(tribes[BELOW], data) is tribes[BELOW]


def test_a_subcortex_of_another_atlas_is_another(tribes):
    model = in_space(tribes[BOTH], Space(BOTH.name, BOTH.n_outputs + 1))
    assert model.subjects.bias[-1].isnan().sum() == N_BELOW + 1
    assert in_space(tribes[BOTH], Space("subcortex", N_BELOW + 1)) is tribes[BOTH]


@pytest.mark.parametrize("method", list(BARELY))
@pytest.mark.parametrize("spaces", PARTS, ids=named)
def test_what_has_not_begun_predicts_as_the_row_does_and_nothing_where_it_has_none(tribes, windows, spaces, method):
    space, data = spaces
    if method == "gain" and spaces in GROWN:
        pytest.skip("a gain needs a prediction of every output")
    base = Base(tribes[space]).in_space(data)
    adapter = fit_method(method, base, of(windows, data), BARELY[method], seed=1)
    found, own = predict(adapter.apply(tribes[space]), windows[0]), unseen(tribes[space], windows[0])
    if method in ("gain", "ridge", "low-rank"):  # the level is not penalised
        found, own = found - found.mean(0), own - own.mean(0)
    here, there = known(data, space)
    torch.testing.assert_close(found[:, here], own[:, there], atol=ROUNDING, rtol=0)
    found[:, here] = 0
    torch.testing.assert_close(found, torch.zeros_like(found), atol=ROUNDING, rtol=0)


@pytest.mark.parametrize("method", TRAINED)
@pytest.mark.parametrize("spaces", PARTS, ids=named)
def test_every_output_is_learned_and_the_file_predicts_the_same(tribes, windows, spaces, method, tmp_path):
    space, data = spaces
    base, own = Base(tribes[space]).in_space(data), of(windows, data)
    before = weights_digest(base.tribe)
    adapter = fit_method(method, base, own, FITTED[method], seed=1)
    check_change(base.tribe, adapter, own[0], before)
    model = adapter.apply(base.tribe)
    assert model.config.space == data.name
    left = predict(model, own[1]) - torch.from_numpy(own[1].bold)
    # BOLD has a variance of about its squared size here; a start alone leaves more than all of it
    assert (left.square().mean(0) < 0.3 * torch.from_numpy(own[1].bold).square().mean(0)).float().mean() > 0.9
    save_adapter(adapter, tmp_path / "adapter", {"base": {"hash": "x"}, "space": data.name})
    assert read_facts(tmp_path / "adapter")["format"] == 3
    loaded = load_adapter(tmp_path / "adapter", "x")
    assert torch.equal(predict(loaded.apply(tribes[space]), own[0]), predict(model, own[0]))


@pytest.mark.parametrize("spaces", CUT, ids=named)
def test_zero_shot_of_a_part_is_that_part_also_from_a_file(tribes, windows, spaces, tmp_path):
    space, data = spaces
    adapter = fit_method("zero-shot", Base(tribes[space]).in_space(data), of(windows, data), {}, seed=0)
    save_adapter(adapter, tmp_path / "adapter", {"base": {"hash": "x"}, "space": data.name})
    model = load_adapter(tmp_path / "adapter", "x").apply(tribes[space])
    own = unseen(tribes[space], windows[0])[:, known(data, space)[1]]
    torch.testing.assert_close(unseen(model, windows[0]), own, atol=ROUNDING, rtol=0)


@pytest.mark.parametrize("method", ["zero-shot", "gain"])
@pytest.mark.parametrize("spaces", GROWN, ids=named)
def test_what_needs_a_prediction_of_every_output_is_refused_where_some_have_none(tribes, windows, spaces, method):
    space, data = spaces
    with pytest.raises(AdaptationError, match="no unseen row for these"):
        fit_method(method, Base(tribes[space]).in_space(data), of(windows, data), {}, seed=0)


def test_an_adapter_for_both_of_an_earlier_version_still_starts_from_zero(tribes, windows, tmp_path):
    left, right = torch.randn(6, 2), torch.randn(2, BOTH.n_outputs)
    old = Adapter("low-rank", {LEFT: left, RIGHT: right, BIAS: torch.zeros(BOTH.n_outputs)})
    save_adapter(old, tmp_path / "adapter", {"base": {"hash": "x"}, "space": BOTH.name, "n_outputs": BOTH.n_outputs})
    assert read_facts(tmp_path / "adapter")["format"] == 2
    model = load_adapter(tmp_path / "adapter", "x").apply(tribes[CORTEX])
    assert torch.equal(model.subjects.weights[0], torch.addmm(torch.zeros(6, BOTH.n_outputs), left, right))


def test_an_average_of_adapters_that_began_elsewhere_predicts_the_average(tribes, windows):
    base, own = Base(tribes[CORTEX]).in_space(BOTH), of(windows, BOTH)
    settings = {"rank": 2, "penalty": 1.0}
    one, other = (fit_method("low-rank", base, part, settings, 0) for part in (own[:2], own[2:]))
    old = fit_method("low-rank", Base(tribes[CORTEX]), own[:2], settings, 0)
    assert (one.space, old.space) == (BOTH, None)
    for pair in ((one, other), (one, old)):
        mean = average(pair, [0.5, 0.5], lambda: tribes[CORTEX])
        wanted = sum(predict(adapter.apply(tribes[CORTEX]), own[0]) for adapter in pair) / 2
        torch.testing.assert_close(predict(mean.apply(tribes[CORTEX]), own[0]), wanted, atol=1e-4, rtol=0)
    assert average((one, other), [0.5, 0.5]).tensors.keys() == one.tensors.keys()


@pytest.mark.parametrize("spaces", CUT, ids=named)
def test_an_average_of_adapters_of_a_part_predicts_the_average(tribes, windows, spaces):
    space, data = spaces
    base, own = Base(tribes[space]).in_space(data), of(windows, data)
    fits = {"zero-shot": {}, "gain": {}, "ridge": {"penalty": 1.0}, "low-rank": {"rank": 2, "penalty": 1.0}}
    adapters = [fit_method(method, base, own[place : place + 2], fits[method], 0) for place, method in enumerate(fits)]
    mean = average(adapters, [0.25] * 4, lambda: tribes[space])
    wanted = sum(predict(adapter.apply(tribes[space]), own[0]) for adapter in adapters) / 4
    torch.testing.assert_close(predict(mean.apply(tribes[space]), own[0]), wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("method", LINEAR)
def test_a_base_that_served_other_spaces_and_methods_gives_the_bits_of_a_fresh_one(tribes, windows, method):
    served, other = Base(tribes[BOTH]), of(windows, BOTH)
    pools = {BELOW: of(windows, BELOW), CORTEX: of(windows, CORTEX)}
    for n_outputs, space in ((9, Space("table", 9)), (12, Space("subcortex", 12)), (40, Space("schaefer40", 40))):
        pools[space] = [replace(window, bold=window.bold[:, 50 : 50 + n_outputs]) for window in other]
    for first in LINEAR:
        for space, own in pools.items():
            fit_method(first, served.in_space(space), own, {}, 0)
    for space, own in pools.items():
        changed = [replace(window, bold=window.bold[:, ::-1] + 1) for window in own]
        found, wanted = (
            fit_method(method, base.in_space(space), changed, {}, 0).tensors for base in (served, Base(tribes[BOTH]))
        )
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted), space


def test_merged_it_keeps_an_unseen_row_only_where_that_predicts_every_output(tribes, windows):
    for space, data in PARTS:
        base = Base(tribes[space]).in_space(data)
        model = merge(tribes[space], fit_method("ridge", base, of(windows, data), {}, 0), "sub-01")
        assert model.config.unseen_row is ((space, data) in CUT)
        assert (model.config.space, model.config.n_outputs) == (data.name, data.n_outputs)
        assert model.subjects.bias.isfinite().all()


@pytest.mark.parametrize("method", ["ridge", "low-rank"])
def test_how_sure_it_is_can_be_told(tribes, windows, method):
    base, own = Base(tribes[CORTEX]).in_space(BOTH), of(windows, BOTH)
    settings = FITTED[method]
    made = Made(fit_method(method, base, own, settings, 0), settings, 0)
    held = left_out(base, own, made)
    assert uncertainty(base, own, made, held).noise.isfinite().all()


def test_an_adapter_that_tells_of_more_outputs_than_it_holds_is_refused(tribes):
    row = {WEIGHTS: torch.zeros(6, 5), BIAS: torch.zeros(5)}
    for tensors in ({}, row):
        with pytest.raises(AdaptationError, match="and holds"):
            Adapter("ridge", tensors, space=Space(BOTH.name, 10**12)).apply(tribes[CORTEX])
