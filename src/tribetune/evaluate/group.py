"""Group prediction: a prediction for nobody in particular, held against the mean BOLD of a cohort."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from tribetune.errors import BoldError
from tribetune.evaluate.bootstrap import Estimate, HeldOut, zscore_by_run
from tribetune.evaluate.null import standard_null

_CHUNK = 1024
_CURVE_DRAWS = 200


@dataclass(frozen=True)
class Cohort:
    """One prediction, and the BOLD of subjects who saw the same.

    Attributes
    ----------
    predicted : tuple of array of shape (n_samples, n_outputs)
        One per run.
    bold : tuple of tuple of array of shape (n_samples, n_outputs)
        Subject by subject, run by run, on the prediction's clock; only columns that are looked at are read.
    keep : tuple of array of shape (n_samples,)
        One per run; True where every subject has a sample.
    """

    predicted: tuple[np.ndarray, ...]
    bold: tuple[tuple[np.ndarray, ...], ...]
    keep: tuple[np.ndarray, ...]

    @property
    def n_samples(self) -> int:
        """Samples that every subject has."""
        return int(sum(keep.sum() for keep in self.keep))

    @property
    def labels(self) -> tuple[str, ...]:
        """The run of each sample, by its number."""
        return tuple(str(run) for run, keep in enumerate(self.keep) for _ in range(int(keep.sum())))

    def prediction(self, outputs: Bool[np.ndarray, " output"]) -> Float[np.ndarray, "time chosen"]:
        """The prediction in some outputs, at samples that every subject has."""
        return np.concatenate([run[keep][:, outputs] for run, keep in zip(self.predicted, self.keep, strict=True)])

    def mean(self, outputs: Bool[np.ndarray, " output"]) -> Float[np.ndarray, "time chosen"]:
        """The cohort's mean BOLD in some outputs, every subject z-scored within each run."""
        parts = [self.standard(columns)[1].mean(0)[:, outputs[columns]] for columns in _chunks(len(outputs))]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def standard(self, columns: slice) -> tuple[Float[np.ndarray, "time some"], Float[np.ndarray, "subject time some"]]:
        """The prediction and every subject's BOLD in a few outputs, z-scored within each run."""
        labels = np.asarray(self.labels)
        sides = [self._kept(self.predicted, columns), *(self._kept(runs, columns) for runs in self.bold)]
        first, *others = (zscore_by_run(values, labels) for values in sides)
        return first, np.stack(others)

    def _kept(self, runs: tuple[np.ndarray, ...], columns: slice) -> np.ndarray:
        return np.concatenate([run[:, columns][keep] for run, keep in zip(runs, self.keep, strict=True)])


@dataclass(frozen=True)
class CurvePoint:
    """R_group of cohorts of one size, drawn from this one: its mean, and 95 % of them."""

    n_subjects: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class GroupScores:
    """How well a group is predicted. All means are over the same outputs.

    Attributes
    ----------
    r_group : Estimate
        R_group: r of the prediction with the cohort's mean BOLD per output, then averaged; interval over subjects.
    median_subject : Estimate
        Median over subjects of ``subjects``; interval over subjects.
    subjects : array of shape (n_subjects,)
        Each subject's group-predictivity: r of his own BOLD with the mean of the others'.
    model : array of shape (n_subjects,)
        r of the prediction with that same mean of the others'.
    individual : array of shape (n_subjects,)
        r of the prediction with the subject's own BOLD. It is no R_group.
    curve : tuple of CurvePoint
        R_group against the size of the cohort.
    maps : dict of str to array of shape (n_outputs,)
        ``r_group``; ``median_subject``, the median over subjects per output; ``individual``, the mean over subjects.
    n_samples : int
        Samples that every subject has.
    """

    r_group: Estimate
    median_subject: Estimate
    subjects: Float[np.ndarray, " subject"]
    model: Float[np.ndarray, " subject"]
    individual: Float[np.ndarray, " subject"]
    curve: tuple[CurvePoint, ...]
    maps: dict[str, Float[np.ndarray, " output"]]
    n_samples: int

    @property
    def n_subjects(self) -> int:
        """Size of the cohort."""
        return len(self.subjects)

    @property
    def out_predicted(self) -> float:
        """Share of subjects whose others' mean the prediction meets better than the subject does."""
        return float(np.mean(self.model > self.subjects))


def score_group(cohort: Cohort, in_means: Bool[np.ndarray, " output"], draws: int, seed: int) -> GroupScores:
    """Score a prediction against a cohort; the cohort is averaged first.

    Subjects are z-scored within each run and have equal weight. Every figure follows from two moments per output, the
    products of the prediction with each subject and of the subjects with each other, so that a thousand cohorts cost a
    matrix product. Outputs that are undefined in any subject or in the prediction are undefined.

    Parameters
    ----------
    cohort : Cohort
    in_means : array of shape (n_outputs,)
        False for outputs outside of every mean.
    draws, seed : int
        Cohorts resampled with replacement, and what makes them repeatable. A resampled cohort has fewer different
        people and a lower R_group: its draws are moved so that their mean is the estimate. The stimulus is not
        resampled: intervals speak of other subjects, not of other films.

    Raises
    ------
    BoldError
        If there are fewer than two subjects, or no sample that all have.
    """
    n = len(cohort.bold)
    if n < 2 or cohort.n_samples < 2:
        raise BoldError(
            f"{n} subjects with {cohort.n_samples} samples in common, expected at least two of both",
            hint="name more subjects in data.subjects, or runs that all of them have",
        )
    rng = np.random.default_rng(seed)
    sets = _weights(n, draws, rng)
    collected = _collect(cohort, in_means, np.concatenate(list(sets.values())))
    means = dict(zip(sets, np.split(collected.means, np.cumsum([len(w) for w in sets.values()])[:-1]), strict=True))
    whole = float(means["all"][0])
    moved = means["bootstrap"] - means["bootstrap"].mean() + whole
    medians = np.median(rng.choice(collected.subjects, (draws, n)), axis=1)
    curve = [_point(size, means[f"curve {size}"]) for size in _sizes(n)]
    return GroupScores(
        Estimate(whole, _interval(moved), collected.n_outputs),
        Estimate(float(np.median(collected.subjects)), _interval(medians), collected.n_outputs),
        collected.subjects,
        means["others"],
        means["one"],
        tuple(curve),
        collected.maps,
        cohort.n_samples,
    )


