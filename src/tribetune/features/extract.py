"""From a timeline to its features, extracted once and kept."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from tribetune.errors import FeatureError
from tribetune.features.encoders import IMPORTED, MODALITIES, Encoder, Encoders
from tribetune.features.grid import Features
from tribetune.features.imported import imported_arrays
from tribetune.features.making import Making
from tribetune.features.parts import sweep_leftovers
from tribetune.features.sources import EVENT_KINDS, Source, as_heard, place, sources_of
from tribetune.features.store import Entry, read_entry
from tribetune.stimulus.timeline import Timeline

__all__ = ["EVENT_KINDS", "Extracted", "Features", "entries", "extract", "make"]

OnProgress = Callable[[str, float], None]
"""Called with a modality and the fraction of its work that is done."""


@dataclass(frozen=True)
class Extracted:
    """The features of one source, as they lie in the store.

    Parameters
    ----------
    source : Source
    entry : Entry
    values : array of shape (n_rows, n_layers, dim)
        A row per step of 0.5 s, or per word.
    was_there : bool
        Whether the store had them before.
    """

    source: Source
    entry: Entry
    values: Float[np.ndarray, "row layer dim"]
    was_there: bool


def extract(
    timeline: Timeline,
    encoders: Encoders,
    modalities: Sequence[str],
    store: Path,
    device: str = "auto",
    on_progress: OnProgress | None = None,
) -> Features:
    """Make a timeline's features, or read those made before.

    Parameters
    ----------
    timeline : Timeline
    encoders : Encoders
    modalities : sequence of str
        Which of ``text``, ``audio``, ``video`` are wanted; those without an event in the timeline are left out.
    store : Path
        Folder where features are kept, one file per content, encoder and setting.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    on_progress : callable or None

    Returns
    -------
    Features
        The same values whether they were read or made.

    Raises
    ------
    FeatureError
        If a modality is not known, or an encoder is not there.
    StimulusError
        If a stimulus file cannot be decoded.
    """
    check_modalities(modalities)
    if encoders.name == IMPORTED:
        return Features(imported_arrays(timeline, modalities, store), timeline.duration_s)
    arrays, duration_s = {}, timeline.duration_s
    for modality in modalities:
        if not timeline.of_kind(EVENT_KINDS[modality]):
            continue
        encoder = encoders[modality]
        made = list(make(timeline, encoder, store, device, on_progress))
        heard = as_heard(timeline, encoder.options)
        duration_s = heard.duration_s
        if made:
            values = {one.source.content: one.values for one in made}
            arrays[modality] = place([one.source for one in made], values, duration_s)
    return Features(arrays, duration_s)


def make(
    timeline: Timeline,
    encoder: Encoder,
    store: Path,
    device: str = "auto",
    on_progress: OnProgress | None = None,
    *,
    verify: bool = False,
) -> Iterator[Extracted]:
    """Fill the store with one modality of a timeline, going on where an earlier extraction was ended.

    Parameters
    ----------
    timeline : Timeline
    encoder : Encoder
        Of that modality.
    store : Path
    device : str
    on_progress : callable or None
    verify : bool
        Whether features that are there are compared with their SHA-256, and made again where they have changed.

    Yields
    ------
    Extracted
        Per source of the timeline, in order.
    """
    tell = on_progress or _silent
    heard = as_heard(timeline, encoder.options)
    for source in sources_of(heard, encoder.modality, encoder.options):
        entry = Entry(encoder.modality, source.content, encoder.identity)
        values = read_entry(store, entry, verify=verify)
        was_there = values is not None
        if was_there:
            sweep_leftovers(entry.parts(store))
        else:
            values = Making(store, entry, source, encoder, device).run(lambda share: tell(encoder.modality, share))
        tell(encoder.modality, 1.0)
        yield Extracted(source, entry, values, was_there)


def entries(timeline: Timeline, encoder: Encoder) -> list[Entry]:
    """What `extract` keeps in the store for one modality of a timeline."""
    sources = sources_of(as_heard(timeline, encoder.options), encoder.modality, encoder.options)
    contents = dict.fromkeys(source.content for source in sources)
    return [Entry(encoder.modality, content, encoder.identity) for content in contents]


def check_modalities(modalities: Sequence[str]) -> None:
    """Refuse a modality that is not known."""
    unknown = [modality for modality in modalities if modality not in MODALITIES]
    if unknown:
        raise FeatureError(
            f"modality {unknown[0]!r} is not known, expected some of {', '.join(MODALITIES)}", hint="change modalities"
        )


def _silent(modality: str, fraction: float) -> None:
    """Tell nobody."""
