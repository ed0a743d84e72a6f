"""Files appear under their final name only when they are whole: write, fsync, rename."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def whole(path: Path) -> Generator[Path]:
    """Yield a temporary path beside ``path``; on success it becomes ``path``, on any failure it vanishes.

    The temporary name keeps the suffixes of ``path``, because writers choose their format by them.

    Raises
    ------
    OSError
        If the disk refuses, whoever the writer is; it names ``path``.
    """
    made = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".part-", suffix="-" + path.name, dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.chmod(0o644)
        part.replace(path)
    except Exception as error:
        number = _refusal(error)
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error
    finally:
        part.unlink(missing_ok=True)
        for folder in made:
            with suppress(OSError):  # what holds something stays
                folder.rmdir()


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all (UTF-8)."""
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all; NaN becomes null, because JSON has no NaN."""
    write_text(path, json.dumps(without_nan(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def hash_file(path: Path) -> str:
    """SHA-256 of a file's content, as hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refusal(error: Exception) -> int | None:
    """The operating system's number, which writers in Rust such as safetensors only say in words."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    said = re.search(r"\(os error (\d+)\)", str(error))
    return int(said[1]) if said else None


def without_nan(value: Any) -> Any:
    """The same plain value with NaN as None, because JSON has no NaN."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    if isinstance(value, float) and value != value:
        return None
    return value
