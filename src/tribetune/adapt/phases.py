"""Windows that begin elsewhere in every epoch: calibration windows joined to runs again, and phases for them."""

from collections.abc import Iterator, Sequence

import numpy as np

from tribetune.adapt.latents import Latents
from tribetune.features.grid import Features
from tribetune.timing import OUTPUT_HZ, window_phases, window_spans
from tribetune.windows import AlignedRun, Window


def joined_runs(windows: Sequence[Window], latents: Sequence[Latents]) -> list[AlignedRun]:
    """Windows of a run that follow each other without a gap, joined; their BOLD is that of the latents.

    Parameters
    ----------
    windows : sequence of Window
        Each with a valid sample.
    latents : sequence of Latents
        Of these windows.
    """
    pairs = sorted(zip(windows, latents, strict=True), key=lambda pair: (pair[0].run, pair[0].start_s))
    groups: list[list[tuple[Window, Latents]]] = []
    for pair in pairs:
        if groups and _follows(groups[-1][-1][0], pair[0]):
            groups[-1].append(pair)
        else:
            groups.append([pair])
    return [_joined(group) for group in groups]


def epoch_phases(n_samples: int, window_s: int, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Spans of one epoch's windows over a run, from a phase drawn at random: every sample is in one of them."""
    phases = window_phases(n_samples, window_s)
    return window_spans(n_samples, window_s, window_s, int(rng.choice(phases)))


def _follows(before: Window, after: Window) -> bool:
    same = before.run == after.run and before.features.keys() == after.features.keys()
    return same and after.start_s == before.start_s + len(before.mask) / OUTPUT_HZ


def _joined(group: Sequence[tuple[Window, Latents]]) -> AlignedRun:
    first = group[0][0]
    features = {
        name: np.concatenate([window.features[name] for window, _ in group], axis=-1) for name in first.features
    }
    mask = np.concatenate([window.mask for window, _ in group])
    bold = np.zeros((len(mask), group[0][1].bold.shape[1]), np.float32)
    bold[mask] = np.concatenate([part.bold.cpu().numpy() for _, part in group])
    return AlignedRun(first.run, first.run, Features(features, len(mask) / OUTPUT_HZ), bold, mask, 0.0)
