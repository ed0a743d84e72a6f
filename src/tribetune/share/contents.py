"""What may leave the lab: the files of a bundle and no others, their text without any path of this machine."""

import re
from collections.abc import Mapping
from pathlib import Path

from tribetune.errors import AdaptationError
from tribetune.share.bundle import BUNDLE, CARD, FACTS, LORA
from tribetune.share.plain_files import read_plain_text

_PATHS = re.compile(
    r"(?<![\w:/.~-])/[A-Za-z_][\w.+@~-]+"  # /home, but no part of a URL and no fraction
    r"|~/\w|file:/|\\\\\w"
    r"|\b[A-Za-z]:(?:\\|/(?!/))"
)
"""An absolute path: POSIX, home, file URL, Windows with drive or share."""

_TEXTS = (FACTS, LORA, CARD)


def check_contents(files: Mapping[str, Path]) -> None:
    """Refuse what is not a bundle's file, and text that names a path of this machine.

    Parameters
    ----------
    files : mapping of name to Path

    Raises
    ------
    AdaptationError
        Naming the file, and what stands in it.
    """
    foreign = sorted(set(files) - set(BUNDLE))
    if foreign:
        raise AdaptationError(
            f"{foreign[0]} is no file of an adapter and is not sent", hint=f"sent are {', '.join(BUNDLE)}"
        )
    for name in _TEXTS:
        if name in files and (found := _PATHS.search(read_plain_text(files[name]))):
            line = read_plain_text(files[name])[: found.start()].count("\n") + 1
            raise AdaptationError(
                f"{name}, line {line}: {found[0]} looks like a path on this machine",
                hint="adapt again with names instead of paths, or take it out of tribetune.json",
            )
