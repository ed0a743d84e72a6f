"""How tests run the command line: in this process, with a fixed width and without colours."""

import logging
import warnings
from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner, Result

from tribetune.cli.app import build


@pytest.fixture
def tribetune(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Run ``tribetune ARGUMENTS``; the log handler and warning hook that it sets are taken back afterwards."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.delenv("TRIBETUNE_DEBUG", raising=False)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    root, ours = logging.getLogger(), logging.getLogger("tribetune")
    before = (root.handlers[:], root.level, ours.level)
    yield lambda *arguments: CliRunner().invoke(build(), [str(argument) for argument in arguments])
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])
