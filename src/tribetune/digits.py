"""A score and a difference of scores in digits, for people: what rounds to zero has no sign."""

from typing import SupportsFloat


def rounded(value: SupportsFloat, places: int = 3) -> str:
    """A score: ``0.123``, ``-0.123``, and ``0.000`` for what is nearer to zero than the last place shows."""
    return f"{float(value):z.{places}f}"


def signed(value: SupportsFloat, places: int = 3) -> str:
    """A difference: ``+0.123``, ``-0.123``, and ``0.000`` for what is nearer to zero than the last place shows."""
    shown = rounded(value, places)
    return shown if shown.startswith("-") or float(shown) == 0 else f"+{shown}"
