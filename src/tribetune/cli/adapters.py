"""The commands ``adapters average`` and ``adapters merge``: what becomes of adapters once there are several."""

from pathlib import Path
from typing import Annotated

import typer

from tribetune.cli.command import command
from tribetune.cli.options import NewFolder


def register(app: typer.Typer) -> None:
    """Add the group ``adapters``."""
    group = typer.Typer(no_args_is_help=True, help="Adapters put together: averaged, or merged into their checkpoint.")
    command(group, "average", example="tribetune adapters average runs/a/adapter runs/b/adapter --out mean")(average)
    command(group, "merge", example="tribetune adapters merge tribe-toy runs/sub-01/adapter --out my-checkpoint")(merge)
    app.add_typer(group, name="adapters")


def average(
    folders: Annotated[list[Path], typer.Argument(metavar="ADAPTER...", help="Folders of two adapters or more.")],
    out: NewFolder,
    weights: Annotated[
        str, typer.Option("--weights", metavar="W,W,...", help="One positive weight each; equal when left out.")
    ] = "",
    checkpoint: Annotated[
        str | None, typer.Option("--checkpoint", help="Of the adapters; needed where their readouts differ in form.")
    ] = None,
) -> None:
    """Average adapters of one checkpoint, space, lag and cleaning; others are refused with the reason."""
    from tribetune.study import adapters as study

    _tell(study.average_adapters(folders, out, _numbers(weights), checkpoint), out)


def merge(
    checkpoint: Annotated[str, typer.Argument(metavar="CHECKPOINT", help="What the adapter was trained on.")],
    adapter: Annotated[Path, typer.Argument(metavar="ADAPTER", help="Folder of one adapter.")],
    out: NewFolder,
    subject: Annotated[
        str, typer.Option("--subject", metavar="NAME", help="Name of the personal row; else from the adapter's runs.")
    ] = "",
) -> None:
    """Write a checkpoint with an adapter in its own weights, the personal row beside the unseen one."""
    from tribetune.study import adapters as study

    _tell(study.merge_adapter(checkpoint, adapter, out, subject), out)


def _numbers(text: str) -> list[float] | None:
    try:
        return [float(part) for part in text.split(",")] if text else None
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: expected numbers with commas between", param_hint="--weights") from error


def _tell(lines: list[str], out: Path) -> None:
    for line in (*lines, f"folder: {out}"):
        typer.echo(line)
