"""`tribetune features`: stimuli in, features in a store; what a store has, whether it is sound, and out of it again."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tribetune.errors import FeatureError
from tribetune.features.catalogue import Kept, faults_in, kept_in
from tribetune.features.encoders import MODALITIES, Encoders, Options, encoders
from tribetune.features.export import Choice, features_of, write_npz
from tribetune.features.extract import EVENT_KINDS, check_modalities, make
from tribetune.features.grid import Features
from tribetune.features.sources import as_heard
from tribetune.features.stimuli import FOLDER, Stimulus, find_stimulus, remember, shown_by, stimuli
from tribetune.progress import Progress, Silent
from tribetune.stimulus.files import StimulusFiles
from tribetune.stimulus.timeline import Timeline
from tribetune.study.cluster import Asked, spread
from tribetune.study.jobs import Job, jobs_of

log = logging.getLogger(__name__)

__all__ = ["Asked", "Choice", "Request", "export", "extract", "listed", "verify"]

TINY_NOTE = (
    "These are features of the tiny encoders: random weights, good for trying things out and nothing else; "
    "--encoders released is what TRIBE was trained with"
)


@dataclass(frozen=True)
class Request:
    """What is to be extracted, and how.

    Parameters
    ----------
    store : Path
        Folder.
    encoders : str
        As `features.encoders.encoders` takes it.
    options : mapping
        Fields of `Options` that differ from the default.
    modalities : tuple of str or None
        None: those that the encoders have.
    device : str
    cluster : str or None
        ``slurm`` or ``local``: as jobs; None: here, one after the other.
    asked : Asked or None
        What each job asks of the cluster.
    """

    store: Path
    encoders: str = "tiny"
    options: Mapping[str, Any] | None = None
    modalities: tuple[str, ...] | None = None
    device: str = "auto"
    cluster: str | None = None
    asked: Asked | None = None

    @cached_property
    def all_options(self) -> Options:
        """What was asked for, and the encoders' own defaults for the rest."""
        own = [encoder.options for encoder in encoders(self.encoders).by_modality.values()]
        return replace(own[0] if own else Options(), **(self.options or {}))

    @cached_property
    def chosen(self) -> Encoders:
        """The encoders."""
        return encoders(self.encoders, self.all_options)

    @property
    def wanted(self) -> tuple[str, ...]:
        """The modalities."""
        return self.modalities or tuple(name for name in MODALITIES if name in self.chosen.by_modality)


def extract(
    given: Sequence[StimulusFiles], request: Request, progress: Progress | None = None
) -> Iterator[dict[str, Any]]:
    """Fill a store with the features of stimuli, going on where an earlier extraction was ended.

    Parameters
    ----------
    given : sequence of StimulusFiles
    request : Request
    progress : Progress or None

    Yields
    ------
    dict
        Per stimulus and modality: ``stimulus``, ``modality``, ``layers``, ``dim``, ``steps`` of 0.5 s, ``words``,
        ``source`` (``made``, ``store`` or ``absent``) and ``seconds``.

    Raises
    ------
    TribetuneError
        If a stimulus, an encoder or the store cannot be used.
    """
    progress = progress or Silent()
    check_modalities(request.wanted)
    known: dict[str, Timeline] = {}
    for files in given:  # all of them are looked at before hours go into the first
        timeline = files.timeline()
        known[remember(request.store, files.name, timeline).name] = timeline
    if request.cluster is not None:
        like = Job(
            "", next(iter(known.values())), "", request.encoders, request.all_options, request.store, request.device
        )
        jobs = jobs_of(known, request.wanted, like)
        spread(jobs, request.cluster, request.store / "jobs", request.asked, progress)
    for name, timeline in known.items():
        progress.step(f"Extracting features: {name}")
        for modality in request.wanted:
            yield _extracted(name, timeline, modality, request, progress)


def listed(store: Path) -> list[dict[str, Any]]:
    """What is in a store.

    Returns
    -------
    list of dict
        Per stimulus and array: ``stimulus``, ``modality``, ``encoder``, ``setting``, ``layers``, ``dim``, ``rows``
        (steps of 0.5 s, or words), ``minutes``, ``mb``, ``state`` (``complete``, ``partial`` or ``damaged``), ``share``
        and ``file``.

    Raises
    ------
    FeatureError
        If it is no store.
    """
    _check_store(store)
    known, all_kept = stimuli(store), kept_in(store)
    names, seconds = _shown(known, all_kept), {one.name: one.timeline.duration_s for one in known}
    rows = [
        {"stimulus": name or kept.told.get("file", "?"), **_facts(store, kept, seconds.get(name or ""))}
        for kept in all_kept
        for name in names.get(kept.content) or [None]
    ]
    return sorted(rows, key=lambda row: row["stimulus"])


