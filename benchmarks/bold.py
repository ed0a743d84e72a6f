"""One hour of fsaverage5 from GIFTI to windows: the first time, the second, and by the straightforward procedure.

The straightforward procedure is nibabel, ``nilearn.signal.clean`` and ``numpy.interp`` per vertex, all in memory. Both
write down the sum of every window, so both have them. Then the memory of going through all windows of 2 and 8 hours
that are mapped from the cache, all runs open at once: anonymous memory is the process's own; mapped pages are the disk
cache's, and are given back when something else needs them. Every figure is a fresh process, from the import on; ratios
are of CPU seconds.

``--train 10 100`` trains a small trunk on ten subjects, 20,484 outputs each, for 40 batches of 8 windows in random
order, with 1 and with 10 hours per subject: 30 GB of BOLD on disk, every run a file of its own, and features of the
released encoders' sizes, of ten films of an hour that all subjects watch. Validation takes a window of every run.

    python benchmarks/bold.py [--json] [--minutes 60] [--hours 2 8] [--plain] [--train 10 100]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

N_HEMISPHERE, T_R = 10242, 1.5
_NAME = "sub-01_task-movie_run-1_hemi-{}_space-fsaverage5_bold.func.gii"

_HEAD = """
import json, sys, time
begin = time.perf_counter()
import numpy as np
from pathlib import Path
folder, minutes, cache = Path(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3])
def memory(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field)) / 1e6
def report(**found):
    spent = {"seconds": time.perf_counter() - begin, "cpu_s": time.process_time()}
    print(json.dumps({**spent, "peak_gb": memory("VmHWM"), **found}))
"""

_OURS = """
from tribetune.features.grid import Features
from tribetune.recipe.data import Data, RunOfFiles, RunSplit
from tribetune.stimulus.event import Event
from tribetune.stimulus.timeline import Timeline
from tribetune.study.bold import Reader, list_files
from tribetune.study.runs import StudyRun, aligned_run
from tribetune.windows import cut_windows
paths = [folder / f"sub-01_task-movie_run-1_hemi-{side}_space-fsaverage5_bold.func.gii" for side in "LR"]
data = Data(files=[RunOfFiles(run="1", bold=paths, t_r=1.5)], subject="01", task="movie", split=RunSplit(test=[1]))
reader, (files,) = Reader(data, cache), list_files(data)
timeline = Timeline((Event("audio", 0.0, minutes * 60, folder / "none.wav"),))
features = Features({"audio": np.zeros((1, 4, round(minutes * 120)), np.float32)}, minutes * 60)
key = reader.key(files)
run = StudyRun(files.label, "1", timeline, reader.inputs(files), key, lambda: reader.cleaned(files, key))
windows = cut_windows(aligned_run(run, features, 5.0, cache))
report(sums=[float(np.nansum(window.bold[window.mask], dtype=np.float64)) for window in windows])
"""

_PLAIN = """
import nibabel, warnings
from nilearn.signal import clean
halves = []
for side in "LR":
    image = nibabel.load(folder / f"sub-01_task-movie_run-1_hemi-{side}_space-fsaverage5_bold.func.gii")
    halves.append(np.stack([array.data for array in image.darrays]))
values = np.concatenate(halves, axis=1)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    cleaned = clean(values, detrend=True, standardize="zscore_sample", filter=False)
volumes = np.arange(len(cleaned)) * 1.5
times = np.arange(0, len(cleaned) * 1.5 - 1, 1.0)
resampled = np.stack([np.interp(times, volumes, column) for column in cleaned.T], axis=1)[5:]
windows = [resampled[start : start + 100] for start in range(0, round(minutes * 60), 100)]
report(sums=[float(np.nansum(window, dtype=np.float64)) for window in windows])
"""

_HOURS = """
from tribetune.bold.cache import kept
from tribetune.features.grid import Features
from tribetune.windows import AlignedRun, cut_windows
rng, n_hours = np.random.default_rng(0), round(minutes / 60)
own, runs = 0.0, []
for hour in range(n_hours):
    def make():
        raise SystemExit("not in the cache")
    arrays, _ = kept(cache, f"hour-{hour}", str(hour), make)
    features = Features({"audio": np.zeros((1, 1, 7200), np.float32)}, 3600.0)
    runs.append(AlignedRun("run", "1", features, arrays["bold"], np.ones(3600, bool), 5.0))
