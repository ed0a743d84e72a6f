"""Each showing of a run whose table is the mean of several."""

from dataclasses import replace

import numpy as np

from tribetune.bold.patterns import filled
from tribetune.bold.run import Run, check_values
from tribetune.bold.table_files import opened
from tribetune.bold.tables import TableSpec, find_table, read_table
from tribetune.errors import BoldError

_LEAST_R = 0.9
"""A mean correlates by more with what is said to be it, also where showings were z-scored before or after."""


def read_showings(spec: TableSpec, array: str, subject: str, run: str) -> list[Run]:
    """Read each showing of one run.

    Parameters
    ----------
    spec : TableSpec
    array : str
        Name of the array of (showing, time, region), beside that of their mean; may hold placeholders.
    subject, run : str

    Returns
    -------
    list of Run
        Empty where the table has no such array.

    Raises
    ------
    BoldError
        If the run's own table is not their mean, or one cannot be used.
    """
    path, key, said = find_table(spec, subject, run)
    name = filled(array, {**said, "subject": subject})
    with opened(path) as arrays:
        if name not in arrays:
            return []
        expected, found = arrays[key].shape, arrays[name].shape
        if found[1:] != expected:
            raise BoldError(
                f"{path}: {name} is {_size(found)}, expected showings of {key}, which is {_size(expected)}",
                hint="mend data.tables.repeats",
            )
        showings = np.array(arrays[name], np.float32)
    whole = read_table(spec, subject, run)
    for number, values in enumerate(showings, 1):
        check_values(values, f"{whole.label} in {path.name}, showing {number} of {name}")
    alike = _median_r(whole.values, showings.mean(0))
    if not alike >= _LEAST_R:
        raise BoldError(
            f"{path}: {key} correlates by {alike:.2f} with the mean of {name}, expected to be that mean",
            hint="mend data.tables.repeats, or leave it out",
        )
    return [replace(whole, values=values) for values in showings]


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def _median_r(one: np.ndarray, other: np.ndarray) -> float:
    """Of the columns that both have."""
    one, other = one - one.mean(0), other - other.mean(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = (one * other).sum(0) / np.sqrt((one**2).sum(0) * (other**2).sum(0))
    return float(np.median(r[np.isfinite(r)])) if np.isfinite(r).any() else np.nan
