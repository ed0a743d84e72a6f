"""What becomes of errors: two lines and an exit status."""

import errno
import logging
import warnings
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tribetune.cli.command import command
from tribetune.errors import BoldError


def run_raising(error):
    """A command line whose only command raises ``error``."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.callback()(lambda: None)

    def act() -> None:
        """Act."""
        if isinstance(error, BaseException):
            raise error
        error()

    command(app, "act", example="tool act")(act)
    return CliRunner().invoke(app, ["act"])


@pytest.fixture(autouse=True)
def _restored(tribetune):
    """The log handlers and the warning hook are taken back after each test."""


def test_a_mistake_of_the_user_is_two_lines_and_exit_2():
    result = run_raising(BoldError("run 5: 120 volumes, expected 240", hint="check data.split"))
    assert result.exit_code == 2
    assert result.stderr.splitlines() == ["error: run 5: 120 volumes, expected 240", "hint: check data.split"]
    assert result.stdout == ""


def test_an_error_that_quotes_a_library_of_many_lines_is_still_two():
    result = run_raising(BoldError("x.yaml: while parsing\n  expected ']'", hint="mend\nit"))
    assert result.stderr.splitlines() == ["error: x.yaml: while parsing expected ']'", "hint: mend it"]


def test_several_faults_have_a_line_each_between_the_two():
    result = run_raising(BoldError("2 files are missing", hint="fetch them", faults=("no a.nii", "no b.nii")))
    assert result.stderr.splitlines() == ["error: 2 files are missing:", "  no a.nii", "  no b.nii", "hint: fetch them"]
    only = run_raising(BoldError("1 file is missing", hint="fetch it", faults=("no a.nii",)))
    assert only.stderr.splitlines() == ["error: 1 file is missing: no a.nii", "hint: fetch it"]


def test_an_error_without_a_hint_still_says_what_next():
    lines = run_raising(BoldError("run 5 is empty")).stderr.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("hint: ")


def full_disk_by_safetensors():
    from safetensors import SafetensorError

    try:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    except SafetensorError as error:
        raise RuntimeError("the adapter was not saved") from error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "runs/x/adapter"),
        OSError("adapter: I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:659] PytorchStreamWriter failed writing file data/0"),
        full_disk_by_safetensors,
    ],
)
def test_a_full_disk_is_two_lines_whoever_notices_it(error):
    result = run_raising(error)
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert "the disk is full" in lines[0]
    assert "free some space" in lines[1]


def test_a_real_full_device_is_told_as_such():
    def fill():
        Path("/dev/full").write_text("x")

    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    result = run_raising(fill)
    assert result.exit_code == 2
    assert "the disk is full" in result.stderr


def test_a_missing_file_is_named():
    result = run_raising(FileNotFoundError(errno.ENOENT, "No such file or directory", "film.mp4"))
    assert result.exit_code == 2
    assert result.stderr.splitlines() == ["error: No such file or directory: film.mp4", "hint: check the path"]


def stopped_while_lightning_trains():
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        raise SystemExit(1)  # noqa: B904 - what lightning's trainer does


@pytest.mark.parametrize("error", [KeyboardInterrupt(), stopped_while_lightning_trains])
def test_ctrl_c_is_one_line_that_says_how_to_continue_and_exit_130(error):
    result = run_raising(error)
    assert result.exit_code == 130
    assert result.stderr.count("\n") == 1
    assert "same command" in result.stderr


def test_our_own_fault_is_one_line_and_exit_1_without_a_traceback():
    result = run_raising(ZeroDivisionError("division by zero\nsecond line"))
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "our fault" in result.stderr
    assert "TRIBETUNE_DEBUG=1" in result.stderr
    assert "Traceback" not in result.stderr


def test_debug_shows_the_traceback_and_keeps_the_exit_status(monkeypatch):
    monkeypatch.setenv("TRIBETUNE_DEBUG", "1")
    result = run_raising(BoldError("run 5 is empty"))
    assert result.exit_code == 2
    assert "Traceback" in result.stderr


def test_our_log_and_warnings_are_seen_and_other_packages_chatter_is_not():
    def chatter():
        logging.getLogger("tribetune.bold").info("sub-33 was left out")
        logging.getLogger("lightning.pytorch").warning("GPU available: False")
        logging.getLogger("lightning.pytorch").error("a worker died")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn_explicit("x is deprecated", UserWarning, "/somewhere/else/package.py", 1)
            warnings.warn_explicit("the best lambda is the largest", UserWarning, __import__("tribetune").__file__, 1)

    result = run_raising(chatter)
    assert result.exit_code == 0
    shown = " ".join(result.stderr.split())
    for wanted in ("sub-33 was left out", "the best lambda is the largest", "a worker died"):
        assert wanted in shown
    assert "tribetune.bold:" not in shown  # the handler says the level, nothing says it twice
    for hidden in ("GPU available", "x is deprecated"):
        assert hidden not in shown
    assert result.stdout == ""
