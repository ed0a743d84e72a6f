"""Train a Tribe on many subjects' windows, as the reference did, and keep the rows that are wanted."""

import dataclasses
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from torch import nn

from tribetune.datamodule import WindowDataModule
from tribetune.model.module import TribeModule
from tribetune.model.tribe import Tribe, TribeConfig

_QUIET = 0.1

OnEpoch = Callable[[int, dict[str, float]], None]
"""Called with the epoch and Lightning's metrics after each epoch."""


@dataclass(frozen=True)
class Training:
    """How a checkpoint is trained.

    Attributes
    ----------
    epochs : int
    learning_rate : float
        Highest rate of the one-cycle schedule (spec d.1).
    seed : int
        Of the first weights and of dropout.
    """

    epochs: int
    learning_rate: float
    seed: int


def pretrain_tribe(
    config: TribeConfig,
    data: WindowDataModule,
    training: Training,
    on_epoch: OnEpoch | None = None,
) -> Tribe:
    """Train from random weights; the last epoch's weights are kept, so that nothing is chosen on validation.

    Parameters
    ----------
    config : TribeConfig
        One readout row per subject and the unseen row.
    data : WindowDataModule
        Its ``rows`` give every run's readout row.
    training : Training
    on_epoch : OnEpoch, optional

    Returns
    -------
    Tribe
        In evaluation mode.
    """
    seed_everything(training.seed, verbose=False)
    module = TribeModule(quiet_start(Tribe(config)), training.learning_rate)
    with warnings.catch_warnings():
        # Windows are views of arrays in memory: more worker processes would only copy them. A Slurm that is there but
        # not used is nobody's mistake.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*|The `srun` command is available.*")
        trainer = _trainer(training, on_epoch)
        trainer.fit(module, data)
    return module.tribe.eval()


def _trainer(training: Training, on_epoch: OnEpoch | None) -> Trainer:
    return Trainer(
        max_epochs=training.epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        check_val_every_n_epoch=max(1, training.epochs // 5),
        callbacks=[_Report(on_epoch)] if on_epoch else [],
    )


def quiet_start(tribe: Tribe) -> Tribe:
    """Shrink the first readouts and time embeddings, and let a temporal filter begin as a running mean; in place.

    The reference begins with predictions as large as BOLD itself, which takes many hours of data to unlearn; a tenth of
    that lets a small model learn from the first step on (the numbers are in ``LOG.md``).
    """
    with torch.no_grad():
        for weights in (tribe.subjects.weights, tribe.subjects.bias, tribe.time_embedding):
            weights.mul_(_QUIET)
        if isinstance(tribe.smoothing, nn.Conv1d):
            tribe.smoothing.weight.fill_(1 / tribe.smoothing.weight.shape[-1])
    return tribe


def keep_unseen(tribe: Tribe) -> Tribe:
    """The same model with the unseen row alone, as TRIBE v2 was released."""
    kept = Tribe(dataclasses.replace(tribe.config, rows=1, unseen_row=True, subjects=[]))
    state = dict(tribe.state_dict())
    for name in ("subjects.weights", "subjects.bias"):
        state[name] = state[name][-1:].clone()
    kept.load_state_dict(state)
    return kept.eval()


class _Report(Callback):
    """Tell the caller how far training is."""

    def __init__(self, on_epoch: OnEpoch) -> None:
        self.on_epoch = on_epoch

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Report the epoch that ended."""
        metrics: dict[str, Any] = trainer.callback_metrics
        self.on_epoch(trainer.current_epoch + 1, {name: float(value) for name, value in metrics.items()})
