"""A finished run's adapters that were removed or damaged since: fitted again, and never overwritten."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from tribetune.errors import AdaptationError
from tribetune.share.bundle import load_adapter
from tribetune.study.stages import RunFolder


def fit_damaged_again(folder: RunFolder, places: Mapping[str, Path]) -> list[str]:
    """Forget fits whose adapters cannot be read any more, so that they are made again; what is left is set aside.

    Parameters
    ----------
    folder : RunFolder
    places : mapping of method to Path
        Where each adapter is.

    Returns
    -------
    list of str
        A sentence for each that is fitted again.
    """
    told = []
    for method, place in places.items():
        if folder.load(f"fit-{method}") is None or not (fault := _fault(place)):
            continue
        for stage in (f"fit-{method}", f"predict-{method}"):
            folder.forget(stage)
        told.append(f"{method} was fitted again, because its adapter could not be read ({fault}){_set_aside(place)}.")
        folder.log(f"fit-{method}", "adapter damaged, will be made again", fault=fault)
    return told


def check_readable(places: Mapping[str, Path], hint: str) -> None:
    """Refuse a run of which an adapter was removed or damaged since.

    Raises
    ------
    AdaptationError
        With the fault, and this hint.
    """
    for place in places.values():
        if fault := _fault(place):
            raise AdaptationError(fault, hint=hint)


def _fault(place: Path) -> str:
    """Why an adapter cannot be read; empty where it can."""
    try:
        load_adapter(place)
    except AdaptationError as error:
        return str(error)
    return ""


def _set_aside(place: Path) -> str:
    """Move what is left of an adapter out of the way; where to, in words."""
    if not place.exists():
        return ""
    aside = Path(tempfile.mkdtemp(prefix=f"damaged-{place.name}-", dir=place.parent))
    place.rename(aside / place.name)
    return f"; what was left of it is in {aside}"
