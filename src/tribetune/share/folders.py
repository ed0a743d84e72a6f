"""A plain folder, or any fsspec URL, as a hub of a lab's own: one folder per revision, and the name of the newest."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tribetune.errors import AdaptationError
from tribetune.files import hash_file
from tribetune.share.bundle import BUNDLE, FACTS
from tribetune.share.plain_files import check_names

LATEST = "latest"
"""File that names the newest revision."""

_REVISION_DIGITS = 12


def push_folder(url: str, files: Mapping[str, Path]) -> str:
    """Put a bundle under its revision; files that are there whole already are not sent again.

    Parameters
    ----------
    url : str
        A path, or ``protocol://…`` as fsspec reads it.
    files : mapping of name to Path
        All of a bundle.

    Returns
    -------
    str
        The revision: it follows from the content.

    Raises
    ------
    AdaptationError
        If the place cannot be written.
    """
    revision = hash_file(files[FACTS])[:_REVISION_DIGITS]
    system, root = _opened(url)
    try:
        folder = f"{root}/{revision}"
        system.makedirs(folder, exist_ok=True)
        # the facts come last: a revision without them is not whole
        for name in sorted(files, key=lambda name: name == FACTS):
            _put(system, files[name], f"{folder}/{name}")
        system.pipe_file(f"{root}/{LATEST}", revision.encode())
    except (OSError, ValueError, ImportError) as error:
        raise AdaptationError(f"{url} cannot be written: {error}", hint="the same command continues") from error
    return revision


def pull_folder(url: str, revision: str | None = None) -> Path:
    """A bundle from a place: the folder itself where it is on this machine, else a copy in the cache.

    Parameters
    ----------
    url : str
        Of a place that `push_folder` writes, or of a bundle itself.
    revision : str, optional
        As `push_folder` returned it; the newest when left out.

    Raises
    ------
    AdaptationError
        If there is none, or a name leads out of its folder.
    """
    system, root = _opened(url)
    try:
        folder = (
            root if system.exists(f"{root}/{FACTS}") and not revision else f"{root}/{_revision(system, root, revision)}"
        )
        if not system.exists(f"{folder}/{FACTS}"):
            raise AdaptationError(f"{url} holds no {FACTS}: no adapter", hint="tribetune hub ls --at URL shows them")
        if _is_local(system):
            return Path(folder)
        found = {entry["name"].rpartition("/")[2]: entry for entry in system.ls(folder, detail=True)}
        check_names({name: entry.get("size") for name, entry in found.items()})
        return _copied(system, folder, {name: found[name] for name in BUNDLE if name in found})
    except (OSError, ValueError, ImportError) as error:
        raise _unreadable(url, error) from error


def list_folder(url: str) -> list[str]:
    """URLs of the places and bundles in a folder, in alphabetical order.

    Raises
    ------
    AdaptationError
        If it cannot be read.
    """
    system, root = _opened(url)
    try:
        if _is_place(system, root):
            return [_url(system, root)]
        folders = sorted(entry["name"] for entry in system.ls(root, detail=True) if entry["type"] == "directory")
        return [_url(system, folder) for folder in folders if _is_place(system, folder)]
    except (OSError, ValueError, ImportError) as error:
        raise _unreadable(url, error) from error


def _unreadable(url: str, error: Exception) -> AdaptationError:
    if isinstance(error, FileNotFoundError):
        return AdaptationError(f"{url} is not there", hint="check the URL: it is a place's or a bundle's folder")
    said = getattr(error, "strerror", None) or error
    return AdaptationError(f"{url} cannot be read: {said}", hint="check the URL and the rights")


def _opened(url: str) -> tuple[Any, str]:
    import fsspec

    try:
        system, root = fsspec.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise AdaptationError(f"{url}: {error}", hint="install fsspec's package for this protocol") from error
    return system, str(root).rstrip("/")


def _is_place(system: Any, folder: str) -> bool:
    return any(system.exists(f"{folder}/{name}") for name in (LATEST, FACTS))


def _url(system: Any, folder: str) -> str:
    return folder if _is_local(system) else str(system.unstrip_protocol(folder))


def _is_local(system: Any) -> bool:
    return "file" in ((system.protocol,) if isinstance(system.protocol, str) else system.protocol)


def _revision(system: Any, root: str, revision: str | None) -> str:
    if revision is None:
        if not system.exists(f"{root}/{LATEST}"):
            inside = [found.removesuffix(f"/{FACTS}") for found in system.glob(f"{root}/adapter*/{FACTS}")]
            hint = f"this is a run; its adapter is {inside[0]}" if inside else "tribetune hub ls --at URL shows them"
            raise AdaptationError(f"{root} holds no adapter", hint=hint)
        revision = system.cat_file(f"{root}/{LATEST}", end=100).decode("ascii", "replace").strip()
    if len(revision) != _REVISION_DIGITS or not set(revision) <= set("0123456789abcdef"):
        raise AdaptationError(f"{revision!r} is no revision of {root}", hint="leave out @… for the newest")
    return revision


def _put(system: Any, source: Path, target: str) -> None:
    if system.exists(target) and system.info(target)["size"] == source.stat().st_size:
        return
    system.put_file(str(source), f"{target}.part")
    system.mv(f"{target}.part", target)


def _copied(system: Any, folder: str, found: Mapping[str, Mapping[str, Any]]) -> Path:
    """A copy in the cache of the hub's client; its files are held against their hashes when the bundle is read."""
    from huggingface_hub import cached_assets_path

    place = hashlib.sha256(str(system.unstrip_protocol(folder)).encode()).hexdigest()[:16]
    copy = Path(cached_assets_path("tribetune", "adapters", place))
    for name, entry in found.items():
        kept = copy / name
        if not (kept.is_file() and kept.stat().st_size == entry["size"]):
            part = copy / f".part-{name}"
            system.get_file(entry["name"], str(part))
            part.replace(kept)
    return copy
