"""Confounds of a run, chosen from fMRIPrep's table by nilearn's loader: regressors, and volumes that do not count."""

import secrets
import shutil
import tempfile
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float

from tribetune.errors import BoldError

Terms = Literal["basic", "power2", "derivatives", "full"]
"""Time courses alone, with their squares, with their derivatives, or with both and the derivatives' squares."""

STRATEGIES = ("simple", "scrubbing", "compcor")
"""nilearn's presets that can be built from the table alone."""

_WM_CSF: dict[str, Terms] = {"simple": "basic", "scrubbing": "full"}
"""nilearn's presets differ in this one."""

MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
"""fMRIPrep's names of the six head motion parameters."""

_TRUNCATED = 3
"""Column names that a message shows before it stops."""


@dataclass(frozen=True)
class Thresholds:
    """Every choice behind a strategy; the defaults are those of nilearn 0.14's ``load_confounds_strategy``.

    A strategy uses the fields that belong to it and ignores the others.

    Attributes
    ----------
    high_pass : bool
        Take out fMRIPrep's cosines (128 s). ``compcor`` cannot do without: its components were computed so.
    motion : str
        Which terms of the six head motion parameters.
    wm_csf : str or None
        Which terms of white matter's and CSF's means; None: ``basic`` in ``simple``, ``full`` in ``scrubbing``.
    global_signal : str or None
        Which terms of the global signal; None: it stays in, in every strategy.
    scrub_trs : int
        ``scrubbing``: stretches between two scrubbed volumes go too when they are shorter; 0: none does.
    fd_threshold_mm : float
        ``scrubbing``: volumes with more framewise displacement go.
    std_dvars_threshold : float
        ``scrubbing``: volumes with more standardised DVARS go.
    compcor : str
        ``compcor``: from which masks.
    n_compcor : int or "all"
        ``compcor``: components of each mask; all that fMRIPrep kept (half of the variance), or the first so many.
    """

    high_pass: bool = True
    motion: Terms = "full"
    wm_csf: Terms | None = None
    global_signal: Terms | None = None
    scrub_trs: int = 5
    fd_threshold_mm: float = 0.5
    std_dvars_threshold: float = 1.5
    compcor: Literal[
        "anat_combined", "anat_separated", "temporal", "temporal_anat_combined", "temporal_anat_separated"
    ] = "anat_combined"
    n_compcor: int | Literal["all"] = "all"


DEFAULTS = Thresholds()


@dataclass(frozen=True)
class Confounds:
    """What to take out of a run.

    Attributes
    ----------
    names : tuple of str
        Of the regressors.
    values : array of shape (n_trs, n_confounds)
        As in the table; the first volume of a derivative, which has none, is that of the second.
    mask : array of shape (n_trs,)
        False where a volume was scrubbed, or is one of the first, before the magnetisation was steady.
    """

    names: tuple[str, ...]
    values: Float[np.ndarray, "time confound"]
    mask: Bool[np.ndarray, " time"]


def read_confounds(path: Path, n_trs: int, strategy: str, thresholds: Thresholds = DEFAULTS) -> Confounds:
    """Choose a strategy's regressors and valid volumes.

    Parameters
    ----------
    path : Path
        fMRIPrep's ``desc-confounds_timeseries.tsv`` (or a table with its column names), its JSON beside it.
    n_trs : int
        Volumes of the run.
    strategy : str
        ``simple``, ``scrubbing`` or ``compcor``.
    thresholds : Thresholds
        The strategy's choices.

    Raises
    ------
    BoldError
        If the table has another number of rows, lacks a column that the strategy wants, or is not finite in a volume
        that counts.

    Notes
    -----
    ``nilearn.interfaces.fmriprep.load_confounds`` finds the table by an image's name and opens no image. It is given a
    copy of the table under a name it knows, so every layout has the same way: MGZ, explicit files, old names.
    """
    _check_rows(path, n_trs)
    chosen = loader_arguments(strategy, thresholds)
    from nilearn.interfaces.fmriprep import load_confounds

    try:
        with _known_by_name(path) as image, warnings.catch_warnings():
            # a run without a volume left is refused by whoever cleans it, with its name
            warnings.filterwarnings("ignore", message="All volumes were marked", category=RuntimeWarning)
            table, kept = load_confounds(str(image), demean=False, **chosen)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise BoldError(
            f"{path}: no {strategy} confounds from this table: {' '.join(str(error).split())}",
            hint="set data.cleaning to another strategy or to tribe, or run fMRIPrep 1.4 or later again",
        ) from error
    assert table is not None  # only without a strategy
    mask = np.ones(n_trs, bool) if kept is None else np.isin(np.arange(n_trs), kept)
    values = table.to_numpy(np.float64)
    names = tuple(str(name) for name in table.columns)
    _check_finite(values, names, mask, path)
    return Confounds(names, values, mask)


