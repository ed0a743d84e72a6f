"""Which hidden states of an encoder become features: groups of states, averaged."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

Groups = tuple[tuple[int, ...], ...]
"""Per feature layer, the hidden states it averages; 0 is the state before the first layer."""

FRACTIONS = (0.5, 0.75, 1.0)
"""Depths between which states are averaged (TRIBE v2)."""

MINI_DEPTH = 2 / 3
"""Depth of the single state of the setting ``mini``."""


@dataclass(frozen=True)
class Setting:
    """One way to choose hidden states (spec e.2).

    Parameters
    ----------
    name : str
    fractions : tuple of float
        Boundaries of the groups as fractions of the depth; one value: the single state there; none: every state alone.
    subsample : int or None
        Text and video first keep this many evenly spaced states, where they have more.
    """

    name: str
    fractions: tuple[float, ...]
    subsample: int | None = None


SETTINGS = {
    "released": Setting("released", FRACTIONS, subsample=20),
    "defaults": Setting("defaults", FRACTIONS),
    "mini": Setting("mini", (MINI_DEPTH,)),
    "all": Setting("all", ()),
}
"""The settings of the reference's released checkpoint, its code's defaults and its small one; and every state."""


def layer_groups(setting: Setting, n_states: int, modality: str) -> Groups:
    """Choose the states that each feature layer averages.

    Parameters
    ----------
    setting : Setting
    n_states : int
        Hidden states of the encoder: its layers and the state before the first.
    modality : str
        Sound is never subsampled (spec e.2).

    Notes
    -----
    Source: spec e.2; the reference's ``group_mean``, with its truncation of fractions and rounding of the subsampling.
    """
    if not setting.fractions:
        return tuple((state,) for state in range(n_states))
    if len(setting.fractions) == 1:
        return ((int(setting.fractions[0] * (n_states - 1)),),)
    states = np.arange(n_states)
    if setting.subsample is not None and setting.subsample < n_states and modality != "audio":
        states = np.round(np.linspace(0, n_states - 1, setting.subsample)).astype(int)
    bounds = np.unique([int(fraction * (len(states) - 1)) for fraction in setting.fractions])
    bounds[-1] += 1
    return tuple(tuple(int(s) for s in states[a:b]) for a, b in pairwise(bounds))


def wanted_states(groups: Groups) -> Sequence[int]:
    """Every state that some group needs, in order."""
    return sorted({state for group in groups for state in group})
