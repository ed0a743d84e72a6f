import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tribetune.errors import CheckpointError, FeatureError
from tribetune.model.config import TribeConfig
from tribetune.model.pooling import pool_time
from tribetune.model.tribe import Tribe

# Outputs are of size 1; float32 rounding through few layers, with sums in another order, stays below.
TOLERANCE = 1e-5


def close(got, wanted):
    torch.testing.assert_close(got, wanted, atol=TOLERANCE, rtol=0)


@st.composite
def architectures(draw):
    names = draw(st.lists(st.sampled_from(["text", "audio", "video", "image"]), min_size=1, max_size=4, unique=True))
    sizes = {name: (draw(st.integers(1, 3)), draw(st.integers(1, 6))) for name in names}
    modalities = {
        name: None if k and draw(st.integers(0, 4)) == 0 else size for k, (name, size) in enumerate(sizes.items())
    }
    heads = draw(st.integers(1, 3))
    combiner, smoothing = draw(st.booleans()), draw(st.sampled_from([None, 1, 3, 4]))
    step = 1 if combiner and not smoothing else len(names)
    hidden = -(-heads * draw(st.integers(32, 70)) // step) * step
    return {
        "modalities": modalities,
        "hidden": hidden,
        "depth": draw(st.integers(1, 2)),
        "heads": heads,
        "n_outputs": draw(st.integers(1, 5)),
        "rows": draw(st.integers(1, 4)),
        "unseen_row": draw(st.booleans()),
        "low_rank": draw(st.sampled_from([None, 3, 8])),
        "layer_aggregation": draw(st.sampled_from(["cat", "mean"])),
        "combiner": combiner,
        "temporal_smoothing": smoothing,
        "time_embedding": draw(st.booleans()),
        "ff_mult": draw(st.integers(1, 4)),
        "max_steps": draw(st.integers(12, 20)),
    }


@given(architecture=architectures(), n_steps=st.integers(1, 11), n_trs=st.integers(1, 12), data=st.data())
@torch.no_grad()
def test_any_shape_agrees_with_the_references_order_of_work(
    benchmark, features_for, architecture, n_steps, n_trs, data
):
    torch.manual_seed(0)
    config = TribeConfig(**architecture)
    tribe = Tribe(config).eval()
    for weight in tribe.parameters():  # norms and residual scales away from 1, where they would hide
        weight += 0.1 * torch.randn_like(weight)
    features = features_for(tribe, batch=3, n_steps=n_steps)
    absent = data.draw(st.sets(st.sampled_from(list(features)), max_size=len(features) - 1))
    features = {name: x for name, x in features.items() if name not in absent}
    rows = torch.tensor(data.draw(st.lists(st.integers(0, config.rows - 1), min_size=3, max_size=3)))
    wanted = benchmark.reference_forward(tribe, features, rows.tolist(), n_trs)
    # weights of a random model may make larger outputs than the released one's: relative to their size
    torch.testing.assert_close(tribe(features, rows, n_trs), wanted, atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize(("n_steps", "n_trs"), [(20, 10), (13, 10), (7, 10)])
@torch.no_grad()
def test_pooling_before_the_readout_equals_pooling_after(small, features_for, n_steps, n_trs):
    tribe = small()
    features, rows = features_for(tribe, n_steps=n_steps), torch.tensor([2, 0, 1])
    close(tribe(features, rows, n_trs), pool_time(tribe(features, rows, n_steps), n_trs))


@torch.no_grad()
def test_prediction_is_the_readout_of_the_latents(small, features_for):
    tribe = small()
    features, rows = features_for(tribe), torch.tensor([2, 0, 2])
    assert tribe.latents(features, 10).shape == (3, 10, 16)
    assert torch.equal(tribe.readout(tribe.latents(features, 10), rows), tribe(features, rows, 10))
    assert torch.equal(tribe.readout(tribe.latents(features, 10)), tribe(features, None, 10))


@torch.no_grad()
def test_the_order_of_a_batch_does_not_matter(small, features_for):
    tribe = small()
    features, rows, order = features_for(tribe, batch=4), torch.tensor([2, 0, 1, 0]), torch.tensor([3, 1, 0, 2])
    shuffled = {name: x[order] for name, x in features.items()}
    close(tribe(shuffled, rows[order], 10), tribe(features, rows, 10)[order])


@torch.no_grad()
def test_an_absent_modality_differs_from_a_silent_one_by_the_projectors_bias(small, features_for):
    tribe = small()
    features = features_for(tribe)
    absent = {name: x for name, x in features.items() if name != "audio"}
    silent = features | {"audio": torch.zeros_like(features["audio"])}
    assert (tribe(absent, n_trs=10) - tribe(silent, n_trs=10)).abs().max() > 1e-3
    tribe.projectors["audio"].bias.zero_()
    close(tribe(absent, n_trs=10), tribe(silent, n_trs=10))


@torch.no_grad()
def test_the_order_of_the_features_does_not_matter(small, features_for):
    tribe = small()
    features = features_for(tribe)
    assert torch.equal(tribe(features, n_trs=10), tribe(dict(reversed(features.items())), n_trs=10))


@torch.no_grad()
def test_no_subjects_means_the_unseen_row_which_is_the_last(small, features_for):
    tribe = small()
    features = features_for(tribe)
    assert torch.equal(tribe(features, n_trs=10), tribe(features, torch.tensor([2, 2, 2]), 10))


@torch.no_grad()
def test_a_single_layer_needs_no_layer_axis(small, features_for):
    tribe = small()
    features = features_for(tribe)
    assert torch.equal(tribe(features, n_trs=10), tribe(features | {"audio": features["audio"][:, 0]}, n_trs=10))


@torch.no_grad()
def test_float16_features_are_computed_in_float32(small, features_for):
    tribe = small()
    short = {name: x.half() for name, x in features_for(tribe).items()}
    assert torch.equal(tribe(short, n_trs=10), tribe({name: x.float() for name, x in short.items()}, n_trs=10))


@torch.no_grad()
def test_bf16_autocast_stays_close(small, features_for):
    tribe = small(depth=2)
    features = features_for(tribe)
    with torch.autocast("cpu", torch.bfloat16):
        short = tribe(features, torch.tensor([0, 1, 2]), 10)
    wanted = tribe(features, torch.tensor([0, 1, 2]), 10)
    r = torch.corrcoef(torch.stack([short.float().flatten(), wanted.flatten()]))[0, 1]
    assert r >= 0.999  # bf16 keeps 8 bits, and so small a model averages little of the rounding away


def test_no_subjects_without_an_unseen_row_is_an_error(small, features_for):
    tribe = small(unseen_row=False)
    with pytest.raises(CheckpointError, match="no unseen row"):
        tribe(features_for(tribe))


def test_one_row_for_every_window(small, features_for):
    tribe = small()
    with pytest.raises(CheckpointError, match="2 readout rows for 3 windows"):
        tribe(features_for(tribe), torch.tensor([0, 1]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": torch.randn(3, 2, 5, 20)}, r"text: got features of shape \(3, 2, 5, 20\), expected .*\(2, 6\)"),
        ({"text": torch.randn(3, 1, 6, 20)}, r"text: got features of shape"),
        ({"text": torch.randn(3, 12, 20)}, r"text: got features of shape"),
        ({"smell": torch.randn(3, 1, 5, 20)}, r"'smell' is not one of the checkpoint's: text, audio, video"),
        ({"text": torch.randn(3, 2, 6, 19)}, r"modalities differ in \(batch, time\)"),
        ({"text": torch.randn(2, 2, 6, 20)}, r"modalities differ in \(batch, time\)"),
    ],
)
def test_features_that_do_not_fit_are_named(small, features_for, change, message):
    tribe = small()
    with pytest.raises(FeatureError, match=message):
        tribe(features_for(tribe) | change)


@pytest.mark.parametrize("n_steps", [0, 33])
def test_a_window_longer_than_the_position_table_is_an_error(small, features_for, n_steps):
    tribe = small()
    with pytest.raises(FeatureError, match=f"{n_steps} steps.*1 to 32"):
        tribe(features_for(tribe, n_steps=n_steps))


def test_no_usable_modality_is_an_error(small, features_for):
    tribe = small(modalities={"text": (1, 2), "audio": None})
    with pytest.raises(FeatureError, match="no usable modality: got none, the checkpoint uses text"):
        tribe({})
    with pytest.raises(FeatureError, match="no usable modality: got audio"):
        tribe({"audio": torch.randn(1, 1, 5, 20)})


@torch.no_grad()
def test_modality_dropout_is_absence_and_only_in_training(small, features_for):
    tribe = small(modality_dropout=0.5)
    features = features_for(tribe, batch=16)
    whole = tribe(features, n_trs=10)
    tribe.train()
    noisy = tribe(features, n_trs=10)
    present = [name for name in features if name != "video"]
    without_video = tribe.eval()({name: features[name] for name in present}, n_trs=10)
    alike = [(noisy - other).abs().amax((1, 2)) < TOLERANCE for other in (whole, without_video)]
    # of 16 windows each keeps everything with probability 1/8, loses only video with 1/8, anything else with 3/4
    assert 1 <= alike[0].sum() <= 8
    assert 1 <= alike[1].sum() <= 8


@torch.no_grad()
def test_certain_modality_dropout_leaves_nothing_of_the_stimulus(small, features_for):
    tribe = small(modality_dropout=1.0).train()
    one, other = (tribe(features_for(tribe, seed=seed), n_trs=10) for seed in (1, 2))
    assert torch.equal(one, other)


@torch.no_grad()
def test_temporal_dropout_takes_all_modalities_of_a_step(small, features_for):
    tribe = small(temporal_dropout=1.0).train()
    one, other = (tribe(features_for(tribe, seed=seed), n_trs=10) for seed in (1, 2))
    assert torch.equal(one, other)


def test_subject_dropout_trains_the_unseen_row(small, features_for):
    tribe = small(subject_dropout=1.0).train()
    tribe(features_for(tribe), torch.tensor([0, 1, 0]), 10).sum().backward()
    gradient = tribe.subjects.bias.grad
    assert not gradient[:2].any()
    assert gradient[2].all()


def test_training_noise_can_be_changed_by_replacing_the_config(small, features_for):
    tribe = small(subject_dropout=1.0, modality_dropout=0.5).train()
    features = features_for(tribe)
    tribe.config = replace(tribe.config, subject_dropout=0.0, modality_dropout=0.0)
    with torch.no_grad():
        noisy = tribe(features, torch.tensor([0, 1, 0]), 10)
        close(noisy, tribe.eval()(features, torch.tensor([0, 1, 0]), 10))


@given(architecture=architectures())
def test_a_config_survives_json(architecture):
    config = TribeConfig(**architecture)
    assert TribeConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden": 97}, "hidden is 97, expected a multiple of the 3 modalities"),
        ({"heads": 4}, "4 heads of 24 channels, expected at least 32"),
        ({"rows": 0}, "rows is 0"),
        ({"depth": 0}, "depth is 0"),
        ({"modality_dropout": 1.5}, "modality_dropout is 1.5, expected a probability"),
        ({"unseen_row": False, "subject_dropout": 0.1}, "subject_dropout needs an unseen row"),
        ({"subjects": ["01"]}, "1 subjects for 3 rows"),
        ({"modalities": {}}, "expected at least one with"),
        ({"modalities": {"text": None}}, "expected at least one with"),
    ],
)
def test_sizes_that_make_no_model_are_refused(small, changes, message):
    with pytest.raises(CheckpointError, match=message):
        small(**changes)


def test_gradients_reach_every_weight(small, features_for):
    tribe = small(combiner=True, temporal_smoothing=3).train()
    tribe(features_for(tribe), torch.tensor([0, 1, 2]), 10).square().sum().backward()
    assert [key for key, weight in tribe.named_parameters() if weight.grad is None or not weight.grad.any()] == []