cut = [window for aligned in runs for window in cut_windows(aligned)]
after_cutting = memory("VmHWM")
for window in cut:
    window.bold.sum()
    own = max(own, memory("RssAnon"))
report(cut_gb=after_cutting, own_gb=own, mapped_gb=memory("RssFile"))
"""

_FILL = """
from tribetune.bold.cache import kept
rng = np.random.default_rng(0)
values = rng.standard_normal((3600, 20484), np.float32)
for hour in range(round(minutes / 60)):
    kept(cache, f"hour-{hour}", str(hour), lambda: ({"bold": values}, {}))
report()
"""

_FILL_TRAIN = """
from tribetune.arrays import write_arrays
from tribetune.bold.cache import kept
rng = np.random.default_rng(0)
values = rng.standard_normal((3600, 20484), np.float32)
for hour in range(round(minutes / 60)):
    values[0] = hour  # no two files are one
    kept(cache, f"hour-{hour}", str(hour), lambda: ({"bold": values}, {}))
sizes = {"text": (9000, 2, 3072), "audio": (7200, 2, 1024), "video": (7200, 2, 1408)}
arrays = {name: rng.standard_normal(size, np.float32).astype(np.float16) for name, size in sizes.items()}
for film in range(10):
    write_arrays(cache / f"film-{film}.safetensors", arrays, {})
report()
"""

_TRAIN = """
import torch
from lightning.pytorch import Callback, Trainer
from tribetune.arrays import map_arrays
from tribetune.bold.cache import kept
from tribetune.datamodule import Cutting, WindowDataModule
from tribetune.features.grid import Features, lay_series, lay_words
from tribetune.model.module import TribeModule
from tribetune.model.tribe import Tribe, TribeConfig
from tribetune.splits import Part, Split
from tribetune.windows import AlignedRun
torch.set_num_threads(2)
torch.manual_seed(0)
def make():
    raise SystemExit("not in the cache")
def film(number):
    found = map_arrays(cache / f"film-{number}.safetensors")
    boxes = [(0.4 * k, 0.3) for k in range(9000)]
    laid = {name: lay_series([(0.0, 3600.0, np.moveaxis(found[name], 0, -1))], 3600.0) for name in ("audio", "video")}
    return Features({"text": lay_words(boxes, found["text"], 3600.0), **laid}, 3600.0)
n_hours, runs, rows = round(minutes / 600), [], {}
for hour in range(10 * n_hours):
    arrays, _ = kept(cache, f"hour-{hour}", str(hour), make)
    subject, number = divmod(hour, n_hours)
    label = f"sub-{subject:02d}_run-{number}"
    rows[label] = subject
    runs.append(AlignedRun(label, str(number), film(number), arrays["bold"], np.ones(3600, bool), 5.0))
split = Split(tuple(Part(run, (0, 3500)) for run in runs), tuple(Part(run, (3500, 3600)) for run in runs), ())
data = WindowDataModule(split, Cutting(100, 50, random_phase=True), 8, rows=rows)
sizes = {"text": (2, 3072), "audio": (2, 1024), "video": (2, 1408)}
config = TribeConfig(sizes, hidden=96, depth=1, heads=2, n_outputs=20484, rows=11, low_rank=64, subject_dropout=0.1)
found = {"own_gb": 0.0, "mapped_gb": 0.0, "batches": 0}
class Look(Callback):
    def on_train_batch_end(self, *args):
        for name, field in (("own_gb", "RssAnon"), ("mapped_gb", "RssFile")):
            found[name] = max(found[name], memory(field))
        found["batches"] += 1
    on_validation_batch_end = on_train_batch_end
