"""Features out of a store: arrays on the 2 Hz grid for other programs, from the folder alone."""

import logging
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from tribetune.errors import FeatureError
from tribetune.features.catalogue import Kept, kept_in
from tribetune.features.encoders import IMPORTED, MODALITIES, Options, encoders
from tribetune.features.grid import Features
from tribetune.features.imported import words_content
from tribetune.features.sources import EVENT_KINDS, Source, as_heard, place, sources_of
from tribetune.features.stimuli import Stimulus
from tribetune.features.store import UNREADABLE, open_entry
from tribetune.files import whole
from tribetune.timing import FEATURE_HZ

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """Which of several features of a stimulus are meant, and which stretch of them.

    Parameters
    ----------
    encoders : str or None
        As `features.encoders.encoders` takes it; None: those that are there.
    setting : str or None
    start_s : float
        Where the stretch begins on the stimulus clock; cut with the reference's rounding.
    duration_s : float or None
        None: up to the end.
    kinds : tuple of str
        Beginnings of `Kept.variant`, which decide where all else leaves several.
    """

    encoders: str | None = None
    setting: str | None = None
    start_s: float = 0.0
    duration_s: float | None = None
    kinds: tuple[str, ...] = ()

    def takes(self, kept: Kept) -> bool:
        """Whether an array is one of those."""
        if self.setting is not None and kept.told.get("setting") != self.setting:
            return False
        if self.encoders is None or self.encoders == IMPORTED:
            return self.encoders is None or kept.encoder == IMPORTED
        return encoders(self.encoders)[kept.modality].name == kept.encoder


@dataclass(frozen=True)
class _Variant:
    """Arrays that one encoder made in one way: all sources of one modality of a stimulus."""

    sources: Sequence[Source]
    arrays: Mapping[str, Kept]
    duration_s: float

    @property
    def label(self) -> str:
        first = next(iter(self.arrays.values()))
        return f"{first.encoder} ({first.setting}) {self.kind[:8]}"

    @property
    def kind(self) -> str:
        return next(iter(self.arrays.values())).variant


def features_of(
    store: Path, stimulus: Stimulus, choice: Choice | None = None, kept: Sequence[Kept] | None = None
) -> Features:
    """Place what a store has of one stimulus on a grid; a modality that it lacks is absent.

    Parameters
    ----------
    store : Path
        Folder.
    stimulus : Stimulus
    choice : Choice or None
    kept : sequence of Kept or None
        What `kept_in` gave, where that is known already.

    Returns
    -------
    Features

    Raises
    ------
    FeatureError
        If ``choice`` leaves several features of one modality, the stretch is empty, or a file is damaged.
    """
    choice = choice or Choice()
    arrays = [
        one for one in (kept_in(store) if kept is None else kept) if one.state == "complete" and choice.takes(one)
    ]
    chosen: dict[str, _Variant] = {}
    for modality in MODALITIES:
        variants = list(_variants(stimulus, [one for one in arrays if one.modality == modality]))
        variants = [one for one in variants if one.kind.startswith(choice.kinds)] or variants
        if len(variants) > 1:
            raise FeatureError(
                f"{store} has {len(variants)} kinds of {modality} of {stimulus.name}: "
                + "; ".join(variant.label for variant in variants),
                hint="choose by --encoders and --setting, or by --kind SIGN, which stands behind each",
            )
        if variants:
            chosen[modality] = variants[0]
        elif stimulus.timeline.of_kind(EVENT_KINDS[modality]):
            log.warning("%s: its %s is not in %s, or not all of it", stimulus.name, modality, store)
    all_s = max([stimulus.timeline.duration_s, *(variant.duration_s for variant in chosen.values())])
    length_s = min(choice.duration_s or all_s, all_s - choice.start_s)
    if not chosen or length_s <= 0:
        raise FeatureError(
            f"{stimulus.name}: nothing to export from {choice.start_s:g} s on; it lasts {all_s:g} s and the store has "
            f"its {', '.join(chosen) or 'features not, or not as chosen'}",
            hint=f"tribetune features ls {store}",
        )
    placed = {modality: _placed(store, one, choice.start_s, length_s) for modality, one in chosen.items()}
    return Features(placed, length_s)


def write_npz(path: Path, features: Iterator[tuple[str, Features]], *, prefixed: bool) -> dict[str, tuple[int, ...]]:
    """Write arrays ``text``, ``audio``, ``video`` of (layer, dim, time) in float32, and ``duration_s``.

    Parameters
    ----------
    path : Path
        Ends in ``.npz``; the same features give the same bytes.
    features : iterator of (stimulus name, Features)
        Looked at one after the other, so that only one stimulus is held.
    prefixed : bool
        Whether keys are ``<stimulus>/text`` and so on.

    Returns
    -------
    dict of key to shape
    """
    shapes: dict[str, tuple[int, ...]] = {}
    with whole(path) as part, zipfile.ZipFile(part, "w") as archive:
        for name, found in features:
            for key, array in {**found.arrays, "duration_s": np.float64(found.duration_s)}.items():
                full = f"{name}/{key}" if prefixed else key
                values = np.asarray(array) if key == "duration_s" else np.asarray(array, np.float32)
                with archive.open(zipfile.ZipInfo(f"{full}.npy"), "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, values, allow_pickle=False)
                shapes[full] = values.shape
    return shapes


def _placed(store: Path, variant: _Variant, start_s: float, length_s: float) -> Float[np.ndarray, "layer dim time"]:
    try:
        values = {content: open_entry(store, one.entry) for content, one in variant.arrays.items()}
    except UNREADABLE as error:
        raise FeatureError(
            f"{variant.label}: a file is damaged ({error})", hint=f"tribetune features verify {store}"
        ) from error
    return np.asarray(place(variant.sources, values, length_s, start_s))


def _variants(stimulus: Stimulus, arrays: Sequence[Kept]) -> Iterator[_Variant]:
    """The kinds of features that have all sources of the stimulus; all arrays are of one modality."""
    for variant in dict.fromkeys(one.variant for one in arrays):
        own = {one.content: one for one in arrays if one.variant == variant}
        sources, duration_s = _sources(stimulus, next(iter(own.values())), own)
        if sources and all(source.content in own for source in sources):
            yield _Variant(sources, {source.content: own[source.content] for source in sources}, duration_s)


def _sources(stimulus: Stimulus, one: Kept, own: Mapping[str, Kept]) -> tuple[list[Source], float]:
    """What an array like this one would have been made from, and how long that is."""
    identity = one.told["identity"]
    if identity.get("imported") and one.modality == "text":
        return list(_imported_text(stimulus, own)), stimulus.timeline.duration_s
    options = Options(reference=bool(identity.get("reference")))
    heard = as_heard(stimulus.timeline, options)
    return sources_of(heard, one.modality, options, stimulus.content), heard.duration_s


def _imported_text(stimulus: Stimulus, own: Mapping[str, Kept]) -> Iterator[Source]:
    """Imported text is a series beside the film or sound that it came with, or beside the words alone."""
    shown = {(stimulus.contents[event], event.onset_s) for event in stimulus.contents}
    for content, onset_s in shown or {(words_content(stimulus.timeline), stimulus.timeline.start_s)}:
        if content in own:
            n_steps = own[content].told["shape"][0]
            yield Source(content, ((onset_s - stimulus.timeline.start_s, n_steps / FEATURE_HZ),))
