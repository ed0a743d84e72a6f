"""Scores against calibration minutes on simulated subjects: every method and FIR, as shares of the ideal score.

The cohort's settings are the simulation's own; the seeds are of subjects and films that no choice was made on. Every
figure of a subject and a length is kept in a file of its own under ``cache/evidence``, so that an interrupted campaign
goes on where it stopped. To be affordable on two cores, everything is fitted to and scored on a random eighth of the
outputs, the same for all subjects and methods; methods that train the trunk come last, and are measured on the first
subject of every seed only.
"""

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from held_out import measured, predicted, scores
from jaxtyping import Float

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
PIECES = {"trunk": ("lora", "ladder"), "full": ("full",)}
"""Measured on the first subject of every seed, with a file for each; the ladder has LoRA for its last rung."""

TRUNK = tuple(method for methods in PIECES.values() for method in methods)

NOISE, NOISE_LENGTHS = "noise", (10, 60)
"""A subject whose BOLD is the first one's with random phases: the same spectra and covariance, no stimulus."""

WINDOW_S, SELECTED_SHARE, N_OUTPUTS = 100.0, 0.1, 20484
SAMPLE = np.sort(np.random.default_rng(2026).permutation(N_OUTPUTS)[: N_OUTPUTS // 8])
"""Outputs of fsaverage5 that are fitted and scored."""

ROOT = Path(__file__).parent.parent / "cache" / "evidence" / "minutes"


@dataclass(frozen=True)
class Subject:
    """One subject of one seed, read and split at 60 minutes.

    Attributes
    ----------
    name : str
    study : Prepared
    base : Base
        Shared by all subjects of a seed: they saw the same films.
    ideal : array of shape (n_outputs,)
        The planted signal's r with the test run; zero where nothing is planted.
    """

    name: str
    study: Prepared
    base: Base
    ideal: Float[np.ndarray, " output"]

    def at(self, minutes: int) -> Prepared:
        """The study with so many calibration minutes."""
        return replace(self.study, split=limit_calibration(self.study.split, minutes))


def measure(seeds: Sequence[int] = SEEDS, root: Path = ROOT) -> list[dict[str, Any]]:
    """Every figure of every subject, made now or read where it was made before.

    Parameters
    ----------
    seeds : sequence of int
    root : Path
        Where figures stay; data stay until their seed is finished.
    """
    found = {}
    for seed in seeds:
        found |= {(seed, figure["subject"], figure["minutes"]): figure for figure in _closed(seed, root)}
    for seed in seeds:
        for figure in _trunk(seed, root):
            before = found.get((seed, figure["subject"], figure["minutes"]), {})
            both = {of: {**before.get(of, {}), **figure[of]} for of in figure.keys() & {"all", "selected", "seconds"}}
            found[seed, figure["subject"], figure["minutes"]] = {**before, **figure, **both}
        shutil.rmtree(root / str(seed), ignore_errors=True)
    return list(found.values())


def _closed(seed: int, root: Path) -> Iterator[dict[str, Any]]:
    """FIR and the methods that leave the trunk as it is, for all subjects of a seed."""
    people: list[Subject] = []
    for minutes in LENGTHS:
        paths = {name: root / f"{seed}_sub-{name}_{minutes}min.json" for name in _names()}
        if not all(path.is_file() for path in paths.values()):
            people = people or read_cohort(root / str(seed), seed)
            linear = linear_models(people, minutes)
            for subject in people:
                _write(paths[subject.name], seed, closed_figures(subject, minutes, linear[subject.name]))
        yield from (json.loads(path.read_text()) for path in paths.values())


def _trunk(seed: int, root: Path) -> Iterator[dict[str, Any]]:
    """The methods that train the trunk, and the ladder, for one subject of a seed, and the ladder on noise."""
    people: list[Subject] = []
    tasks = [("01", minutes, piece) for piece in PIECES for minutes in LENGTHS]
    for name, minutes, piece in tasks + [(NOISE, minutes, "trunk") for minutes in NOISE_LENGTHS]:
        path = root / f"{seed}_sub-{name}_{minutes}min_{piece}.json"
        if not path.is_file():
            people = people or read_cohort(root / str(seed), seed, _names()[:1])
            if name == NOISE:
                noise = replace(people[0].study, split=_noise(people[0].study.split, seed))
                made = noise_figures(replace(people[0], name=NOISE, study=noise), minutes)
            else:
                kept = json.loads((root / f"{seed}_sub-{name}_{minutes}min.json").read_text())
                places = np.array(kept["outputs"]), np.array(kept["chosen"])
                made = trunk_figures(people[0], minutes, PIECES[piece], *places)
            _write(path, seed, made)
        yield json.loads(path.read_text())


def _names() -> list[str]:
    return [f"{number:02d}" for number in range(1, SUBJECTS + 1)]


def _write(path: Path, seed: int, figure: Mapping[str, Any]) -> None:
    write_json(path, {"seed": seed, **figure})
    print(f"{time.strftime('%X')} {path.stem}: {figure['seconds']}", file=sys.stderr, flush=True)


def read_cohort(folder: Path, seed: int, names: Sequence[str] = ()) -> list[Subject]:
    """Simulate what is missing of a cohort and prepare its subjects, or some of them."""
    bids = simulate(folder / "bids", CohortSettings(SUBJECTS, RUNS, RUN_MINUTES, seed))
    people: list[Subject] = []
    for name in names or _names():
        split = RunSplit(test=[RUNS])
        recipe = Recipe(
            name="minutes",
            data=Data(bids=bids, subject=name, task="movie", split=split, calibration_minutes=max(LENGTHS)),
            features=FeatureChoice(store=folder / "features"),
            adaptation=ZeroShot(method="zero-shot"),
        )
        study = prepare(recipe, Silent())
        base = people[0].base if people else Base(_thin_tribe(study.tribe), "", None, "auto")
        with np.load(bids / "truth" / f"sub-{name}.npz") as truth:
            ideal = np.nan_to_num(truth["ideal_r"][truth["runs"].tolist().index(RUNS), SAMPLE])
        thin = replace(study, trunk=base, split=_thin_split(study.split))
        people.append(Subject(name, thin, base, ideal))
    return people


def linear_models(people: Sequence[Subject], minutes: int) -> dict[str, dict[str, np.ndarray]]:
    """Each subject's FIR model, all fitted at once: they saw the same films, and every output has its own penalty."""
    studies = [subject.at(minutes) for subject in people]
    together = fir_baseline(replace(studies[0], split=_side_by_side([study.split for study in studies])))
    halves = [np.split(together[name], len(people), axis=-1) for name in ("test", "calibration")]
    return {
        subject.name: {"test": test, "calibration": calibration}
        for subject, test, calibration in zip(people, *halves, strict=True)
    }


def closed_figures(subject: Subject, minutes: int, linear: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Mean r over all scored outputs and over the chosen tenth, for FIR and the methods that leave the trunk alone."""
    study = subject.at(minutes)
    test = study.split.test[0]
    found, seconds, _ = _scored(subject.base, study, CLOSED)
    found |= {"fir": scores(linear["test"][test.mask], measured(test)), "ideal": subject.ideal}
    defined = np.asarray(np.isfinite(np.stack(list(found.values()))).all(0))
    choosing = [_zero_shot_calibration(subject.base, study), linear["calibration"]]
    chosen = select_outputs(choosing, defined, SELECTED_SHARE)
    return {
        "subject": subject.name,
        "minutes": minutes,
        "all": _means(found, defined),
        "selected": _means(found, chosen),
        "outputs": np.flatnonzero(defined).tolist(),
        "chosen": np.flatnonzero(chosen).tolist(),
        "seconds": seconds,
    }


def trunk_figures(
    subject: Subject, minutes: int, methods: Sequence[str], outputs: np.ndarray, chosen: np.ndarray
) -> dict[str, Any]:
    """As `closed_figures`, over the same outputs, for other methods."""
    found, seconds, kept = _scored(subject.base, subject.at(minutes), methods)
    told = {"subject": subject.name, "minutes": minutes, "seconds": seconds} | ({"kept": kept} if kept else {})
    return {**told, "all": _means(found, outputs), "selected": _means(found, chosen)}


def noise_figures(subject: Subject, minutes: int) -> dict[str, Any]:
    """What the ladder keeps where there is nothing to learn, over all outputs."""
    found, seconds, kept = _scored(subject.base, subject.at(minutes), ("zero-shot", "ladder"))
    defined = np.flatnonzero(np.isfinite(np.stack(list(found.values()))).all(0))
    told = {"subject": subject.name, "minutes": minutes, "seconds": seconds, "kept": kept}
    return {**told, "all": _means(found, defined)}


def _scored(base: Base, study: Prepared, methods: Sequence[str]) -> tuple[dict[str, np.ndarray], dict[str, float], str]:
    """Held-out r per output and seconds to fit of some methods, and the rung that the ladder kept."""
    test, found, seconds, kept = study.split.test[0], {}, {}, ""
    for method in methods:
        begin = time.perf_counter()
        adapter = fitted(base, study, method)
        seconds[method] = round(time.perf_counter() - begin, 1)
        found[method] = scores(predicted(base, adapter, test, WINDOW_S), measured(test))
        kept = adapter.chosen.get("ladder", {}).get("kept", kept)
    return found, seconds, kept


def fitted(base: Base, study: Prepared, method: str) -> Adapter:
    """A method, or the ladder, with its defaults."""
    if method != "ladder":
        return fit_method(method, base, study.calibration, {}, study.recipe.seed)
    choice = study.recipe.evaluation
    judging = Judging(choice.bootstrap_block_s, choice.bootstrap_draws, study.recipe.seed)
    rungs: dict[str, dict[str, Any]] = {rung: {} for rung in Ladder(method="ladder").rungs}
    return climb(base, stretches(study.calibration, []), rungs, judging, Silent())


def _means(found: Mapping[str, np.ndarray], outputs: np.ndarray) -> dict[str, float]:
    """Mean over a mask or the places of some outputs."""
    return {name: float(r[outputs].mean()) for name, r in found.items()}


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
    return _with_bold(split, lambda part: np.ascontiguousarray(part.aligned.bold[:, SAMPLE]))


def _side_by_side(splits: Sequence[Split]) -> Split:
    """One split with the outputs of several subjects, whose samples are alike."""
    beside: dict[str, list[Part]] = {}
    for split in splits:
        for part in (*split.training, *split.test):
            beside.setdefault(part.aligned.run, []).append(part)

    def joined(part: Part) -> np.ndarray:
        parts = beside[part.aligned.run]
        if any(not np.array_equal(other.mask, part.mask) for other in parts):
            raise ValueError(f"run {part.aligned.run}: subjects differ in their valid samples")
        return np.concatenate([other.aligned.bold for other in parts], axis=1)

    return _with_bold(splits[0], joined)


def _noise(split: Split, seed: int) -> Split:
    """The same split with BOLD of random phases, one set of them for all outputs of a run."""
    rng = np.random.default_rng(seed)

    def scrambled(part: Part) -> np.ndarray:
        rows = np.flatnonzero(part.mask)
        spectrum = np.fft.rfft(part.aligned.bold[rows], axis=0)
        turned = np.exp(2j * np.pi * rng.random(len(spectrum)))
        turned[0] = 1
        if len(rows) % 2 == 0:
            turned[-1] = 1  # the highest frequency of an even number of samples has a sign, and no phase
        bold = np.zeros_like(part.aligned.bold)
        bold[rows] = np.fft.irfft(spectrum * turned[:, None], len(rows), axis=0)
        return bold

    return _with_bold(split, scrambled)


def _with_bold(split: Split, bold: Callable[[Part], np.ndarray]) -> Split:
    def changed(part: Part) -> Part:
        return replace(part, aligned=replace(part.aligned, bold=bold(part)))

    return Split(tuple(map(changed, split.training)), (), tuple(map(changed, split.test)))
