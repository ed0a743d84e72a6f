"""Text files of whatever origin, read as text."""

import codecs
from pathlib import Path

from tribetune.errors import StimulusError

_MARKED = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark begins alike
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(path: Path) -> str:
    """Read a text file: UTF-8, or UTF-16 or UTF-32 with a byte order mark; every line ends in a line feed.

    Raises
    ------
    StimulusError
        If the file is missing or in another encoding. None is guessed: a wrong guess reads wrong words.
    """
    if not path.is_file():
        raise StimulusError(f"{path}: no such file, expected the words of the stimulus", hint="check the path")
    content = path.read_bytes()
    encoding = next((name for mark, name in _MARKED if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise _not_text(path, str(error)) from error
    if "\0" in text:
        raise _not_text(path, f"a zero byte at {text.index(chr(0))}")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _not_text(path: Path, why: str) -> StimulusError:
    return StimulusError(
        f"{path}: is not UTF-8 text ({why}), expected UTF-8, or UTF-16 with a byte order mark",
        hint=f"save it as UTF-8, or say what it is: iconv -f LATIN1 -t UTF-8 {path.name} > new-{path.name}",
    )
