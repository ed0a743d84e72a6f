"""What a lag sweep works on: components of the features, BOLD, and the samples that every lag can use."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from tribetune.splits import Part
from tribetune.timing import STEPS_PER_OUTPUT

N_COMPONENTS = 32
"""Of all modalities together, each with the same number: enough to tell times apart, too few to learn by heart."""

N_FOLDS = 5
_FEWEST_FOLDS = 3
"""Outputs are chosen on one fold by models of others, and scored on a third."""

_MOST_OUTPUTS = 2000
_MOST_IN_SET = 100

_SHORTEST = 20
"""Samples below which a stretch has no line and scale of its own worth the name."""

_EXACT = 4
_SPARE = 8


@dataclass(frozen=True)
class LagData:
    """Calibration data, ready to be looked at under any lag.

    Attributes
    ----------
    steps : array of shape (n_steps, n_components)
        Components of the features at 2 Hz, the parts one after the other; each modality has a variance of 1.
    first : array of shape (n_samples,)
        Of the two steps that a sample goes with at the recipe's lag, the first.
    bold : array of shape (n_samples, n_outputs)
        Each stretch centred.
    outputs : array of shape (n_outputs,)
        Which outputs of the space these are.
    n_even : int
        So many of them, the first, are spread evenly over the space; the others belong to the sets that were asked for.
    stretches, folds : array of shape (n_samples,)
        Contiguous stretch of one run, and what is left out together; never two samples of a stretch in two folds.
    late : array of shape (n_samples,)
        True in the second half of a part.
    """

    steps: Float[np.ndarray, "step component"]
    first: Int[np.ndarray, " time"]
    bold: Float[np.ndarray, "time output"]
    outputs: Int[np.ndarray, " output"]
    n_even: int
    stretches: Int[np.ndarray, " time"]
    folds: Int[np.ndarray, " time"]
    late: Bool[np.ndarray, " time"]

    def design(self, later: int) -> Float[np.ndarray, "time component"]:
        """Features of every sample, ``later`` half seconds later than the recipe's lag has them."""
        at = self.first - later
        pooled = sum(self.steps[at + k] for k in range(STEPS_PER_OUTPUT)) / STEPS_PER_OUTPUT
        return centred(pooled, self.stretches)


