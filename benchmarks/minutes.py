"""Scores against calibration minutes on simulated subjects: every method and FIR, as shares of the ideal score.

The cohort's settings are the simulation's own; the seeds are of subjects and films that no choice was made on. Every
figure of a subject and a length is kept in a file of its own under ``cache/evidence``, so that an interrupted campaign
goes on where it stopped. To be affordable on two cores, everything is fitted to and scored on a random quarter of the
outputs, the same for all subjects and methods, and methods that train the trunk are measured on the first subject of
every seed only.
"""

import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from held_out import measured, predicted, scores
from jaxtyping import Bool, Float

from tribetune.adapt.adapter import Adapter
from tribetune.adapt.base import Base
from tribetune.adapt.methods import fit_method
from tribetune.evaluate.selection import select_outputs
from tribetune.files import write_json
from tribetune.model.tribe import Tribe
from tribetune.progress import Silent
from tribetune.recipe.data import Data, RunSplit
from tribetune.recipe.schema import FeatureChoice, Ladder, Recipe, ZeroShot
from tribetune.simulate import CohortSettings, simulate
from tribetune.splits import Part, Split, limit_calibration
from tribetune.study.baselines import fir_baseline
from tribetune.study.ladder import Judging, climb, stretches
from tribetune.study.prepare import Prepared, prepare

SEEDS = (201, 202, 203, 204, 205)
"""Methods were developed on seeds below 100; the checkpoint was trained on none of these."""

SUBJECTS, RUNS, RUN_MINUTES = 4, 9, 8.0
"""Per seed: eight runs hold 60 calibration minutes, the ninth is the test."""

LENGTHS = (5, 10, 20, 40, 60)
"""Calibration minutes, chronological."""

CLOSED = ("zero-shot", "gain", "ridge", "low-rank", "readout")
TRUNK = ("lora", "ladder")
"""Measured on the first subject of every seed, and the ladder on noise; the ladder has LoRA for its last rung."""

NOISE = "noise"
"""A subject whose BOLD is the first one's with random phases: the same spectra and covariance, no stimulus."""

