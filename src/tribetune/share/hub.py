"""Adapters sent to, and fetched from, the model hub or a lab's own place."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tribetune.adapt.adapter import Adapter
from tribetune.errors import AdaptationError
from tribetune.model.checkpoint import checkpoint_hash, find_checkpoint
from tribetune.model.hub import Cargo, HubId, fetch, hub_id, send
from tribetune.share.bundle import BUNDLE, FACTS, LORA, PICTURE, load_adapter, read_facts, save_adapter, write_facts
from tribetune.share.contents import check_contents
from tribetune.share.facts import CONSENT, Consent
from tribetune.share.folders import pull_folder, push_folder
from tribetune.share.plain_files import check_names

_CHECKPOINT_FILES = ("model.safetensors", "best.ckpt")


@dataclass(frozen=True)
class Terms:
    """On which terms an adapter is shared.

    Attributes
    ----------
    consent : str
        One of `tribetune.share.facts.CONSENT`: what the subject agreed to.
    licence : str
        As the hub writes it, such as ``cc-by-nc-4.0``.
    contact : str
        Whom to ask; may be left out.
    public : bool
        Whether everyone may see it.
    """

    consent: str
    licence: str
    contact: str = ""
    public: bool = False


@dataclass(frozen=True)
class Shipment:
    """What is about to be sent.

    Attributes
    ----------
    target : str
    files : mapping of name to bytes
    kept_here : tuple of str
        Files beside the bundle that stay.
    terms : Terms
    """

    target: str
    files: Mapping[str, int]
    kept_here: tuple[str, ...]
    terms: Terms


def push(
    bundle: Path,
    target: str,
    terms: Terms,
    confirm: Callable[[Shipment], bool],
    extra: Mapping[str, Any] | None = None,
    picture: Path | None = None,
) -> str | None:
    """Send an adapter; the bundle here stays as it is.

    Parameters
    ----------
    bundle : Path
        An adapter's folder.
    target : str
        ``owner/name`` on the hub, or a lab's own place: a path that begins with ``/``, ``./`` or ``~``, or a URL.
    terms : Terms
    confirm : callable
        Is shown what would be sent; nothing is when it returns False.
    extra : mapping, optional
        Facts to add, such as the probe of an adapter that has none.
    picture : Path, optional
        PNG of the scores.

    Returns
    -------
    str or None
        The revision under which it is found; None when it was not to be sent.

    Raises
    ------
    AdaptationError
        If the terms do not allow it, the bundle is faulty, or the place refuses.
    """
    adapter, facts = load_adapter(bundle), read_facts(bundle)
    check_terms(terms, facts)
    place = _place(target)
    with tempfile.TemporaryDirectory(prefix="tribetune-") as scratch:
        staged = Path(scratch) / "adapter"
        sharing = {"consent": terms.consent, "licence": terms.licence, "contact": terms.contact or None}
        told = {key: value for key, value in facts.items() if key not in ("format", "files")}
        save_adapter(adapter, staged, told | dict(extra or {}) | {"sharing": sharing}, picture)
        write_facts(staged, read_facts(staged), str(place) if isinstance(place, HubId) else "FOLDER")
        files = {name: staged / name for name in BUNDLE if (staged / name).is_file()}
        check_contents(files)
        left = tuple(sorted(path.name for path in bundle.iterdir() if path.name not in BUNDLE))
        sizes = {name: path.stat().st_size for name, path in files.items()}
        if not confirm(Shipment(str(place), sizes, left, terms)):
            return None
        if isinstance(place, HubId):
            note = f"Adapter of {(facts.get('base') or {}).get('name')} by {adapter.method}"
            cargo = Cargo(not terms.public, note, (LORA, PICTURE), _CHECKPOINT_FILES)
            return send(place, files, AdaptationError, cargo)
        return push_folder(place, files)


def check_terms(terms: Terms, facts: Mapping[str, Any]) -> None:
    """Refuse terms that say too little, or more than the subject or the base checkpoint's licence allow.

    Parameters
    ----------
    terms : Terms
    facts : mapping
        Of the adapter.

    Raises
    ------
    AdaptationError
        With what may be given instead.
    """
    if terms.consent not in CONSENT:
        told = "; ".join(f"{name}: {meaning}" for name, meaning in CONSENT.items())
        said = f"{terms.consent!r} is no scope of consent" if terms.consent else "the scope of consent is not given"
        raise AdaptationError(f"{said} ({told})", hint="--consent project, or what the subject agreed to")
    base_licence = (facts.get("base") or {}).get("licence") or "other"
    if not terms.licence:
        raise AdaptationError("no licence is given", hint=f"--licence {base_licence}, as its base checkpoint's")
    if "-nc" in base_licence and "-nc" not in terms.licence.lower():
        raise AdaptationError(
            f"{terms.licence} allows commercial use, the base checkpoint's {base_licence} does not",
            hint=f"--licence {base_licence}",
        )
    if terms.public and terms.consent != "public":
        consent: Consent = "research" if terms.consent == "research" else "project"
        raise AdaptationError(f"not for everyone: {CONSENT[consent]}", hint="leave out --public")


def pull(where: str) -> Path:
    """Fetch an adapter and check all of it.

    Parameters
    ----------
    where : str
        ``owner/name`` or ``owner/name@revision`` on the hub, a path, or a URL, each also with ``@revision``.

    Returns
    -------
    Path
        Its folder: in the cache of the hub's client, or where it is when it is on this machine.

    Raises
    ------
    AdaptationError
        If there is none, or it is unsafe or damaged.
    """
    folder = find_adapter(where)
    load_adapter(folder)
    return folder


def find_adapter(where: str | Path) -> Path:
    """The folder of an adapter that a path, URL or id on the hub means; fetched where it is not here.

    Raises
    ------
    AdaptationError
        If there is none, or its listing is unsafe.
    """
    text = str(where)
    if (Path(text) / FACTS).is_file():
        return Path(text)
    place = hub_id(text)
    if place and not Path(text.partition("@")[0]).exists():
        _check_listing(place)
        folder = fetch(place, BUNDLE, AdaptationError)
        if not (folder / FACTS).is_file():
            raise AdaptationError(
                f"{place} holds no {FACTS}: not an adapter", hint="is it a checkpoint? tribetune hub ls"
            )
        return folder
    url, at, revision = text.rpartition("@")
    if at and "/" not in revision:
        return pull_folder(str(Path(url).expanduser()) if "://" not in url else url, revision)
    return pull_folder(text if "://" in text else str(Path(text).expanduser()))


def open_adapter(where: str | Path, base: str | Path | None = None) -> Adapter:
    """Open an adapter by folder, URL or id on the hub; nothing in it is run.

    Parameters
    ----------
    where : str or Path
        Such as ``lab/sub-01`` or ``lab/sub-01@v1``.
    base : str or Path, optional
        The checkpoint that it is to be used with, to be sure that it is the one it was trained on.

    Raises
    ------
    AdaptationError
        If there is none, it is unsafe or damaged, or belongs to another checkpoint.
    """
    return load_adapter(find_adapter(where), checkpoint_hash(find_checkpoint(base)) if base else None)


def _place(target: str) -> HubId | str:
    if "://" in target:
        return target
    if target.startswith(("./", "../", "~", ".\\", "..\\")) or Path(target).is_absolute():
        return str(Path(target).expanduser())
    place = hub_id(target)
    if place is None or place.revision:
        hint = "ORGANISATION/NAME, a path such as ./shared/name, or a URL"
        raise AdaptationError(f"{target!r} is no place to send an adapter to", hint=hint)
    return place


def _check_listing(place: HubId) -> None:
    """Look at a repository's file names before fetching; only files of a bundle are fetched, in any case."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled

    try:
        found = HfApi(library_name="tribetune").model_info(place.name, revision=place.revision, files_metadata=True)
    except (
        HTTPError,
        OfflineModeIsEnabled,
    ):  # what is in the cache serves without the hub; `fetch` tells what is wrong
        return
    check_names({sibling.rfilename: sibling.size for sibling in found.siblings or []})
