"""How a command is registered, and what becomes of errors: exit 0 done, 1 ours, 2 yours to mend, 130 or 143 stopped."""

import errno
import functools
import os
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import typer

from tribetune.cli.stderr import open_log
from tribetune.cli.stop import heeding_signals, stopped_by
from tribetune.errors import TribetuneError

OURS, YOURS, STOPPED = 1, 2, 128
"""Exit status; the signal's number is added to the last, as shells do: 130 by Ctrl-C, 143 by SIGTERM."""

DISK_FULL_SIGNS = ("No space left on device", "os error 28", "StorageFull", "PytorchStreamWriter failed writing")
"""How numpy and Python, safetensors (two ways) and torch say that a disk is full, where no number came through."""

HINTS = {
    errno.ENOSPC: "free some space, or choose a folder on another disk; then the same command continues",
    errno.EDQUOT: "free some of your quota, or choose another folder; then the same command continues",
    errno.EFBIG: "raise the limit (ulimit -f), or choose another folder; then the same command continues",
    errno.EACCES: "choose a folder you may write to, or change the rights of this one",
    errno.EROFS: "choose a folder you may write to",
    errno.ENOENT: "check the path",
}


def command(app: typer.Typer, name: str, *, example: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as a command whose help ends in an example and whose errors are told in two lines."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        app.command(name, epilog=f"Example: {example}")(guarded(function))
        return function

    return register


def guarded(function: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command so that an error becomes a short message on stderr and an exit status."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        open_log()
        try:
            with heeding_signals():
                function(*args, **kwargs)
        except (typer.Exit, typer.Abort, typer.TyperException, BrokenPipeError):
            raise
        except BaseException as error:  # noqa: BLE001 - the outermost place: every error is told here
            raise typer.Exit(tell(error)) from None

    return run


def tell(error: BaseException) -> int:
    """Say on stderr what happened and what to do next.

    Returns
    -------
    int
        The exit status.
    """
    if os.environ.get("TRIBETUNE_DEBUG") == "1":
        traceback.print_exception(error)
    if _was_stopped(error):
        typer.echo("Stopped. Run the same command again: it continues with what is not finished.", err=True)
        return STOPPED + stopped_by()
    if isinstance(error, TribetuneError):
        hint = error.hint or "TRIBETUNE_DEBUG=1 before the command shows where this arose"
        if len(error.faults) > 1:
            return _tell_two_lines(error.heading, hint, error.faults)
        return _tell_two_lines(str(error), hint)
    if _is_disk_full(error):
        where = f": {error.filename}" if isinstance(error, OSError) and error.filename else ""
        return _tell_two_lines(f"the disk is full{where}; nothing half-written was left", HINTS[errno.ENOSPC])
    if isinstance(error, OSError):
        said = error.strerror or str(error)
        message = f"{said}: {error.filename}" if error.filename else said
        return _tell_two_lines(message, HINTS.get(error.errno or 0, "check the path and the disk"))
    if isinstance(error, SystemExit | GeneratorExit):
        raise error
    summary = _one_line(str(error))[:200]
    typer.echo(
        f"This is our fault: {type(error).__name__}: {summary} (TRIBETUNE_DEBUG=1 before the command shows where; "
        "please report it)",
        err=True,
    )
    return OURS


def _tell_two_lines(message: str, hint: str, faults: Sequence[str] = ()) -> int:
    """An error and its hint; between them, a line for each of several faults."""
    between = "".join(f"\n  {_one_line(fault)}" for fault in faults)
    typer.echo(f"error: {_one_line(message)}{':' if faults else ''}{between}\nhint: {_one_line(hint)}", err=True)
    return YOURS


def _one_line(text: str) -> str:
    """A message that quotes a library may bring its line breaks along."""
    return " ".join(text.split())


def _was_stopped(error: BaseException) -> bool:
    """By Ctrl-C or SIGTERM; Lightning turns it into SystemExit while it trains."""
    return isinstance(error, KeyboardInterrupt) or (
        isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt)
    )


def _is_disk_full(error: BaseException) -> bool:
    chain: BaseException | None = error
    while chain is not None:
        if any(sign in str(chain) for sign in DISK_FULL_SIGNS):
            return True
        chain = chain.__cause__ or chain.__context__
    return False