def group_null(
    cohort: Cohort, outputs: Bool[np.ndarray, " output"], *, draws: int, seed: int
) -> Float[np.ndarray, " draw"]:
    """R_group when each run's prediction is shifted circularly by a random time; a shift of none would give R_group.

    Parameters
    ----------
    cohort : Cohort
    outputs : array of shape (n_outputs,)
        Those with an R_group that enter the mean.
    draws, seed : int

    Notes
    -----
    As in `score_group`, subjects are z-scored within each run, and their mean is not again: where they agree less it
    varies less, and counts less.
    """
    mean, at = cohort.mean(outputs), np.concatenate([np.flatnonzero(keep) for keep in cohort.keep])
    predicted = zscore_by_run(cohort.prediction(outputs), np.asarray(cohort.labels))
    standard = HeldOut(mean / np.sqrt((mean**2).mean(0)), cohort.labels, at)
    return standard_null(predicted, standard, draws=draws, seed=seed)


@dataclass(frozen=True)
class _Collected:
    """Means over outputs of r with each weighted cohort, of each subject with the others, and maps."""

    means: np.ndarray
    subjects: np.ndarray
    maps: dict[str, np.ndarray]
    n_outputs: int


def _collect(cohort: Cohort, in_means: np.ndarray, weights: np.ndarray) -> _Collected:
    n, n_outputs = len(cohort.bold), len(in_means)
    pairs = (weights[:, :, None] * weights[:, None, :]).reshape(len(weights), -1)
    total, own, count = np.zeros(len(weights)), np.zeros(n), 0
    maps = {name: np.full(n_outputs, np.nan, np.float32) for name in ("r_group", "median_subject", "individual")}
    for columns in _chunks(n_outputs):
        x, z = cohort.standard(columns)
        with_model, gram = _moments(x, z)
        subjects = _leave_one_out(gram)
        defined = np.isfinite(with_model).all(0) & np.isfinite(subjects).all(0)
        whole = _r(with_model, gram, np.ones((1, n)), np.ones((1, n * n)))[0]
        maps["r_group"][columns] = np.where(defined, whole, np.nan)
        maps["median_subject"][columns] = np.where(defined, np.median(subjects, axis=0), np.nan)
        maps["individual"][columns] = np.where(defined, with_model.mean(0), np.nan)
        used = defined & in_means[columns]
        total += _r(with_model[:, used], gram[used], weights, pairs).sum(1)
        own += subjects[:, used].sum(1)
        count += int(used.sum())
    share = 1 / count if count else np.nan
    return _Collected(total * share, own * share, maps, count)


def _chunks(n_outputs: int) -> Iterator[slice]:
    for begin in range(0, n_outputs, _CHUNK):
        yield slice(begin, min(n_outputs, begin + _CHUNK))


def _moments(x: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean products: prediction with each subject, (subject, output); all pairs, (output, subject, subject)."""
    wide = z.astype(np.float64)
    with_model = np.einsum("to,sto->so", x.astype(np.float64), wide) / len(x)
    by_output = np.ascontiguousarray(wide.transpose(2, 0, 1))
    return with_model, by_output @ by_output.transpose(0, 2, 1) / len(x)


def _r(with_model: np.ndarray, gram: np.ndarray, weights: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """R of the prediction with the weighted mean of subjects, (cohort, output); the prediction has unit variance."""
    power = pairs @ gram.reshape(len(gram), -1).T
    with np.errstate(invalid="ignore", divide="ignore"):
        return (weights @ with_model) / np.sqrt(power)


def _leave_one_out(gram: np.ndarray) -> np.ndarray:
    """R of each subject with the mean of the others, (subject, output)."""
    own = np.einsum("oss->os", gram)
    with_all = gram.sum(2)
    with_others = with_all - own
    others = gram.sum((1, 2))[:, None] - 2 * with_all + own
    with np.errstate(invalid="ignore", divide="ignore"):
        return (with_others / np.sqrt(own * others)).T


def _weights(n: int, draws: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Who is in which cohort, and how often: (cohort, subject) per question."""
    found = {
        "all": np.ones((1, n)),
        "one": np.eye(n),
        "others": 1 - np.eye(n),
        "bootstrap": rng.multinomial(n, np.full(n, 1 / n), size=draws).astype(float),
    }
    for size in _sizes(n):
        n_draws = 1 if size == n else _CURVE_DRAWS
        chosen = rng.random((n_draws, n)).argsort(1) < size
        found[f"curve {size}"] = chosen.astype(float)
    return found


def _sizes(n: int) -> list[int]:
    """Sizes of cohorts, each about half as large again, up to the whole."""
    sizes = [1]
    while sizes[-1] < n:
        sizes.append(min(n, max(sizes[-1] + 1, round(1.5 * sizes[-1]))))
    return sizes


def _point(size: int, means: np.ndarray) -> CurvePoint:
    low, high = _interval(means)
    return CurvePoint(size, float(means.mean()), low, high)


def _interval(draws: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)
