"""A run folder whose finished stages are kept, so that a killed run is finished by the same command."""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from tribetune.errors import RecipeError
from tribetune.files import whole, write_json


@runtime_checkable
class Stages(Protocol):
    """Gives the arrays of finished stages, from wherever."""

    @property
    def path(self) -> Path:
        """Folder of what stages write beside their arrays."""
        ...

    def stage(self, name: str, make: Callable[[], Mapping[str, np.ndarray]]) -> tuple[dict[str, np.ndarray], float]:
        """A stage's arrays and the seconds that it took; ``make`` makes them."""
        ...


@dataclass(frozen=True)
class RunFolder:
    """Where one study's results go.

    Attributes
    ----------
    path : Path
        ``runs/<name>``.
    """

    path: Path

    def load(self, stage: str) -> dict[str, np.ndarray] | None:
        """A finished stage's arrays, or None where it is not finished or its file is damaged."""
        file = self._file(stage)
        if not file.is_file():
            return None
        try:
            return load_file(file)
        except SafetensorError:
            self.log(stage, "damaged, will be made again")
            return None

    def save(self, stage: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep a finished stage's arrays; whole or not at all."""
        with whole(self._file(stage)) as part:
            save_file({name: np.array(values, order="C") for name, values in arrays.items()}, part)
        self.log(stage, "finished")

    def stage(self, name: str, make: Callable[[], Mapping[str, np.ndarray]]) -> tuple[dict[str, np.ndarray], float]:
        """A stage's arrays, and the seconds it took when it was made: now, or before the run was stopped."""
        kept = self.load(name)
        if kept is None:
            begin = time.perf_counter()
            kept = {key: np.asarray(values) for key, values in make().items()}
            kept["seconds"] = np.asarray(time.perf_counter() - begin)
            self.save(name, kept)
        return kept, float(kept["seconds"])

    def forget(self, stage: str) -> None:
        """Have a finished stage made again."""
        self._file(stage).unlink(missing_ok=True)

    def log(self, stage: str, event: str, **facts: Any) -> None:
        """Add a line to ``log.jsonl``."""
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "stage": stage, "event": event, **facts}
        with (self.path / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def _file(self, stage: str) -> Path:
        return self.path / "stages" / f"{stage}.safetensors"


REFUSED = "leakage.json"
"""All that a run leaves whose data leak from test to training: the same folder may be used again."""


def open_run(path: Path, fingerprint: Mapping[str, Any]) -> RunFolder:
    """Begin a run, or go on with one that the same study began.

    Parameters
    ----------
    path : Path
        Made where it does not exist.
    fingerprint : mapping
        All that decides the results: the recipe, the checkpoint's hash, the inputs.

    Raises
    ------
    RecipeError
        If the folder holds the results of another study.
    """
    check_run(path, fingerprint)
    marker = _marker(path)
    if marker.is_file():
        _sweep(path)
    else:
        write_json(marker, json.loads(json.dumps(fingerprint)))
    return RunFolder(path)


def check_run(path: Path, fingerprint: Mapping[str, Any]) -> None:
    """Refuse a folder that holds something else; as `open_run`, and nothing is written.

    Raises
    ------
    RecipeError
        If the folder holds the results of another study, or other files.
    """
    marker, wanted = _marker(path), json.loads(json.dumps(fingerprint))
    if marker.is_file():
        found = json.loads(marker.read_text(encoding="utf-8"))
        if found != wanted:
            changed = sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))
            raise RecipeError(
                f"{path} holds another study: {', '.join(changed)} changed since it began",
                hint="give --out another folder, or remove this one",
            )
    elif path.is_dir() and any(found.name != REFUSED for found in path.iterdir()):
        raise RecipeError(f"{path} is not empty and holds no run of tribetune", hint="give --out another folder")


def read_fingerprint(path: Path) -> dict[str, Any]:
    """What a run of adapt was begun with.

    Raises
    ------
    RecipeError
        If the folder holds none.
    """
    marker = _marker(path)
    if not marker.is_file():
        own = next((marker.parent.parent for marker in sorted(path.glob("sub-*/stages/fingerprint.json"))), None)
        what = "the runs of a cohort" if own else "no run of tribetune adapt"
        hint = f"give one subject's: {own}" if own else "give the folder that adapt printed"
        raise RecipeError(f"{path} holds {what}", hint=hint)
    told = json.loads(marker.read_text(encoding="utf-8"))
    if "methods" not in told:
        if "subjects" in told:
            raise RecipeError(f"{path} holds a group prediction, no run of adapt", hint="run `tribetune group` again")
        raise RecipeError(f"{path} holds a plan, no run of adapt", hint=f"give the run's folder: {path.parent}")
    return told


def _marker(path: Path) -> Path:
    return path / "stages" / "fingerprint.json"


def _sweep(path: Path) -> None:
    """Remove what a killed process was writing."""
    for part in list(path.rglob(".part-*")):
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)
