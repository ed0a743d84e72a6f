"""The command ``features import``."""

from pathlib import Path
from typing import Annotated

import typer

from tribetune.cli.command import command
from tribetune.cli.options import AsJson, Words
from tribetune.cli.table import print_json


def register(features: typer.Typer) -> None:
    """Add the command to the group ``features``."""
    example = "tribetune features import film.npz --stimulus film.mp4 --store cache/features"
    command(features, "import", example=example)(import_)


def import_(  # noqa: PLR0913 - one parameter per option of the command line
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="NPZ, HDF5 or NPY of (layer, dim, time), or a folder of the reference's cache."
        ),
    ],
    store: Annotated[Path, typer.Option("--store", metavar="DIR", help="Folder where features are kept.")],
    stimulus: Annotated[
        Path | None, typer.Option("--stimulus", metavar="FILE", help="The film or sound that they belong to.")
    ] = None,
    words: Words = None,
    modality: Annotated[
        str | None, typer.Option("--modality", metavar="text|audio|video", help="What a cache or an NPY holds.")
    ] = None,
    setting: Annotated[
        str | None,
        typer.Option(
            "--setting", metavar="NAME", help="The arrays are hidden states: released, defaults, mini or all."
        ),
    ] = None,
    hz: Annotated[float, typer.Option("--hz", help="Their steps per second; anything but 2 is refused.")] = 2.0,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="TEXT", help="What the keys of a cache contain; default: the file's name."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Keep features that someone else made; recipes find them by `features.encoders: imported`."""
    from tribetune.features.imports import ImportOptions, import_features

    made = import_features(files, stimulus, words, store, ImportOptions(modality, setting, hz, key))
    if as_json:
        print_json({name: list(shape) for name, shape in made.items()})
        return
    for name, (layers, dim, steps) in made.items():
        typer.echo(f"{name}: {layers} layers × {dim} dimensions × {steps} steps of 0.5 s, imported")
