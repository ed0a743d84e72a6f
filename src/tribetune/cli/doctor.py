"""``tribetune doctor``: what is missing on this machine, and the line that mends it."""

import importlib
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import typer

from tribetune.cli.command import YOURS, command
from tribetune.cli.options import AsJson
from tribetune.cli.table import print_json, print_lines

NEEDED_DISK_GB = 3.0
"""The demo's films, BOLD and features take about one; the rest is room for a study."""
NEEDED_MEMORY_GB = 6.0
"""What the demo may use at most."""
GATED = "meta-llama/Llama-3.2-3B"
"""The released text encoder; its owner has to grant access."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    thing : str
        What was looked at.
    state : str
        ``ok``; ``note``: fine, but worth knowing; ``problem``: something will not work.
    found : str
        What is there.
    mend : str
        The line that changes it.
    """

    thing: str
    state: Literal["ok", "note", "problem"]
    found: str
    mend: str = ""


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "doctor", example="tribetune doctor")(doctor)


def doctor(as_json: AsJson = False) -> None:
    """Say what is missing on this machine, and the line that mends it."""
    found = [check() for check in CHECKS]
    if as_json:
        print_json([vars(finding) for finding in found])
    else:
        print_lines("", ("", "what", "found"), [(MARKS[f.state], f.thing, f.found) for f in found])
        for finding in found:
            if finding.mend:
                typer.echo(f"{finding.thing}: {finding.mend}")
    if any(finding.state == "problem" for finding in found):
        raise typer.Exit(YOURS)


def check_python() -> Finding:
    """Which Python runs; an older one than needed could not have installed us."""
    return Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def check_torch() -> Finding:
    """Torch imports, and what it computes on."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return Finding("torch", "problem", f"does not import: {error}", "python -m pip install --force-reinstall torch")
    found = f"{torch.__version__}, {torch.get_num_threads()} threads, {_accelerator()}"
    return Finding("torch", "ok", found)


def check_torchvision() -> Finding:
    """Torchvision is absent, or at least imports: a broken one breaks transformers, peft and lightning."""
    if importlib.util.find_spec("torchvision") is None:
        return Finding("torchvision", "ok", "absent, as it should be")
    try:
        importlib.import_module("torchvision")
    except (ImportError, OSError, RuntimeError) as error:
        return Finding(
            "torchvision", "problem", f"broken: {error}", "python -m pip uninstall torchvision  (it is not needed)"
        )
    return Finding("torchvision", "note", "present, not needed", "if imports fail: python -m pip uninstall torchvision")


def check_packages() -> Finding:
    """The heavy packages are the tested major versions or at least present."""
    names = ("lightning", "transformers", "peft", "himalaya", "nilearn", "nibabel", "av")
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        return Finding("packages", "problem", f"missing: {', '.join(missing)}", "python -m pip install -e .")
    return Finding("packages", "ok", ", ".join(f"{name} {_version(name)}" for name in names))


def check_disk() -> Finding:
    """Free space where results go."""
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    if free >= NEEDED_DISK_GB:
        return Finding("disk", "ok", f"{free:.0f} GB free here")
    return Finding(
        "disk", "problem", f"{free:.1f} GB free here, {NEEDED_DISK_GB:.0f} needed", "free some, or use --out elsewhere"
    )


def check_memory() -> Finding:
    """Free memory, where the system tells."""
    free = _free_memory_gb()
    if free is None:
        return Finding("memory", "note", f"unknown on {sys.platform}; {NEEDED_MEMORY_GB:.0f} GB are needed")
    if free >= NEEDED_MEMORY_GB:
        return Finding("memory", "ok", f"{free:.0f} GB free")
    return Finding("memory", "problem", f"{free:.1f} GB free, {NEEDED_MEMORY_GB:.0f} needed", "close other programs")


def check_checkpoint() -> Finding:
    """The shipped checkpoint loads."""
    from tribetune.errors import TribetuneError
    from tribetune.model.checkpoint import open_checkpoint

    try:
        tribe = open_checkpoint("tribe-toy")
    except TribetuneError as error:
        mend = "install tribetune again, or make it: tribetune pretrain pretrain-toy --out checkpoints/tribe-toy"
        return Finding("checkpoint tribe-toy", "problem", str(error), mend)
    config = tribe.config
    return Finding("checkpoint tribe-toy", "ok", f"{', '.join(config.modalities)} to {config.n_outputs:,} outputs")


def check_encoders() -> Finding:
    """Whether the hub's gated text encoder can be fetched."""
    from huggingface_hub import get_token

    if get_token():
        return Finding("hub token", "ok", f"present; {GATED} is gated: its page shows whether access was granted")
    mend = f"for the released text encoder: ask for access at https://huggingface.co/{GATED}, then: hf auth login"
    return Finding("hub token", "note", "none; the demo needs none", mend)


def check_data() -> Finding:
    """The folder of real recordings the tests may use."""
    named = os.environ.get("TRIBETUNE_DATA")
    if named is None:
        return Finding("test data", "note", "TRIBETUNE_DATA is not set: tests on real recordings are skipped")
    if Path(named).is_dir():
        return Finding("test data", "ok", named)
    return Finding("test data", "problem", f"{named}: no such folder", "export TRIBETUNE_DATA=FOLDER, or unset it")


CHECKS: tuple[Callable[[], Finding], ...] = (
    check_python,
    check_torch,
    check_torchvision,
    check_packages,
    check_disk,
    check_memory,
    check_checkpoint,
    check_encoders,
    check_data,
)
MARKS = {"ok": "✓", "note": "·", "problem": "✗"}


def _accelerator() -> str:
    import torch

    if torch.cuda.is_available():
        return f"GPU {torch.cuda.get_device_name()}"
    if torch.backends.mps.is_available():
        return "Apple GPU"
    return "no GPU (fine for the demo)"


def _free_memory_gb() -> float | None:
    """What Linux would give to a new program, caches it can drop included; None on other systems."""
    meminfo = Path("/proc/meminfo")
    if not meminfo.is_file():
        return None
    lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024 / 1e9


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # a tenth of the time of --help

    try:
        return version(name)
    except PackageNotFoundError:
        return "without a version"
