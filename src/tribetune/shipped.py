"""Recipes and checkpoints that travel with the package: in the wheel, or in the repository when editable."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tribetune.errors import RecipeError, TribetuneError


def shipped_folder(kind: Literal["recipes", "checkpoints"]) -> Path:
    """Where the shipped recipes or checkpoints are.

    Raises
    ------
    TribetuneError
        If the installation has none.
    """
    package = Path(__file__).parent
    places = (package / "shipped" / kind, package.parent.parent / kind)
    for place in places:
        if place.is_dir():
            return place
    raise TribetuneError(
        f"no shipped {kind}: looked in {' and '.join(map(str, places))}",
        hint="install again: python -m pip install --force-reinstall tribetune",
    )


def shipped_recipes() -> dict[str, Path]:
    """The shipped recipes by name, in alphabetical order."""
    return {path.stem: path for path in sorted(shipped_folder("recipes").glob("*.yaml"))}


@dataclass(frozen=True)
class About:
    """What a recipe says of itself in the comments it begins with: one sentence, then ``# data: …`` and so on.

    Attributes
    ----------
    purpose, data, minutes, machine : str
        What it is for, what it needs, how long it takes (measured, or said to be planned), and on what.
    """

    purpose: str
    data: str = ""
    minutes: str = ""
    machine: str = ""


def about_recipe(path: Path) -> About:
    """What a recipe says of itself; empty where it does not."""
    head = re.match(r"(?:#.*\n)*", path.read_text(encoding="utf-8"))
    lines = [line.removeprefix("#").strip() for line in (head[0] if head else "").splitlines()]
    said = dict(re.findall(r"^(data|minutes|machine): (.+)$", "\n".join(lines), flags=re.M))
    return About(lines[0] if lines else "", **said)


def find_recipe(path_or_name: str) -> Path:
    """A recipe file: the path itself where there is one, else the shipped recipe of that name.

    Raises
    ------
    RecipeError
        If it is neither; the message lists what is shipped.
    """
    path = Path(path_or_name)
    if path.is_file():
        return path
    shipped = shipped_recipes()
    if path_or_name in shipped:
        return shipped[path_or_name]
    raise RecipeError(
        f"{path_or_name}: no such file, and no shipped recipe has that name (shipped: {', '.join(shipped) or 'none'})",
        hint="tribetune recipe ls shows the shipped recipes; tribetune recipe cp NAME makes a copy to edit",
    )
