"""The table that a lab reads, a row per method, and a verdict that is true also when the adapter loses."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tribetune.digits import signed
from tribetune.evaluate.bootstrap import Bootstrap, Estimate

ALL, SELECTED = 0, 1
"""Output sets of the bootstrap: every output, and the set fixed on calibration data."""

BASELINES = {
    "zero-shot": "zero-shot",
    "fir": "the FIR baseline",
    "banded": "the banded FIR baseline",
    "nuisance": "the nuisance baseline",
}
"""What an adapter is held against, and how a sentence calls it."""

OTHERS = "others"

PAIRED = {**BASELINES, OTHERS: "the mean of the other subjects"}
"""What differences are told from: the mean of the other subjects, too, though nobody can use it for a new stimulus."""


@dataclass(frozen=True)
class Cost:
    """What a method took.

    Attributes
    ----------
    calibration_minutes : float
        BOLD that it was fitted on.
    trained_parameters : int
    seconds : float
    """

    calibration_minutes: float
    trained_parameters: int
    seconds: float


def table_rows(
    bootstrap: Bootstrap, costs: Mapping[str, Cost], missing: Mapping[str, str], nulls: Mapping[str, Sequence[float]]
) -> list[dict[str, Any]]:
    """One row per method in the order of ``costs``; a method in ``missing`` is there with its reason and no score.

    ``nulls`` holds each method's 95th percentile of the mean r by chance, over each set of outputs.
    """
    rows = []
    for method, cost in costs.items():
        row: dict[str, Any] = {"method": method, **asdict(cost), "defined": method not in missing}
        if method in missing:
            rows.append({**row, **_no_scores(missing[method])})
            continue
        everywhere, selected = bootstrap.score(method, ALL), bootstrap.score(method, SELECTED)
        row |= {"mean_r": everywhere.mean, "interval": list(everywhere.interval), "n_outputs": everywhere.n_outputs}
        row |= {"null_95": nulls[method][ALL], "null_95_selected": nulls[method][SELECTED]}
        row |= {"mean_r_selected": selected.mean, "n_selected": selected.n_outputs}
        row |= {"interval_selected": list(selected.interval)}
        row |= {delta_key(name): _delta(bootstrap, method, name) for name in PAIRED}
        rows.append(row)
    return rows


def verdict(bootstrap: Bootstrap, adapted: Sequence[str]) -> str:
    """Whether each adapted method beats the baselines on held-out data, over all outputs, in words."""
    if not adapted:
        return "Nothing was adapted: these are the scores of the baselines."
    if not bootstrap.score(adapted[0], ALL).n_outputs:
        return "No output has a score: the held-out data do not vary, or the methods do not."
    told = [sentence for method in adapted for sentence in (_sentence(bootstrap, method), _others(bootstrap, method))]
    return " ".join(filter(None, told))


def _sentence(bootstrap: Bootstrap, method: str) -> str:
    found = {name: bootstrap.difference(method, name, ALL) for name in BASELINES if name in bootstrap.scores}
    if not found:
        return f"{method} was held against no baseline."
    if not all(np.isfinite(estimate.interval).all() for estimate in found.values()):
        means = " and ".join(f"{signed(estimate.mean)} to {BASELINES[name]}" for name, estimate in found.items())
        return f"{method}: {means} in mean r, from too little test data for an interval. Nothing can be said of it."
    parts = [_outcome(estimate, BASELINES[name]) for name, estimate in found.items()]
    beaten = [name for name, estimate in found.items() if estimate.interval[0] > 0]
    if len(beaten) == len(found):
        works = bootstrap.score(method, ALL).interval[0] > 0
        ending = "It is worth using." if works else "But its own score is not reliably above zero."
    elif any(estimate.interval[1] < 0 for estimate in found.values()):
        ending = f"Use {_best(bootstrap, [*found, method])} instead."
    elif "zero-shot" in beaten:
        unbeaten = " or ".join(BASELINES[name] for name in found if name not in beaten)
        ending = f"Adapting helps, but these data do not show that it beats {unbeaten}."
    else:
        ending = "These data do not show that adapting helps."
    return f"{method} {' and '.join(parts)}. {ending}"


def _others(bootstrap: Bootstrap, method: str) -> str:
    """How it stands to what other people's brains predict: no rival, because a new stimulus has none."""
    if OTHERS not in bootstrap.scores:
        return ""
    apart = bootstrap.difference(method, OTHERS, ALL)
    if not np.isfinite(apart.interval).all():
        return ""
    return f"For comparison, {method} {_outcome(apart, PAIRED[OTHERS])}, which a new stimulus does not have."


def _outcome(difference: Estimate, name: str) -> str:
    low, high = difference.interval
    figures = f"({signed(difference.mean)} mean r, 95 % interval {signed(low)} to {signed(high)})"
    if low > 0:
        return f"beats {name} {figures}"
    if high < 0:
        return f"is worse than {name} {figures}"
    return f"does not differ reliably from {name} {figures}"


def _best(bootstrap: Bootstrap, methods: Sequence[str]) -> str:
    best = max(methods, key=lambda method: bootstrap.score(method, ALL).mean)
    return BASELINES.get(best, best)


def _delta(bootstrap: Bootstrap, method: str, baseline: str) -> dict[str, Any] | None:
    if method == baseline or baseline not in bootstrap.scores:
        return None
    difference = bootstrap.difference(method, baseline, ALL)
    return {"mean": difference.mean, "interval": list(difference.interval)}


def _no_scores(reason: str) -> dict[str, Any]:
    nothing = float("nan")
    scores = {
        "mean_r": nothing,
        "interval": [nothing, nothing],
        "n_outputs": 0,
        "null_95": nothing,
        "mean_r_selected": nothing,
    }
    scores |= {"interval_selected": [nothing, nothing], "n_selected": 0}
    return {**scores, **{delta_key(name): None for name in PAIRED}, "reason": reason}


def delta_key(baseline: str) -> str:
    """Where a row keeps the difference from a baseline."""
    return f"delta_{baseline.replace('-', '_')}"
