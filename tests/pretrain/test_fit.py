import dataclasses

import numpy as np
import pytest
import torch

from tribetune.datamodule import WindowDataModule
from tribetune.features.extract import Features
from tribetune.model.tribe import Tribe, TribeConfig
from tribetune.pretrain.fit import Training, keep_unseen, pretrain_tribe, quiet_start
from tribetune.splits import Part, Split
from tribetune.windows import AlignedRun

CONFIG = TribeConfig(
    modalities={"text": (1, 3), "audio": (1, 2)}, hidden=64, depth=1, heads=2, low_rank=4, n_outputs=5, rows=3,
    max_steps=200, subject_dropout=0.3,
)  # fmt: skip


def cohort():
    """Two subjects whose BOLD is the same mixture of the features, and noise of their own."""
    rng = np.random.default_rng(0)
    mixture = rng.standard_normal((5, 5))
    parts, held_out, rows = [], [], {}
    for subject in range(2):
        for run in range(6):
            arrays = {"text": rng.standard_normal((1, 3, 400)), "audio": rng.standard_normal((1, 2, 400))}
            stacked = np.concatenate([array[0] for array in arrays.values()]).reshape(5, 200, 2).mean(2)
            bold = (stacked.T @ mixture + rng.standard_normal((200, 5))).astype(np.float32)
            bold[:, 4] = np.nan  # an undefined output must not stop the others
            features = Features({name: array.astype(np.float16) for name, array in arrays.items()}, 200.0)
            label = f"sub-0{subject + 1}_run-{run}"
            rows[label] = subject
            part = Part(AlignedRun(label, str(run), features, bold, np.ones(200, bool), 5.0), (0, 200))
            (held_out if run == 5 else parts).append(part)
    return WindowDataModule(Split(tuple(parts), tuple(held_out), ()), batch_size=4, rows=rows)


@pytest.fixture(scope="module")
def trained():
    history = []
    tribe = pretrain_tribe(CONFIG, cohort(), Training(25, 5e-3, 1), lambda epoch, m: history.append((epoch, m)))
    return tribe, history


def test_the_group_is_learned_by_the_unseen_row(trained):
    _, history = trained
    assert [epoch for epoch, _ in history] == list(range(1, 26))
    assert history[-1][1]["val/pearson"] > 0.5  # at most about .75: the noise has the variance of half the signal
    assert history[-1][1]["train/loss"] < history[0][1]["train/loss"]


def test_keeping_the_unseen_row_predicts_the_same(trained):
    tribe, _ = trained
    kept = keep_unseen(tribe)
    features = {"text": torch.randn(2, 1, 3, 200), "audio": torch.randn(2, 1, 2, 200)}
    assert kept.config == dataclasses.replace(tribe.config, rows=1, subjects=[])
    with torch.no_grad():
        assert torch.equal(kept(features), tribe(features))


def test_the_same_seed_trains_the_same_weights():
    one, two, other = (pretrain_tribe(CONFIG, cohort(), Training(1, 1e-3, seed)).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(weight, two[name]) for name, weight in one.items())
    assert not torch.equal(one["subjects.weights"], other["subjects.weights"])


def test_a_quiet_start_shrinks_readouts_and_nothing_else():
    torch.manual_seed(0)
    loud = Tribe(CONFIG)
    before = {name: weight.clone() for name, weight in loud.state_dict().items()}
    after = quiet_start(loud).state_dict()
    changed = {name for name, weight in after.items() if not torch.equal(weight, before[name])}
    assert changed == {"subjects.weights", "subjects.bias", "time_embedding"}
    torch.testing.assert_close(after["subjects.weights"], 0.1 * before["subjects.weights"])
