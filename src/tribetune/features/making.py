"""The making of one array of the store: encoded part by part, joined, told where it came from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from tribetune.arrays import hash_plain
from tribetune.errors import StimulusError
from tribetune.features.encoders import Encoder, pick_device
from tribetune.features.parts import Parts
from tribetune.features.precision import half_precision
from tribetune.features.sources import Source
from tribetune.features.store import UNREADABLE, Entry, is_kept, open_entry, write_entry
from tribetune.stimulus.media import probe
from tribetune.timing import to_step

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Making:
    """One array that the store lacks.

    Parameters
    ----------
    store : Path
    entry : Entry
    source : Source
    encoder : Encoder
    device : str
        As `pick_device` takes it.
    """

    store: Path
    entry: Entry
    source: Source
    encoder: Encoder
    device: str

    def run(self, on_progress: Callable[[float], None]) -> Float[np.ndarray, "row layer dim"]:
        """Encode what is not encoded yet, and keep it.

        Every block is on disk before the next one is made. Several writers may do this at once: the first who is done
        removes the parts of all, and the others take his result.

        Returns
        -------
        array of shape (n_rows, n_layers, dim)
            Read from the store.

        Raises
        ------
        StimulusError
            If the source gives nothing to encode.
        FeatureError
            If the encoder gives values that are not finite.
        """
        try:
            return open_entry(self.store, self.entry, verify=True)  # another writer was done a moment ago
        except FileNotFoundError:
            pass
        except UNREADABLE:
            self.entry.sidecar(self.store).unlink(missing_ok=True)
        parts = Parts(self.entry.parts(self.store), hash_plain(self.maker)[:12])
        try:
            n_rows = self._encode(parts, on_progress)
            if n_rows is not None:
                values = parts.joined(n_rows, exact=self.encoder.options.reference)
                write_entry(self.store, self.entry, values, {**self.maker, **self.about})
        except FileNotFoundError:
            if not is_kept(self.store, self.entry):
                raise
        parts.sweep()
        return open_entry(self.store, self.entry)

    @cached_property
    def about(self) -> dict[str, Any]:
        """Where the features come from, in plain values; no path, because paths name people."""
        told = {
            "encoder": self.encoder.name,
            "setting": self.encoder.options.setting,
            "reference": self.encoder.options.reference,
        }
        if self.source.path is None:
            return {**told, "words": len(self.source.words)}
        return {**told, "file": self.source.path.name, "duration_s": probe(self.source.path).duration_s}

    @cached_property
    def maker(self) -> dict[str, Any]:
        """What computes: rows are only joined where all of this is the same."""
        names = ("tribetune", "torch", "transformers", "numpy")
        device = self._device
        return {
            "device": device.type,
            "precision": _precision(device, self.encoder),
            "versions": {name: version(name) for name in names},
        }

    def _encode(self, parts: Parts, on_progress: Callable[[float], None]) -> int | None:
        """How many rows all of it has, which are in the parts now; None if another writer finished meanwhile."""
        about = self.about
        expected = about["words"] if "words" in about else max(1, to_step(about["duration_s"]))
        parts.begin({**about, "modality": self.entry.modality, "content": self.entry.content, "rows": expected})
        done = parts.rows
        for block in self._blocks(done):
            parts.save(done, block)
            done += len(block)
            on_progress(min(1.0, done / expected))
            if is_kept(self.store, self.entry):
                return None
        if not done:
            name = self.source.path or "the words"
            raise StimulusError(f"{name}: has nothing to encode as {self.entry.modality}", hint="leave this file out")
        return done

    def _blocks(self, start: int) -> Iterator[np.ndarray]:
        from tribetune.features import audio, text, video

        if self.source.path is None:
            return text.encode_words(self.source.words, self.encoder, self._device, start)
        encode = audio.encode_sound if self.encoder.modality == "audio" else video.encode_video
        return encode(self.source.path, self.encoder, self._device, start)

    @cached_property
    def _device(self) -> "torch.device":
        return pick_device(self.device)


def _precision(device: "torch.device", encoder: Encoder) -> str:
    """Type of number that matrix products are made in."""
    import torch

    with half_precision(device):
        if torch.is_autocast_enabled(device.type):
            return str(torch.get_autocast_dtype(device.type)).removeprefix("torch.")
    return "float32" if encoder.options.weights == "float32" else "as stored"
