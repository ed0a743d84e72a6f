"""A frozen checkpoint as every method sees it: its model, and what its trunk gives, computed once per window."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from tribetune.adapt.float32 import fast_float32
from tribetune.adapt.latents import Latents, any_defined, valid_latents, window_latents
from tribetune.adapt.precision import Precision, halve_frozen, has_fast_bf16, keeps_r
from tribetune.adapt.rows import in_space, share
from tribetune.adapt.side_by_side import side_by_side
from tribetune.arrays import check_arrays, write_arrays
from tribetune.errors import BoldError
from tribetune.model.tribe import Tribe
from tribetune.spaces import Space
from tribetune.windows import Window, first_seconds

Kept = TypeVar("Kept")

_FORMAT = 2
"""Goes up when the trunk gives other numbers than before."""

_DECIDED_ON_S = 20
"""Seconds of the first window that the precision is decided on."""

MOST_BYTES = 2**30
"""Of what is kept in memory: 35 hours of the trunk's output at full size, or the axes of 20 subjects' hours."""


@dataclass(frozen=True)
class Base:
    """A frozen checkpoint, and the output of its trunk for every window that was asked for.

    Subjects who saw the same stimulus share the output: it is kept by the content of the window's features. What was
    not asked for the longest leaves the memory when it is full, so that a cohort of any size fits. What is kept on disk
    is mapped on a CPU, and takes none of it.

    Attributes
    ----------
    tribe : Tribe
        Never changed by a method; in evaluation mode.
    name : str
        Hash of the checkpoint: what is kept on disk is kept under it. Without one nothing is written.
    cache : Path, optional
        Folder where the trunk's output is kept; only memory when left out.
    precision : str
        ``float32``; ``bfloat16``; or ``auto``: bfloat16 where the device is fast at it and it changes r by < 0.001.
    space : Space, optional
        Of the unseen row's outputs, where it was brought there by `in_space`.
    """

    tribe: Tribe
    name: str = ""
    cache: Path | None = None
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    space: Space | None = None
    _memory: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    _mapped: set[str] = field(default_factory=set, repr=False, compare=False)

    def in_space(self, space: Space) -> "Base":
        """The same checkpoint for outputs of another space, see `tribetune.adapt.rows.in_space`; memory is shared."""
        tribe = in_space(self.tribe, space)
        return self if tribe is self.tribe else replace(self, tribe=tribe, space=space)

    def emptied(self) -> "Base":
        """The same checkpoint and what it has decided, such as its precision, without any tensor in memory."""
        decided = {key: value for key, value in self._memory.items() if not _n_bytes(value)}
        return replace(self, _memory=decided)

    @property
    def device(self) -> torch.device:
        """Where the model is, and so where methods compute."""
        return next(self.tribe.parameters()).device

    def latents(self, windows: Sequence[Window]) -> list[Latents]:
        """The trunk's output and BOLD of every window with a valid sample.

        Raises
        ------
        BoldError
            If no window has one, or no output is defined in all of them.
        """
        windows = [window for window in windows if window.mask.any()]
        if not windows:
            raise BoldError(
                "no valid sample is left in the calibration data", hint="check the split, the lag and the masks"
            )
        pairs = list(zip(windows, self.trunk_outputs(windows), strict=True))
        found = side_by_side(lambda pair: valid_latents(*pair), pairs, self.device)
        if not any_defined(found):
            raise BoldError(
                f"none of {found[0].bold.shape[1]:,} outputs is defined in all of the calibration data",
                hint="look at them with tribetune bold ls --quality: an output that does not vary is undefined",
            )
        return found

    def trunk_outputs(
        self, windows: Sequence[Window], precision: Precision | None = None
    ) -> list[Float[Tensor, "_ readout"]]:
        """The trunk's pooled output for every sample of windows, from memory or disk where it was computed before."""
        precision = precision or self.chosen_precision(windows[0])
        model = self._model(precision)
        keys = side_by_side(lambda window: window_key(window, self.name, precision), windows, self.device)
        known = {key: self._memory[key] for key in keys if key in self._memory}
        new = {key: window for key, window in zip(keys, windows, strict=True) if key not in known}
        made = side_by_side(lambda pair: self._from_disk(*pair, model, precision), list(new.items()), self.device)
        known |= zip(new, made, strict=True)
        return [self.kept(key, lambda key=key: known[key]) for key in keys]

    def trunk_output(self, window: Window, precision: Precision | None = None) -> Float[Tensor, "time readout"]:
        """As `trunk_outputs`, of one window."""
        return self.trunk_outputs([window], precision)[0]

    def kept(self, key: str, make: Callable[[], Kept]) -> Kept:
        """A value that was made before under this key, or made now: what subjects of one stimulus share."""
        if key in self._memory:
            value = self._memory.pop(key)
        else:
            with fast_float32(self.device):  # the same bits, whoever asks first
                value = make()
        self._memory[key] = value  # the latest is last
        self._make_room()
        return value

    def _make_room(self) -> None:
        """Let go of the oldest tensors, but for the latest."""
        sizes = {key: 0 if key in self._mapped else _n_bytes(value) for key, value in self._memory.items()}
        total, *older = sum(sizes.values()), *list(sizes)[:-1]
        for key in older:
            if total <= MOST_BYTES:
                return
            if sizes[key]:  # a decision is as good as nothing, and stays; so does what is mapped
                total -= sizes[key]
                del self._memory[key]

    def chosen_precision(self, window: Window) -> Precision:
        """Precision of the trunk on this device; where it is ``auto``, decided once, on the first window seen."""
        if self.precision != "auto":
            return self.precision
        return self.kept("precision", lambda: self._decide(window))

    def _decide(self, window: Window) -> Precision:
        if not has_fast_bf16(self.device):
            return "float32"
        window = first_seconds(window, _DECIDED_ON_S)
        exact = window_latents(self.tribe, window)
        fast = window_latents(self._model("bfloat16"), window, "bfloat16")
        return "bfloat16" if keeps_r(self.tribe, exact, fast) else "float32"

    def _from_disk(self, key: str, window: Window, model: Tribe, precision: Precision) -> Float[Tensor, "time readout"]:
        if self.cache is None or not self.name:
            return window_latents(model, window, precision)
        path = self.cache / f"trunk-{key[:32]}.safetensors"
        values = _read(path)
        if values is None:
            made = window_latents(model, window, precision)
            if _read(path) is None:  # another job may have been quicker: a file that someone has mapped is left alone
                about = {"checkpoint": self.name, "precision": precision, "device": self.device.type}
                write_arrays(path, {"values": made.cpu().numpy()}, about)
            values = _map(path)  # what whoever comes later gets, to its place in memory, which decides the last bits
        if self.device.type == "cpu":
            self._mapped.add(key)
        return values.to(self.device)

    def _model(self, precision: Precision) -> Tribe:
        return self.kept("halved trunk", self._halved) if precision == "bfloat16" else self.tribe

    def _halved(self) -> Tribe:
        """The model with its trunk's matrices rounded once, not at every window."""
        model = share(self.tribe)
        halve_frozen(model)
        return model


