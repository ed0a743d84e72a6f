"""Stretches of a stimulus that are encoded apart."""

import numpy as np


def chunk_spans(duration_s: float, longest_s: float, shortest_s: float) -> list[tuple[float, float]]:
    """Cut a duration into (onset, duration) spans: with 60 and 30 s, 89 s stays whole and 90 s becomes 60 + 30."""
    cuts = [float(cut) for cut in np.arange(0.0, duration_s, longest_s) if cut == 0 or duration_s - cut >= shortest_s]
    ends = [*cuts[1:], duration_s]
    return [(start, end - start) for start, end in zip(cuts, ends, strict=True)]
