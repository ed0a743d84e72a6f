"""Loaders of a split's windows, for Lightning."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from tribetune.splits import Part, Split, check_enough
from tribetune.timing import window_phases, window_spans
from tribetune.windows import WINDOW_S, AlignedRun, cut_windows, stack


@dataclass(frozen=True)
class Cutting:
    """How training data are cut into windows.

    Attributes
    ----------
    window_s, stride_s : float
        Whole seconds; validation and test windows do not overlap, whatever the stride.
    random_phase : bool
        Whether training windows begin elsewhere in every epoch. Each sample still comes once where windows do not
        overlap; those at a part's edges are cut off there, and masked.
    """

    window_s: float = WINDOW_S
    stride_s: float = WINDOW_S
    random_phase: bool = False


class WindowDataModule(lightning.LightningDataModule):
    """Loaders of a split's windows, cut when they are asked for.

    Parameters
    ----------
    split : Split
        Not changed.
    cutting : Cutting
    batch_size : int
        Windows per batch; a batch holds windows of the same modalities only.
    seed : int
        Order of the training windows, another one in every epoch.
    rows : mapping of run label to int, optional
        Readout row of every run: batches then carry ``subjects``, shape (batch,).

    Raises
    ------
    BoldError
        If the training data do not fill a window or a part has no valid sample.
    """

    def __init__(
        self,
        split: Split,
        cutting: Cutting | None = None,
        batch_size: int = 8,
        seed: int = 33,
        rows: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        self.cutting = cutting or Cutting()
        check_enough(split, self.cutting.window_s)
        self.split, self.batch_size, self.seed, self.rows = split, batch_size, seed, rows

    def train_dataloader(self) -> DataLoader:
        """Training windows, in a new seeded order each epoch."""
        return self._loader(self.split.training, self.cutting, self.seed)

    def val_dataloader(self) -> DataLoader:
        """Validation windows in order."""
        return self._loader(self.split.validation, self._held_out, None)

    def test_dataloader(self) -> DataLoader:
        """Test windows in order."""
        return self._loader(self.split.test, self._held_out, None)

    @property
    def _held_out(self) -> Cutting:
        return Cutting(self.cutting.window_s, self.cutting.window_s)

    def _loader(self, parts: Sequence[Part], cutting: Cutting, seed: int | None) -> DataLoader:
        places = _Places(parts, cutting, self.rows)
        batches = _Batches(places, self.batch_size, seed)
        # A generator of its own: asking for a loader must not move the random state that dropout draws from.
        return DataLoader(places, sampler=batches, batch_size=None, generator=torch.Generator())


_Place = tuple[AlignedRun, tuple[float, float]]
"""A run, and from when to when a window of it reaches."""


class _Places(Dataset):
    """Where windows with a valid sample are; a list of places gives their batch."""

    def __init__(self, parts: Sequence[Part], cutting: Cutting, rows: Mapping[str, int] | None) -> None:
        self.parts, self.rows = parts, rows
        self.window_s, self.stride_s = int(cutting.window_s), int(cutting.stride_s)
        self.random_phase = cutting.random_phase

    def __getitem__(self, index: Sequence[_Place]) -> dict[str, Tensor]:
        batch = stack([cut_windows(aligned, self.window_s, self.window_s, span)[0] for aligned, span in index])
        if self.rows is not None:
            batch["subjects"] = torch.tensor([self.rows[aligned.label] for aligned, _ in index])
        return batch

    def groups(self, phases: random.Random) -> list[list[_Place]]:
        """Places that may share a batch: those with the same modalities."""
        found: dict[frozenset[str], list[_Place]] = {}
        for part in self.parts:
            for first, last in self._spans(part, phases):
                if part.mask[first:last].any():
                    group = found.setdefault(frozenset(part.aligned.features.arrays), [])
                    group.append((part.aligned, (first, last)))
        return list(found.values())

    def _spans(self, part: Part, phases: random.Random) -> Iterator[tuple[int, int]]:
        first, last = part.span
        early = phases.choice(window_phases(last - first, self.stride_s)) if self.random_phase else 0
        for begin, stop in window_spans(last - first, self.window_s, self.stride_s, early):
            yield first + begin, first + stop


class _Batches(Sampler[list[_Place]]):
    """Batches of places, each from one group; in an order and at phases that depend on seed and epoch alone."""

    def __init__(self, places: _Places, size: int, seed: int | None) -> None:
        self.places, self.size, self.seed, self.epoch = places, size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._batches())

    def __iter__(self) -> Iterator[list[_Place]]:
        return iter(self._batches())

    def _batches(self) -> list[list[_Place]]:
        order = random.Random(f"{self.seed} {self.epoch}")  # noqa: S311 an order, not a secret
        groups = self.places.groups(random.Random(f"{self.seed} {self.epoch} phase"))  # noqa: S311
        if self.seed is not None:
            for group in groups:
                order.shuffle(group)
        batches = [group[k : k + self.size] for group in groups for k in range(0, len(group), self.size)]
        if self.seed is not None:
            order.shuffle(batches)
        return batches
