"""Loaders that give every window once, in batches that can be stacked."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from tribetune.datamodule import Cutting, WindowDataModule
from tribetune.errors import BoldError
from tribetune.features.extract import Features
from tribetune.splits import limit_calibration, split_by_block, split_by_run
from tribetune.windows import AlignedRun


def make_aligned(run: str, n_samples: int = 500, modalities: tuple[str, ...] = ("text",)) -> AlignedRun:
    """Row t of BOLD is t plus a thousand times the run, so that a batch tells where it is from."""
    bold = (np.arange(n_samples)[:, None] + 1000 * int(run) + np.zeros((1, 2))).astype(np.float32)
    arrays = {name: np.ones((2, 3, 2 * n_samples), np.float16) for name in modalities}
    label = f"sub-01_task-movie_run-{run}"
    return AlignedRun(label, run, Features(arrays, float(n_samples)), bold, np.ones(n_samples, bool), 5.0)


@pytest.fixture
def datamodule() -> WindowDataModule:
    runs = [
        make_aligned("1"),
        make_aligned("2", 450),
        make_aligned("3", modalities=("text", "audio")),
        make_aligned("4"),
    ]
    return WindowDataModule(split_by_run([*runs, make_aligned("5")], [4], [5]), Cutting(stride_s=50), batch_size=4)


def onsets(loader: DataLoader) -> list[list[float]]:
    """First value of every window, batch by batch: a thousand times the run plus the onset."""
    return [batch["bold"][:, 0, 0].tolist() for batch in loader]


def test_every_training_window_comes_once(datamodule: WindowDataModule) -> None:
    seen = sorted(value for batch in onsets(datamodule.train_dataloader()) for value in batch)
    assert seen == sorted(
        [1000.0 + k for k in range(0, 401, 50)]
        + [2000.0 + k for k in range(0, 351, 50)]
        + [3000.0 + k for k in range(0, 401, 50)]
    )
    assert len(datamodule.train_dataloader()) == len(onsets(datamodule.train_dataloader()))


def test_a_batch_never_mixes_modalities(datamodule: WindowDataModule) -> None:
    for batch in datamodule.train_dataloader():
        has_sound = {value >= 3000 for value in batch["bold"][:, 0, 0].tolist()}
        assert has_sound == {"audio" in batch}


def test_the_order_depends_on_seed_and_epoch_alone(datamodule: WindowDataModule) -> None:
    first, second = datamodule.train_dataloader(), datamodule.train_dataloader()
    torch.manual_seed(1)
    before = onsets(first)
    torch.manual_seed(2)
    assert onsets(second) == before
    second.sampler.set_epoch(1)
    assert onsets(second) != before
    other = WindowDataModule(datamodule.split, Cutting(stride_s=50), batch_size=4, seed=34)
    assert onsets(other.train_dataloader()) != before


def test_loading_leaves_the_random_state_alone(datamodule: WindowDataModule) -> None:
    before = torch.random.get_rng_state()
    onsets(datamodule.train_dataloader())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_held_out_windows_come_in_order_without_overlap(datamodule: WindowDataModule) -> None:
    assert onsets(datamodule.val_dataloader()) == [[4000.0, 4100.0, 4200.0, 4300.0], [4400.0]]
    assert onsets(datamodule.test_dataloader()) == [[5000.0, 5100.0, 5200.0, 5300.0], [5400.0]]


def test_a_split_without_validation_has_an_empty_loader() -> None:
    split = split_by_run([make_aligned("1"), make_aligned("2")], [], [2])
    assert onsets(WindowDataModule(split).val_dataloader()) == []


def test_batches_carry_readout_rows_where_there_are_any(datamodule: WindowDataModule) -> None:
    rows = {f"sub-01_task-movie_run-{run}": run for run in range(1, 6)}
    module = WindowDataModule(datamodule.split, batch_size=4, rows=rows)
    batches = list(module.train_dataloader())
    assert batches
    for batch in batches:
        assert batch["subjects"].tolist() == (batch["bold"][:, 0, 0] // 1000).int().tolist()


def test_windows_of_a_block_do_not_reach_into_the_gap() -> None:
    rng = np.random.default_rng(0)
    aligned = make_aligned("1", 700)
    aligned.bold[:] = rng.standard_normal(aligned.bold.shape)
    split = split_by_block(aligned, gap_s=110)
    batches = list(WindowDataModule(split, batch_size=1).train_dataloader())
    # 415 s of training are four windows and 15 s.
    assert sorted(int(batch["mask"].sum()) for batch in batches) == [15, 100, 100, 100, 100]
    short = min(batches, key=lambda batch: int(batch["mask"].sum()))
    assert not short["text"][..., 30:].any()
    assert short["text"][..., :30].all()


def test_too_little_training_data_is_refused() -> None:
    split = split_by_run([make_aligned("1"), make_aligned("2")], [], [2])
    with pytest.raises(BoldError, match="60 s of training data"):
        WindowDataModule(limit_calibration(split, 1.0))


@given(
    lengths=st.lists(st.integers(101, 700), min_size=1, max_size=3),
    stride=st.sampled_from([50, 100]),
    epoch=st.integers(0, 5),
)
def test_random_phases_keep_to_their_part_and_need_as_many_steps_in_every_epoch(
    lengths: list[int], stride: int, epoch: int
) -> None:
    runs = [make_aligned(str(k + 1), n) for k, n in enumerate(lengths)]
    split = split_by_run([*runs, make_aligned("9")], [], [9])
    loader = WindowDataModule(split, Cutting(stride_s=stride, random_phase=True), batch_size=1).train_dataloader()
    n_batches = len(loader)
    loader.sampler.set_epoch(epoch)
    batches = list(loader)
    assert len(batches) == n_batches
    seen = np.concatenate([batch["bold"][0, batch["mask"][0], 0].numpy() for batch in batches]).astype(int).tolist()
    everything = [1000 * (k + 1) + t for k, n in enumerate(lengths) for t in range(n)]
    assert set(seen) == set(everything)
    if stride == 100:  # without overlap every sample comes once
        assert sorted(seen) == everything


def test_phases_differ_from_epoch_to_epoch_and_held_out_windows_stay(datamodule: WindowDataModule) -> None:
    module = WindowDataModule(datamodule.split, Cutting(random_phase=True), batch_size=4)
    loader = module.train_dataloader()
    before = sorted(value for batch in onsets(loader) for value in batch)
    loader.sampler.set_epoch(1)
    assert sorted(value for batch in onsets(loader) for value in batch) != before
    assert onsets(module.test_dataloader()) == onsets(datamodule.test_dataloader())
