"""The group ``features``: what the frozen encoders make of a stimulus, and the store where that is kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tribetune.cli import imports
from tribetune.cli import words as words_verb
from tribetune.cli.cluster import AtOnce, Cluster, Cpus, Gpus, MemGb, Minutes, Partition
from tribetune.cli.command import command
from tribetune.cli.options import AsJson, Words
from tribetune.cli.stderr import shown_progress
from tribetune.cli.table import print_json, print_lines
from tribetune.errors import FeatureError

Store = Annotated[Path, typer.Argument(metavar="DIR", help="A store of features.")]
Setting = Literal["released", "defaults", "mini", "all"]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="What the frozen encoders make of a stimulus.")
    command(group, "extract", example="tribetune features extract film.mp4 --words film_words.tsv --store cache")(
        extract
    )
    command(group, "ls", example="tribetune features ls cache")(ls)
    command(group, "verify", example="tribetune features verify cache --remove-bad")(verify)
    command(
        group, "export", example="tribetune features export cache film.npz --stimulus film --start 30 --duration 100"
    )(export)
    imports.register(group)
    words_verb.register(group)
    app.add_typer(group, name="features")


def extract(  # noqa: PLR0913 - one parameter per option of the command line
    store: Annotated[Path, typer.Option("--store", metavar="DIR", help="Folder where features are kept.")],
    stimuli: Annotated[
        list[Path] | None,
        typer.Argument(metavar="STIMULUS...", help="Films, sounds, words; files of one stem are one stimulus."),
    ] = None,
    words: Words = None,
    encoders: Annotated[str, typer.Option("--encoders", help="tiny, mini, released, or a folder.")] = "tiny",
    setting: Annotated[
        Setting | None,
        typer.Option(
            "--setting", help="Hidden states that become layers; default released, with --encoders mini: mini."
        ),
    ] = None,
    modalities: Annotated[
        str | None, typer.Option("--modalities", metavar="LIST", help="Some of text,audio,video; default all.")
    ] = None,
    frames: Annotated[
        int | None, typer.Option("--frames", min=1, help="Frames per clip; default what the encoder asks for, else 64.")
    ] = None,
    context_words: Annotated[
        int | None, typer.Option("--context-words", min=0, help="Words before each word; default 1024.")
    ] = None,
    stride_words: Annotated[
        int | None,
        typer.Option("--stride-words", min=1, help="Past those, words that share one context; default 128."),
    ] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Every word its own context: --stride-words 1.")] = False,
    reference_compatible: Annotated[
        bool, typer.Option("--reference-compatible", help="Repeat the reference's faults, too.")
    ] = False,
    last_state: Annotated[
        Literal["normed", "raw"] | None,
        typer.Option("--last-state", help="V-JEPA2's last state after or before its final norm; default normed."),
    ] = None,
    weights: Annotated[
        Literal["float32", "stored"] | None,
        typer.Option("--weights", help="Precision of the encoders' weights; default float32."),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    cluster: Cluster = None,
    partition: Partition = None,
    minutes: Minutes = 240,
    cpus: Cpus = 4,
    gpus: Gpus = 0,
    mem_gb: MemGb = None,
    at_once: AtOnce = 16,
    as_json: AsJson = False,
) -> None:
    """Run the encoders over stimuli; a second call finds the features in the store, or goes on with what is missing."""
    from tribetune.stimulus.files import stimuli_of_files
    from tribetune.study import features as study

    if exact and stride_words not in (None, 1):
        raise FeatureError(f"--exact and --stride-words {stride_words} contradict each other", hint="give one of them")
    options = {
        "setting": setting,
        "frames": frames,
        "context_words": context_words,
        "stride_words": 1 if exact else stride_words,
        "reference": reference_compatible or None,
        "normed_last_state": None if last_state is None else last_state == "normed",
        "weights": weights,
    }
    request = study.Request(
        store,
        encoders,
        {name: value for name, value in options.items() if value is not None},
        tuple(name.strip() for name in modalities.split(",")) if modalities else None,
        device,
        cluster,
        study.Asked(partition, minutes, cpus, gpus, mem_gb, at_once),
    )
    rows = []
    with shown_progress() as progress:
        for row in study.extract(stimuli_of_files(stimuli or [], words), request, progress):
            rows.append(row)
            if not as_json:
                typer.echo(_said(row))
    if as_json:
        print_json({"store": str(store), "encoders": encoders, "features": rows})
    elif encoders == "tiny":
        typer.echo(f"note: {study.TINY_NOTE}.")


def ls(store: Store, as_json: AsJson = False) -> None:
    """List what is in a store: stimuli, modalities, encoders, sizes, and what is not finished."""
    from tribetune.study.features import listed

    rows = listed(store)
    if as_json:
        print_json({"store": str(store), "features": rows})
        return
    columns = ("stimulus", "modality", "encoder", "setting", "size", "min", "MB", "state")
    print_lines("", columns, [_cells(row) for row in rows])
    typer.echo("size: layers × dimensions × steps of 0.5 s, or words")


def verify(
    store: Store,
    remove_bad: Annotated[bool, typer.Option("--remove-bad", help="Remove what is damaged.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read all of a store: hashes, finite values, right lengths; each bad file is named."""
    from tribetune.study import features as study

    n_arrays, faults = len(study.listed(store)), study.verify(store, remove_bad=remove_bad)
    if as_json:
        print_json({"arrays": n_arrays, "faults": [{"file": str(path), "fault": fault} for path, fault in faults]})
    else:
        for path, fault in faults:
            typer.echo(f"{path}: {fault}")
    if faults:
        raise FeatureError(
            f"{len(faults)} damaged files in {store}{', removed' if remove_bad else ''}",
            hint="the same `tribetune features extract` command makes them again",
        )
    if not as_json:
        typer.echo(f"{store}: all files are sound")


