"""The command ``plan``: what more scan minutes would buy."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tribetune.cli.cells import with_interval
from tribetune.cli.command import command
from tribetune.cli.options import AsJson
from tribetune.cli.stderr import shown_progress
from tribetune.cli.table import print_json, print_lines


def register(app: typer.Typer) -> None:
    """Add ``plan``."""
    command(app, "plan", example="tribetune plan runs/sub-01 --orders 5")(plan)


def plan(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder that `adapt` wrote.")],
    methods: Annotated[
        list[str] | None, typer.Option("--methods", metavar="NAMES", help="Instead of the run's and ridge; a,b,c.")
    ] = None,
    minutes: Annotated[
        list[float] | None, typer.Option("--minutes", min=0.1, help="A length; repeatable. Default 5 10 20 40 60.")
    ] = None,
    orders: Annotated[int, typer.Option("--orders", min=0, help="Random orders of the runs, beside the true one.")] = 3,
    more: Annotated[float, typer.Option("--more", min=1, help="Minutes whose worth is told.")] = 20.0,
    as_json: AsJson = False,
) -> None:
    """Say how many scan minutes an adapter saves, and what more of them would buy.

    Methods are refitted with 5, 10, 20, 40 and 60 minutes of a run's calibration data and scored on its test, beside
    zero-shot and the linear (FIR) baseline. The table, the figures behind it (plan.json) and a picture (plan.png) go
    into the run's folder. A plan that was stopped goes on where it was.
    """
    from tribetune.study import plan as study

    named = tuple(name for names in methods or () for name in names.split(",") if name)
    options = study.PlanOptions(named, tuple(minutes or study.MINUTES), orders, more)
    with shown_progress() as progress:
        result = study.plan(run, options, progress)
    saved = {"folder": str(result.folder), "picture": str(result.picture)}
    if as_json:
        print_json(result.facts | saved)
        return
    columns = ("method", "min", "mean r", "chosen", "Δ FIR", "saved (min)")
    print_lines("", columns, [_cells(row) for row in result.facts["rows"]])
    for line in result.facts["notes"]:
        typer.echo(line)
    typer.echo()
    for line in (*result.facts["words"], *(f"{what}: {where}" for what, where in saved.items())):
        typer.echo(line)


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    everywhere, chosen = row["all"], row["chosen"]
    return (
        row["method"],
        f"{row['minutes']:.3g}",
        with_interval(everywhere),
        with_interval(chosen),
        with_interval(everywhere.get("beyond_fir"), "+"),
        everywhere["saved"]["words"] if "saved" in everywhere else "–",
    )