def _n_bytes(value: Any) -> int:
    """Memory of a tensor, or of the tensors of a dataclass."""
    parts = vars(value).values() if is_dataclass(value) else [value]
    return sum(part.nbytes for part in parts if isinstance(part, Tensor))


def window_key(window: Window, checkpoint: str, precision: Precision) -> str:
    """Hash of all that decides the trunk's output for a window: checkpoint, precision, and the features' content."""
    told = hashlib.sha256(f"{_FORMAT} {checkpoint} {precision} {len(window.mask)}".encode())
    for name in sorted(window.features):
        values = np.ascontiguousarray(window.features[name])
        told.update(f"{name} {values.dtype} {values.shape}".encode())
        told.update(values.view(np.uint8).data)
    return told.hexdigest()


def _read(path: Path) -> Float[Tensor, "time readout"] | None:
    """A kept output, or None where there is none or it is not what its sidecar tells of."""
    if not path.is_file():
        return None
    try:
        check_arrays(path, verify=True)
        return _map(path)
    except (ValueError, KeyError, OSError, SafetensorError):
        return None  # it is computed again, and written over


def _map(path: Path) -> Float[Tensor, "time readout"]:
    """The file's own pages, copied on write: nothing that is done to the tensor reaches the file, or another reader."""
    return load_file(path)["values"]
