import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from tribetune.errors import AdaptationError
from tribetune.model.config import TribeConfig
from tribetune.model.loss import masked_mse
from tribetune.model.module import TribeModule, adam, one_cycle
from tribetune.model.surgery import train_only
from tribetune.scores import pearson_r

# Lightning's advice on loader workers, logging steps and validation is about big data sets
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers",
    "ignore:.*The number of training batches",
    "ignore:.*have no `val_dataloader`",
    "ignore:.*LeafSpec:FutureWarning",  # lightning 2.6 calls an old name of torch
)


@pytest.fixture
def windows(small, features_for):
    """Eight windows whose BOLD a Tribe of another seed predicts from them, some samples not measured."""
    truth = small(seed=9)
    features = features_for(truth, batch=8)
    rows = torch.tensor([0, 1] * 4)
    with torch.no_grad():
        bold = truth(features, rows, 10)
    mask = torch.ones(8, 10, dtype=torch.bool)
    mask[:, 8:] = False
    parts = features | {"bold": bold, "mask": mask, "subjects": rows}
    return [{name: part[k] for name, part in parts.items()} for k in range(8)]


@pytest.fixture
def trainer(tmp_path):
    from lightning.pytorch import Trainer

    def made(**options):
        settings = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        settings |= {"enable_checkpointing": False, "default_root_dir": tmp_path, "max_epochs": 1}
        return Trainer(**settings | options)

    return made


def stacked(windows):
    return next(iter(DataLoader(windows, batch_size=len(windows))))


def test_training_learns_a_toy(small, windows, trainer):
    module = TribeModule(small(), learning_rate=1e-2)
    batch = stacked(windows)

    def loss():
        with torch.no_grad():
            return masked_mse(module(batch), batch["bold"], batch["mask"])

    before = loss()
    trainer(max_epochs=20).fit(module, DataLoader(windows, batch_size=4))
    assert loss() < 0.2 * before


def test_training_noise_is_on_although_a_checkpoint_opens_in_evaluation_mode(small, windows, trainer):
    module = TribeModule(small(subject_dropout=1.0), learning_rate=1e-2)
    before = module.tribe.subjects.bias.detach().clone()
    trainer().fit(module, DataLoader(windows, batch_size=4))
    changed = (module.tribe.subjects.bias != before).any(1)
    assert changed.tolist() == [False, False, True]


def test_the_validation_score_is_pearsons_r_over_all_valid_samples(small, windows, trainer):
    module = TribeModule(small())
    [logged] = trainer().validate(module, DataLoader(windows, batch_size=3), verbose=False)
    batch = stacked(windows)
    with torch.no_grad():
        r = pearson_r(module(batch)[batch["mask"]], batch["bold"][batch["mask"]])
    assert logged["val/pearson"] == pytest.approx(r.mean().item(), abs=1e-5)  # float32 predictions, in other batches


def test_frozen_weights_stay_bitwise_the_same(small, windows, trainer):
    tribe = small()
    train_only(tribe, "subjects")
    before = {key: weight.clone() for key, weight in tribe.state_dict().items()}
    trainer().fit(TribeModule(tribe, 1e-2), DataLoader(windows, batch_size=4))
    changed = {key for key, weight in tribe.state_dict().items() if not torch.equal(weight, before[key])}
    assert changed == {"subjects.weights", "subjects.bias"}
    assert torch.equal(tribe.subjects.weights[2], before["subjects.weights"][2])  # a row without samples


def test_windows_that_were_not_measured_do_not_end_the_training(small, windows, trainer):
    tribe = small()
    before = {key: weight.clone() for key, weight in tribe.state_dict().items()}
    empty = [window | {"mask": torch.zeros(10, dtype=torch.bool)} for window in windows]
    trainer().fit(TribeModule(tribe, 1e-2), DataLoader(empty, batch_size=4))
    assert all(torch.equal(weight, before[key]) for key, weight in tribe.state_dict().items())


def test_a_batch_may_lack_modalities_and_subjects(small, windows):
    module = TribeModule(small())
    batch = stacked(windows)
    with torch.no_grad():
        assert module({"text": batch["text"], "bold": batch["bold"]}).shape == (8, 10, 7)


def test_the_owner_may_bring_an_optimiser(small, windows, trainer):
    module = TribeModule(small(), optimizer=lambda weights: torch.optim.SGD(weights, lr=0.0))
    run = trainer()
    run.fit(module, DataLoader(windows, batch_size=4))
    assert isinstance(run.optimizers[0], torch.optim.SGD)


def test_nothing_to_train_is_an_error(small):
    tribe = small()
    train_only(tribe)
    with pytest.raises(AdaptationError, match="nothing to train"):
        TribeModule(tribe).configure_optimizers()


def test_the_learning_rate_follows_one_cycle_over_the_whole_training(small, windows, trainer):
    module = TribeModule(small(), learning_rate=1e-3)
    run = trainer(max_epochs=10)
    run.fit(module, DataLoader(windows, batch_size=2))  # 4 batches, 40 steps
    schedule = run.lr_scheduler_configs[0].scheduler
    assert schedule.total_steps == 40
    assert run.lr_scheduler_configs[0].interval == "step"


def test_a_lightning_checkpoint_holds_only_plain_values(small, windows, trainer, tmp_path):
    module = TribeModule(small(), learning_rate=1e-3)
    run = trainer()
    run.fit(module, DataLoader(windows, batch_size=4))
    run.save_checkpoint(tmp_path / "last.ckpt")
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved["hyper_parameters"]["learning_rate"] == 1e-3
    assert TribeConfig.from_dict(saved["tribe_config"]) == module.tribe.config
    assert {key.split(".")[0] for key in saved["state_dict"]} == {"tribe"}
    again = TribeModule.load_from_checkpoint(tmp_path / "last.ckpt", tribe=small(seed=3), weights_only=True)
    assert torch.equal(again.tribe.subjects.weights, module.tribe.subjects.weights)


@given(total_steps=st.integers(1, 60))
def test_the_cycle_is_defined_for_any_number_of_steps(total_steps):
    optimizer = adam([torch.nn.Parameter(torch.zeros(1))], 1e-4)
    schedule = one_cycle(optimizer, total_steps)
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the schedule runs without the optimiser
        for _ in range(total_steps):
            rates.append(optimizer.param_groups[0]["lr"])
            schedule.step()  # Lightning also steps after the last step
    assert rates[0] == pytest.approx(4e-6) or total_steps <= 19
    assert max(rates) <= 1e-4 * (1 + 1e-9)
    assert total_steps == 1 or max(rates) > 0.5e-4
    assert all(rate > 0 for rate in rates)


def test_the_cycle_turns_after_a_tenth_and_ends_near_zero():
    optimizer = adam([torch.nn.Parameter(torch.zeros(1))], 1e-4)
    schedule = one_cycle(optimizer, 100)
    rates, betas = [], []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        betas.append(optimizer.param_groups[0]["betas"][0])
        optimizer.step()
        if len(rates) < 100:
            schedule.step()
    assert rates.index(max(rates)) == 9
    assert (rates[0], rates[9], rates[-1]) == pytest.approx((4e-6, 1e-4, 4e-10), rel=1e-9)
    assert (betas[0], betas[9], betas[-1]) == pytest.approx((0.95, 0.85, 0.95), rel=1e-9)
