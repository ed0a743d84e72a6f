"""What an adapter says about where it came from, as a study knows it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tribetune.recipe.data import BlockSplit
from tribetune.study.prepare import OWN_FOLDER, Prepared


def adapter_facts(study: Prepared) -> dict[str, Any]:
    """Plain values for ``tribetune.json``; no path is among them.

    Parameters
    ----------
    study : Prepared
    """
    data, split = study.recipe.data, study.split
    return {
        "base": dict(study.base),
        "calibration_minutes": study.calibration_minutes,
        "runs": [part.aligned.label for part in split.training],
        "t_r": _t_r(study),
        "space": data.space,
        "n_outputs": int(split.test[0].aligned.bold.shape[1]),
        "cleaning": data.cleaning,
        "cleaning_choices": study.cleaning,
        "lag_s": study.recipe.windows.hemodynamic_lag_s,
        "window_s": study.recipe.windows.duration_s,
        "modalities": list(study.recipe.features.modalities),
        "encoders": study.encoders if Path(study.encoders).name == study.encoders else OWN_FOLDER,
        "encoder_identities": dict(study.identities),
        "split": _split(study),
        "leakage": {"checked": [], "found": [], **study.leakage},
    }


def ceiling_facts(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """The noise ceiling beside a row of the table; None where these data allow no estimate."""
    kind = row.get("ceiling_kind", "none")
    if kind == "none":
        return None
    return {"kind": kind, "mean_r": row["ceiling"], "n_outputs": row["n_ceiling"]}


def _t_r(study: Prepared) -> float | None:
    """Of the runs trained on; None where they differ."""
    labels = dict.fromkeys(part.aligned.label for part in study.split.training)
    found = {study.runs[label].cleaned().t_r for label in labels if label in study.runs}
    return found.pop() if len(found) == 1 else None


def _split(study: Prepared) -> dict[str, Any]:
    choice, parts = study.recipe.data.split, ("training", "validation", "test")
    labels = {name: [part.aligned.label for part in getattr(study.split, name)] for name in parts}
    gap = {"gap_s": choice.gap_s} if isinstance(choice, BlockSplit) else {}
    return {"by": choice.by, **labels, **gap}
