"""Options that several commands share, said once."""

from pathlib import Path
from typing import Annotated

import typer

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A YAML file, or a name from `recipe ls`.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace one value of the recipe; repeatable.")
]
Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where to save; default runs/NAME.")]
NewFolder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write.")]
AllowLeakage = Annotated[
    str, typer.Option("--allow-leakage", metavar="REASON", help="Go on in spite of leaks; the reason goes on record.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Stimuli = Annotated[
    list[Path] | None, typer.Argument(metavar="STIMULUS...", help="One stimulus: a film, a sound, or both.")
]
Words = Annotated[
    Path | None,
    typer.Option(
        "--words", metavar="FILE", help="Its words: a table with onset, duration, word; TextGrid, SRT, VTT, JSON, TXT."
    ),
]
