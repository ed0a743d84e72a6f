"""Code blocks of a page: found, and followed from top to bottom in one folder, as a newcomer would.

``sh``: commands. Under a title they are not run, and the title says what they need; they must exist all the same.
``text``: what the block above it printed; under a title, a drawing. ``python``: run, all of a page in one namespace.
``yaml``: a recipe, or a part of one; under the name of a file it is written there. Anything else is a fault.

`python -m docs.blocks docs/PAGE.md` follows a page and writes what was printed, and its pictures, into it.
"""

import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
NEEDS = "Needs "
"""How the title of a block that is not run begins."""

WIDTH_PX, COLOURS = 1000, 128
"""Of pictures in pages: sharp enough to read, below 200 KB."""

SET_UP = (["make", "setup"], [".", ".venv/bin/activate"], ["tribetune", "doctor"])
"""Not run: what runs everything else was made by the first two, and what the third says is about the machine."""

Run = Callable[[Sequence[str]], str]
"""Runs ``tribetune WORDS`` in the current folder; what it printed."""

_FENCE = re.compile(r'^```(\w+)(?: title="([^"]*)")?\n(.*?)^```$', flags=re.M | re.S)
_NUMBER = re.compile(r"[+\-−±]?(?:\d[\d,]*)?\.?\d+")
_OTHERS = {".", ".venv/Scripts/activate", "cd", "git", "make", "python", "py", "export", "hf"}
"""Commands beside ours that a page may name."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its title, what is in it, and where it is in the page."""

    language: str
    title: str
    body: str
    span: tuple[int, int]

    @property
    def commands(self) -> list[list[str]]:
        """Its lines as words, without comments."""
        lines = self.body.replace("\\\n", " ").splitlines()
        return [words for line in lines if (words := shlex.split(line, comments=True))]


def blocks_of(page: str) -> list[Block]:
    """All blocks of a page, in its order.

    Raises
    ------
    ValueError
        If a fence names no language, is indented, or does not end.
    """
    found = [Block(m[1], m[2] or "", m[3], m.span(3)) for m in _FENCE.finditer(page)]
    if page.count("```") != 2 * len(found):
        raise ValueError("a block that names no language, is indented, or does not end")
    return found


def shape_of(printed: str) -> str:
    """What was printed with every number and every space alike, so that it can be compared between machines."""
    return " ".join(_NUMBER.sub("0", re.sub("─+", "─", printed)).split())


def check_command(words: Sequence[str]) -> None:
    """Refuse a command that does not exist, or does not take these words; nothing is run.

    Raises
    ------
    ValueError
        With the command.
    """
    name, *rest = words
    if name == "make":
        targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.M))
        if not set(rest) <= targets:
            raise ValueError(f"no such target: {shlex.join(words)}")
    elif name == "tribetune":
        _check_ours(rest)
    elif name not in _OTHERS:
        raise ValueError(f"no runner for {shlex.join(words)}")


@cache
def command_line() -> Any:
    """All of our commands."""
    import typer

    from tribetune.cli.app import build

    return typer.main.get_command(build())


def _check_ours(words: Sequence[str]) -> None:
    import typer

    command, rest = command_line(), list(words)
    rest = rest[: rest.index(">")] if ">" in rest else rest
    while commands := getattr(command, "commands", {}):
        if not rest or rest[0] not in commands:
            raise ValueError(f"no such command: tribetune {shlex.join(words)}")
        command = commands[rest.pop(0)]
    try:
        command.make_context(command.name, rest)
    except typer.TyperException as error:
        raise ValueError(f"tribetune {shlex.join(words)}: {error.format_message()}") from error


def check_recipe(text: str) -> None:
    """Refuse YAML that is neither a recipe nor a part of one.

    Raises
    ------
    RecipeError
        With all its faults.
    """
    from tribetune.recipe.file import read_any_recipe
    from tribetune.shipped import find_recipe

    values = yaml.safe_load(text)
    if "name" not in values:
        whole = yaml.safe_load(find_recipe("readout-one-hour").read_text(encoding="utf-8"))
        values = whole | values | {"data": whole["data"] | values.get("data", {})}
    with tempfile.TemporaryDirectory(prefix="tribetune-") as scratch:
        path = Path(scratch) / "recipe.yaml"
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        read_any_recipe(path)


