"""Commands around one subject: demo, adapt, predict."""

from pathlib import Path
from typing import Annotated

import typer

from tribetune.cli.command import command
from tribetune.cli.options import AllowLeakage, AsJson, NewFolder, Out, Overrides, RecipeName, Stimuli, Words
from tribetune.cli.stderr import shown_progress
from tribetune.cli.table import print_json, print_result


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "demo", example="tribetune demo --out demo")(demo)
    command(app, "adapt", example="tribetune adapt lora-one-hour --set data.bids=my-study --out runs/sub-01")(adapt)
    command(app, "predict", example="tribetune predict tribe-toy film.mp4 --words film_words.tsv --out predicted")(
        predict
    )


def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for data, adapters, picture.")] = Path(
        "demo"
    ),
    as_json: AsJson = False,
) -> None:
    """Run the whole main job on a simulated subject, to see that it works here."""
    from tribetune.study import demo as study

    with shown_progress() as progress:
        result = study.demo(out, progress)
    print_result(result, as_json, result.picture)


def adapt(
    recipe: RecipeName,
    overrides: Overrides = None,
    out: Out = None,
    allow_leakage: AllowLeakage = "",
    subjects: Annotated[
        str, typer.Option("--subjects", metavar="LABELS", help="Many subjects one by one: all, or 01,02.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Adapt a checkpoint to one subject and score it on held-out data beside zero-shot and FIR."""
    from tribetune.shipped import find_recipe

    path, changed = str(find_recipe(recipe)), overrides or []
    if subjects:
        from tribetune.cli.cohort import print_cohort
        from tribetune.study.cohort import adapt_cohort

        with shown_progress() as progress:
            cohort = adapt_cohort(path, changed, subjects, out, progress, allow_leakage=allow_leakage)
        print_cohort(cohort, as_json)
        return
    from tribetune.study import adapt as study

    with shown_progress() as progress:
        result = study.adapt(path, changed, out, progress, allow_leakage=allow_leakage)
    print_result(result, as_json, result.picture)


def predict(  # noqa: PLR0913 - one parameter per option of the command line
    checkpoint: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="A folder, a name such as tribe-toy, or a hub id.")
    ],
    out: NewFolder,
    stimuli: Stimuli = None,
    adapter: Annotated[
        str | None,
        typer.Option(
            "--adapter", metavar="WHERE", help="One subject's: a folder or a hub id; else the unseen subject."
        ),
    ] = None,
    words: Words = None,
    overlap_s: Annotated[
        float, typer.Option("--overlap", metavar="SECONDS", min=0.0, help="Overlap of windows, averaged; 0: joined.")
    ] = 0.0,
    encoders: Annotated[
        str, typer.Option("--encoders", help="checkpoint (those it was made with), tiny, mini, released or a folder.")
    ] = "checkpoint",
    subject: Annotated[
        str, typer.Option("--subject", metavar="NAME", help="A subject whom the checkpoint itself knows, by name.")
    ] = "",
    interval: Annotated[
        bool, typer.Option("--interval", help="Write the standard deviation of BOLD about the prediction, too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Predict BOLD for a stimulus: the personal response with an adapter, else the group's."""
    from tribetune.study import predict as study

    options = study.PredictOptions(overlap_s=overlap_s, encoders=encoders, subject=subject, interval=interval)
    with shown_progress() as progress:
        files = study.predict(checkpoint, adapter, (stimuli or [], words), out, options, progress)
    if as_json:
        print_json({"files": [str(file) for file in files]})
        return
    for file in files:
        typer.echo(file)
