"""Whether an adapter is what was shared: files, card, base checkpoint, and the probe predicted again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tribetune.errors import AdaptationError, CheckpointError
from tribetune.model.checkpoint import checkpoint_hash, find_checkpoint
from tribetune.model.safe_yaml import read_yaml_text
from tribetune.model.tribe import Tribe
from tribetune.share.bundle import CARD, load_adapter, read_facts
from tribetune.share.plain_files import read_plain_text
from tribetune.share.probe import check_probe


@dataclass(frozen=True)
class Check:
    """One thing that was looked at and found right.

    Attributes
    ----------
    what : str
    found : str
    """

    what: str
    found: str


def verify(folder: Path, base: str | None = None) -> list[Check]:
    """Check an adapter from its files to what it predicts.

    Parameters
    ----------
    folder : Path
        Of the bundle.
    base : str, optional
        Its checkpoint, where it is not the one that `base_of` finds by itself.

    Returns
    -------
    list of Check
        Everything that was found right.

    Raises
    ------
    AdaptationError, CheckpointError
        With the first thing that is not.
    """
    adapter, facts = load_adapter(folder), read_facts(folder)
    hashed = facts.get("files") or {}
    checks = [Check("files", f"{len(hashed)} hashes agree" if hashed else "format 1 has no hashes")]
    checks.append(Check("card", _checked_card(folder / CARD, facts)))
    place = find_checkpoint(base or base_of(facts))
    load_adapter(folder, checkpoint_hash(place))
    checks.append(Check("base", f"{(facts.get('base') or {}).get('name')}, its hash agrees"))
    tribe = Tribe.from_pretrained(place).requires_grad_(False)
    if not facts.get("probe"):
        adapter.apply(tribe)
        return [*checks, Check("probe", "none was recorded; the adapter fits the checkpoint")]
    return [*checks, Check("probe", check_probe(adapter, tribe, facts["probe"]))]


def base_of(facts: Mapping[str, Any]) -> str:
    """By which the checkpoint of an adapter is found: its hub id and revision, or its name.

    Raises
    ------
    CheckpointError
        If the adapter names none.
    """
    base = facts.get("base") or {}
    if base.get("id"):
        return f"{base['id']}@{base['revision']}" if base.get("revision") else base["id"]
    if not base.get("name"):
        raise CheckpointError("the adapter names no checkpoint", hint="give it by --base")
    return base["name"]


def _checked_card(path: Path, facts: Mapping[str, Any]) -> str:
    """The front matter is plain YAML and says what the facts say; the text below may be anybody's."""
    if not path.is_file():
        return "none"
    parts = read_plain_text(path).split("---\n", 2)
    if len(parts) < 3 or parts[0]:
        raise AdaptationError(f"{path} has no front matter", hint="tribetune hub card writes it")
    try:
        head = read_yaml_text(parts[1], path)
    except CheckpointError as error:
        raise AdaptationError(str(error), hint=error.hint) from error
    base, sharing = (facts.get(key) or {} for key in ("base", "sharing"))
    wanted = {"base_model": base.get("id") or base.get("name")}
    wanted |= {"license": sharing["licence"]} if sharing else {}
    for key, value in wanted.items():
        if head.get(key) != value:
            raise AdaptationError(
                f"{path}: {key} is {head.get(key)!r}, tribetune.json says {value!r}",
                hint="which one is right? ask its author",
            )
    return "agrees with tribetune.json"
