"""`tribetune hub push` and `card`: which adapter of a run, its picture, its probe."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tribetune.errors import AdaptationError
from tribetune.model.checkpoint import find_checkpoint, identify
from tribetune.model.tribe import Tribe
from tribetune.report.surface import score_maps
from tribetune.share.bundle import FACTS, load_adapter, read_facts
from tribetune.share.card import adapter_card
from tribetune.share.hub import Shipment, Terms, check_terms, find_adapter
from tribetune.share.hub import push as push_bundle
from tribetune.share.probe import record_probe
from tribetune.share.verify import base_of


def push(
    run: Path, target: str, terms: Terms, confirm: Callable[[Shipment], bool], base: str | None = None
) -> str | None:
    """Send a run's adapter with a picture of its scores, and a probe where it has none yet.

    Parameters
    ----------
    run : Path
        Run folder, or an adapter's own folder.
    target : str
        See `tribetune.share.hub.push`.
    terms : Terms
    confirm : callable
        Is shown what would be sent.
    base : str, optional
        The checkpoint, where the adapter's own name for it does not lead to it.

    Returns
    -------
    str or None
        The revision; None when it was not to be sent.

    Raises
    ------
    TribetuneError
        If the run has no adapter, or it may not be sent.
    """
    bundle = bundle_of(run)
    check_terms(terms, read_facts(bundle))  # before the work of a picture
    with tempfile.TemporaryDirectory(prefix="tribetune-") as scratch:
        picture = _picture(bundle, Path(scratch) / "scores.png")
        return push_bundle(bundle, target, terms, confirm, _extra(bundle, base), picture)


def card(where: str) -> str:
    """The card of a run's adapter, or of one in any place, made anew from its facts."""
    run = Path(where)
    found = bundle_of(run) if any(run.glob(f"adapter*/{FACTS}")) else find_adapter(where)
    return adapter_card(read_facts(found), where)


def bundle_of(run: Path) -> Path:
    """The adapter's folder in a run's.

    Raises
    ------
    AdaptationError
        If there is none, or several.
    """
    if (run / FACTS).is_file():
        return run
    found = sorted(path.parent for path in run.glob(f"adapter*/{FACTS}"))
    if not found:
        raise AdaptationError(f"{run} holds no adapter", hint="give a run folder, such as runs/sub-01")
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise AdaptationError(f"{run} holds several adapters: {names}", hint=f"give one of them: {found[0]}")
    return found[0]


def _extra(bundle: Path, base: str | None) -> dict[str, Any]:
    """A probe, for an adapter that an earlier tribetune made; and where the hub has the checkpoint that is given."""
    facts = read_facts(bundle)
    if facts.get("probe") and not base:
        return {}
    place = find_checkpoint(base or base_of(facts))
    tribe = Tribe.from_pretrained(place).requires_grad_(False)
    told = identify(place, tribe.config.licence)
    adapter = load_adapter(bundle, told["hash"])
    return {"base": {**(facts.get("base") or {}), **told}, "probe": record_probe(adapter, tribe)}


def _picture(bundle: Path, path: Path) -> Path | None:
    """Held-out scores on the cortex; none for other spaces, or where the run kept no scores."""
    facts, kept = read_facts(bundle), bundle.parent / "scores.npz"
    if facts["space"] != "fsaverage5" or not kept.is_file():
        return None
    with np.load(kept) as scores:
        names = [name for name in ("zero_shot", facts["method"].replace("-", "_")) if name in scores]
        maps = {name.replace("_", "-"): scores[name].astype(float) for name in dict.fromkeys(names)}
    if not maps:
        return None
    score_maps(maps, path)
    return path
