"""Settings shared by all tests: no display, no network, one thread, array types checked at run time."""

import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, get_type_hints

import jaxtyping
import pytest
from beartype import BeartypeConf, beartype
from hypothesis import settings
from jaxtyping import TypeCheckError, install_import_hook
from typer.testing import CliRunner, Result

os.environ["MPLBACKEND"] = "Agg"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Checks shapes and types of every annotated function; only here, because it costs time. The hook wants the checker's
# name, so it gets a module of its own; an int is accepted where a float is asked for, as type checkers do. What it
# raises is a TypeError, as the code itself raises without it.
_checker = ModuleType("_tribetune_type_checker")
_checker.__dict__["check"] = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=TypeCheckError))
sys.modules[_checker.__name__] = _checker
install_import_hook("tribetune", f"{_checker.__name__}.check")
_jaxtyped = jaxtyping.jaxtyped


def _checked(*, typechecker: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Stand for ``jaxtyped``, which binds every call's arguments to remember sizes: only where there are shapes."""
    return lambda thing: typechecker(thing) if _is_without_shapes(thing) else _jaxtyped(thing, typechecker=typechecker)


def _is_without_shapes(thing: Any) -> bool:
    if not isinstance(thing, FunctionType):
        return False
    try:
        return "jaxtyping" not in repr(get_type_hints(thing))
    except NameError:  # imported for type checkers only: jaxtyping takes it for anything
        return False


jaxtyping.jaxtyped = _checked

# A busy machine is no reason to fail, and a gate must give the same answer twice.
settings.register_profile("gate", deadline=None, derandomize=True)
settings.load_profile("gate")

ROOT = Path(__file__).parent.parent


def _folder(variable: str, default: str) -> Path:
    folder = Path(os.environ.get(variable, ROOT / default)).resolve()
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}; set {variable}")
    return folder


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real recordings: the listeners of Alice, film clips, parcellations."""
    return _folder("TRIBETUNE_DATA", "../shared/data")


@pytest.fixture(scope="session")
def fixtures_folder() -> Path:
    """Outputs of the reference implementation."""
    return _folder("TRIBETUNE_FIXTURES", "../shared/fixtures")


@pytest.fixture
def tribetune(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Run ``tribetune ARGUMENTS`` in this process, with a fixed width and without colours.

    The log handler and warning hook that it sets are taken back afterwards.
    """
    from tribetune.cli.app import build

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
