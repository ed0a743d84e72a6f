"""What stands beside a study's scores: ceilings, chance, controls, and what the test data can resolve."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tribetune.digits import rounded
from tribetune.evaluate.assess import Assessment, assess, shuffled_runs
from tribetune.evaluate.bootstrap import Bootstrap, bootstrap_scores
from tribetune.evaluate.ceilings import Ceiling
from tribetune.evaluate.parcels import Parcels, set_means
from tribetune.evaluate.permutation import Scheme, permutation_test
from tribetune.evaluate.resampling import Resampling
from tribetune.evaluate.significance import LEVEL, resolution, smallest_difference
from tribetune.evaluate.table import ALL, BASELINES
from tribetune.study.areas import AUDITORY, VENTRICLES, VISUAL, areas
from tribetune.study.ceiling import study_ceiling
from tribetune.study.clock import Clock
from tribetune.study.others import Others, shows
from tribetune.study.prepare import Prepared
from tribetune.study.unique import ByModality

EVERYWHERE, CHOSEN, SHUFFLED = "all outputs", "chosen outputs", "shuffled runs"

_NEAREST_S = 20.0
"""Shortest circular shift: BOLD's autocorrelation."""

_SEGMENT_S = 10.0
"""Length of the segments that are retrieved."""


@dataclass(frozen=True)
class Evaluation:
    """Everything that stands beside the scores of a table.

    Attributes
    ----------
    assessed : mapping of method to Assessment
    ceiling : Ceiling
    parcels : Parcels
        The first two are all outputs and the chosen ones.
    by_parcel : Bootstrap
        Scores and their draws with parcels as sets.
    shuffled : mapping of method to (float, float, int)
        Mean r, p-value and outputs of predictions beside another stimulus' BOLD; empty where the test shows but one.
    modalities : mapping of method to ByModality
        What models predict from every set of modalities, where the recipe asks for it.
    """

    assessed: Mapping[str, Assessment]
    ceiling: Ceiling
    parcels: Parcels
    by_parcel: Bootstrap
    shuffled: Mapping[str, tuple[float, float, int]]
    modalities: Mapping[str, ByModality] = field(default_factory=dict)

    def beside(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Rows of the table, those with a score beside their p-value, discoveries, ceiling and retrieval."""
        return [row | (self._columns(row["method"]) if row["method"] in self.assessed else {}) for row in rows]

    def _columns(self, method: str) -> dict[str, Any]:
        found, ceiling = self.assessed[method], self.ceiling
        means, counts = set_means(np.where(ceiling.above_zero, ceiling.r, np.nan), self.parcels)
        normalised, n_normalised = set_means(ceiling.normalised(self.by_parcel.scores[method]), self.parcels)
        told: dict[str, Any] = {"p": float(found.set_p[0]), "n_significant": found.n_significant}
        told |= {"n_tested": found.n_tested, "n_samples": found.n_samples, "n_effective": self.effective(method)}
        told |= {"ceiling_kind": ceiling.kind}
        told |= {"ceiling": float(means[0]) if counts[0] else None, "n_ceiling": int(counts[0])}
        told |= {"normalised": float(normalised[0]) if n_normalised[0] else None, "n_normalised": int(n_normalised[0])}
        if method in self.modalities:
            told |= {f"unique_{name}": float(set_means(r, self.parcels)[0][0]) for name, r in self._unique(method)}
            told |= {"modalities": self.modalities[method].rows(self.parcels.first)}
        return told | {f"retrieval_{name}": value for name, value in found.retrieval.items()}

    def effective(self, method: str) -> float:
        """Effective samples of the median output in the means."""
        effective = self.assessed[method].effective[self.parcels.sets[0]]
        return float(np.median(effective)) if len(effective) else float("nan")

    def _unique(self, method: str) -> Iterable[tuple[str, np.ndarray]]:
        return self.modalities[method].unique.items() if method in self.modalities else ()

    def arrays(self) -> dict[str, np.ndarray]:
        """What ``scores.npz`` gains, per output."""
        arrays = {"ceiling": self.ceiling.r, "ceiling_interval": self.ceiling.interval}
        for method, found in self.assessed.items():
            name = method.replace("-", "_")
            arrays |= {f"{name}_p": found.chance.p, f"{name}_q": found.q, f"{name}_null_95": found.chance.null_95}
            arrays |= {f"{name}_r2": found.r2, f"{name}_interval": found.interval}
            if method in self.modalities:
                arrays |= {f"{name}_{key}": values for key, values in self.modalities[method].arrays().items()}
        return arrays

    def modality_rows(self) -> list[dict[str, Any]]:
        """A row of ``modalities.tsv`` per method, set of modalities and parcel."""
        found = self.modalities.items()
        return [{"method": method, **row} for method, one in found for row in one.rows(self.parcels)]

    def rows(self) -> list[dict[str, Any]]:
        """A row of ``scores.tsv`` per method and parcel."""
        ceiling = np.where(self.ceiling.above_zero, self.ceiling.r, np.nan)
        ceilings, n_ceilings = set_means(ceiling, self.parcels)
        rows = []
        for method, found in self.assessed.items():
            normalised, _ = set_means(self.ceiling.normalised(self.by_parcel.scores[method]), self.parcels)
            for k, name in enumerate(self.parcels.names):
                score = self.by_parcel.score(method, k)
                row = {"method": method, "parcel": name, "n_outputs": score.n_outputs, "mean_r": score.mean}
                row |= {"low": score.interval[0], "high": score.interval[1], "null_95": found.set_null_95[k]}
                q = found.q[self.parcels.sets[k]]
                row |= {"p": found.set_p[k], "n_significant": _discoveries(q), "n_tested": int(np.isfinite(q).sum())}
                row |= {"ceiling_kind": self.ceiling.kind, "ceiling": ceilings[k], "n_ceiling": int(n_ceilings[k])}
                row |= {f"unique_{name}": set_means(r, self.parcels)[0][k] for name, r in self._unique(method)}
                rows.append(row | {"normalised": normalised[k]})
            if method in self.shuffled:
                mean_r, p, n_outputs = self.shuffled[method]
                rows.append({"method": method, "parcel": SHUFFLED, "n_outputs": n_outputs, "mean_r": mean_r, "p": p})
        return rows


def evaluate(
    study: Prepared, clock: Clock, bootstrap: Bootstrap, others: Callable[[], Others], adapted: Sequence[str]
) -> Evaluation:
    """Hold every method's scores against chance, the ceiling and the controls; the study's notes say how that came out.

    Parameters
    ----------
    study : Prepared
    clock : Clock
        The held-out data of the table.
    bootstrap : Bootstrap
        The table's scores.
    others : callable
        The other subjects, read where they are needed.
    adapted : sequence of str
        Methods that were fitted; the first one is what the test data's resolution is told for.
    """
    choice, seed = study.recipe.evaluation, study.recipe.seed
    block, draws = clock.samples(choice.bootstrap_block_s), choice.bootstrap_draws
    found = areas(study)
    parcels = Parcels((EVERYWHERE, CHOSEN, *found.names), np.concatenate([bootstrap.sets, found.sets]))
    scheme = Scheme(draws=draws, seed=seed, block=block, nearest=clock.samples(_NEAREST_S))
    segment = clock.samples(_SEGMENT_S)
    stimuli = {name: shows(study.runs[name].timeline) for name in dict.fromkeys(clock.held_out.runs)}
    assessed = {
        method: assess(values, clock.held_out, parcels, scheme, segment) for method, values in clock.predicted.items()
    }
    evaluation = Evaluation(
        assessed,
        study_ceiling(study, others, Resampling(block, draws, seed)),
        parcels,
        bootstrap_scores(clock.predicted, clock.held_out, parcels.sets, block=block, draws=draws, seed=seed),
        _shuffled(clock, bootstrap.sets[ALL], scheme, stimuli),
    )
    study.notes.extend(_notes(evaluation, clock, bootstrap, adapted))
    return evaluation


def _notes(found: Evaluation, clock: Clock, bootstrap: Bootstrap, adapted: Sequence[str]) -> list[str]:
    """What a reader of the table must know, a sentence each: ceiling, controls, resolution."""
    notes = [_ceiling_note(found.ceiling, found.parcels), *_control_notes(found)]
    main = adapted[0] if adapted else next(iter(found.assessed))
    others = [name for name in BASELINES if name in bootstrap.scores and name != main]
    draws = {name: bootstrap.draws[main][:, ALL] - bootstrap.draws[name][:, ALL] for name in others}
    apart = {name: smallest_difference(values, bootstrap.n_blocks) for name, values in draws.items()}
    minutes = len(clock.held_out.runs) * clock.step_s / 60
    return [*notes, resolution(minutes, found.effective(main), main, apart)]


def table_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table as ``scores.tsv`` is one: every column that a row has; what is not defined is ``n/a``, as BIDS has it."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [[_cell(row.get(name, float("nan"))) for name in names] for row in rows]
    return "\n".join("\t".join(line) for line in [names, *lines]) + "\n"


def _shuffled(
    clock: Clock, counted: np.ndarray, scheme: Scheme, stimuli: Mapping[str, Hashable]
) -> dict[str, tuple[float, float, int]]:
    found = {}
    for method, values in clock.predicted.items():
        wrong = shuffled_runs(values, clock.held_out, stimuli)
        if wrong is None:
            return {}
        chance = permutation_test(*wrong, replace(scheme, seed=scheme.seed + 1), counted[None])
        defined = chance.r[counted & np.isfinite(chance.r)]
        mean_r = float(defined.mean()) if len(defined) else float("nan")
        found[method] = (mean_r, float(chance.set_p(counted[None])[0]), len(defined))
    return found


def _ceiling_note(ceiling: Ceiling, parcels: Parcels) -> str:
    if ceiling.kind == "none":
        return f"Noise ceiling: not estimable from these data: {ceiling.reason}."
    means, counts = set_means(np.where(ceiling.above_zero, ceiling.r, np.nan), parcels)
    of = {"inter-subject": f"{ceiling.n} other subjects"}.get(ceiling.kind, f"{ceiling.n} repeats")
    told = f"Noise ceiling ({ceiling.kind}, {of}): reliably above zero in {counts[0]:,} outputs"
    shared = "; it is of what is shared, and a personal model may exceed it" if ceiling.kind == "inter-subject" else ""
    return f"{told}, there a mean r of {rounded(means[0])}{shared}." if counts[0] else f"{told}."


def _control_notes(found: Evaluation) -> list[str]:
    notes = []
    for name, expected in ((AUDITORY, "above"), (VISUAL, "above"), (VENTRICLES, "not above")):
        if name not in found.parcels.names:
            continue
        k = found.parcels.names.index(name)
        told = [f"{method} {rounded(found.by_parcel.score(method, k).mean)} (p {one.set_p[k]:.3f})"
                for method, one in found.assessed.items() if np.isfinite(one.set_p[k])]  # fmt: skip
        if told:
            notes.append(f"Control, {name}, expected {expected} chance: {', '.join(told)}.")
    told = [
        f"{method} {rounded(mean_r)} (p {p:.3f})" for method, (mean_r, p, _) in found.shuffled.items() if np.isfinite(p)
    ]
    if not found.shuffled:
        return [*notes, "Control, shuffled runs: not possible, the test shows one stimulus."]
    shuffled = f"expected not above chance: {', '.join(told)}" if told else "too short to say anything"
    return [*notes, f"Control, shuffled runs, {shuffled}."]


def _discoveries(q: np.ndarray) -> float:
    """Outputs above chance; NaN where none belongs to the family of tests, as in ventricles."""
    return float((q <= LEVEL).sum()) if np.isfinite(q).any() else float("nan")


def _cell(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.6g}" if np.isfinite(value) else "n/a"
    return str(value)
