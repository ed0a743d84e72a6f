"""Paths with placeholders: which files they match, and what the placeholders stand for."""

import glob
import re
from collections.abc import Mapping
from pathlib import Path

_PIECES = re.compile(r"(\{[a-z_]+\}|\*)")


def placeholders(pattern: str) -> set[str]:
    """Names of a pattern's placeholders."""
    return {piece[1:-1] for piece in _PIECES.findall(pattern) if piece != "*"}


def filled(pattern: str, values: Mapping[str, str]) -> str:
    """A pattern with the placeholders that are known put in."""
    return _PIECES.sub(lambda piece: values.get(piece[0][1:-1], piece[0]), pattern)


def matching(pattern: str) -> list[tuple[Path, dict[str, str]]]:
    """Files of a pattern, in their names' order (9 before 10), and what its placeholders stand for in each.

    A ``*`` stands for anything within a name, and is not told.
    """
    parts = Path(pattern).parts
    free = next((k for k, part in enumerate(parts) if _PIECES.search(part)), len(parts))
    if free == len(parts):
        return [(Path(pattern), {})] if Path(pattern).is_file() else []
    base, inside = Path(*parts[:free]), Path(*parts[free:]).as_posix()
    anything = "".join("*" if _PIECES.fullmatch(piece) else glob.escape(piece) for piece in _PIECES.split(inside))
    files = {file: file.relative_to(base).as_posix() for file in base.glob(anything) if file.is_file()}
    found = [(file, named) for file, name in files.items() if (named := read_names(inside, name)) is not None]
    return sorted(found, key=lambda one: _natural(files[one[0]]))


def read_names(pattern: str, name: str) -> dict[str, str] | None:
    """What the placeholders of a pattern stand for in a name, or None where it does not fit."""
    seen: set[str] = set()
    expression = ""
    for piece in _PIECES.split(pattern):
        field = piece[1:-1]
        if not _PIECES.fullmatch(piece):
            expression += re.escape(piece)
        elif piece == "*":
            expression += "[^/]*"
        elif field in seen:
            expression += f"(?P={field})"
        else:
            seen.add(field)
            expression += rf"(?P<{field}>[^/]+?)"
    match = re.fullmatch(expression, name)
    return match.groupdict() if match else None


def nearest(path: str | Path) -> str:
    """What to say after a path that is not there: a name beside it that may be the same file's.

    It differs by signs, zeros or its ending, or with the same ending by what is added; that of another run differs by a
    number, and the film beside missing words by its ending.
    """
    path = Path(path)
    beside = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
    wanted = _plain(path.name)
    near = [other.name for other in beside if wanted and _may_be(path.name, other.name)]
    return f" (there is {near[0]})" if near else ""


def _may_be(wanted: str, there: str) -> bool:
    """Whether a name is the wanted one written otherwise."""
    one, other = _plain(wanted), _plain(there)
    alike = wanted.partition(".")[2].lower() == there.partition(".")[2].lower()
    return one == other or (alike and bool(other) and _within(one, other))


def _plain(name: str) -> list[str]:
    """Words and numbers of a name without its endings."""
    stem = name.partition(".")[0].lower()
    return [part.lstrip("0") or "0" if part.isdigit() else part for part in re.findall(r"[a-z]+|\d+", stem)]


def _within(one: list[str], other: list[str]) -> bool:
    """Whether one name is the other, or a part of it."""
    short, long = sorted((one, other), key=len)
    inside = any(long[k : k + len(short)] == short for k in range(len(long) - len(short) + 1))
    return short == long or (inside and len(short) > 1)


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
