"""What a result came from: versions, hashes, command, seed, and facts about the host, without paths of people."""

import os
import platform
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tribetune import __version__
from tribetune.files import hash_file

_PACKAGES = ("torch", "lightning", "transformers", "peft", "torchmetrics", "himalaya", "nibabel", "nilearn", "numpy")


def provenance(
    seed: int, base: Mapping[str, Any], inputs: Iterable[Path], timelines: Mapping[str, str]
) -> dict[str, Any]:
    """Facts for ``provenance.json``.

    Parameters
    ----------
    seed : int
    base : mapping
        Name and hash of the checkpoint.
    inputs : iterable of Path
        BOLD and media files; only their names and hashes are kept.
    timelines : mapping of run label to str
        Hash of each run's events and words.
    """
    return {
        "tribetune": __version__,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "host": {"system": platform.system(), "machine": platform.machine(), "cpus": os.cpu_count()},
        "command": [Path(sys.argv[0]).name, *(_without_folder(word) for word in sys.argv[1:])],
        "seed": seed,
        "base": dict(base),
        "timelines": dict(timelines),
        "inputs": {name: hash_file(path) for name, path in sorted(short_names(inputs).items())},
    }


def short_names(paths: Iterable[Path]) -> dict[str, Path]:
    """Each file under its name, with as many of its folders as tell files of one name apart."""
    distinct = list(dict.fromkeys(paths))
    longest = max((len(path.parts) for path in distinct), default=1)
    for n_parts in range(1, longest):
        names = ["/".join(path.parts[-n_parts:]) for path in distinct]
        if len(set(names)) == len(names):
            return dict(zip(names, distinct, strict=True))
    return {path.as_posix(): path for path in distinct}


def _without_folder(word: str) -> str:
    """An argument, with an absolute path cut to its last part."""
    key, equals, value = word.rpartition("=")
    return key + equals + (Path(value).name if Path(value).is_absolute() else value)
