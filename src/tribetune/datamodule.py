"""Loaders of a split's windows, for Lightning."""

import random
from collections.abc import Iterator, Mapping, Sequence

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from tribetune.splits import Part, Split, check_enough
from tribetune.timing import window_starts
from tribetune.windows import WINDOW_S, AlignedRun, cut_windows, stack


class WindowDataModule(lightning.LightningDataModule):
    """Loaders of a split's windows, cut when they are asked for.

    Parameters
    ----------
    split : Split
        Not changed.
    window_s, stride_s : float
        Whole seconds; validation and test windows do not overlap, whatever the stride.
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
        window_s: float = WINDOW_S,
        stride_s: float = WINDOW_S,
        batch_size: int = 8,
        seed: int = 33,
        rows: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        check_enough(split, window_s)
        self.split, self.batch_size, self.seed = split, batch_size, seed
        self.window_s, self.stride_s, self.rows = window_s, stride_s, rows

    def train_dataloader(self) -> DataLoader:
        """Training windows, in a new seeded order each epoch."""
        return self._loader(self.split.training, self.stride_s, self.seed)

    def val_dataloader(self) -> DataLoader:
        """Validation windows in order."""
        return self._loader(self.split.validation, self.window_s, None)

    def test_dataloader(self) -> DataLoader:
        """Test windows in order."""
        return self._loader(self.split.test, self.window_s, None)

    def _loader(self, parts: Sequence[Part], stride_s: float, seed: int | None) -> DataLoader:
        places = _Places(parts, self.window_s, stride_s, self.rows)
        batches = _Batches(places.groups(), self.batch_size, seed)
        # A generator of its own: asking for a loader must not move the random state that dropout draws from.
        return DataLoader(places, sampler=batches, batch_size=None, generator=torch.Generator())


class _Places(Dataset):
    """Where the windows with a valid sample are; a list of indices gives their batch."""

    def __init__(self, parts: Sequence[Part], window_s: float, stride_s: float, rows: Mapping[str, int] | None) -> None:
        self.window_s, self.rows = window_s, rows
        self.places: list[tuple[AlignedRun, tuple[float, float]]] = []
        for part in parts:
            first, last = part.span
            for start in window_starts(last - first, window_s, stride_s):
                span = (first + start, min(first + start + window_s, last))
                if part.mask[int(span[0]) : int(span[1])].any():
                    self.places.append((part.aligned, span))

    def __getitem__(self, index: Sequence[int]) -> dict[str, Tensor]:
        places = [self.places[place] for place in index]
        batch = stack([cut_windows(aligned, self.window_s, self.window_s, span)[0] for aligned, span in places])
        if self.rows is not None:
            batch["subjects"] = torch.tensor([self.rows[aligned.label] for aligned, _ in places])
        return batch

    def groups(self) -> list[list[int]]:
        """Indices of the windows that may share a batch: those with the same modalities."""
        found: dict[frozenset[str], list[int]] = {}
        for index, (aligned, _) in enumerate(self.places):
            found.setdefault(frozenset(aligned.features.arrays), []).append(index)
        return list(found.values())


class _Batches(Sampler[list[int]]):
    """Batches of indices, each from one group; shuffled by seed and epoch where there is a seed."""

    def __init__(self, groups: Sequence[Sequence[int]], size: int, seed: int | None) -> None:
        self.groups, self.size, self.seed, self.epoch = groups, size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return sum(-(-len(group) // self.size) for group in self.groups)

    def __iter__(self) -> Iterator[list[int]]:
        groups = [list(group) for group in self.groups]
        order = random.Random(f"{self.seed} {self.epoch}")  # noqa: S311 an order, not a secret
        if self.seed is not None:
            for group in groups:
                order.shuffle(group)
        batches = [group[k : k + self.size] for group in groups for k in range(0, len(group), self.size)]
        if self.seed is not None:
            order.shuffle(batches)
        return iter(batches)
