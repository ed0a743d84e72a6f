"""What one more run would buy ridge, of new stimuli or shown again: measured skill, moved along a closed form."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from tribetune.evaluate.bootstrap import Estimate
from tribetune.evaluate.minutes import estimate

_FEWEST, _MOST = 6, 8
"""Stretches: one to score on, one that is new, and enough others to stand for the calibration data."""


@dataclass(frozen=True)
class Calibration:
    """Calibration data in the principal axes of the trunk's output, in order of time.

    Attributes
    ----------
    scores : array of shape (n_samples, n_axes)
        The trunk's output along each axis, centred.
    left : array of shape (n_samples, n_outputs)
        What ridge is fitted to: BOLD less the unseen row's prediction.
    group : array of shape (n_samples, n_outputs)
        The unseen row's prediction.
    bold : array of shape (n_samples, n_outputs)
        What predictions are scored on.
    runs : sequence of str
        The run of each sample.
    folds : list of array of int
        Samples that are left out together.
    penalty : float
        Ridge's, total: what is right for one truth does not grow with the data.
    """

    scores: Float[np.ndarray, "time axis"]
    left: Float[np.ndarray, "time output"]
    group: Float[np.ndarray, "time output"]
    bold: Float[np.ndarray, "time output"]
    runs: Sequence[str]
    folds: Sequence[Int[np.ndarray, " _"]]
    penalty: float


@dataclass(frozen=True)
class OneMore:
    """Ridge's expected mean r on new data, and what one more stretch adds to it.

    Attributes
    ----------
    unseen : Estimate
        Of the unseen row alone, on the calibration data.
    now : Estimate
        Of ridge with the calibration data.
    new, repeated : Estimate
        Gain by one more stretch of new stimuli, and by one of its own shown again.
    minutes : float
        Of a stretch, on average.
    n_stretches : int
    """

    unseen: Estimate
    now: Estimate
    new: Estimate
    repeated: Estimate
    minutes: float
    n_stretches: int


def skill(gram: Float[np.ndarray, "axis axis"], scored: Float[np.ndarray, "axis axis"], penalty: float) -> float:
    """``tr(S (G + λ)⁻¹ G)``: variance that ridge explains of new data, as a multiple of the weights' variance τ².

    For weights drawn with variance τ² and noise of variance σ², ``λ = σ² / τ²`` is the best penalty; then the
    prediction's variance and its covariance with BOLD are both this times τ², for calibration data of Gram matrix G and
    new data of covariance S (Hoerl & Kennard 1970; Robinson 1991). What is shown twice is twice in G.
    """
    if np.isinf(penalty):
        return 0.0
    return float(np.trace(np.linalg.solve(gram + penalty * np.eye(len(gram)), gram) @ scored))


def one_more(data: Calibration, *, block: int, draws: int, seed: int) -> OneMore | None:
    """Expected r now, with one more stretch of new stimuli, and with one shown again.

    Covariances are measured on runs that ridge was not fitted on, for every output; the closed form only says how they
    grow. Every stretch in turn is scored on, and the one after it is the new stimulus; neither is in the Gram matrix of
    the calibration, which the others make up, scaled to all of its seconds. So new stimuli bring directions of their
    own, and what is shown again measures its own once more, with noise of its own.

    Parameters
    ----------
    data : Calibration
    block : int
        Samples per block of the bootstrap of the measured covariances.
    draws, seed : int
        Of that bootstrap.

    Returns
    -------
    OneMore or None
        None where nothing can be left out, or ridge keeps the unseen row.
    """
    if not data.folds or np.isinf(data.penalty):
        return None
    pieces = stretches(data.runs)
    parts = [data.scores[pieces == piece] for piece in range(pieces.max() + 1)]
    seconds = np.array([len(rows) for rows in parts], float)
    grams = np.stack([rows.T @ rows / len(rows) for rows in parts])
    skills = np.mean([_skills(grams, seconds, held, data.penalty) for held in range(len(parts))], axis=0)
    moments = _left_out_moments(data, block)
    n_blocks = len(moments["yy"])
    drawn = np.random.default_rng(seed).multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=draws)
    weights = np.concatenate([np.ones((1, n_blocks)), drawn])  # the data as they are come first
    growths = (0.0, *(skills / _left_out_skill(data)))
    scored = {pair: weights @ parts for pair, parts in moments.items()}
    unseen, now, new, again = (_mean_r(scored, growth) for growth in growths)
    n_outputs = int(np.isfinite(_r(scored, 1.0)[0]).sum())
    found = [estimate(float(r[0]), r[1:], n_outputs, n_blocks) for r in (unseen, now, new - now, again - now)]
    return OneMore(*found, float(seconds.mean()) / 60, len(parts))


def stretches(runs: Sequence[str]) -> Int[np.ndarray, " time"]:
    """The stretch of every sample: its run; a few runs are halved or more, many are grouped."""
    names = list(dict.fromkeys(runs))
    labels = np.array([names.index(run) for run in runs])
    if len(names) > _MOST:
        return labels * _MOST // len(names)
    each = -(-_FEWEST // len(names))
    parts = np.zeros(len(labels), int)
    for label in range(len(names)):
        rows = np.flatnonzero(labels == label)
        parts[rows] = label * each + np.arange(len(rows)) * each // len(rows)
    return parts


def _skills(
    grams: Float[np.ndarray, "piece axis axis"], seconds: Float[np.ndarray, " piece"], held: int, penalty: float
) -> tuple[float, float, float]:
    """Skill on one stretch: now, with the next one new, and with one of the others again (on average)."""
    new = (held + 1) % len(seconds)
    rest = [piece for piece in range(len(seconds)) if piece not in (held, new)]
    now = seconds.sum() * np.tensordot(seconds[rest] / seconds[rest].sum(), grams[rest], 1)
    more = seconds.mean()
    again = [skill(now + more * grams[piece], grams[held], penalty) for piece in rest]
    return skill(now, grams[held], penalty), skill(now + more * grams[new], grams[held], penalty), float(np.mean(again))


def _left_out_skill(data: Calibration) -> float:
    """Skill of the fits that the measured covariances come from."""
    total, found = data.scores.T @ data.scores, 0.0
    for fold in data.folds:
        own = data.scores[fold].T @ data.scores[fold]
        found += skill(total - own, own, data.penalty)
    return found / sum(map(len, data.folds))


def _left_out_moments(data: Calibration, block: int) -> dict[str, Float[np.ndarray, "block output"]]:
    """Sums of (co)variances of BOLD, the unseen row's prediction, and ridge's left-out difference from it."""
    sums: dict[str, list[np.ndarray]] = {pair: [] for pair in ("uy", "dy", "uu", "ud", "dd", "yy")}
    for fold in data.folds:
        keep = np.setdiff1d(np.arange(len(data.scores)), fold)
        x, level = data.scores[keep], data.left[keep].mean(0)
        gram = x.T @ x + data.penalty * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, x.T @ (data.left[keep] - level))
        sides = {"d": data.scores[fold] @ weights, "u": data.group[fold], "y": data.bold[fold]}
        sides = {name: values - values.mean(0) for name, values in sides.items()}
        for rows in np.array_split(np.arange(len(fold)), max(1, round(len(fold) / block))):
            for (one, other), found in sums.items():
                found.append((sides[one][rows] * sides[other][rows]).sum(0))
    return {pair: np.stack(found) for pair, found in sums.items()}


def _mean_r(moments: dict[str, Float[np.ndarray, "draw output"]], growth: float) -> Float[np.ndarray, " draw"]:
    """Mean over the outputs that have a score; NaN where none has."""
    r = _r(moments, growth)
    defined = np.isfinite(r)
    count = defined.sum(1)
    return np.where(count > 0, np.where(defined, r, 0.0).sum(1) / np.maximum(count, 1), np.nan)


def _r(moments: dict[str, Float[np.ndarray, "draw output"]], growth: float) -> Float[np.ndarray, "draw output"]:
    """Expected r when ridge's skill has grown; NaN where a side does not vary."""
    shared = moments["uy"] + growth * moments["dy"]
    power = (moments["uu"] + 2 * growth * moments["ud"] + growth * moments["dd"]) * moments["yy"]
    return np.where(power > 0, shared / np.sqrt(np.where(power > 0, power, 1.0)), np.nan)
