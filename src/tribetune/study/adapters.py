"""`tribetune adapters`: average adapters of one checkpoint, or merge one into it."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tribetune.adapt.combine import average, merge
from tribetune.errors import AdaptationError, CheckpointError
from tribetune.files import write_json
from tribetune.model.checkpoint import checkpoint_hash, save_checkpoint, shipped_checkpoints
from tribetune.model.tribe import Tribe
from tribetune.share.agreement import average_facts, check_agreement
from tribetune.share.bundle import load_adapter, read_facts, save_adapter
from tribetune.share.facts import people
from tribetune.share.probe import record_probe
from tribetune.study.predict import group_facts

MERGED = "merged.json"
"""Beside a merged checkpoint: what the adapter said about itself."""


def average_adapters(
    folders: Sequence[Path], out: Path, weights: Sequence[float] | None = None, checkpoint: str | None = None
) -> list[str]:
    """Write the mean of several adapters as an adapter.

    Parameters
    ----------
    folders : sequence of Path
        Two adapters or more.
    out : Path
        Folder of the new adapter.
    weights : sequence of float, optional
        One each, positive; equal when left out. They are scaled to sum to 1.
    checkpoint : str, optional
        Their checkpoint, needed where readouts are of several forms; a shipped one is found by itself.

    Returns
    -------
    list of str
        What a reader must know.

    Raises
    ------
    AdaptationError
        If they cannot be averaged, with the reason.
    """
    if len(folders) < 2:
        raise AdaptationError(f"{len(folders)} adapter, expected two or more", hint="name all that are to be averaged")
    if out.exists():
        raise AdaptationError(f"{out} is already there", hint="name a folder that does not exist yet")
    told = [read_facts(folder) for folder in folders]
    check_agreement(dict(zip(map(str, folders), told, strict=True)))
    shares = _shares(weights, len(folders))
    base_hash = (told[0].get("base") or {}).get("hash")
    adapters = [load_adapter(folder, base_hash) for folder in folders]
    tribe = _base(checkpoint, told[0])
    mean = average(adapters, shares, (lambda: tribe) if tribe else None)
    own = average_facts(told, shares)
    save_adapter(mean, out, own | ({"probe": record_probe(mean, tribe)} if tribe else {}))
    parts = ", ".join(f"{share:.3g}" for share in shares)
    return [
        f"mean of {len(folders)} adapters ({parts}), {mean.n_weights:,} weights",
        f"runs: {', '.join(own['runs'])}",
        "not scored: an average has no held-out data of its own; every run above was trained on",
    ]


def merge_adapter(checkpoint: str, folder: Path, out: Path, subject: str = "") -> list[str]:
    """Write a checkpoint that has an adapter in its own weights.

    Parameters
    ----------
    checkpoint : str
        Name or folder.
    folder : Path
        The adapter.
    out : Path
        Folder of the new checkpoint.
    subject : str
        Name of the personal row; of the adapter's runs when empty.

    Returns
    -------
    list of str
        What a reader must know.

    Raises
    ------
    AdaptationError
        If the adapter is of another checkpoint, changes nothing, or is of another lag, cleaning or space than the
        unseen row that stays beside it.
    """
    if out.exists():
        raise AdaptationError(f"{out} is already there", hint="name a folder that does not exist yet")
    facts = read_facts(folder)
    adapter = load_adapter(folder, checkpoint_hash(checkpoint))
    tribe = Tribe.from_pretrained(checkpoint).requires_grad_(False).eval()
    name = subject or _subject(facts)
    model = _labelled(merge(tribe, adapter, name), facts)
    save_checkpoint(model, out)
    write_json(out / MERGED, {"subject": name, "adapter": facts})
    lines = [f"rows: {name}" + (", and the unseen subject's" if model.config.unseen_row else "")]
    if adapter.changes_trunk and model.config.unseen_row:
        lines.append("the unseen row is read through the adapted trunk: it no longer predicts what it did")
    lines += _lost(facts, group_facts(model))
    whose = people(facts)
    if len(whose) > 1:
        return [*lines, f"it holds brain data of {', '.join(whose)}: share it only within the consent of each of them"]
    return [*lines, "it holds one person's brain data: share it only within that person's consent"]


def _shares(weights: Sequence[float] | None, n: int) -> list[float]:
    given = list(weights) if weights else [1.0] * n
    if len(given) != n or not all(0 < weight < math.inf for weight in given):
        raise AdaptationError(f"weights {given} for {n} adapters", hint="give one positive weight for each adapter")
    return [weight / sum(given) for weight in given]


def _base(checkpoint: str | None, facts: dict[str, Any]) -> Tribe | None:
    """The adapters' checkpoint, where it is given or ships under the name they tell."""
    base = facts.get("base") or {}
    name = checkpoint or (base.get("name") if base.get("name") in shipped_checkpoints() else None)
    if name is None or (checkpoint is None and checkpoint_hash(name) != base.get("hash")):
        return None
    if checkpoint_hash(name) != base.get("hash"):
        raise CheckpointError(f"{name} is not what the adapters were trained on (the hashes differ)",
                              hint="give the checkpoint that tribetune.json names under `base`")  # fmt: skip
    return Tribe.from_pretrained(name).requires_grad_(False).eval()


def _subject(facts: dict[str, Any]) -> str:
    names = people(facts)
    if len(names) != 1:
        raise AdaptationError(
            f"the adapter's runs ({', '.join(facts.get('runs', [])) or 'none'}) name no one subject",
            hint="give the row a name by --subject",
        )
    return names[0]


def _lost(own: dict[str, Any], group: dict[str, Any]) -> list[str]:
    """What an adapter tells `predict` and a checkpoint does not, where that changes a prediction."""
    return [
        f"{key}: the adapter's are {own[key]}, a checkpoint's {group[key]}: `predict` differs by that"
        for key in ("window_s", "modalities")
        if own.get(key) and own[key] != group[key]
    ]


def _labelled(model: Tribe, facts: dict[str, Any]) -> Tribe:
    """The merged model with the adapter's space, lag and cleaning, which the unseen row must share."""
    config = model.config
    own = {"space": facts["space"], "lag_s": facts.get("lag_s"), "cleaning": facts.get("cleaning")}
    own = {key: value for key, value in own.items() if value is not None}
    apart = [f"{key} {value!r} and {getattr(config, key)!r}" for key, value in own.items()
             if value != getattr(config, key)]  # fmt: skip
    if apart and config.unseen_row:
        raise AdaptationError(
            f"one checkpoint cannot hold both the adapter's row and the unseen row: {'; '.join(apart)}",
            hint="predict with --adapter instead",
        )
    model.config = dataclasses.replace(config, **own)
    return model
