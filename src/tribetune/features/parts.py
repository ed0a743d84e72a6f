"""Rows of features that are finished before the whole is: small files, from which a killed extraction goes on."""

import errno
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from tribetune.errors import FeatureError
from tribetune.files import whole, write_json

log = logging.getLogger(__name__)

ABOUT = "about.json"
"""Says in the folder of an unfinished array what it will be."""

_NAMED = "[0-9]*-[0-9]*-{maker}.npy"
"""First row, row after the last, and who made them."""


@dataclass(frozen=True)
class Parts:
    """The finished rows of one array, as several writers may keep them at once.

    A file's name says its rows and who made them. Two writers of one file write the same bits, each whole, so that no
    lock is needed; rows that another device or version made are not joined with ours.

    Parameters
    ----------
    folder : Path
        Beside the array that they will be; only while it is made.
    maker : str
        Short hash of the device, precision and versions that compute.
    """

    folder: Path
    maker: str

    def begin(self, about: Mapping[str, Any]) -> None:
        """Say what is being made."""
        write_json(self.folder / ABOUT, dict(about))

    @property
    def rows(self) -> int:
        """Rows that are finished, from the first on without a gap."""
        return max((stop for _, stop, _ in self._chain()), default=0)

    def save(self, start: int, block: Float[np.ndarray, "row layer dim"]) -> None:
        """Keep the rows from ``start`` on, in float32.

        Raises
        ------
        FeatureError
            If a value is not finite.
        """
        if not np.isfinite(block).all():
            raise FeatureError(
                f"the encoder gave {np.count_nonzero(~np.isfinite(block))} values that are not finite",
                hint="try --device cpu, where nothing is computed in half precision",
            )
        with whole(self.folder / f"{start:08d}-{start + len(block):08d}-{self.maker}.npy") as part:
            np.save(part, block.astype(np.float32, copy=False), allow_pickle=False)

    def joined(self, n_rows: int, *, exact: bool = False) -> Float[np.ndarray, "row layer dim"]:
        """All rows as the store keeps them; only one file at a time is held beside the result.

        Parameters
        ----------
        n_rows : int
            How many there have to be.
        exact : bool
            Whether to stay in float32. Else float16, but float32 where float16 would overflow.

        Raises
        ------
        FileNotFoundError
            If some are gone, because another writer was done and swept them.
        """
        chain = list(self._chain())
        if not chain or chain[-1][1] != n_rows:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.folder))
        largest = 0.0 if exact else max(float(np.abs(np.load(path)).max(initial=0)) for _, _, path in chain)
        fits = not exact and largest <= float(np.finfo(np.float16).max)
        if not (fits or exact):
            log.warning("features exceed the range of float16; they are kept in float32")
        shape = (chain[-1][1], *np.load(chain[0][2]).shape[1:])
        values = np.empty(shape, np.float16 if fits else np.float32)
        for start, stop, path in chain:
            values[start:stop] = np.load(path)
        return values

    def sweep(self) -> None:
        """Remove everybody's parts, and what killed writers of the finished file left; when that file is there."""
        name = self.folder.stem
        for path in [*self.folder.glob("*"), *self.folder.parent.glob(f".part-*-{name}.*")]:
            path.unlink(missing_ok=True)
        with suppress(OSError):  # another writer has put something in; he will sweep, too
            self.folder.rmdir()

    def _chain(self) -> Iterator[tuple[int, int, Path]]:
        """Start, stop and file of the parts that follow each other from the first row on."""
        found: dict[int, tuple[int, Path]] = {}
        for path in sorted(self.folder.glob(_NAMED.format(maker=self.maker))):
            start, stop, _ = path.stem.split("-")
            found[int(start)] = int(stop), path
        at = 0
        while at in found and _is_readable(found[at][1], found[at][0] - at):
            start, (at, path) = at, found[at]
            yield start, at, path


def rows_kept(folder: Path) -> int:
    """Rows in a folder of parts, of the maker who is farthest."""
    makers = {path.stem.rsplit("-", 1)[-1] for path in folder.glob(_NAMED.format(maker="*"))}
    with suppress(FileNotFoundError):  # its writer is done just now, and sweeps
        return max((Parts(folder, maker).rows for maker in makers), default=0)
    return 0


def sweep_leftovers(folder: Path) -> None:
    """Remove the parts of an array that is finished, which a writer killed at the very end left behind."""
    if folder.is_dir() and os.access(folder, os.W_OK):
        Parts(folder, "*").sweep()


def _is_readable(path: Path, n_rows: int) -> bool:
    try:
        there = len(np.load(path, mmap_mode="r", allow_pickle=False))
    except (ValueError, EOFError) as error:
        log.warning("%s is damaged (%s): its features are made again", path, error)
        return False
    return there == n_rows > 0
