"""How a number is written in a cell of a table."""

import math
from collections.abc import Mapping
from typing import Any

from tribetune.digits import rounded, signed

UNDEFINED = "not defined"


def with_interval(found: Mapping[str, Any] | None, sign: str = "", between: str = " ") -> str:
    """A mean r, or a difference of two where ``sign`` is "+", with its interval; a dash where there is none."""
    if found is None:
        return "–"
    if found["mean"] is None or math.isnan(found["mean"]):
        return UNDEFINED.replace(" ", between)
    if any(end is None or math.isnan(end) for end in found["interval"]):
        return f"{score(found['mean'], sign)}{between}[–]"
    low, high = (score(end, sign) for end in found["interval"])
    return f"{score(found['mean'], sign)}{between}[{low}, {high}]"


def count(value: float | None) -> str:
    """Three digits are enough to compare: 5.24 M, 166 k, 12.4."""
    if value is None or math.isnan(value):
        return "–"
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= 0.9995 * size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def seconds(value: float | None) -> str:
    """A tenth of a second where there are few."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value:,.1f}" if value < 10 else f"{value:,.0f}"


def score(value: float | None, sign: str = "") -> str:
    """Pearson's r without its leading zero, as journals print it."""
    if value is None or math.isnan(value):
        return UNDEFINED.replace(" ", "\n")
    return (signed(value) if sign else rounded(value)).replace("0.", ".", 1)
