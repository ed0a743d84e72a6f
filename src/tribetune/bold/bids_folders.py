"""Where things lie in a BIDS dataset: derivatives, BOLD files, and sidecars by inheritance."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tribetune.bold.bids_names import entities, kind_of
from tribetune.errors import BoldError


def bids_roots(bids: Path) -> list[Path]:
    """Folders that may hold subjects: the dataset, its ``derivatives``, and each pipeline's folder in it.

    Raises
    ------
    BoldError
        If there is no such dataset.
    """
    if not bids.is_dir():
        raise BoldError(f"no dataset at {bids}", hint="set data.bids to a BIDS folder")
    derivatives = bids / "derivatives"
    return [bids, derivatives, *sorted(path for path in derivatives.glob("*") if path.is_dir())]


def raw_roots(bids: Path) -> list[Path]:
    """Where raw sidecars and events may be: the dataset itself, or the one a derivatives folder lies in."""
    inside = next((folder for folder in (bids, bids.parent) if folder.name == "derivatives"), None)
    return [bids, inside.parent] if inside else [bids]


def bold_files(root: Path, subject: str) -> list[Path]:
    """Every preprocessed BOLD file of a subject under one derivatives folder."""
    folder = root / f"sub-{subject}"
    name = f"sub-{subject}_*task-*"  # not old_sub-…, which somebody put aside
    found = [*folder.glob(f"func/{name}"), *folder.glob(f"ses-*/func/{name}")]
    return sorted(path for path in found if kind_of(path))


def inherited(path: Path, places: Sequence[Path], ending: str) -> Iterator[Path]:
    """Files that apply to ``path`` by BIDS inheritance, nearest and most specific first.

    A file applies when it lies in the subject's folders or above, and each of its entities is also one of ``path``.
    """
    mine = entities(path)
    subject, session = f"sub-{mine['sub']}", f"ses-{mine['ses']}" if "ses" in mine else ""
    for root in places:
        inner = root / subject / session
        for folder in dict.fromkeys((inner / "func", inner, root / subject, root)):
            applying = [
                other
                for other in folder.glob(f"*{ending}")
                if other.name == ending or other.name.endswith(f"_{ending}")
                if _says_only(other.name.removesuffix(ending), mine)
            ]
            yield from sorted(applying, key=lambda other: (-len(entities(other)), other.name))


def _says_only(name: str, mine: Mapping[str, str]) -> bool:
    """Whether a name is made of some of the entities, and nothing else."""
    parts = [part for part in name.split("_") if part]
    return all("-" in part for part in parts) and entities(Path(name)).items() <= mine.items()


def read_metadata(sidecar: Path) -> dict[str, Any]:
    """What a JSON sidecar says.

    Raises
    ------
    BoldError
        If it is not a JSON object.
    """
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise _not_a_sidecar(sidecar, str(error)) from error
    if not isinstance(content, dict):
        raise _not_a_sidecar(sidecar, "no JSON object")
    return content


def number_in(sidecar: Path, key: str) -> float | None:
    """A number of a sidecar; None where it does not say.

    Raises
    ------
    BoldError
        If it says something else than a number, or is not a JSON object.
    """
    value = read_metadata(sidecar).get(key)
    try:
        return None if value is None else float(value)
    except (ValueError, TypeError) as error:
        raise _not_a_sidecar(sidecar, f"{key}: {error}") from error


def _not_a_sidecar(sidecar: Path, why: str) -> BoldError:
    return BoldError(f"{sidecar}: not a BIDS sidecar ({why})", hint="expected JSON with RepetitionTime in seconds")
