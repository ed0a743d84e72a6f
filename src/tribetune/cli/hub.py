"""Commands that share: hub push, pull, ls, verify, card, convert."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tribetune.cli.command import command
from tribetune.cli.options import AsJson
from tribetune.cli.stderr import console, shown_progress
from tribetune.cli.table import print_entries, print_json

if TYPE_CHECKING:
    from tribetune.share.hub import Shipment

Where = Annotated[
    str, typer.Argument(metavar="ID", help="ORGANISATION/NAME on the hub, a folder, or a URL; @REVISION may follow.")
]
Base = Annotated[str | None, typer.Option("--base", metavar="CHECKPOINT", help="Where its base checkpoint is found.")]


def register(app: typer.Typer) -> None:
    """Add the group ``hub``."""
    hub = typer.Typer(no_args_is_help=True, help="Share adapters and fetch them; convert checkpoints.")
    example = "tribetune hub push runs/sub-01 lab/tribe-sub-01 --consent research --licence cc-by-nc-4.0"
    command(hub, "push", example=example)(push)
    command(hub, "pull", example="tribetune hub pull lab/tribe-sub-01@v1")(pull)
    command(hub, "ls", example="tribetune hub ls tribe")(ls)
    command(hub, "verify", example="tribetune hub verify lab/tribe-sub-01")(verify)
    command(hub, "card", example="tribetune hub card runs/sub-01")(card)
    command(hub, "convert", example="tribetune hub convert tribev2 checkpoints/tribev2")(convert)
    app.add_typer(hub, name="hub")


def push(  # noqa: PLR0913 - one parameter per option of the command line
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, or of its adapter.")],
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="ORGANISATION/NAME on the hub, ./folder, /folder, or a URL.")
    ],
    consent: Annotated[
        str, typer.Option("--consent", help="What the subject agreed to: public, research, project.")
    ] = "",
    licence: Annotated[str, typer.Option("--licence", help="As the hub writes it: cc-by-nc-4.0.")] = "",
    contact: Annotated[str, typer.Option("--contact", help="Whom to ask; goes on the card.")] = "",
    public: Annotated[bool, typer.Option("--public", help="Let everyone see it; otherwise it is private.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    base: Base = None,
) -> None:
    """Share a run's adapter: weights, facts, card and picture, and nothing else."""
    from tribetune.share.hub import Terms
    from tribetune.study import hub as study

    terms = Terms(consent, licence.lower(), contact, public)
    revision = study.push(run, target, terms, lambda shipment: _confirmed(shipment, yes), base)
    if revision is None:
        typer.echo("Nothing was sent.", err=True)
        raise typer.Exit(2)
    typer.echo(f"{target}@{revision}")


def pull(where: Where) -> None:
    """Fetch an adapter, check all of it, and say where it is."""
    from tribetune.share import hub

    with shown_progress() as progress:
        progress.step(f"Fetching {where}")
        folder = hub.pull(where)
    typer.echo(folder)


def ls(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="A part of the name.")] = "",
    at: Annotated[str | None, typer.Option("--at", metavar="URL", help="A lab's own place instead of the hub.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what there is: known checkpoints, what is in the cache, what the hub or a lab's own place offers."""
    from tribetune.errors import AdaptationError
    from tribetune.share import catalogue

    if at:
        found = catalogue.in_place(at)
    else:
        found = catalogue.known_checkpoints() + catalogue.cached()
        try:
            found += catalogue.offered(query)
        except AdaptationError as error:
            console().print(f"Left out: {error}.", markup=False)
    shown = [entry for entry in found if query.lower() in entry.name.lower()]
    if as_json:
        print_json({"entries": [entry.to_dict() for entry in shown]})
        return
    print_entries({
        entry.name: {
            "what": f"{entry.kind}, {entry.where}", "base": entry.base, "licence": entry.licence, "about": entry.about
        }
        for entry in shown
    })  # fmt: skip


def verify(where: Where, base: Base = None, as_json: AsJson = False) -> None:
    """Check an adapter: hashes, card, base checkpoint, and its recorded probe predicted again."""
    from tribetune.share import hub
    from tribetune.share.verify import verify as check

    with shown_progress() as progress:
        progress.step(f"Verifying {where}")
        checks = check(hub.find_adapter(where), base)
    if as_json:
        print_json({one.what: one.found for one in checks})
        return
    for one in checks:
        typer.echo(f"{one.what}: {one.found}")


def card(where: Where) -> None:
    """Print the card of an adapter, made from what it says about itself."""
    from tribetune.study import hub as study

    typer.echo(study.card(where), nl=False)


def convert(
    folder: Annotated[str, typer.Argument(metavar="CHECKPOINT", help="Official TRIBE v2: its folder, or its hub id.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write: model.safetensors and config.json.")],
) -> None:
    """Convert an official checkpoint to ours, and check that both give the same output."""
    from tribetune.model.conversion import convert as convert_checkpoint

    typer.echo(f"folder: {convert_checkpoint(folder, out)} (weights and outputs agree bit for bit)")


def _confirmed(shipment: "Shipment", yes: bool) -> bool:
    """Show what would be sent, and ask."""
    sizes = shipment.files
    for name, size in sizes.items():
        typer.echo(f"  {name}  {size:,} bytes", err=True)
    seen = "everyone may see it" if shipment.terms.public else "private"
    terms = f"{seen}, consent {shipment.terms.consent}, licence {shipment.terms.licence}"
    typer.echo(f"{len(sizes)} files, {sum(sizes.values()):,} bytes, to {shipment.target}: {terms}", err=True)
    if shipment.kept_here:
        typer.echo(f"Not sent: {', '.join(shipment.kept_here)}", err=True)
    return yes or typer.confirm("Send it?", err=True)
