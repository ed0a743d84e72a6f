"""What each modality alone contributes: scores with all modalities, less those without it."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

PRIMARIES = ("text", "audio", "video")
"""Modalities that are red, green and blue, in this order."""

_BRIGHTEST = 99.0
"""Percentile of unique contributions that is drawn at full brightness."""


def subsets_needed(modalities: Sequence[str]) -> list[frozenset[str]]:
    """Sets of modalities to predict from: all of them, and all but each; nothing is predicted from none."""
    everything = frozenset(modalities)
    return [everything, *(everything - {name} for name in modalities if len(everything) > 1)]


def unique_contribution(
    scores: Mapping[frozenset[str], Float[np.ndarray, " output"]], modalities: Sequence[str]
) -> dict[str, Float[np.ndarray, " output"]]:
    """Drop of the encoding score when a modality is taken away: ``r(all) - r(all but it)``.

    Parameters
    ----------
    scores : mapping of set of modalities to array of shape (n_outputs,)
        Held-out r of predictions from these modalities, on the same samples; those of `subsets_needed`.
    modalities : sequence of str

    Returns
    -------
    dict of modality to array of shape (n_outputs,)
        Negative where predictions are better without it; NaN where either score is undefined.

    Raises
    ------
    KeyError
        If the scores of a subset are missing.
    """
    everything = frozenset(modalities)
    return {name: scores[everything] - scores[everything - {name}] for name in modalities}


def modality_colours(unique: Mapping[str, Float[np.ndarray, " output"]]) -> Float[np.ndarray, "output 3"]:
    """Unique contributions as red (text), green (audio) and blue (video), on one scale; black is none.

    Parameters
    ----------
    unique : mapping of modality to array of shape (n_outputs,)
        Of one to three modalities; an absent one is dark.

    Returns
    -------
    array of shape (n_outputs, 3)
        From 0 to 1: negative contributions are 0, the 99th percentile of the positive ones over all modalities is 1.
        NaN where any is undefined.
    """
    n_outputs = len(next(iter(unique.values())))
    values = np.stack([unique.get(name, np.zeros(n_outputs)) for name in PRIMARIES], axis=1)
    positive = values[np.isfinite(values).all(1)]
    positive = positive[positive > 0]
    top = np.percentile(positive, _BRIGHTEST) if len(positive) else 1.0
    colours = np.clip(values / top, 0, 1)
    return np.where(np.isfinite(values).all(1, keepdims=True), colours, np.nan)
