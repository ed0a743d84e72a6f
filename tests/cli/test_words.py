"""``features transcribe``."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from tribetune.stimulus.words import read_words

STIMULUS = Path(__file__).parent.parent / "stimulus"


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = importlib.util.spec_from_file_location("tiny_whisper", STIMULUS / "tiny_whisper.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_tiny_whisper(tmp_path_factory.mktemp("whisper"))


def test_a_table_of_words_is_written_once(
    tribetune: Callable[..., Result], tmp_path: Path, whisper: Path, data_folder: Path
) -> None:
    out = tmp_path / "jfk_words.tsv"
    arguments = ("features", "transcribe", data_folder / "media/jfk.flac", out, "--model", whisper, "--device", "cpu")
    result = tribetune(*arguments)
    assert result.exit_code == 0, result.stderr
    words = read_words(out)
    assert f"words: {len(words)}, from" in result.stdout
    assert "reading the sound" in result.stderr
    corrected = out.read_text().replace(words[0].text, "And", 1)
    out.write_text(corrected)
    again = tribetune(*arguments)
    assert again.exit_code == 2
    assert "exists already" in again.stderr
    assert out.read_text() == corrected


@pytest.mark.parametrize(
    ("out", "options", "says"),
    [
        ("words.csv", (), "is not a .tsv"),
        ("words.tsv", ("--model", "smal"), "no speech model smal"),
        ("words.tsv", ("--model", "small"), "hf download Systran/faster-whisper-small"),
    ],
)
def test_what_cannot_be_written_is_told_in_two_lines(
    tribetune: Callable[..., Result],
    tmp_path: Path,
    data_folder: Path,
    out: str,
    options: tuple[str, ...],
    says: str,
) -> None:
    sound = data_folder / "media/jfk.flac"
    result = tribetune("features", "transcribe", sound, tmp_path / out, *options)
    assert result.exit_code == 2
    assert says in result.stderr
    assert not list(tmp_path.iterdir())


def test_the_help_ends_in_an_example(tribetune: Callable[..., Result]) -> None:
    assert "tribetune features transcribe film.mp4" in " ".join(
        tribetune("features", "transcribe", "--help").stdout.split()
    )
