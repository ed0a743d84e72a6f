"""Sound to features: a minute at a time, resampled, normalised, encoded, and picked at 2 Hz (spec e.5)."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from tribetune.features.encoders import Encoder
from tribetune.features.layers import Groups, wanted_states
from tribetune.stimulus.media import probe, sound
from tribetune.timing import to_step

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

ENCODER_HZ = 16000
"""Sampling rate of the encoder's input."""

_SHORTEST_SAMPLES = 1600
"""Shorter sound is filled with silence: the encoder needs some frames to look at."""


def chunk_spans(duration_s: float, longest_s: float, shortest_s: float) -> list[tuple[float, float]]:
    """Cut a duration into (onset, duration) spans: with 60 and 30 s, 89 s stays whole and 90 s becomes 60 + 30."""
    cuts = [float(cut) for cut in np.arange(0.0, duration_s, longest_s) if cut == 0 or duration_s - cut >= shortest_s]
    ends = [*cuts[1:], duration_s]
    return [(start, end - start) for start, end in zip(cuts, ends, strict=True)]


def encode_sound(path: Path, encoder: Encoder, device: "torch.device") -> Iterator[Float[np.ndarray, "time layer dim"]]:
    """Encode a file's sound.

    Parameters
    ----------
    path : Path
    encoder : Encoder
        A Wav2Vec2-BERT.
    device : torch.device

    Yields
    ------
    array of shape (n_steps, n_layers, dim)
        float32 at 2 Hz; in total one step per half second of the file.

    Notes
    -----
    Source: spec e.5. The pick at 2 Hz is the reference's: the nearest 20-ms frame, not a mean.
    """
    from transformers import SeamlessM4TFeatureExtractor

    spectrogram = SeamlessM4TFeatureExtractor.from_pretrained(encoder.folder)
    model = encoder.load(device)
    media = probe(path)
    for samples in sound(path, chunk_spans(media.duration_s, *encoder.options.chunk_s)):
        n_steps = max(1, to_step(samples.shape[1] / media.sample_hz))
        prepared = prepare_sound(samples, media.sample_hz)
        bands = spectrogram(prepared, sampling_rate=ENCODER_HZ, return_tensors="pt")["input_features"]
        yield _encode(model, bands.to(device), encoder.groups, n_steps)


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


def _encode(
    model: "PreTrainedModel", bands: "torch.Tensor", groups: Groups, n_steps: int
) -> Float[np.ndarray, "time layer dim"]:
    import torch
    from torch.nn import functional

    with torch.inference_mode():
        states = model(bands, output_hidden_states=True).hidden_states
        picked = {s: functional.interpolate(states[s].mT, n_steps)[0] for s in wanted_states(groups)}
        means = [torch.stack([picked[state] for state in group]).mean(0) for group in groups]
        return torch.stack(means).permute(2, 0, 1).float().cpu().numpy()
