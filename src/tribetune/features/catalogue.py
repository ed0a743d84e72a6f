"""What lies in a store: every array, finished or not, and whether it is sound."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tribetune.arrays import hash_plain, read_sidecar
from tribetune.features.encoders import MODALITIES
from tribetune.features.parts import ABOUT, rows_kept
from tribetune.features.stimuli import FOLDER, read_stimulus
from tribetune.features.store import UNREADABLE, Entry, open_entry
from tribetune.timing import to_step

State = Literal["complete", "partial", "damaged"]

_ROWS_AT_ONCE = 1000

_NAMES = ("content", "encoder", "setting", "file")
"""What is believed of a damaged array's sidecar."""


@dataclass(frozen=True)
class Kept:
    """One array of a store.

    Parameters
    ----------
    path : Path
        Its file, which may not be there yet.
    modality : str
    state : {"complete", "partial", "damaged"}
    told : mapping
        What its sidecar says, or the note beside its parts; empty where neither can be read.
    share : float
        How much of it is there, from 0 to 1.
    """

    path: Path
    modality: str
    state: State
    told: Mapping[str, Any]
    share: float = 1.0

    @property
    def content(self) -> str:
        """SHA-256 of what it was made from; "" where that is not known."""
        return str(self.told.get("content", ""))

    @property
    def encoder(self) -> str:
        """Name of its encoder."""
        return str(self.told.get("encoder", "?"))

    @property
    def setting(self) -> str:
        """How its layers were chosen."""
        return str(self.told.get("setting", "?")) + (", reference" if self.told.get("reference") else "")

    @cached_property
    def variant(self) -> str:
        """Hash of the encoder and everything that was chosen; equal in arrays that belong together."""
        return hash_plain(self.told.get("identity"))[:16]

    @property
    def entry(self) -> Entry:
        """The name under which it is read."""
        return Entry(self.modality, self.content, self.told["identity"])

    @property
    def n_bytes(self) -> int:
        """Size on disk, of its parts where it is not finished."""
        files = [self.path] if self.state != "partial" else list(self.path.with_suffix(".parts").glob("*"))
        return sum(file.stat().st_size for file in files if file.is_file())


def kept_in(store: Path) -> list[Kept]:
    """Every array of a store, by modality and name."""
    found = []
    for modality in MODALITIES:
        stems = {path.stem for pattern in ("*.json", "*.parts") for path in (store / modality).glob(pattern)}
        stems |= {path.stem for path in (store / modality).glob("*.safetensors")}
        names = sorted(stem for stem in stems if not stem.startswith("."))
        found += [kept for name in names if (kept := _look(store, modality, name)) is not None]
    return found


def faults_in(store: Path) -> Iterator[tuple[Path, str]]:
    """Read all of a store, and name each file that is not what it should be, and why.

    An array has to have the SHA-256, shape and type that its sidecar says, finite values, and as many rows as its film,
    sound or words ask for. One that is not finished yet has no fault.
    """
    for kept in kept_in(store):
        fault = fault_of(store, kept)
        if fault:
            yield kept.path, fault
    for path in sorted((store / FOLDER).glob("*.json")):
        if not path.name.startswith("."):
            try:
                read_stimulus(path)
            except UNREADABLE as error:
                yield path, f"cannot be read ({error})"


def fault_of(store: Path, kept: Kept) -> str:
    """What is wrong with an array; "" if nothing is."""
    if kept.state == "partial":
        return ""
    try:
        told = read_sidecar(kept.path)
        entry = Entry(kept.modality, told["content"], told["identity"])
        if entry.array_file(store) != kept.path:
            return "its sidecar tells of something else"
        values = open_entry(store, entry, verify=True)
        if str(values.dtype) != told["dtype"]:
            return f"its values are {values.dtype}, its sidecar says {told['dtype']}"
        bad = sum(_count_bad(values[at : at + _ROWS_AT_ONCE]) for at in range(0, len(values), _ROWS_AT_ONCE))
        return f"{bad} values are not finite" if bad else _wrong_length(len(values), told)
    except KeyError as error:
        return f"{error} is missing in its sidecar or header"
    except UNREADABLE as error:
        return str(error) or type(error).__name__


def _count_bad(values: np.ndarray) -> int:
    return int(np.count_nonzero(~np.isfinite(values)))


def _wrong_length(n_rows: int, told: Mapping[str, Any]) -> str:
    """Compare with the words, or with the seconds; ends of chunks are rounded, so that a step may be off."""
    if "words" in told:
        return "" if n_rows == told["words"] else f"it has {n_rows} rows for {told['words']} words"
    if "duration_s" not in told:  # an import, which was checked when it was made
        return ""
    expected = max(1, to_step(told["duration_s"]))
    return "" if abs(n_rows - expected) <= 1 else f"it has {n_rows} steps, {told['duration_s']:g} s need {expected}"


def _look(store: Path, modality: str, name: str) -> Kept | None:
    path = store / modality / f"{name}.safetensors"
    sidecar, parts = path.with_suffix(".json"), path.with_suffix(".parts")
    if sidecar.is_file():
        try:
            told = read_sidecar(path)
            open_entry(store, Entry(modality, told["content"], told["identity"]))
        except UNREADABLE:
            told = _readable(sidecar)
            return Kept(path, modality, "damaged", {name: told[name] for name in _NAMES if name in told})
        return Kept(path, modality, "complete", told)
    if not parts.is_dir():  # an array that lost its sidecar is not known any more, and will be written over
        return Kept(path, modality, "damaged", {}) if path.is_file() else None
    told = _readable(parts / ABOUT)
    return Kept(path, modality, "partial", told, min(1.0, rows_kept(parts) / max(1, told.get("rows", 1))))


def _readable(path: Path) -> dict[str, Any]:
    """A file's JSON object, empty where it is damaged; for lists that have to name what is there anyhow."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except UNREADABLE:
        return {}
    return told if isinstance(told, dict) else {}
