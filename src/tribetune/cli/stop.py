"""Ctrl-C and SIGTERM, not lost where a library swallows the exception: remembered, and raised again at a next step."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

_HEEDED = (signal.SIGINT, signal.SIGTERM)

_asked: list[int] = []


@contextmanager
def heeding_signals() -> Generator[None]:
    """Remember Ctrl-C and SIGTERM while a command runs; the handlers that were there come back afterwards."""
    _asked.clear()
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers, and only it is interrupted
        return
    before = {number: signal.signal(number, _remember) for number in _HEEDED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def check_stopped() -> None:
    """Raise `KeyboardInterrupt` if a signal came and its first one was swallowed (in ``__del__``, say)."""
    if _asked:
        raise KeyboardInterrupt


def stopped_by() -> int:
    """The signal that stopped the latest command: the first that came, or Ctrl-C's."""
    return _asked[0] if _asked else signal.SIGINT


def _remember(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a handler
    _asked.append(number)
    raise KeyboardInterrupt