def verify(store: Path, *, remove_bad: bool = False) -> list[tuple[Path, str]]:
    """Read all of a store and name every file that is not what it should be.

    Parameters
    ----------
    store : Path
        Folder.
    remove_bad : bool
        Whether to remove those files and their sidecars.

    Returns
    -------
    list of (Path, str)
        File, and what is wrong with it.
    """
    _check_store(store)
    faults = list(faults_in(store))
    for path, _ in faults if remove_bad else []:
        path.unlink(missing_ok=True)
        path.with_suffix(".json").unlink(missing_ok=True)
    return faults


def export(store: Path, out: Path, name: str | None = None, choice: Choice | None = None) -> dict[str, tuple[int, ...]]:
    """Write features on the 2 Hz grid as arrays of (layer, dim, time) in float32.

    Parameters
    ----------
    store : Path
        Folder.
    out : Path
        An ``.npz``.
    name : str or None
        Of one stimulus; None: all of the store.
    choice : Choice or None

    Returns
    -------
    dict of key to shape
        ``text``, ``audio``, ``video`` and ``duration_s``; with several stimuli after ``<stimulus>/``.

    Raises
    ------
    FeatureError
        If the store does not know the stimulus, has nothing of it, or has several features that fit ``choice``.
    """
    _check_store(store)
    if out.suffix != ".npz":
        raise FeatureError(f"{out}: features are written as .npz", hint=f"name it {out.with_suffix('.npz')}")
    chosen = [find_stimulus(store, name)] if name else stimuli(store)
    if not chosen:
        raise FeatureError(
            f"{store} knows no stimulus; those of a recipe's runs are not recorded",
            hint=f"tribetune features extract STIMULUS --store {store}: what was made is found again",
        )
    kept = kept_in(store)
    if not name:
        chosen = _with_features(chosen, kept) or chosen
    found: Iterator[tuple[str, Features]] = ((one.name, features_of(store, one, choice, kept)) for one in chosen)
    return write_npz(out, found, prefixed=len(chosen) > 1)


def _shown(known: Sequence[Stimulus], kept: Sequence[Kept]) -> dict[str, list[str]]:
    return shown_by(known, reference=any(one.told.get("reference") for one in kept))


def _with_features(known: Sequence[Stimulus], kept: Sequence[Kept]) -> list[Stimulus]:
    """Those that the store has something finished of; the log names the others."""
    shown = _shown(known, kept)
    there = {name for one in kept if one.state == "complete" for name in shown.get(one.content, [])}
    for stimulus in known:
        if stimulus.name not in there:
            log.warning("%s is left out: none of its features is finished", stimulus.name)
    return [stimulus for stimulus in known if stimulus.name in there]


def _extracted(name: str, timeline: Timeline, modality: str, request: Request, progress: Progress) -> dict[str, Any]:
    row = {"stimulus": name, "modality": modality}
    if not timeline.of_kind(EVENT_KINDS[modality]):
        return {**row, "source": "absent"}
    encoder, begin = request.chosen[modality], time.perf_counter()
    tell: Callable[[str, float], None] = lambda what, share: progress.advance(f"{name}: {what}", share)  # noqa: E731
    made = list(make(timeline, encoder, request.store, request.device, tell, verify=True))
    heard = as_heard(timeline, encoder.options)
    return {
        **row,
        "layers": encoder.layers,
        "dim": encoder.dim,
        "steps": Features({}, heard.duration_s).n_steps,
        **({"words": sum(len(one.values) for one in made)} if modality == "text" else {}),
        "source": "store" if all(one.was_there for one in made) else "made",
        "seconds": round(time.perf_counter() - begin, 2),
    }


def _facts(store: Path, kept: Kept, duration_s: float | None) -> dict[str, Any]:
    rows, layers, dim = kept.told.get("shape") or (kept.told.get("rows"), None, None)
    seconds = duration_s if duration_s is not None else kept.told.get("duration_s")
    return {
        "modality": kept.modality,
        "encoder": kept.encoder,
        "setting": kept.setting,
        "layers": layers,
        "dim": dim,
        "rows": rows,
        "minutes": None if seconds is None else seconds / 60,
        "mb": kept.n_bytes / 1e6,
        "state": kept.state,
        "share": kept.share,
        "file": str(kept.path.relative_to(store)),
    }


def _check_store(store: Path) -> None:
    if not any((store / name).is_dir() for name in (*MODALITIES, FOLDER)):
        there = "holds no features" if store.is_dir() else "is no folder"
        raise FeatureError(f"{store} {there}", hint=f"tribetune features extract STIMULUS --store {store}")
