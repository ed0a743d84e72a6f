"""Sound to features: a minute at a time, resampled, normalised, encoded, and picked at 2 Hz (spec e.5)."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import proxy

import numpy as np
from jaxtyping import Float, Int

from tribetune.features.chunks import chunk_spans
from tribetune.features.encoders import Encoder
from tribetune.features.layers import wanted_states
from tribetune.features.precision import half_precision
from tribetune.stimulus.media import probe, sound
from tribetune.timing import to_step

if TYPE_CHECKING:
    import torch
    from torch import nn

ENCODER_HZ = 16000
"""Sampling rate of the encoder's input."""

_SHORTEST_SAMPLES = 1600
"""Shorter sound is filled with silence: the encoder needs some frames to look at."""

_BATCH_CHUNKS = 4
"""Chunks that an accelerator encodes at once."""


def encode_sound(
    path: Path, encoder: Encoder, device: "torch.device", start: int = 0, at_once: int | None = None
) -> Iterator[Float[np.ndarray, "time layer dim"]]:
    """Encode a file's sound.

    Parameters
    ----------
    path : Path
    encoder : Encoder
        A Wav2Vec2-BERT.
    device : torch.device
        Half precision (autocast) on accelerators, float32 on a CPU.
    start : int
        Steps that are known already: all steps of the first blocks of an earlier pass. The rest equals the rest of an
        unbroken pass bit by bit.
    at_once : int or None
        Chunks of one length that are encoded together; None: 4 on accelerators, 1 on a CPU, which has no gain by more.

    Yields
    ------
    array of shape (n_steps, n_layers, dim)
        float32 at 2 Hz, a chunk each; in total one step per half second of the file.

    Raises
    ------
    StimulusError
        If the sound cannot be decoded to its end.

    Notes
    -----
    Source: spec e.5. The pick at 2 Hz is the reference's: the nearest 20-ms frame, not a mean.
    """
    media = probe(path)
    spans = chunk_spans(media.duration_s, *encoder.options.chunk_s)
    at_once = at_once or (1 if device.type == "cpu" else _BATCH_CHUNKS)
    passes, done = skip_passes(plan_passes(spans, at_once), start)
    if not passes:
        return
    bands, picked = _bands(encoder.folder, media.sample_hz), _Picked(encoder, device)
    pieces = sound(path, [span for together in passes for span in together])
    for together in passes:
        chunks = list(islice(pieces, len(together)))
        if not chunks:  # a sound file that is a little shorter than it says
            return
        n_steps = _count_steps(chunks[0].shape[1] / media.sample_hz)
        for block in picked(bands(chunks), n_steps):
            if done >= start:  # a pass that was cut short is made again as it was
                yield block
            done += n_steps


Span = tuple[float, float]
"""Onset and duration, in seconds."""


def plan_passes(spans: Sequence[Span], at_once: int) -> list[list[Span]]:
    """Group chunks of one length; the last one, whose length may differ, stays alone."""
    equal = spans[:-1]
    return [*(list(equal[k : k + at_once]) for k in range(0, len(equal), at_once)), list(spans[-1:])]


def skip_passes(passes: Sequence[Sequence[Span]], n_known: int) -> tuple[list[Sequence[Span]], int]:
    """Passes that give more than the first ``n_known`` steps, and the steps of those before them."""
    done = 0
    for place, together in enumerate(passes):
        steps = sum(_count_steps(length_s) for _, length_s in together)
        if done + steps > n_known:
            return list(passes[place:]), done
        done += steps
    return [], done


def _count_steps(duration_s: float) -> int:
    return max(1, to_step(duration_s))


def prepare_sound(samples: Float[np.ndarray, "channel time"], hz: int) -> Float[np.ndarray, " sample"]:
    """Resample sound to 16 kHz, mix it to mono and give it zero mean and unit variance (ddof 1).

    Parameters
    ----------
    samples : array of shape (n_channels, n_samples)
    hz : int
        Their rate.
    """
    import julius
    import torch

    if samples.shape[1] * ENCODER_HZ < _SHORTEST_SAMPLES * hz:
        samples = np.pad(samples, ((0, 0), (0, -(-_SHORTEST_SAMPLES * hz // ENCODER_HZ) - samples.shape[1])))
    mono = julius.resample_frac(torch.from_numpy(samples), hz, ENCODER_HZ).mean(0)
    return ((mono - mono.mean()) / (1e-8 + mono.std())).numpy()


def _bands(folder: Path, hz: int) -> "Callable[[Sequence[np.ndarray]], Float[torch.Tensor, 'chunk frame band']]":
    """What makes spectrograms of chunks of one length, as the encoder's own feature extractor has them."""
    import torch
    from transformers import SeamlessM4TFeatureExtractor

    extractor = SeamlessM4TFeatureExtractor.from_pretrained(folder)

    def bands(chunks: Sequence[np.ndarray]) -> "torch.Tensor":
        prepared = (prepare_sound(samples, hz) for samples in chunks)
        made = [extractor(mono, sampling_rate=ENCODER_HZ, return_tensors="pt") for mono in prepared]
        return torch.cat([one["input_features"] for one in made])

    return bands


def nearest_frames(n_frames: int, n_steps: int) -> "Int[torch.Tensor, ' step']":
    """Frame that stands for each step: the one that torch's nearest-neighbour interpolation picks (parity note 9)."""
    import torch
    from torch.nn import functional

    numbers = torch.arange(n_frames, dtype=torch.float32)[None, None]  # exact up to 2^24 frames, 93 hours
    return functional.interpolate(numbers, n_steps)[0, 0].long()


class _Picked:
    """A Wav2Vec2-BERT whose hooks keep only the picked frames of each state, so that no state is kept whole."""

    def __init__(self, encoder: Encoder, device: "torch.device") -> None:
        model = encoder.load(device)
        self.model, self.groups, self.device = model, encoder.groups, device
        self.frames: Any = slice(None)
        self.states: dict[int, torch.Tensor] = {}
        parts = ["dropout", *(f"layers.{place}" for place in range(model.config.num_hidden_layers))]
        for state in wanted_states(self.groups):
            model.get_submodule(f"encoder.{parts[state]}").register_forward_hook(self._hook(state))
        if device.type != "cpu":  # the residual stream stays in float32; only the branches run in half precision
            first = model.get_submodule("encoder.dropout")
            first.register_forward_hook(lambda _module, _inputs, output: output.float())

    def __call__(
        self, bands: "Float[torch.Tensor, 'chunk frame band']", n_steps: int
    ) -> Float[np.ndarray, "chunk step layer dim"]:
        import torch

        self.frames = nearest_frames(bands.shape[1], n_steps).to(self.device)
        with torch.inference_mode(), half_precision(self.device):
            self.model(bands.to(self.device, self.model.dtype))
            groups = [torch.stack([self.states[state] for state in group]).mean(0) for group in self.groups]
            self.states.clear()
            return torch.stack(groups, dim=2).float().cpu().numpy()

    def _hook(self, state: int) -> "Callable[[nn.Module, Any, Any], None]":
        kept = proxy(self)  # model and self would hold each other, and keep the memory

        def keep(_module: "nn.Module", _inputs: Any, output: Any) -> None:
            hidden = output[0] if isinstance(output, tuple) else output
            kept.states[state] = hidden[:, kept.frames].float()

        return keep
