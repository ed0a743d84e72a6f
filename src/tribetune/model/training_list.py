"""What a checkpoint was trained on, as the list beside it says: no test is honest on these stimuli."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tribetune.errors import CheckpointError
from tribetune.model.checkpoint import TRAINING, find_checkpoint
from tribetune.shipped import shipped_folder

_RELEASED = "tribev2-training.json"
_RELEASED_LICENCE = "cc-by-nc"


@dataclass(frozen=True)
class TrainingStimulus:
    """One stimulus, or one family of them, that a checkpoint was trained on.

    Attributes
    ----------
    name : str
        For a reader.
    files : frozenset of str
        SHA-256 of its media files.
    words : frozenset of int
        Sketch of its words, see `tribetune.evaluate.duplicates.word_sketch`.
    called : tuple of str
        Regular expressions, in lower case, that find it by the name of a file or run.
    """

    name: str
    files: frozenset[str] = frozenset()
    words: frozenset[int] = frozenset()
    called: tuple[str, ...] = ()


def training_stimuli(path_or_name: str | Path, licence: str) -> tuple[TrainingStimulus, ...] | None:
    """The training list of a checkpoint; None where nobody wrote one.

    Parameters
    ----------
    path_or_name : path
        See `open_checkpoint`.
    licence : str
        Of its weights: those under CC-BY-NC come from the released TRIBE v2, and its list is theirs, too.

    Raises
    ------
    CheckpointError
        If the list cannot be read.
    """
    path = find_checkpoint(path_or_name)
    lists = [(path if path.is_dir() else path.parent) / TRAINING]
    if licence.lower().startswith(_RELEASED_LICENCE):
        lists.append(shipped_folder("checkpoints") / _RELEASED)
    found = [read for file in lists if file.is_file() and (read := _read(file)) is not None]
    return tuple(stimulus for read in found for stimulus in read) if found else None


def _read(path: Path) -> list[TrainingStimulus] | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return [_stimulus(value) for value in values["stimuli"]] if "stimuli" in values else None
    except (ValueError, TypeError, KeyError, AttributeError, re.error) as fault:
        raise CheckpointError(f"{path}: its list of stimuli cannot be read: {fault}", hint="get it again") from fault


def _stimulus(value: dict[str, Any]) -> TrainingStimulus:
    called = tuple(value.get("called", ()))
    for pattern in called:
        re.compile(pattern)
    return TrainingStimulus(
        str(value["name"]), frozenset(value.get("files", ())), frozenset(value.get("words", ())), called
    )