@dataclass
class Reader:
    """Somebody who follows one page.

    Attributes
    ----------
    folder : Path
        Where he is.
    run : callable
        See `Run`.
    printed : list of str
        What each ``text`` block would have to show, in the page's order.
    """

    folder: Path
    run: Run
    printed: list[str] = field(default_factory=list)
    _names: dict[str, Any] = field(default_factory=dict)
    _last: str | None = None

    def follow(self, blocks: Sequence[Block]) -> None:
        """Do what every block says.

        Raises
        ------
        ValueError
            If there is no way to do it.
        """
        does: Mapping[str, Callable[[Block], str | None]] = {
            "sh": self._sh, "text": self._text, "python": self._python, "yaml": self._yaml
        }  # fmt: skip
        for block in blocks:
            if block.language not in does:
                raise ValueError(f"no runner for a block of {block.language}")
            with chdir(self.folder):
                self._last = does[block.language](block)

    def _sh(self, block: Block) -> str | None:
        for words in block.commands:
            check_command(words)
        if block.title:
            if not block.title.startswith(NEEDS):
                raise ValueError(f"{block.title!r}: expected what it needs, as in {NEEDS}the network")
            return None
        return "".join(self._one(words) for words in block.commands)

    def _one(self, words: Sequence[str]) -> str:
        if words in SET_UP:
            return ""
        if words[0] != "tribetune":
            raise ValueError(f"no runner for {shlex.join(words)}; say in the block's title what it needs")
        return self.run(words[1:])

    def _text(self, block: Block) -> str | None:
        if block.title:
            return None
        if self._last is None:
            raise ValueError("output of a block that was not run")
        self.printed.append(self._last)
        return None

    def _python(self, block: Block) -> str:
        with redirect_stdout(io.StringIO()) as out:
            exec(compile(block.body, "page", "exec"), self._names)  # noqa: S102 - the pages are ours
        return out.getvalue()

    def _yaml(self, block: Block) -> str | None:
        check_recipe(block.body)
        if block.title:
            Path(block.title).write_text(block.body, encoding="utf-8")
        return None


def pictures_of(page: str) -> dict[str, str]:
    """Pictures of a page, by their path beside it, and the files they are made from, as its front matter says."""
    front = re.match(r"---\n(.*?)\n---\n", page, flags=re.S)
    return (yaml.safe_load(front[1]) or {}).get("pictures", {}) if front else {}


def small_picture(source: Path) -> Any:
    """A picture as pages show it: at most 1,000 pixels wide, few colours."""
    from PIL import Image

    with Image.open(source) as found:
        picture = found.convert("RGB")
    height = round(picture.height * WIDTH_PX / picture.width)
    return picture.resize((WIDTH_PX, height), Image.Resampling.LANCZOS).quantize(COLOURS)


def rewritten(page: str, printed: Sequence[str]) -> str:
    """A page whose ``text`` blocks show what was printed."""
    shown = [block for block in blocks_of(page) if block.language == "text" and not block.title]
    for block, text in reversed(list(zip(shown, printed, strict=True))):
        start, stop = block.span
        lines = "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")
        page = f"{page[:start]}{lines}\n{page[stop:]}"
    return page


def _run_beside(words: Sequence[str]) -> str:
    """Run a command in a process of its own, 80 columns wide."""
    command = [sys.executable, "-m", "tribetune", *words]
    plain = os.environ | {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}
    return subprocess.run(command, env=plain, check=True, stdout=subprocess.PIPE, text=True).stdout


def main(path: Path) -> None:
    """Follow a page, and write what came of it into the page and its pictures."""
    page = path.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="tribetune-") as scratch:
        reader = Reader(Path(scratch), _run_beside)
        reader.follow(blocks_of(page))
        path.write_text(rewritten(page, reader.printed), encoding="utf-8")
        for name, source in pictures_of(page).items():
            small_picture(reader.folder / source).save(path.parent / name, optimize=True)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        main(Path(argument))
