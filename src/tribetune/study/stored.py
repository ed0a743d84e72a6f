"""Every number of a run's score files, held against the same number found again."""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tribetune.files import without_nan
from tribetune.study.scoring import Scored, score_arrays, score_tables

Values = Mapping[tuple[str, str], np.ndarray]
"""Numbers, or words, by the file that they stand in and their name there."""

R_TOLERANCE, MEAN_TOLERANCE = 1e-3, 1e-4
"""Largest difference of one output's r, and of the mean r, that float32 may make on another machine: a penalty that is
as good as its neighbour may be chosen there. On the same machine there is none."""

_ROUNDING = 1e-5
"""Of a bootstrap or a permutation, whose sums are in another order with another number of threads."""

_ALLOWED = (
    (r"(^|_)(p|q)$", 0.005, 0.05),  # a draw as good as the score
    (r"^selected$", 0.0, 0.02),  # share of outputs chosen otherwise
    (r"n_(significant|ceiling|normalised)$", 0.0, 20.0),
    (r"n_effective$", 0.01, 10.0),
    (r"median_percentile$", 0.001, 5.0),
    (r"top_1$", 0.001, 0.5),
    (r"normalised$", 0.001, 0.05),  # r as a share of a small ceiling
    (r"_r2$", _ROUNDING, 10 * R_TOLERANCE),
    (r"mean_r$", 0.0, MEAN_TOLERANCE),
    (r"(interval|null_95|ceiling|low|high|delta|unique|shared|contribution|selected|_r_)", _ROUNDING, R_TOLERANCE),
    (r"^r ", 0.0, R_TOLERANCE),
)
"""What a name may differ by when predictions are those saved, and when they are made again; others not at all."""

_METHOD_R = "r "
"""Before the name of a method in ``scores.npz``, whose array is its r."""


@dataclass(frozen=True)
class Difference:
    """How far a number, or the worst of an array, is from the one stored.

    Attributes
    ----------
    file, name : str
        Where it is stored.
    size : float
        Absolute; infinite where only one of the two is defined.
    allowed : float
    """

    file: str
    name: str
    size: float
    allowed: float

    @property
    def is_r(self) -> bool:
        """Whether it is a method's r per output, which everything else follows from."""
        return self.name.startswith(_METHOD_R)

    @property
    def told(self) -> str:
        """In words."""
        name = f"{self.name.removeprefix(_METHOD_R)}'s r" if self.is_r else self.name
        apart = f"differs by {self.size:.2g}" if np.isfinite(self.size) else "is another value, or none"
        return f"{name} in {self.file} {apart}"


def values_found(scored: Scored) -> Values:
    """What the files of these scores would hold."""
    found = dict(_of_arrays(score_arrays(scored), list(scored.bootstrap.scores)))
    found |= dict(_of_rows(without_nan(json.loads(json.dumps(scored.rows)))))
    for name, text in score_tables(scored).items():
        found |= dict(_of_table(name, text))
    return found


def values_stored(path: Path, scored: Scored) -> Values:
    """What the files of a run folder hold; ``scored`` says which files and methods there are.

    Raises
    ------
    OSError
        If a file is not there.
    """
    with np.load(path / "scores.npz") as arrays:
        found = dict(_of_arrays(dict(arrays), list(scored.bootstrap.scores)))
    found |= dict(_of_rows(json.loads((path / "scores.json").read_text(encoding="utf-8"))["rows"]))
    for name in score_tables(scored):
        found |= dict(_of_table(name, (path / name).read_text(encoding="utf-8")))
    return found


def differences(found: Values, stored: Values, *, remade: bool) -> list[Difference]:
    """Every value's difference from the one stored: r per output first, then what is most beyond what is allowed.

    Parameters
    ----------
    found, stored : mapping of (file, name) to array
    remade : bool
        Whether predictions were made again, so that float32 of another machine may show.
    """
    told = [
        Difference(file, name, _size(found.get((file, name)), stored.get((file, name))), _allowed(name, remade))
        for file, name in dict.fromkeys([*found, *stored])
    ]
    return sorted(told, key=lambda one: (not one.is_r, one.allowed - one.size))


def size_of_r(told: Iterable[Difference], method: str) -> float:
    """Largest difference of a method's r over outputs."""
    return next(one.size for one in told if one.name == f"{_METHOD_R}{method.replace('-', '_')}")


def _of_arrays(arrays: Mapping[str, np.ndarray], methods: list[str]) -> Iterator[tuple[tuple[str, str], np.ndarray]]:
    scores = {method.replace("-", "_") for method in methods}
    for name, values in arrays.items():
        yield ("scores.npz", f"{_METHOD_R}{name}" if name in scores else name), np.asarray(values)


def _of_rows(rows: list[dict[str, Any]]) -> Iterator[tuple[tuple[str, str], np.ndarray]]:
    for row in rows:
        for name, value in _flat(row):
            yield ("scores.json", f"{row['method']}: {name}"), value


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _flat(item, f"{name}.{key}" if name else str(key))
    else:
        yield name, np.asarray(np.nan if value is None else value)


def _of_table(file: str, text: str) -> Iterator[tuple[tuple[str, str], np.ndarray]]:
    for row in csv.DictReader(text.splitlines(), delimiter="\t"):
        names = [str(row[key]) for key in ("method", "parcel", "from") if key in row]
        for name, cell in row.items():
            yield (file, f"{', '.join(names)}: {name}"), _number(str(cell))


def _number(cell: str) -> np.ndarray:
    try:
        return np.asarray(np.nan if cell == "n/a" else float(cell))
    except ValueError:
        return np.asarray(cell)


def _size(found: np.ndarray | None, stored: np.ndarray | None) -> float:
    if found is None or stored is None or found.shape != stored.shape:
        return float("inf")
    if "U" in (found.dtype.kind, stored.dtype.kind):
        return 0.0 if str(found) == str(stored) else float("inf")
    if found.dtype == bool and found.ndim:
        return float(np.mean(found != stored))
    a, b = found.astype(float), stored.astype(float)
    if (np.isfinite(a) != np.isfinite(b)).any():
        return float("inf")
    return float(np.max(np.abs(a - b), initial=0.0, where=np.isfinite(a)))


def _allowed(name: str, remade: bool) -> float:
    last = name if name.startswith(_METHOD_R) else name.rsplit(": ")[-1]
    return next(((made if remade else kept) for pattern, kept, made in _ALLOWED if re.search(pattern, last)), 0.0)
