"""The LightningModule that trains a Tribe: masked loss, streaming score, Adam with one cycle."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jaxtyping import Float
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import OneCycleLR

from tribetune.errors import AdaptationError
from tribetune.model.loss import masked_mse
from tribetune.model.tribe import Tribe
from tribetune.scores import PearsonR

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Any]
"""From the trainable parameters to whatever ``configure_optimizers`` may return."""

_WARM_UP = 0.1
"""Share of the steps in which the learning rate rises (spec d.1)."""


class TribeModule(LightningModule):
    """Train and validate a Tribe on batches of windows.

    A batch is a mapping with one tensor per modality, ``bold`` of shape (batch, n_trs, n_outputs), ``mask`` of shape
    (batch, n_trs) and, where several subjects are trained, ``subjects`` of shape (batch,) with readout rows.

    Parameters
    ----------
    tribe : Tribe
        Trained in place: the parameters that require a gradient.
    learning_rate : float
        Highest rate of the one-cycle schedule.
    optimizer : callable, optional
        Makes another optimiser from the trainable parameters; may return all that ``configure_optimizers`` may.
    """

    def __init__(self, tribe: Tribe, learning_rate: float = 1e-4, optimizer: OptimizerFactory | None = None) -> None:
        super().__init__()
        # only plain values: Lightning's own files then load without unpickling anything
        self.save_hyperparameters({"learning_rate": learning_rate})
        self.tribe = tribe
        self.learning_rate = learning_rate
        self.optimizer_factory = optimizer
        self.validation_r = PearsonR(tribe.config.n_outputs)
        self.train()  # Lightning trains in the mode it finds, and a checkpoint opens in evaluation mode

    def forward(self, batch: Mapping[str, Tensor]) -> Float[Tensor, "batch sample output"]:
        """Predict as many samples as the batch's ``bold`` has."""
        features = {name: batch[name] for name in self.tribe.config.modalities if name in batch}
        return self.tribe(features, batch.get("subjects"), n_trs=batch["bold"].shape[1])

    def training_step(self, batch: Mapping[str, Tensor], batch_index: int) -> Tensor:  # noqa: ARG002
        """Masked mean squared error."""
        loss = masked_mse(self(batch), batch["bold"], batch["mask"])
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch["bold"]))
        return loss

    def validation_step(self, batch: Mapping[str, Tensor], batch_index: int) -> None:  # noqa: ARG002
        """Collect loss and score."""
        predicted = self(batch)
        loss = masked_mse(predicted, batch["bold"], batch["mask"])
        self.validation_r.update(predicted.float(), batch["bold"], batch["mask"])
        self.log("val/loss", loss, batch_size=len(batch["bold"]))

    def on_validation_epoch_end(self) -> None:
        """Log the mean of r over the outputs where it is defined."""
        self.log("val/pearson", self.validation_r.compute().nanmean(), prog_bar=True)
        self.validation_r.reset()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the sizes, so that the Tribe can be built again from the file alone."""
        checkpoint["tribe_config"] = self.tribe.config.to_dict()

    def configure_optimizers(self) -> Any:
        """Adam with one cycle over the whole training, or the caller's own.

        Raises
        ------
        AdaptationError
            If no parameter requires a gradient.
        """
        trainable = [weight for weight in self.tribe.parameters() if weight.requires_grad]
        if not trainable:
            raise AdaptationError("nothing to train: every weight is frozen", hint="unfreeze the readout first")
        if self.optimizer_factory is not None:
            return self.optimizer_factory(trainable)
        optimizer = adam(trainable, self.learning_rate)
        schedule = one_cycle(optimizer, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def adam(parameters: Iterable[nn.Parameter], learning_rate: float) -> Adam:
    """Adam as TRIBE v2 was trained with (spec d.1); fused on the CPU, where that is five times faster."""
    parameters = list(parameters)
    fused = all(weight.device.type == "cpu" for weight in parameters)
    return Adam(parameters, lr=learning_rate, betas=(0.9, 0.999), weight_decay=0.0, fused=fused)


def one_cycle(optimizer: Optimizer, total_steps: int) -> OneCycleLR:
    """One cycle of learning rate and of Adam's beta1 over ``total_steps`` (spec d.1).

    The rate rises from a 25th of the optimiser's over the first tenth and falls to nearly nothing, in cosines; beta1
    goes from 0.95 to 0.85 and back. In ten steps or fewer the rise takes one step: torch would divide by zero.

    Parameters
    ----------
    optimizer : Optimizer
        Its learning rate is the highest.
    total_steps : int
        Optimiser steps of the whole training, at least 1.
    """
    total_steps = max(total_steps, 3)  # a rise, a peak and a fall
    warm_up = _WARM_UP if total_steps > 10 else 2 / total_steps
    return OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=total_steps,
        pct_start=warm_up,
        anneal_strategy="cos",
        base_momentum=0.85,
        max_momentum=0.95,
        div_factor=25.0,
        final_div_factor=1e4,
    )
