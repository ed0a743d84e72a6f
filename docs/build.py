"""Build the documentation: `python -m docs.build [FOLDER]` checks every link and writes the pages to FOLDER (site).

Pages are the Markdown files beside this one. A line ``<!-- made: NAME -->`` in a page is replaced by what is made from
the program itself: the command line's reference, the recipes, parts of other documents.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from docs.blocks import command_line
from tribetune.shipped import about_recipe, shipped_recipes

HERE = Path(__file__).parent
ROOT = HERE.parent
_VERBS = {"GroupRecipe": "group", "PretrainRecipe": "pretrain", "Recipe": "adapt"}
"""The command that a kind of recipe is for."""

_NEEDS = {"group": "the BOLD of a cohort", "pretrain": "a quarter of an hour", "adapt": "your own data"}

PIPE = "\\|"
"""As a table's cell wants it."""


def make_pages(folder: Path) -> None:
    """Write all pages, and what they show, into a folder."""
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for path in folder.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        path.write_text(re.sub(r"^<!-- made: (\w+) -->$", lambda m: MADE[m[1]](), text, flags=re.M), encoding="utf-8")


def command_reference() -> str:
    """A section for every command of the command line: what it does, its usage, arguments, options, an example."""
    return "\n\n".join(_command_sections())


def _command_sections() -> Iterator[str]:
    import typer

    for path, command in _walk(command_line(), ()):
        name = " ".join(("tribetune", *path))
        if getattr(command, "commands", None):
            yield f"## `{name}`\n\n{command.help}"
            continue
        context = typer.Context(command, info_name=name)
        usage, example = command.get_usage(context).partition("tribetune ")[2], command.epilog.partition(": ")[2]
        yield "\n\n".join([
            f"{'#' * (len(path) + 1)} `{name}`",
            *(" ".join(part.split()) for part in command.help.split("\n\n")),
            f"Usage: `tribetune {' '.join(usage.split())}`",
            *_tables(command, context),
            f"```sh\n{example}\n```",
        ])  # fmt: skip


def _walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if path:
        yield path, command
    # single commands before groups, so that none seems to belong to the group before it
    for name, one in sorted(getattr(command, "commands", {}).items(), key=lambda item: hasattr(item[1], "commands")):
        yield from _walk(one, (*path, name))


def _tables(command: Any, context: Any) -> list[str]:
    """Two tables, of arguments and of options; none where there are none."""
    rows: dict[str, list[str]] = {"argument": [], "option": []}
    for parameter in command.params:
        spelt, told = parameter.get_help_record(context)
        kind = parameter.param_type_name
        spelt = re.sub(r" <.*>$", "", spelt) if kind == "argument" else spelt.replace(" range>", ">")
        cells = (f"`{spelt}`", told.replace("  [", " [").replace("[", "\\["))
        rows[kind].append(f"| {' | '.join(cell.replace('|', PIPE) for cell in cells)} |")
    return ["\n".join((f"| {kind} | what |", "|---|---|", *found)) for kind, found in rows.items() if found]


def recipe_sections() -> str:
    """A section for every recipe that ships: what it is for, how it is used, the recipe, and what was measured."""
    table = (ROOT / "recipes" / "README.md").read_text(encoding="utf-8")
    in_its_order = re.findall(r"^\| `(\S+)` \|", table, flags=re.M)
    return "\n\n".join(_recipe_section(name, shipped_recipes()[name]) for name in in_its_order)


def _recipe_section(name: str, path: Path) -> str:
    from tribetune.recipe.file import read_any_recipe

    verb = _VERBS[type(read_any_recipe(path)).__name__]
    check = "" if verb == "pretrain" else "tribetune recipe check mine.yaml\n"
    commands = f"tribetune recipe cp {name} mine.yaml\n{check}tribetune {verb} mine.yaml --out runs/{name}"
    return "\n\n".join([
        f"## {name}",
        about_recipe(path).purpose,
        "\n".join(f"- **{what}**: {said}" for what, said in _facts(name, path).items()),
        f'```sh title="Needs {_NEEDS[verb]}"\n{commands}\n```',
        f"```yaml\n{_without_head(path)}```",
    ])  # fmt: skip


def _facts(name: str, path: Path) -> dict[str, str]:
    about = about_recipe(path)
    return {"data": about.data, "minutes": about.minutes, "machine": about.machine, "score": _score(name)}


def _without_head(path: Path) -> str:
    """A recipe without the comments that stand above it in the page."""
    head = r"# .*\n(?:# (?:data|minutes|machine): .*\n)*(?:#\n)?"
    return re.sub(rf"\A{head}", "", path.read_text(encoding="utf-8"))


def _score(name: str) -> str:
    """The last cell of a recipe's row in ``recipes/README.md``."""
    table = (ROOT / "recipes" / "README.md").read_text(encoding="utf-8")
    row = next(line for line in table.splitlines() if line.startswith(f"| `{name}` |"))
    said = row.strip("| ").rpartition(" | ")[2]
    return said.replace("the table below", "the tables of [calibration minutes](concepts.md#calibration-minutes)")


def tree() -> str:
    """The annotated tree of the README."""
    return _fence_after("## Where things are")


def _fence_after(heading: str) -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition(f"\n{heading}\n")[2]
    return '```text title="The project"\n' + text.partition("```\n")[2].partition("\n```")[0] + "\n```"


def layers() -> str:
    """The layers of rooms that ``lint-imports`` keeps apart, from the highest to the lowest."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    found = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return "\n".join(['```text title="From the highest to the lowest"', *found, "```"]).replace("tribetune.", "")


def minutes_tables() -> str:
    """Score against calibration minutes, as ``recipes/README.md`` has it."""
    text = (ROOT / "recipes" / "README.md").read_text(encoding="utf-8")
    return text.partition("<!-- minutes:")[2].partition("-->")[2].partition("<!-- end of minutes -->")[0].strip()


MADE: Mapping[str, Callable[[], str]] = {
    "commands": command_reference, "recipes": recipe_sections, "tree": tree, "layers": layers, "minutes": minutes_tables
}  # fmt: skip


def render(pages: Path, site: Path) -> None:
    """Turn pages into a site; a link or an anchor that leads nowhere stops it.

    Raises
    ------
    RuntimeError
        With what is wrong.
    """
    settings = (ROOT / "zensical.toml").read_text(encoding="utf-8").replace("SOURCE", (ROOT / "src").as_posix())
    with tempfile.TemporaryDirectory(prefix="tribetune-") as scratch:
        shutil.copytree(pages, Path(scratch) / "docs")
        (Path(scratch) / "zensical.toml").write_text(settings, encoding="utf-8")
        command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
        done = subprocess.run(command, cwd=scratch, check=False, capture_output=True, text=True)
        if done.returncode:
            said = done.stdout + done.stderr.partition("Traceback")[0]
            raise RuntimeError(re.sub(r"\x1b\[[\d;]*m", "", said))  # its colours
        shutil.copytree(Path(scratch) / "site", site, dirs_exist_ok=True)


def main(site: Path) -> None:
    """Make the pages and the site."""
    with tempfile.TemporaryDirectory(prefix="tribetune-") as scratch:
        make_pages(Path(scratch) / "docs")
        render(Path(scratch) / "docs", site)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "site"))
