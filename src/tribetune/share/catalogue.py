"""What there is to use: known checkpoints, what the hub's cache holds, and what the hub or a lab's own place offers."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from tribetune.errors import AdaptationError, TribetuneError
from tribetune.model.hub import told_as
from tribetune.share.bundle import FACTS, read_facts
from tribetune.share.folders import list_folder, pull_folder
from tribetune.shipped import shipped_folder

REGISTRY = "registry.yaml"

_MOST_FOUND = 100


@dataclass(frozen=True)
class Entry:
    """Something to use.

    Attributes
    ----------
    name : str
        By which commands and `Tribe.from_pretrained` or `load_adapter` know it.
    kind : {"checkpoint", "adapter"}
    where : {"shipped", "hub", "cache", "folder"}
    base : str
        The checkpoint that an adapter is of.
    licence : str
    about : str
        One line.
    """

    name: str
    kind: str
    where: str
    base: str = ""
    licence: str = ""
    about: str = ""

    def to_dict(self) -> dict[str, str]:
        """Plain values."""
        return asdict(self)


def known_checkpoints() -> list[Entry]:
    """The registry of checkpoints that tribetune knows.

    Raises
    ------
    TribetuneError
        If the installation has none.
    """
    path = shipped_folder("checkpoints") / REGISTRY
    try:
        told: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TribetuneError(f"{path} cannot be read: {error}", hint="install tribetune again") from error
    return [
        Entry(name, "checkpoint", facts["where"], licence=facts["licence"], about=facts["about"])
        for name, facts in told.items()
    ]


def cached() -> list[Entry]:
    """Adapters and checkpoints in the cache of the hub's client, each at its newest revision there."""
    from huggingface_hub import CacheNotFound, constants, scan_cache_dir

    try:
        repos = scan_cache_dir(constants.HF_HUB_CACHE).repos
    except CacheNotFound:
        return []
    found = []
    for repo in sorted(repos, key=lambda repo: repo.repo_id):
        if repo.repo_type != "model" or not repo.revisions:
            continue
        newest = max(repo.revisions, key=lambda revision: revision.last_modified)
        found += _in_snapshot(repo.repo_id, newest.snapshot_path)
    return found


def offered(query: str = "") -> list[Entry]:
    """What the hub finds among models of the library ``tribetune``.

    Parameters
    ----------
    query : str
        A part of the id.

    Raises
    ------
    AdaptationError
        If the hub is not to be reached.
    """
    from huggingface_hub import HfApi

    api = HfApi(library_name="tribetune")
    with told_as(AdaptationError, "the hub"):
        models = list(api.list_models(filter="tribetune", search=query or None, limit=_MOST_FOUND))
    return [_offered(model.id, model.tags or []) for model in models]


def in_place(url: str) -> list[Entry]:
    """Adapters in a lab's own place, by URL or path; what cannot be read is listed with its reason."""
    found = []
    for name in list_folder(url):
        try:
            found.append(_adapter(name, "folder", pull_folder(name)))
        except AdaptationError as error:
            found.append(Entry(name, "adapter", "folder", about=f"refused: {error}"))
    return found


def _in_snapshot(name: str, folder: Path) -> Iterable[Entry]:
    there = {path.name for path in folder.iterdir()}
    if FACTS in there:
        try:
            return [_adapter(name, "cache", folder)]
        except AdaptationError as error:
            return [Entry(name, "adapter", "cache", about=f"refused: {error}")]
    if {"best.ckpt", "config.yaml"} <= there:
        return [Entry(name, "checkpoint", "cache", about="official layout")]
    return []


def _adapter(name: str, where: str, folder: Path) -> Entry:
    facts = read_facts(folder)
    base, sharing = (facts.get(key) or {} for key in ("base", "sharing"))
    minutes = f"{facts.get('calibration_minutes') or 0:.0f} min, {facts['space']}, {facts['method']}"
    licence = sharing.get("licence") or base.get("licence") or ""
    return Entry(name, "adapter", where, base.get("id") or base.get("name") or "", licence, minutes)


def _offered(name: str, tags: Sequence[str]) -> Entry:
    told = dict(tag.split(":", 1) for tag in tags if ":" in tag and not tag.startswith("base_model:adapter:"))
    kind = "checkpoint" if "checkpoint" in tags else "adapter"
    return Entry(name, kind, "hub", told.get("base_model", ""), told.get("license", ""))
