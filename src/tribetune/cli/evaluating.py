"""Commands that score: evaluate."""

from pathlib import Path
from typing import Annotated

import typer

from tribetune.cli.command import command
from tribetune.cli.options import AsJson
from tribetune.cli.stderr import shown_progress
from tribetune.cli.table import print_result


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "evaluate", example="tribetune evaluate runs/sub-01 --verify")(evaluate)


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder of `tribetune adapt`.")],
    verify: Annotated[
        bool, typer.Option("--verify", help="Predict again from features and adapters, fit baselines again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Score a finished run again from what it saved, and hold the scores against those it stored."""
    from tribetune.study import rescore as study

    with shown_progress() as progress:
        result = study.rescore(run, verify, progress)
    print_result(result, as_json)
