"""The group ``bold``: what runs a recipe has, how good they are, and whether they are aligned."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tribetune.cli import bold_lag
from tribetune.cli.command import command
from tribetune.cli.options import AsJson, Overrides, RecipeName
from tribetune.cli.stderr import shown_progress
from tribetune.cli.table import print_json, print_lines
from tribetune.shipped import find_recipe

_NONE = "–"


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        no_args_is_help=True,
        help="BOLD as a recipe reads it: its runs, and whether they are aligned with the stimulus.",
    )
    command(group, "ls", example="tribetune bold ls readout-one-hour --set data.bids=my-study --quality")(ls)
    bold_lag.register(group)
    app.add_typer(group, name="bold")


def ls(
    recipe: RecipeName,
    overrides: Overrides = None,
    quality: Annotated[bool, typer.Option("--quality", help="Read every run and judge it, with reasons.")] = False,
    pictures: Annotated[
        Path | None, typer.Option("--pictures", metavar="DIR", help="Draw a carpet plot of every run.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List a recipe's runs: length, stimulus, and what is missing or wrong; a broken run stops nothing."""
    from tribetune.study.survey import Wanted, finding_line, look

    with shown_progress() as progress:
        found = look(str(find_recipe(recipe)), overrides or [], Wanted(quality, pictures), progress)
    if as_json:
        print_json(found)
        return
    rows = _shown(found["runs"])
    print_lines("", ("run", "space", "t_r", "volumes", "min", "stimulus", "missing"), [_cells(row) for row in rows])
    others = sorted({row["space"] or row["kind"] for row in found["runs"] if row not in rows})
    if others:
        typer.echo(f"also there, and not read: {', '.join(others)}")
    for row in rows:
        for line in _said(row):
            typer.echo(line)
        for finding in row.get("quality", []):
            typer.echo(f"  {finding_line(finding)}")
    for finding in found["sessions"]:
        typer.echo(finding_line(finding))
    for fault in found["faults"]:
        typer.echo(f"not read as it is: {fault}")


def _shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each run once where the recipe reads it; all that there is of a run that it does not read."""
    read = {row["run"] for row in rows if row["read"]}
    return [row for row in rows if row["read"] or row["run"] not in read]


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        row["run"].partition("_")[2] or row["run"],  # all are of one subject
        row["space"] or _NONE,
        _NONE if row["t_r"] is None else f"{row['t_r']:g} s",
        _NONE if row["volumes"] is None else f"{row['volumes']:,}",
        _NONE if row["minutes"] is None else f"{row['minutes']:.1f}",
        ", ".join(row["stimuli"]) or ("no events" if "events.tsv" in row["missing"] else _NONE),
        ", ".join(row["missing"]) or _NONE,
    )


def _said(row: Mapping[str, Any]) -> list[str]:
    told = (text.removeprefix(f"{row['run']}: ") for text in (*row["faults"], *row["notes"]))
    lines = [f"{row['run']}: {text}" for text in told]
    if "picture" in row:
        lines.append(f"{row['run']}: drawn in {row['picture']}")
    if "verdict" in row:
        lines.append(f"{row['run']}: {row['verdict']}")
    return lines
