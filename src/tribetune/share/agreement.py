"""Which adapters may be averaged: those of one checkpoint, fitted to BOLD of one kind."""

from collections.abc import Mapping, Sequence
from typing import Any

from tribetune.errors import AdaptationError

SAME = ("base", "space", "n_outputs", "lag_s", "window_s", "cleaning", "cleaning_choices", "modalities", "encoders")
"""Facts in which adapters must agree for their weights to have a mean."""


def check_agreement(facts: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse adapters whose weights mean different things.

    Parameters
    ----------
    facts : mapping of name to facts
        What each adapter's ``tribetune.json`` says.

    Raises
    ------
    AdaptationError
        With every fact in which one differs from the first.
    """
    (first, told), *others = facts.items()
    for name, other in others:
        apart = [key for key in SAME if _compared(told, key) != _compared(other, key)]
        if apart:
            differences = "; ".join(f"{key} is {_shown(told, key)} and {_shown(other, key)}" for key in apart)
            raise AdaptationError(
                f"{first} and {name} have no mean: {differences}",
                hint="average adapters of one checkpoint, fitted to BOLD of one space, lag and cleaning",
            )


def average_facts(facts: Sequence[Mapping[str, Any]], weights: Sequence[float]) -> dict[str, Any]:
    """Facts of an average: what all agree in, all their minutes and runs, and what it is the average of.

    Consent and probe are not among them: neither is an average's own.
    """
    agreed = {key: facts[0][key] for key in SAME if key in facts[0]}
    t_rs = {told.get("t_r") for told in facts}
    parts = [
        {"method": told["method"], "weight": weight, "runs": told.get("runs", [])}
        for told, weight in zip(facts, weights, strict=True)
    ]
    return {
        **agreed,
        "calibration_minutes": _all_minutes(facts),
        "runs": list(dict.fromkeys(run for told in facts for run in told.get("runs", []))),
        "t_r": t_rs.pop() if len(t_rs) == 1 else None,
        "average_of": parts,
    }


def _all_minutes(facts: Sequence[Mapping[str, Any]]) -> float | None:
    """Minutes of BOLD of adapters together; None where one does not tell, or some of their runs are the same."""
    longest: dict[frozenset[str], float] = {}
    for told in facts:
        runs, minutes = frozenset(told.get("runs", [])), told.get("calibration_minutes")
        if minutes is None or any(runs & others for others in longest if others != runs):
            return None
        longest[runs] = max(minutes, longest.get(runs, 0.0))  # fewer minutes of the same runs are the first of them
    return sum(longest.values())


def _compared(facts: Mapping[str, Any], key: str) -> Any:
    """Of the base only its hash counts."""
    return (facts.get("base") or {}).get("hash") if key == "base" else facts.get(key)


def _shown(facts: Mapping[str, Any], key: str) -> str:
    if key != "base":
        return repr(facts.get(key))
    base = facts.get("base") or {}
    return f"{base.get('name')!r} ({str(base.get('hash'))[:8]})"