WINDOW_S, SELECTED_SHARE, N_OUTPUTS = 100.0, 0.1, 20484
SAMPLE = np.sort(np.random.default_rng(2026).permutation(N_OUTPUTS)[: N_OUTPUTS // 4])
"""Outputs of fsaverage5 that are fitted and scored."""

ROOT = Path(__file__).parent.parent / "cache" / "evidence" / "minutes"


@dataclass(frozen=True)
class Subject:
    """One subject of one seed, read and split at 60 minutes.

    Attributes
    ----------
    study : Prepared
    base : Base
        Shared by all subjects of a seed: they saw the same films.
    ideal : array of shape (n_outputs,)
        The planted signal's r with the test run; zero where nothing is planted.
    """

    study: Prepared
    base: Base
    ideal: Float[np.ndarray, " output"]


def measure(seeds: Sequence[int] = SEEDS, root: Path = ROOT) -> list[dict[str, Any]]:
    """Every figure of every subject, made now or read where it was made before.

    Parameters
    ----------
    seeds : sequence of int
    root : Path
        Where figures stay; data stay until their seed is finished.
    """
    found = []
    for seed in seeds:
        found += list(_of_seed(seed, root))
        shutil.rmtree(root / str(seed), ignore_errors=True)
    return found


def _of_seed(seed: int, root: Path) -> Iterator[dict[str, Any]]:
    base = None
    for name in (*(f"{number:02d}" for number in range(1, SUBJECTS + 1)), NOISE):
        subject = None
        for minutes in LENGTHS:
            path = root / f"{seed}_sub-{name}_{minutes}min.json"
            if not path.is_file():
                subject = subject or read_subject(root / str(seed), seed, name, base)
                base = subject.base
                begin = time.perf_counter()
                made = {"seed": seed, "subject": name, **figures(subject, minutes, methods_of(name))}
                write_json(path, made)
                print(f"{path.stem}: {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
            yield json.loads(path.read_text())


def methods_of(name: str) -> tuple[str, ...]:
    """What is measured on a subject."""
    if name == NOISE:
        return ("zero-shot", "gain", "ladder")
    return CLOSED + (TRUNK if name == "01" else ())


def read_subject(folder: Path, seed: int, name: str, base: Base | None) -> Subject:
    """Simulate what is missing of a cohort and prepare one of its subjects."""
    bids = simulate(folder / "bids", CohortSettings(SUBJECTS, RUNS, RUN_MINUTES, seed))
    noise, name = name == NOISE, "01" if name == NOISE else name
    data = Data(bids=bids, subject=name, task="movie", split=RunSplit(test=[RUNS]), calibration_minutes=max(LENGTHS))
    recipe = Recipe(
        name="minutes",
        data=data,
        features=FeatureChoice(store=folder / "features"),
        adaptation=ZeroShot(method="zero-shot"),
    )
    study = prepare(recipe, Silent())
    split = _thin_split(study.split)
    study = replace(
        study, tribe=base.tribe if base else _thin_tribe(study.tribe), split=_noise(split, seed) if noise else split
    )
    with np.load(bids / "truth" / f"sub-{name}.npz") as truth:
        ideal = np.nan_to_num(truth["ideal_r"][truth["runs"].tolist().index(RUNS), SAMPLE])
    return Subject(study, base or Base(study.tribe, "", None, "auto"), ideal)


def figures(subject: Subject, minutes: int, methods: Sequence[str]) -> dict[str, Any]:
    """Mean r over all scored outputs and over the chosen tenth, for FIR and every method at one length."""
    study = replace(subject.study, split=limit_calibration(subject.study.split, minutes))
    test = study.split.test[0]
    bold, linear = measured(test), fir_baseline(study)
    found, seconds, kept = {"fir": scores(linear["test"][test.mask], bold)}, {}, ""
    for method in methods:
        begin = time.perf_counter()
        adapter = fitted(subject.base, study, method)
        seconds[method] = round(time.perf_counter() - begin, 1)
        found[method] = scores(predicted(subject.base, adapter, test, WINDOW_S), bold)
        kept = adapter.chosen.get("ladder", {}).get("kept", kept)
    defined = np.isfinite(np.stack(list(found.values()))).all(0)
    choosing = [_zero_shot_calibration(subject.base, study), linear["calibration"]]
    found["ideal"] = subject.ideal
    return {
        "minutes": minutes,
        "all": _means(found, defined),
        "selected": _means(found, select_outputs(choosing, defined, SELECTED_SHARE)),
        "seconds": seconds,
        "kept": kept,
    }


def fitted(base: Base, study: Prepared, method: str) -> Adapter:
    """A method, or the ladder, with its defaults."""
    if method != "ladder":
        return fit_method(method, base, study.calibration, {}, study.recipe.seed)
    choice = study.recipe.evaluation
    judging = Judging(choice.bootstrap_block_s, choice.bootstrap_draws, study.recipe.seed)
    rungs = {rung: {} for rung in Ladder(method="ladder").rungs}
    return climb(base, stretches(study.calibration, []), rungs, judging, Silent())


def _means(found: Mapping[str, np.ndarray], outputs: Bool[np.ndarray, " output"]) -> dict[str, float]:
    return {"n_outputs": int(outputs.sum()), **{name: float(r[outputs].mean()) for name, r in found.items()}}


def _zero_shot_calibration(base: Base, study: Prepared) -> Float[np.ndarray, " output"]:
    """Zero-shot r per output on the calibration data."""
    parts = study.split.training
    values = np.concatenate([predicted(base, Adapter("zero-shot"), part, WINDOW_S) for part in parts])
    return scores(values, np.concatenate([measured(part) for part in parts]))


def _thin_tribe(tribe: Tribe) -> Tribe:
    """The same model whose readout has the scored outputs alone."""
    thin = Tribe(replace(tribe.config, n_outputs=len(SAMPLE)))
    state = dict(tribe.state_dict())
    for name in ("subjects.weights", "subjects.bias"):
        state[name] = state[name][..., SAMPLE].clone()
    thin.load_state_dict(state)
    return thin.requires_grad_(False).eval()


def _thin_split(split: Split) -> Split:
    """The same split with the scored outputs alone."""

    def thin(part: Part) -> Part:
        return replace(part, aligned=replace(part.aligned, bold=np.ascontiguousarray(part.aligned.bold[:, SAMPLE])))

    return Split(tuple(map(thin, split.training)), (), tuple(map(thin, split.test)))


def _noise(split: Split, seed: int) -> Split:
    """The same split with BOLD of random phases, one set of them for all outputs of a run."""
    rng = np.random.default_rng(seed)

    def scramble(part: Part) -> Part:
        rows = np.flatnonzero(part.mask)
        spectrum = np.fft.rfft(part.aligned.bold[rows], axis=0)
        turned = np.exp(2j * np.pi * rng.random(len(spectrum)))
        turned[0] = 1
        if len(rows) % 2 == 0:
            turned[-1] = 1  # the highest frequency of an even number of samples has a sign, and no phase
        spectrum *= turned[:, None]
        bold = np.zeros_like(part.aligned.bold)
        bold[rows] = np.fft.irfft(spectrum, len(rows), axis=0)
        return replace(part, aligned=replace(part.aligned, bold=bold))

    return Split(tuple(map(scramble, split.training)), (), tuple(map(scramble, split.test)))
