"""One hour of a subject at full size: adaptation against the reference's procedure, in seconds and peak memory.

The reference's procedure is re-created from the description of its fine-tuning (spec a, d): batches of eight windows,
the trunk run again in every step, modality and subject dropout on, the readout's weights gathered for every window,
the readout at 2 Hz and pooled after it, float32, Adam with one cycle. Its steps are alike: a warm-up step is left out,
two are measured, and their mean stands for each of the epoch's 4.5 (36 windows in batches of eight). Its batches are
stacked before the clock starts. ``reference readout`` freezes all but the readout, ``reference core`` trains all.

Features are seeded noise of the released sizes, half precision, BOLD a planted readout with noise, both mapped from
disk. Every figure is the median of ``--repeats`` fresh processes, which take turns; the clock starts when the imports
are done and the checkpoint is open.

    python benchmarks/adapt.py [--json] [--repeats 2] [--threads N] [--only NAME …] [--small]

``--small`` is a smoke test of seconds: a small model, all in one process, so that its figures mean nothing.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from model import full_size, reference_predict
from torch import Tensor

from tribetune.adapt.base import Base
from tribetune.adapt.methods import fit_method
from tribetune.features.grid import Features
from tribetune.model.checkpoint import load_checkpoint, save_checkpoint
from tribetune.model.config import TribeConfig
from tribetune.model.surgery import train_only, with_mean_rows
from tribetune.model.tribe import Tribe
from tribetune.windows import AlignedRun, Window, cut_windows, stack

N_RUNS, WINDOWS_PER_RUN, WINDOW_S, BATCH = 4, 9, 100, 8
N_SUBJECTS, SEED = 3, 33


@dataclass(frozen=True)
class Study:
    """Subjects who saw the same stimulus, in a folder: a checkpoint, features, and BOLD mapped from disk."""

    folder: Path

    def tribe(self) -> Tribe:
        """The checkpoint, frozen."""
        return load_checkpoint(self.folder / "checkpoint").requires_grad_(False)

    def base(self) -> Base:
        """The checkpoint as `tribetune adapt` opens it; nothing is kept on disk."""
        return Base(self.tribe(), precision="auto")

    def windows(self, subject: int) -> list[Window]:
        """All windows of a subject."""
        return [window for run in range(N_RUNS) for window in cut_windows(self._aligned(subject, run))]

    def _aligned(self, subject: int, run: int) -> AlignedRun:
        duration_s = WINDOWS_PER_RUN * WINDOW_S
        arrays = {path.stem: np.load(path, mmap_mode="r") for path in (self.folder / f"run-{run}").glob("*.npy")}
        bold = np.load(self.folder / f"sub-{subject}_run-{run}.npy", mmap_mode="r")
        return AlignedRun(
            f"sub-{subject}_run-{run}", str(run), Features(arrays, duration_s), bold, np.ones(len(bold), bool), 5.0
        )


class Clock:
    """Seconds and CPU seconds from now on."""

    def __init__(self) -> None:
        self.seconds, self.cpu_s = time.perf_counter(), time.process_time()

    def spent(self) -> dict[str, float]:
        """So far."""
        return {"seconds": time.perf_counter() - self.seconds, "cpu_s": time.process_time() - self.cpu_s}


def write_study(folder: Path, config: TribeConfig, n_subjects: int) -> Study:
    """Make a study: every subject's BOLD is the unseen row and a readout of his own, with twice as much noise."""
    torch.manual_seed(SEED)
    tribe, rng = Tribe(config).requires_grad_(False).eval(), np.random.default_rng(SEED)
    save_checkpoint(tribe, folder / "checkpoint")
    n_samples = WINDOWS_PER_RUN * WINDOW_S
    for run in range(N_RUNS):
        (folder / f"run-{run}").mkdir()
        for name, size in config.modalities.items():
            values = rng.standard_normal((*(size or ()), 2 * n_samples), np.float32).astype(np.float16)
            np.save(folder / f"run-{run}" / f"{name}.npy", values)
        np.save(folder / f"sub-0_run-{run}.npy", np.zeros((n_samples, config.n_outputs), np.float32))
    study = Study(folder)
    latents = torch.cat([part.values for part in Base(tribe).latents(study.windows(0))])
    for subject in range(n_subjects):
        own = tribe.subjects.weights[-1] + torch.randn(tribe.subjects.weights[-1].shape) * config.readout_in**-0.5
        signal = latents @ own
        bold = signal / signal.std(0) + 2 * torch.randn(signal.shape)
        for run, values in enumerate(bold.split(n_samples)):
            scored = (values - values.mean(0)) / values.std(0)
            np.save(folder / f"sub-{subject}_run-{run}.npy", scored.numpy())
    return study