def lag_data(
    parts: Sequence[Part], earliest: int, latest: int, sets: Mapping[str, Bool[np.ndarray, " output"]]
) -> LagData | None:
    """Collect the samples whose features are known at every lag of a sweep; None where they are too few.

    Parameters
    ----------
    parts : sequence of Part
        Calibration data; nothing else is looked at.
    earliest, latest : int
        Half seconds that features are moved at most: ``earliest`` is negative where lags shorter than the recipe's
        are looked at.
    sets : mapping of str to array of shape (n_space_outputs,)
        Outputs that are wanted besides those spread over the space.
    """
    chosen = [_rows(part, earliest, latest) for part in parts]
    cuts = [_pieces(rows, len(parts)) for rows in chosen]
    places = [(part, rows) for part, pieces in zip(parts, cuts, strict=True) for rows in pieces]
    if len(places) < _FEWEST_FOLDS:
        return None
    outputs, n_even = _outputs(places, sets)
    if not len(outputs):
        return None
    counts = [len(rows) for _, rows in places]
    stretches = np.repeat(np.arange(len(places)), counts)
    n_folds = min(N_FOLDS, len(places))
    bold = np.concatenate([part.aligned.bold[rows][:, outputs] for part, rows in places])
    starts, steps = _components(parts, earliest, latest)
    first = [STEPS_PER_OUTPUT * rows + starts[id(part)] for part, rows in places]
    late = [rows >= sum(part.span) / 2 for part, rows in places]
    return LagData(
        steps,
        np.concatenate(first),
        centred(bold, stretches),
        outputs,
        n_even,
        stretches,
        np.repeat(np.arange(len(places)) * n_folds // len(places), counts),
        np.concatenate(late),
    )


def centred(
    values: Float[np.ndarray, "time column"], groups: Int[np.ndarray, " time"]
) -> Float[np.ndarray, "time column"]:
    """Take the mean out of every column, group by group; float32."""
    out = np.empty(values.shape, np.float32)
    for group in np.unique(groups):
        rows = groups == group
        out[rows] = values[rows] - values[rows].mean(0)
    return out


def _rows(part: Part, earliest: int, latest: int) -> Int[np.ndarray, " time"]:
    """Valid samples of a part whose features are inside the stimulus at the shortest and the longest lag."""
    rows = np.flatnonzero(part.mask)
    n_steps = part.aligned.features.n_steps // STEPS_PER_OUTPUT * STEPS_PER_OUTPUT
    first = STEPS_PER_OUTPUT * rows
    return rows[(first - latest >= 0) & (first - earliest + STEPS_PER_OUTPUT <= n_steps)]


def _pieces(rows: Int[np.ndarray, " time"], n_parts: int) -> list[Int[np.ndarray, " _"]]:
    """A part in as many stretches as folds ask for, none of them too short."""
    wanted = min(math.ceil(N_FOLDS / n_parts), len(rows) // _SHORTEST)
    return list(np.array_split(rows, wanted)) if wanted else []


def _outputs(
    places: Sequence[tuple[Part, np.ndarray]], sets: Mapping[str, Bool[np.ndarray, " output"]]
) -> tuple[Int[np.ndarray, " chosen"], int]:
    """Outputs that vary in every stretch: some evenly spread, then some of each set."""
    varies = np.all([_varies(part.aligned.bold[rows]) for part, rows in places], axis=0)
    even = _spread(np.flatnonzero(varies), _MOST_OUTPUTS)
    more = [_spread(np.flatnonzero(varies & mask), _MOST_IN_SET) for mask in sets.values()]
    return np.concatenate([even, *more]), len(even)


def _varies(values: Float[np.ndarray, "time output"]) -> Bool[np.ndarray, " output"]:
    low, high = values.min(0), values.max(0)
    return np.isfinite(low) & np.isfinite(high) & (low < high)


def _spread(places: Int[np.ndarray, " place"], most: int) -> Int[np.ndarray, " chosen"]:
    if len(places) <= most:
        return places
    return places[np.linspace(0, len(places) - 1, most).round().astype(int)]


def _components(
    parts: Sequence[Part], earliest: int, latest: int
) -> tuple[dict[int, int], Float[np.ndarray, "step component"]]:
    """Components at 2 Hz, and per part where its stimulus' step 0 would lie among them."""
    starts, cuts, place = {}, [], 0
    for part in parts:
        first, last = (STEPS_PER_OUTPUT * second for second in part.span)
        first, last = first - max(0, latest), last - min(0, earliest)
        starts[id(part)] = place - first
        cuts.append(part.aligned.features.steps(first, last))
        place += last - first
    lengths = [next(iter(cut.values())).shape[-1] for cut in cuts]
    names = list(dict.fromkeys(name for cut in cuts for name in cut))
    found = []
    for name in names:
        n_columns = next(cut[name].size // cut[name].shape[-1] for cut in cuts if name in cut)
        blocks = [
            cut[name].reshape(n_columns, -1).T if name in cut else np.zeros((length, n_columns), np.float32)
            for cut, length in zip(cuts, lengths, strict=True)
        ]
        found.append(_principal(np.concatenate(blocks), max(1, N_COMPONENTS // len(names))))
    return starts, np.concatenate(found, axis=1)


def _principal(values: Float[np.ndarray, "step column"], n: int) -> Float[np.ndarray, "step component"]:
    """The first principal components of standardised columns, with a variance of 1 in sum.

    Wide features go through a random projection first (Halko et al. 2011, algorithm 4.4, two iterations).
    """
    spread = values.std(0)
    usable = spread > 0
    if not usable.any():
        return np.zeros((len(values), 1), np.float32)
    standard = (values[:, usable] - values[:, usable].mean(0)) / spread[usable]
    if min(standard.shape) > _EXACT * n:
        rng = np.random.default_rng(0)
        basis = standard @ rng.standard_normal((standard.shape[1], n + _SPARE)).astype(np.float32)
        for _ in range(2):
            basis = standard @ (standard.T @ np.linalg.qr(basis)[0])
        basis = np.linalg.qr(basis)[0]
        left, size, _ = np.linalg.svd(basis.T @ standard, full_matrices=False)
        left = basis @ left
    else:
        left, size, _ = np.linalg.svd(standard, full_matrices=False)
    scores = left[:, :n] * size[:n]
    return (scores / np.sqrt((scores**2).sum() / len(scores))).astype(np.float32)
