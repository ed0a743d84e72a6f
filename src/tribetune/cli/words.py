"""The command ``features transcribe``: the words of a film, to be looked at and corrected."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tribetune.cli.command import command
from tribetune.cli.stderr import shown_progress
from tribetune.errors import StimulusError


class SpeechDevice(StrEnum):
    """Where the recogniser may run."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


def register(app: typer.Typer) -> None:
    """Add the command to the group ``features``."""
    command(app, "transcribe", example="tribetune features transcribe film.mp4 film_words.tsv --language en")(
        transcribe
    )


def transcribe(
    stimulus: Annotated[Path, typer.Argument(metavar="FILM|SOUND", help="What is listened to.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.tsv", help="Table to write; an existing one is kept.")],
    model: Annotated[
        str, typer.Option("--model", help="Whisper for faster-whisper: tiny, small, large-v3, or a folder.")
    ] = "small",
    language: Annotated[str, typer.Option("--language", help="Such as en; auto: of the first 30 s.")] = "auto",
    device: Annotated[SpeechDevice, typer.Option("--device", help="Where to run.")] = SpeechDevice.AUTO,
) -> None:
    """Write the words of a film or sound as a table, to be looked at and corrected before use."""
    from tribetune.stimulus.transcribe import transcribe as recognise
    from tribetune.stimulus.words import write_words

    if out.suffix.lower() != ".tsv":
        raise StimulusError(f"{out}: is not a .tsv, expected a table's name", hint=f"{out.with_suffix('.tsv')}")
    if out.exists():
        raise StimulusError(f"{out} exists already, and may have been corrected", hint="choose another name")
    with shown_progress() as progress:
        progress.step(f"Listening to {stimulus.name} with Whisper {model}")
        words = recognise(
            stimulus, model, None if language == "auto" else language, device.value, on_progress=progress.advance
        )
    if not words:
        raise StimulusError(
            f"{stimulus}: heard no words, expected speech", hint="say its --language, or try a larger --model"
        )
    write_words(words, out)
    typer.echo(f"words: {len(words)}, from {words[0].onset_s:.1f} to {words[-1].onset_s:.1f} s")
    typer.echo(f"table: {out} (look through it: recognisers mishear names, and hear words in music)")
