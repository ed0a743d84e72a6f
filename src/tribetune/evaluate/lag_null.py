"""What the highest score of a lag sweep is by chance: BOLD moved to wrong times, and the whole sweep done again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from tribetune.evaluate.lag_choice import Inverses, chosen_outputs, correlation, inverses, slots_of
from tribetune.evaluate.lag_data import LagData
from tribetune.evaluate.null import NEAREST

_DRAWS = 100


def refitted_null(
    data: LagData,
    designs: Sequence[Float[np.ndarray, "time component"]],
    sets: Mapping[str, Bool[np.ndarray, " slot"]],
    seed: int,
) -> dict[str, Float[np.ndarray, " draw"]]:
    """Highest mean r over the lags, with each stretch's BOLD shifted circularly by a random time of its own.

    Parameters
    ----------
    data : LagData
    designs : sequence of arrays of shape (n_samples, n_components)
        Features at every lag that is looked at.
    sets : mapping of str to array of shape (n_slots,)
        Which slots are averaged; see `tribetune.evaluate.lag_choice.slots_of`.
    seed : int

    Returns
    -------
    dict of str to array of shape (n_draws,)
        NaN where a stretch is too short to be shifted.

    Notes
    -----
    Shifting the predictions alone would not do. Two stretches that by chance go together raise the score of the one,
    which is predicted from the other, and of the other, which is predicted from the one: scores of folds depend on each
    other, and their sum varies by the square root of two more than that of predictions that are shifted one by one. The
    outputs were chosen by the same chance. Where BOLD is shifted first, the null has all of that. A shift changes no
    product of features with features, so a draw costs one product of features and BOLD. All shifts are drawn, and
    also none: they sum to zero, so that without the near ones those left are below zero where the measured is above it.
    """
    rng = np.random.default_rng(seed)
    stretches = stretches_of(data, designs)
    if min(len(one.bold) for one in stretches) < 2 * NEAREST:
        return {name: np.full(_DRAWS, np.nan) for name in sets}
    gram = _by_fold([one.gram for one in stretches], stretches)
    without, tops = inverses(gram), {name: np.empty(_DRAWS) for name in sets}
    for draw in range(_DRAWS):
        shifts = [int(rng.integers(len(one.bold))) for one in stretches]
        r = scores_at(stretches, shifts, without, data.n_even)
        for name, inside in sets.items():
            tops[name][draw] = r[:, inside].mean(1).max()
    return tops


@dataclass(frozen=True)
class Stretch:
    """One stretch: features of all lags side by side, their products per lag, BOLD, its sums of squares, its fold."""

    features: Float[np.ndarray, "time column"]
    gram: Float[np.ndarray, "lag component component"]
    bold: Float[np.ndarray, "time output"]
    power: Float[np.ndarray, " output"]
    fold: int

    def shifted(self, by: int) -> Float[np.ndarray, "lag component output"]:
        """Products of the features with BOLD at another time."""
        products = self.features.T @ np.roll(self.bold, by, axis=0)
        return products.reshape(*self.gram.shape[:2], -1)


def stretches_of(data: LagData, designs: Sequence[Float[np.ndarray, "time component"]]) -> list[Stretch]:
    """The stretches of calibration data, in order."""
    found = []
    for stretch in np.unique(data.stretches):
        rows = data.stretches == stretch
        parts = [x[rows] for x in designs]
        gram, bold = np.stack([x.T @ x for x in parts]), data.bold[rows]
        power = (bold**2).sum(0)
        found.append(Stretch(np.concatenate(parts, axis=1), gram, bold, power, int(data.folds[rows][0])))
    return found


def scores_at(
    stretches: Sequence[Stretch], shifts: Sequence[int], without: Inverses, n_even: int
) -> Float[np.ndarray, "lag slot"]:
    """Choose, fit and score as the sweep does: the mean over stretches of r, per lag and slot."""
    cross = [one.shifted(shift) for one, shift in zip(stretches, shifts, strict=True)]
    gram, products, power = (
        _by_fold(parts, stretches) for parts in ([s.gram for s in stretches], cross, [s.power for s in stretches])
    )
    chosen = chosen_outputs(gram, products[..., :n_even], power[:, :n_even], without)
    slots = slots_of(chosen, n_even, power.shape[1])
    r = np.zeros((gram.shape[1], slots.shape[1]))
    for one, own in zip(stretches, cross, strict=True):
        columns = slots[one.fold]
        others = (products.sum(0) - products[one.fold])[..., columns]
        weights = without[frozenset((one.fold,))] @ others
        r += len(one.bold) * correlation(weights, one.gram, own[..., columns], one.power[columns])
    return r / sum(len(one.bold) for one in stretches)


def _by_fold(parts: Sequence[np.ndarray], stretches: Sequence[Stretch]) -> np.ndarray:
    """Sums over the stretches of each fold, folds first."""
    out = np.zeros((max(one.fold for one in stretches) + 1, *parts[0].shape), parts[0].dtype)
    for part, one in zip(parts, stretches, strict=True):
        out[one.fold] += part
    return out