def reference_epoch(study: Study, parts: Sequence[str]) -> dict[str, float]:
    """Seconds of one epoch of the reference's fine-tuning; the named parts are trained."""
    tribe = with_mean_rows(study.tribe(), ["new"])
    config = replace(tribe.config, modality_dropout=0.3, subject_dropout=0.1)
    train_only(tribe, *parts)
    weights = dict(tribe.named_parameters())
    optimizer = torch.optim.Adam([weight for weight in weights.values() if weight.requires_grad], lr=1e-4)
    n_windows = N_RUNS * WINDOWS_PER_RUN
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-4, total_steps=-(-n_windows // BATCH))
    windows, spent = study.windows(0), []
    for first in range(0, 3 * BATCH, BATCH):
        batch, clock = stack(windows[first : first + BATCH]), Clock()
        reference_step(weights, config, batch, optimizer)
        cycle.step()
        spent.append(clock.spent())
    epoch = n_windows / BATCH
    return {key: epoch * statistics.mean(step[key] for step in spent[1:]) for key in spent[0]}


def reference_step(
    weights: Mapping[str, Tensor], config: TribeConfig, batch: Mapping[str, Tensor], optimizer: torch.optim.Optimizer
) -> float:
    """One optimiser step as the reference takes it; the loss before it."""
    n_windows, n_trs = batch["bold"].shape[:2]
    # subject dropout: the unseen row, which is the last, learns from some windows
    rows = [config.rows - 1 if drop else 0 for drop in (torch.rand(n_windows) < config.subject_dropout).tolist()]
    features = {name: batch[name] for name in config.modalities if name in batch}
    predicted = reference_predict(weights, config, features, rows, n_trs)
    loss = (predicted.flatten(0, 1) - batch["bold"].flatten(0, 1)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def timed(study: Study, method: str, **settings: Any) -> dict[str, float]:
    """Seconds of a method on the first subject, the trunk's pass over the stimulus included."""
    base, windows, clock = study.base(), study.windows(0), Clock()
    fit_method(method, base, windows, settings, SEED)
    return clock.spent()


def cohort(study: Study, method: str) -> dict[str, float]:
    """Mean seconds of a method on the subjects after the first, who saw the same stimulus."""
    base, spent = study.base(), []
    for subject in range(N_SUBJECTS):
        windows, clock = study.windows(subject), Clock()
        fit_method(method, base, windows, {}, SEED)
        spent.append(clock.spent())
    return {key: statistics.mean(one[key] for one in spent[1:]) for key in spent[0]}


_CORE = ("projectors", "time_embedding", "trunk", "low_rank", "subjects")

CONTESTANTS: Mapping[str, Callable[[Study], dict[str, float]]] = {
    "reference readout": partial(reference_epoch, parts=("subjects",)),
    "readout": partial(timed, method="readout"),
    "readout, rate given": partial(timed, method="readout", learning_rate=0.03),
    "ridge": partial(timed, method="ridge"),
    "cohort": partial(cohort, method="ridge"),
    "cohort, readout": partial(cohort, method="readout"),
    "reference core": partial(reference_epoch, parts=_CORE),
    "lora": partial(timed, method="lora", learning_rate=3e-4, readout_learning_rate=0.03),
    "lora, rates chosen": partial(timed, method="lora"),
}
"""What is measured, in the order of a round. A rate that is not given is chosen, and that is timed, too."""

RATIOS = {
    "readout": ("reference readout", "readout"),
    "ridge": ("reference readout", "ridge"),
    "cohort": ("reference readout", "cohort"),
    "lora": ("reference core", "lora"),
}
"""Ratio to what is divided by what."""


def _peak_gb() -> float:
    with Path("/proc/self/status").open() as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1e6


def run(name: str, study: Study) -> dict[str, float]:
    """One contestant in this process: seconds, CPU seconds, peak memory."""
    import peft  # noqa: F401 imported before the clock starts

    found = CONTESTANTS[name](study)
    return {**found, "peak_gb": _peak_gb()}


def _in_a_process(name: str, study: Study, threads: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--run", name, "--study", str(study.folder), "--threads", str(threads)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])


def small_size() -> TribeConfig:
    """The same model, small enough for a smoke test."""
    return replace(
        full_size(), modalities={"text": (2, 6), "audio": (2, 4), "video": (2, 5)}, hidden=96, depth=2, heads=3,
        n_outputs=40, low_rank=16, space="table",
    )  # fmt: skip


def main() -> None:
    """Measure, print the table, and with ``--json`` the ratios as the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", choices=tuple(CONTESTANTS), action="append", help="repeat for several")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--run", choices=tuple(CONTESTANTS), help=argparse.SUPPRESS)
    parser.add_argument("--study", type=Path, help="where the study is kept; made there when missing")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.run:
        print(json.dumps(run(options.run, Study(options.study))))
        return
    with tempfile.TemporaryDirectory() as scratch:
        found = _all(options.study or Path(scratch), options)
    _report(found, options.threads, as_json=options.json)


def _all(folder: Path, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Every contestant's medians."""
    study, config = Study(folder), small_size() if options.small else full_size()
    if not (folder / "checkpoint").exists():
        study = write_study(folder, config, N_SUBJECTS)
    names = options.only or tuple(CONTESTANTS)
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(options.repeats):
        for name in names:
            found = run(name, study) if options.small else _in_a_process(name, study, options.threads)
            print(f"{name}: {found}", file=sys.stderr, flush=True)
            rounds[name].append(found)
    return {
        name: {key: statistics.median(one[key] for one in found) for key in found[0]} for name, found in rounds.items()
    }


def _report(found: Mapping[str, Mapping[str, float]], threads: int, *, as_json: bool) -> None:
    print(f"{N_RUNS * WINDOWS_PER_RUN} windows of {WINDOW_S} s in {N_RUNS} runs, {threads} threads")
    for name, result in found.items():
        print(f"  {name:<22} {result['seconds']:7.2f} s ({result['cpu_s']:.1f} CPU s), peak {result['peak_gb']:.2f} GB")
    print("  (the reference's epochs are 4.5 times the mean of two steps)")
    ratios = {
        name: round(found[theirs]["seconds"] / found[ours]["seconds"], 3)
        for name, (theirs, ours) in RATIOS.items()
        if theirs in found and ours in found
    }
    for name, ratio in ratios.items():
        print(f"  {name:<22} {ratio:7.2f} x")
    if as_json:
        peak = {name: round(result["peak_gb"], 3) for name, result in found.items()}
        print(json.dumps({"ratios": ratios, "peak_gb": peak}))


if __name__ == "__main__":
    main()