found["start_gb"] = memory("RssAnon")
Trainer(max_epochs=1, limit_train_batches=40, logger=False, enable_checkpointing=False, enable_progress_bar=False,
    enable_model_summary=False, num_sanity_val_steps=0, callbacks=[Look()], accelerator="cpu",
).fit(TribeModule(Tribe(config), 1e-4), data)
report(**found, n_runs=len(runs), disk_gb=sum(run.bold.nbytes for run in runs) / 1e9)
"""


def write_run(folder: Path, minutes: float) -> None:
    """A run as fMRIPrep writes it: one compressed array per volume."""
    rng, step = np.random.default_rng(0), {"TimeStep": f"{1000 * T_R:.1f}"}
    for side, structure in (("L", "CortexLeft"), ("R", "CortexRight")):
        image = nibabel.GiftiImage(meta=nibabel.gifti.GiftiMetaData({"AnatomicalStructurePrimary": structure, **step}))
        for _ in range(round(minutes * 60 / T_R)):
            values = (1000 + 20 * rng.standard_normal(N_HEMISPHERE)).astype(np.float32)
            array = nibabel.gifti.GiftiDataArray(
                values, intent="NIFTI_INTENT_TIME_SERIES", datatype="NIFTI_TYPE_FLOAT32", meta=step
            )
            image.add_gifti_data_array(array)
        nibabel.save(image, folder / _NAME.format(side))


def measure(script: str, folder: Path, minutes: float, cache: Path) -> dict[str, Any]:
    """What a fresh process reports."""
    command = [sys.executable, "-c", _HEAD + script, str(folder), str(minutes), str(cache)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])


def main() -> None:
    """Measure, print the table, and with ``--json`` the ratios as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--hours", type=int, nargs="*", default=[2, 8])
    parser.add_argument("--train", type=int, nargs="*", default=[], help="hours, of ten subjects together")
    parser.add_argument("--plain", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        found = _all(Path(scratch), options)
    print(f"{options.minutes:g} minutes of fsaverage5, t_r {T_R:g} s")
    for name, result in found.items():
        times = f"{result['cpu_s']:6.1f} CPU s ({result['seconds']:.1f} s)"
        print(f"  {name:<16} {times}, peak {result['peak_gb']:.2f} GB{_own(result)}")
    if options.json:
        _print_json(found)


def _own(result: dict[str, Any]) -> str:
    if "own_gb" not in result:
        return ""
    if "disk_gb" in result:
        size = f"{result['n_runs']} runs, {result['disk_gb']:.1f} GB of BOLD, {result['batches']} batches"
        start, own, mapped = (result[key] for key in ("start_gb", "own_gb", "mapped_gb"))
        return f"; {size}; its own at most {own:.2f} GB ({start:.2f} before training), mapped {mapped:.2f} GB"
    cut, own, mapped = (result[key] for key in ("cut_gb", "own_gb", "mapped_gb"))
    return f"; when cut {cut:.2f} GB; when all were read, its own {own:.2f} GB and mapped {mapped:.2f} GB"


def _all(folder: Path, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    write_run(folder, options.minutes)
    found = {name: measure(_OURS, folder, options.minutes, folder / "cache") for name in ("first", "second")}
    if options.plain:
        found["straightforward"] = measure(_PLAIN, folder, options.minutes, folder / "cache")
        ours, theirs = (np.array(found[name]["sums"]) for name in ("second", "straightforward"))
        worst = np.abs(ours - theirs).max() / (100 * 2 * N_HEMISPHERE)
        print(f"means of windows differ by at most {worst:.1e}")
    if options.hours:
        measure(_FILL, folder, 60.0 * max(options.hours), folder / "hours")
    for n_hours in options.hours:
        found[f"{n_hours} h of windows"] = measure(_HOURS, folder, 60.0 * n_hours, folder / "hours")
    if options.train:
        measure(_FILL_TRAIN, folder, 60.0 * max(options.train), folder / "train")
    for n_hours in options.train:
        found[f"train on {n_hours} h"] = measure(_TRAIN, folder, 60.0 * n_hours, folder / "train")
    return found


def _print_json(found: dict[str, dict[str, Any]]) -> None:
    first = found["first"]["cpu_s"]
    ratios = {"first/second": first / found["second"]["cpu_s"]}
    if "straightforward" in found:
        ratios["straightforward/first"] = found["straightforward"]["cpu_s"] / first
    trained = [result["own_gb"] for name, result in found.items() if name.startswith("train")]
    if len(trained) > 1:
        ratios["own memory, most/fewest hours"] = trained[-1] / trained[0]
    peak = {name: result.get("own_gb", result["peak_gb"]) for name, result in found.items()}
    rounded = {name: round(value, 2) for name, value in ratios.items()}
    print(json.dumps({"ratios": rounded, "peak_gb": {name: round(value, 3) for name, value in peak.items()}}))


if __name__ == "__main__":
    main()
