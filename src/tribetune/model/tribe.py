"""Tribe: features of a stimulus in, predicted BOLD out."""

from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tribetune.errors import CheckpointError
from tribetune.model.config import TribeConfig
from tribetune.model.inputs import usable_features
from tribetune.model.pooling import pool_time
from tribetune.model.subjects import SubjectBlock
from tribetune.model.trunk import Trunk

__all__ = ["Tribe", "TribeConfig"]


class Tribe(nn.Module):
    """The tri-modal encoder: projectors, trunk, low-rank layer and one readout row per subject, as TRIBE v2 has them.

    Parameters
    ----------
    config : TribeConfig
        Sizes. The dropout rates are read at every call, so ``tribe.config`` may be replaced by one with other rates.
    """

    def __init__(self, config: TribeConfig) -> None:
        super().__init__()
        self.config = config
        sizes = {name: size for name, size in config.modalities.items() if size is not None}
        cat = config.layer_aggregation == "cat"
        self.projectors = nn.ModuleDict(
            {name: nn.Linear(layers * dim if cat else dim, config.width) for name, (layers, dim) in sizes.items()}
        )
        concatenated = config.width * len(config.modalities)
        self.smoothing = _smoothing(config.hidden, config.temporal_smoothing)
        self.combiner = nn.Linear(concatenated, config.hidden) if config.combiner else nn.Identity()
        if config.time_embedding:
            self.time_embedding = nn.Parameter(torch.randn(1, config.max_steps, config.hidden))
        self.trunk = Trunk(config)
        self.low_rank = nn.Linear(config.hidden, config.low_rank, bias=False) if config.low_rank else nn.Identity()
        self.subjects = SubjectBlock(config.rows, config.readout_in, config.n_outputs)

    @classmethod
    def from_pretrained(cls, path_or_name: str | Path) -> "Tribe":
        """Open a folder in our layout or the official one, a ``.ckpt`` file, a name from ``checkpoints/``, or a hub id.

        An id is ``owner/name`` or ``owner/name@revision``, such as ``facebook/tribev2``; its files are fetched into the
        hub's cache once, and nothing in them is run.

        Raises
        ------
        CheckpointError
            If there is none, or it is unsafe or does not make a model.
        """
        from tribetune.model.checkpoint import open_checkpoint

        return open_checkpoint(path_or_name)

    def push_to_hub(self, repo_id: str, *, private: bool = True, consent: str = "", half: bool = False) -> str:
        """Send this model to the hub, with its card; the licence is the config's.

        Parameters
        ----------
        repo_id : str
            ``owner/name``; made where there is none.
        private : bool
            Whether others may not see it.
        consent : str
            What the subjects agreed to whose own readouts are among the rows; not needed for the unseen row.
        half : bool
            Send float16, half the size.

        Returns
        -------
        str
            The commit.

        Raises
        ------
        CheckpointError
            If there is no licence, rows of subjects go without consent, or the hub refuses.
        """
        from tribetune.model.publish import publish

        return publish(self, repo_id, private=private, consent=consent, half=half)

    def forward(
        self,
        features: Mapping[str, Float[Tensor, "..."]],
        subjects: Int[Tensor, " window"] | None = None,
        n_trs: int = 100,
    ) -> Float[Tensor, "batch sample output"]:
        """Predict BOLD for a batch of windows.

        Parameters
        ----------
        features : mapping of str to Tensor of shape (batch, layer, dim, n_steps)
            Per modality, at 2 Hz; (batch, dim, n_steps) for a single layer. An absent key is an absent modality, zeros
            are a silent one: they differ.
        subjects : Tensor of shape (batch,), optional
            Readout row of every window; the unseen row when left out.
        n_trs : int
            Samples wanted for the window.

        Returns
        -------
        Tensor of shape (batch, n_trs, n_outputs)
            Predicted BOLD, in standard deviations of the training targets.

        Raises
        ------
        FeatureError
            If the features do not fit the checkpoint.
        CheckpointError
            If a row is wanted that the checkpoint does not have.
        """
        latents = self.latents(features, n_trs)
        return self.subjects(latents, self._noisy_rows(self.rows_of(subjects, len(latents))))

    def latents(
        self, features: Mapping[str, Float[Tensor, "..."]], n_trs: int = 100
    ) -> Float[Tensor, "batch sample channel"]:
        """Everything before the readout, pooled to output samples: exact, since pooling and readout are linear.

        Parameters
        ----------
        features : mapping of str to Tensor of shape (batch, layer, dim, n_steps)
            As for ``forward``.
        n_trs : int
            Samples wanted for the window.

        Returns
        -------
        Tensor of shape (batch, n_trs, config.readout_in)
            What the readout reads.
        """
        x = self.combiner(self._smoothed(self._projected(features))).float()
        if self.config.time_embedding:
            x = x + self.time_embedding[:, : x.shape[1]]
        return self.low_rank(pool_time(self.trunk(x), n_trs))

    def readout(
        self, latents: Float[Tensor, "batch sample channel"], subjects: Int[Tensor, " window"] | None = None
    ) -> Float[Tensor, "batch sample output"]:
        """Predict BOLD from ``latents``; rows as for ``forward``, without subject dropout."""
        return self.subjects(latents, self.rows_of(subjects, len(latents)))

    def rows_of(self, subjects: Int[Tensor, " window"] | None, n_windows: int) -> list[int]:
        """The readout row of every window.

        Raises
        ------
        CheckpointError
            If the unseen row is wanted and there is none, or there is not one row per window.
        """
        if subjects is not None:
            rows = subjects.flatten().tolist()
            if len(rows) != n_windows:
                raise CheckpointError(
                    f"{len(rows)} readout rows for {n_windows} windows", hint="pass one row per window"
                )
            return rows
        if not self.config.unseen_row:
            raise CheckpointError(
                f"this checkpoint has no unseen row, only {self.config.rows} subjects'",
                hint="pass subjects=, one readout row per window",
            )
        return [self.config.rows - 1] * n_windows

    def _projected(self, features: Mapping[str, Tensor]) -> Tensor:
        """Modalities side by side, (batch, time, channel); an absent one is zeros without bias."""
        usable = usable_features(features, self.config)
        any_one = next(iter(usable.values()))
        batch, _, _, n_steps = any_one.shape
        parts = [
            self._one_projected(name, usable[name])
            if name in usable
            else torch.zeros(batch, n_steps, self.config.width, device=any_one.device)
            for name in self.config.modalities
        ]
        x = torch.cat([part.float() for part in parts], dim=-1)
        if self.training and self.config.temporal_dropout > 0:
            x = x.masked_fill(_dropped((batch, n_steps, 1), self.config.temporal_dropout, x), 0.0)
        return x

    def _one_projected(self, name: str, x: Tensor) -> Tensor:
        x = x.float()
        x = x.flatten(1, 2) if self.config.layer_aggregation == "cat" else x.mean(1)
        # as one matrix: a turned one is multiplied window by window, each with a copy of the weights
        x = self.projectors[name](x.transpose(1, 2).contiguous())
        if self.training and self.config.modality_dropout > 0:
            x = x.masked_fill(_dropped((len(x), 1, 1), self.config.modality_dropout, x), 0.0)
        return x

    def _smoothed(self, x: Tensor) -> Tensor:
        return self.smoothing(x.transpose(1, 2)).transpose(1, 2)

    def _noisy_rows(self, rows: list[int]) -> list[int]:
        """Subject dropout: in training, some samples are read out by the unseen row, which so learns the group."""
        if not self.training or not self.config.subject_dropout:
            return rows
        dropped = torch.rand(len(rows)) < self.config.subject_dropout
        return [self.config.rows - 1 if drop else row for row, drop in zip(rows, dropped.tolist(), strict=True)]


def _smoothing(hidden: int, kernel: int | None) -> nn.Module:
    """A learned kernel over time for every channel alone (spec a.5)."""
    if kernel is None:
        return nn.Identity()
    return nn.Conv1d(hidden, hidden, kernel, padding=kernel // 2, groups=hidden, bias=False)


def _dropped(shape: tuple[int, ...], rate: float, like: Tensor) -> Tensor:
    """True where training noise strikes, drawn on the CPU so that every device sees the same (spec a.3)."""
    return (torch.rand(shape) < rate).to(like.device)
