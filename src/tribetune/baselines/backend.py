"""Himalaya computes by torch while we use it, and by what it did before afterwards."""

from collections.abc import Generator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def torch_backend() -> Generator[ModuleType]:
    """Himalaya's backend is global: use torch, and put back what was there."""
    import torch
    from himalaya.backend import get_backend, set_backend

    before = get_backend().name
    set_backend("torch")
    try:
        yield torch
    finally:
        set_backend(before)