def loader_arguments(strategy: str, thresholds: Thresholds = DEFAULTS) -> dict[str, Any]:
    """Arguments of nilearn's ``load_confounds`` that a strategy stands for, all of them written out.

    Raises
    ------
    BoldError
        If the strategy is unknown, or is ``compcor`` without the high-pass filter it was computed with.
    """
    if strategy not in STRATEGIES:
        raise BoldError(f"no confounds for {strategy!r}", hint=f"one of: {', '.join(STRATEGIES)}")
    if strategy == "compcor" and not thresholds.high_pass:
        raise BoldError(
            "cleaning compcor without high_pass: fMRIPrep computed its components after that filter",
            hint="set data.thresholds.high_pass to true",
        )
    chosen: dict[str, Any] = {"motion": thresholds.motion}
    parts = ["motion"]
    if strategy == "compcor":
        parts += ["compcor"]
        chosen |= {"compcor": thresholds.compcor, "n_compcor": thresholds.n_compcor}
    else:
        parts += ["wm_csf"]
        chosen |= {"wm_csf": thresholds.wm_csf or _WM_CSF[strategy]}
    if strategy == "scrubbing":
        parts += ["scrub"]
        chosen |= {
            "scrub": thresholds.scrub_trs,
            "fd_threshold": thresholds.fd_threshold_mm,
            "std_dvars_threshold": thresholds.std_dvars_threshold,
        }
    if thresholds.global_signal is not None:
        parts += ["global_signal"]
        chosen |= {"global_signal": thresholds.global_signal}
    return {"strategy": ["high_pass", *parts] if thresholds.high_pass else parts, **chosen}


def framewise_displacement(path: Path, n_trs: int) -> Float[np.ndarray, " time"] | None:
    """Head motion from one volume to the next in millimetres, NaN at the first; None where the table does not say.

    Raises
    ------
    BoldError
        If the table cannot be read or has another number of rows.
    """
    table = _check_rows(path, n_trs)
    if "framewise_displacement" not in table:
        return None
    try:
        return table["framewise_displacement"].to_numpy(np.float64)
    except ValueError as error:
        raise BoldError(f"{path}: framewise_displacement: {error}", hint="expected millimetres, or n/a") from error


def head_motion(path: Path, n_trs: int) -> Float[np.ndarray, "time 6"] | None:
    """Translations (mm) and rotations (radians) of the head; None where the table does not say them all.

    Raises
    ------
    BoldError
        If the table cannot be read, has another number of rows, or is not finite.
    """
    table = _check_rows(path, n_trs)
    if not set(MOTION) <= set(table.columns):
        return None
    values = table[list(MOTION)].to_numpy(np.float64, na_value=np.nan)
    _check_finite(values, MOTION, np.ones(n_trs, bool), path)
    return values


def non_steady_trs(path: Path, n_trs: int) -> int:
    """Volumes that fMRIPrep marked as not yet steady (``non_steady_state_outlier*``).

    Raises
    ------
    BoldError
        If the table cannot be read or has another number of rows.
    """
    return sum(str(name).startswith("non_steady_state") for name in _check_rows(path, n_trs).columns)


def _check_rows(path: Path, n_trs: int) -> Any:
    """The table, one row per volume."""
    import pandas

    try:
        table = pandas.read_csv(path, sep="\t")
    except (OSError, ValueError) as error:
        raise BoldError(
            f"{path}: cannot be read as confounds ({error})", hint="expected fMRIPrep's tab-separated table"
        ) from error
    if len(table) != n_trs:
        raise BoldError(
            f"{path}: {len(table)} rows of confounds, but the run has {n_trs} volumes",
            hint="give the confounds of this very run; dummy scans must be in both or in neither",
        )
    return table


@contextmanager
def _known_by_name(path: Path) -> Generator[Path]:
    """Name of an image (there is none) whose confounds nilearn takes to be a copy of ``path``."""
    # Its loader replaces "tsv" in the whole path to find the JSON, so the folder's name must not have it by chance.
    folder = Path(tempfile.gettempdir()) / f"confounds-{secrets.token_hex(8)}"
    if "tsv" in str(folder):
        raise BoldError(f"nilearn finds no JSON below {folder.parent}: 'tsv' is in its name", hint="set TMPDIR")
    folder.mkdir(mode=0o700)
    try:
        for suffix in (".tsv", ".json"):
            source = path if suffix == ".tsv" else path.with_suffix(suffix)
            if source.is_file():
                shutil.copyfile(source, folder / f"sub-x_desc-confounds_timeseries{suffix}")
        yield folder / "sub-x_desc-preproc_bold.nii.gz"
    finally:
        shutil.rmtree(folder)


def _check_finite(
    values: Float[np.ndarray, "time confound"], names: tuple[str, ...], mask: Bool[np.ndarray, " time"], path: Path
) -> None:
    faults = ~np.isfinite(values) & mask[:, None]
    if not faults.any():
        return
    spoilt = [name for name, bad in zip(names, faults.any(0), strict=True) if bad]
    more = f" and {len(spoilt) - _TRUNCATED} more" if len(spoilt) > _TRUNCATED else ""
    raise BoldError(
        f"{path}: {', '.join(spoilt[:_TRUNCATED])}{more} not finite in {int(faults.any(1).sum())} volumes"
        f" (first: {int(np.flatnonzero(faults.any(1))[0])})",
        hint="run fMRIPrep again, or set data.cleaning to tribe",
    )
