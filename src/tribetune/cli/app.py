"""The command ``tribetune``: a verb per question a lab asks."""

from typing import Annotated

import typer

from tribetune import __version__
from tribetune.cli import adapters, adapting, bold, doctor, evaluating, features, hub, making, planning, recipes


def build() -> typer.Typer:
    """The whole command line."""
    app = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        help="Adapt a pretrained TRIBE brain encoder to one new subject from at most one hour of fMRI.",
        epilog="Start with: tribetune demo",
    )
    app.callback()(_version_option)
    adapting.register(app)
    adapters.register(app)
    evaluating.register(app)
    planning.register(app)
    making.register(app)
    hub.register(app)
    features.register(app)
    bold.register(app)
    recipes.register(app)
    doctor.register(app)
    return app


def main() -> None:
    """Run the command line on ``sys.argv``."""
    build()()


def _print_version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"tribetune {__version__}")
        raise typer.Exit
    return wanted


def _version_option(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Hold the options of the command itself."""