def export(  # noqa: PLR0913 - one parameter per option of the command line
    store: Store,
    out: Annotated[Path, typer.Argument(metavar="OUT.npz", help="File to write.")],
    stimulus: Annotated[
        str | None, typer.Option("--stimulus", metavar="NAME", help="One of `ls`; default all.")
    ] = None,
    start_s: Annotated[float, typer.Option("--start", metavar="SECONDS", min=0.0, help="Begin of a window.")] = 0.0,
    duration_s: Annotated[
        float | None, typer.Option("--duration", metavar="SECONDS", min=0.5, help="Its length; default to the end.")
    ] = None,
    encoders: Annotated[
        str | None,
        typer.Option("--encoders", help="Where the store has several: tiny, mini, released, imported, a folder."),
    ] = None,
    setting: Annotated[Setting | None, typer.Option("--setting", help="Where the store has several.")] = None,
    kinds: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="SIGN", help="Where there still are several, as a message says."),
    ] = None,
) -> None:
    """Write features at 2 Hz as arrays text, audio, video of (layer, dim, time)."""
    from tribetune.study import features as study

    shapes = study.export(
        store, out, stimulus, study.Choice(encoders, setting, start_s, duration_s, tuple(kinds or ()))
    )
    for key, shape in shapes.items():
        if shape:
            typer.echo(f"{key}: {_sizes(*shape)} steps")
    typer.echo(f"file: {out}")


def _said(row: Mapping[str, Any]) -> str:
    what = f"{row['stimulus']} · {row['modality']}"
    if row["source"] != "absent":
        where = "from the store" if row["source"] == "store" else f"made in {row['seconds']:.1f} s"
        words = f" ({row['words']:,} words)" if "words" in row else ""
        return f"{what}: {_sizes(row['layers'], row['dim'], row['steps'])} steps of 0.5 s{words}, {where}"
    if row["modality"] != "text":
        return f"{what}: absent, it has none"
    return (
        f"{what}: absent, it has no words; give them by --words FILE or as {row['stimulus']}_words.tsv beside it "
        "(`tribetune features transcribe` makes them from sound)"
    )


def _sizes(layers: int, dim: int, steps: int) -> str:
    return f"{layers} layers × {dim:,} dimensions × {steps:,}"


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    sizes = (row["layers"], row["dim"], row["rows"])
    return (
        row["stimulus"],
        row["modality"],
        row["encoder"].removesuffix(f"/{row['modality']}"),
        row["setting"],
        "–" if None in sizes else "×".join(map(str, sizes)),
        "–" if row["minutes"] is None else f"{row['minutes']:.1f}",
        f"{row['mb']:.1f}",
        row["state"] if row["state"] != "partial" else f"partial, {row['share']:.0%}",
    )
