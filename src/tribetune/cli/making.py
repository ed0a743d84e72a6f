"""Commands that make what an adaptation starts from: simulate, pretrain."""

from pathlib import Path
from typing import Annotated

import typer

from tribetune.cli.command import command
from tribetune.cli.options import Out, Overrides, RecipeName
from tribetune.cli.stderr import shown_progress


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "simulate", example="tribetune simulate cohort --subjects 2 --runs 4 --minutes 8 --seed 33")(simulate)
    command(app, "pretrain", example="tribetune pretrain pretrain-toy --out checkpoints/my-toy")(pretrain)


def simulate(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write; a BIDS dataset.")],
    subjects: Annotated[int, typer.Option("--subjects", min=1, help="Subjects.")] = 1,
    runs: Annotated[int, typer.Option("--runs", min=1, help="Runs per subject.")] = 4,
    minutes: Annotated[float, typer.Option("--minutes", min=0.25, help="Minutes per run.")] = 8.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same seed, same bytes.")] = 33,
    repeat: Annotated[bool, typer.Option(help="Add a run that shows the first film again, for noise ceilings.")] = True,
) -> None:
    """Write a cohort with planted truth: films, sound, words, and BOLD that follows them."""
    from tribetune import simulate as room

    settings = room.CohortSettings(subjects, runs, minutes, seed, repeat=repeat)
    with shown_progress() as progress:
        progress.step(f"Simulating {subjects} × {runs} runs × {minutes:g} min")
        room.simulate(out, settings, progress.advance)
    typer.echo(f"folder: {out}")


def pretrain(recipe: RecipeName, overrides: Overrides = None, out: Out = None) -> None:
    """Train a checkpoint on many subjects."""
    from tribetune.shipped import find_recipe
    from tribetune.study import pretrain as study

    with shown_progress() as progress:
        folder = study.pretrain(str(find_recipe(recipe)), overrides or [], out, progress)
    typer.echo(f"folder: {folder}")
