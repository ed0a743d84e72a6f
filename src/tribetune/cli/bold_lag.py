"""The command ``bold lag``: whether BOLD is aligned with the stimulus."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tribetune.cli.command import command
from tribetune.cli.options import AsJson, Overrides, RecipeName
from tribetune.cli.stderr import shown_progress
from tribetune.cli.table import print_json, print_lines
from tribetune.digits import rounded

if TYPE_CHECKING:
    from tribetune.evaluate.lag import LagCurve


def register(group: typer.Typer) -> None:
    """Add ``lag`` to the group ``bold``."""
    command(group, "lag", example="tribetune bold lag mine.yaml --picture lag.png")(lag)


def lag(  # noqa: PLR0913 - one parameter per option of the command line
    recipe: RecipeName,
    from_s: Annotated[float, typer.Option("--from", metavar="SECONDS", help="Shortest lag.")] = -2.0,
    to_s: Annotated[float, typer.Option("--to", metavar="SECONDS", help="Longest lag.")] = 12.0,
    step_s: Annotated[float, typer.Option("--step", metavar="SECONDS", help="A multiple of 0.5.")] = 0.5,
    picture: Annotated[Path | None, typer.Option("--picture", metavar="FILE", help="Write r against lag, PNG.")] = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Find the lag at which a linear model of the features predicts BOLD best, on calibration runs only.

    The lag is the number of seconds by which BOLD follows the stimulus: TRIBE's target for second t of a stimulus is
    BOLD at t + 5 s, and a hemodynamic response peaks after 4 to 6 s. A best lag far from that says that onsets, t_r or
    the number of volumes are wrong. Lags are the recipe's plus multiples of the step.
    """
    from tribetune.evaluate.lag import LagRange
    from tribetune.shipped import find_recipe
    from tribetune.study import lag as study

    with shown_progress() as progress:
        result = study.find_lag(str(find_recipe(recipe)), overrides or [], LagRange(from_s, to_s, step_s), progress)
        if picture:
            study.draw_lag(result, picture)
    if as_json:
        print_json(result.facts | ({"picture": str(picture)} if picture else {}))
        return
    columns = ("outputs", "n", "best lag (s)", "95 %", "r", "chance (95 %)")
    print_lines("", columns, [_cells(name, curve) for name, curve in result.sweep.curves.items()])
    for line in result.words:
        typer.echo(line)
    if picture:
        typer.echo(f"picture: {picture}")


def _cells(name: str, curve: "LagCurve") -> tuple[str, ...]:
    low, high = curve.interval_s
    return (
        name,
        str(curve.n_outputs),
        f"{curve.best_s:.1f}{' (edge)' if curve.at_edge else ''}" if curve.above_null else "–",
        f"{low:.1f} to {high:.1f}" if curve.above_null else "–",
        rounded(curve.r.max()),
        "–" if curve.null_95 != curve.null_95 else rounded(curve.null_95),
    )
