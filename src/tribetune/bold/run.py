"""One BOLD run as a value, and what makes its numbers usable."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from tribetune.errors import BoldError

LONGEST_T_R = 30.0
"""A repetition time above this many seconds was written in milliseconds."""


@dataclass(frozen=True)
class Run:
    """One BOLD run.

    Attributes
    ----------
    subject, session, task, run : str
        BIDS entities without their keys; empty when a dataset does not use one.
    values : array of shape (n_trs, n_outputs)
        BOLD at its own repetition time; an undefined output (medial wall) is a column of NaN.
    t_r : float
        Repetition time in seconds; volume k is at ``k * t_r``.
    space : str
        Where the outputs live; see `tribetune.spaces`.
    mask : array of shape (n_trs,)
        True where a volume is valid.
    sources : tuple of Path
        The files it was read from.
    outputs : tuple of str
        Names of the outputs where the file has them.
    first_volume_s : float
        Time of the first volume on the stimulus clock, where events are not given on the run's: shift them by its
        negative.
    """

    subject: str
    session: str
    task: str
    run: str
    values: Float[np.ndarray, "time output"]
    t_r: float
    space: str
    mask: Bool[np.ndarray, " time"]
    sources: tuple[Path, ...] = ()
    outputs: tuple[str, ...] = ()
    first_volume_s: float = 0.0

    @property
    def label(self) -> str:
        """The run's BIDS name, such as ``sub-01_task-movie_run-2``."""
        return run_label(self.subject, self.session, self.task, self.run)


def run_label(subject: str, session: str, task: str, run: str) -> str:
    """Join BIDS entities to a name, leaving out those that are empty."""
    entities = {"sub": subject, "ses": session, "task": task, "run": run}
    return "_".join(f"{key}-{value}" for key, value in entities.items() if value)


def entities_said(label: str) -> dict[str, str]:
    """Entities of a run's name, by BIDS keys; of a bare one none."""
    pairs = (part.partition("-") for part in label.split("_"))
    return {key: value for key, dash, value in pairs if dash}


def is_named(label: str, name: str | int) -> bool:
    """Whether a name in a recipe means the run of this label.

    Parameters
    ----------
    label : str
        As `run_label` gives it.
    name : str or int
        The run's entity (``2`` is also run ``02``), its task where it has no run entity, its label, or some of the
        label's entities: ``task-movie_run-2``.
    """
    said, asked = entities_said(label), entities_said(str(name))
    if str(name) == label:
        return True
    if not asked:
        return bool(said) and _bare(name) == _bare(said.get("run") or said.get("task", ""))
    return all(_bare(said.get(key, "")) == _bare(value) for key, value in asked.items())


def _bare(name: str | int) -> str:
    """A name without leading zeros: 2 and "02" are one."""
    return str(name).lstrip("0") or str(name)


def check_t_r(t_r: float, where: str) -> float:
    """Return a plausible repetition time in seconds.

    Raises
    ------
    BoldError
        If it is not positive, or so long that it must be milliseconds.
    """
    if not 0 < t_r <= LONGEST_T_R:
        unit = " (milliseconds?)" if t_r > LONGEST_T_R else ""
        raise BoldError(
            f"{where}: t_r is {t_r:g} s{unit}, expected more than 0 and at most {LONGEST_T_R:g} s",
            hint="write RepetitionTime in seconds",
        )
    return float(t_r)


def check_values(values: Float[np.ndarray, "time output"], where: str) -> None:
    """Turn outputs that never vary into columns of NaN, in place, and refuse every other fault.

    Parameters
    ----------
    values : array of shape (n_trs, n_outputs)
        Just read, owned by the caller; an output that is NaN or constant throughout is medial wall.
    where : str
        The run, for messages.

    Raises
    ------
    BoldError
        If a run is all zeros or constant, has fewer than two volumes, or values that are not finite here and there.
    """
    if len(values) < 2:
        raise BoldError(f"{where}: {len(values)} volume(s), expected a time series", hint="choose the 4-D BOLD file")
    low, high = values.min(0), values.max(0)  # NaN wherever a column has one
    spoilt = ~(np.isfinite(low) & np.isfinite(high))
    if spoilt.any():
        _refuse_scattered(values, np.flatnonzero(spoilt), where)
    constant = ~spoilt & (low == high)
    if (constant | spoilt).all():
        zeros = constant.any() and not low[constant].any()
        raise BoldError(
            f"{where}: {'all zeros' if zeros else 'no output varies over time'}",
            hint="leave this run out, or look at how it was exported",
        )
    values[:, constant] = np.nan


def _refuse_scattered(values: Float[np.ndarray, "time output"], columns: np.ndarray, where: str) -> None:
    """Raise unless the columns are NaN from the first volume to the last."""
    faults = ~np.isfinite(values[:, columns])
    partly = ~np.isnan(values[:, columns]).all(0)
    if not partly.any():
        return
    volume, column = np.argwhere(faults & partly)[0]
    raise BoldError(
        f"{where}: {int(faults[:, partly].sum()):,} values are not finite, in {int(partly.sum()):,} outputs that are"
        f" measured elsewhere (first: volume {volume}, output {columns[column]:,})",
        hint="an output that is NaN throughout is taken as medial wall; mend or leave out the others",
    )
