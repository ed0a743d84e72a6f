"""Ctrl-C that is not lost where a library swallows the exception: remembered, and raised again at the next step."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

_asked = threading.Event()


@contextmanager
def heeding_ctrl_c() -> Generator[None]:
    """Remember Ctrl-C while a command runs; the handler that was there comes back afterwards."""
    _asked.clear()
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers, and only it is interrupted
        return
    before = signal.signal(signal.SIGINT, _remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def check_stopped() -> None:
    """Raise `KeyboardInterrupt` if Ctrl-C was pressed and the first one was swallowed (in ``__del__``, say)."""
    if _asked.is_set():
        raise KeyboardInterrupt


def _remember(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a handler
    _asked.set()
    raise KeyboardInterrupt
