"""Whether p-values, discoveries and ceilings mean what they say, on series whose truth is known.

Series are white noise through a hemodynamic response: as autocorrelated as BOLD and as its prediction. Sizes, shares
and seeds were fixed before the first campaign.
"""

import numpy as np
from jaxtyping import Bool, Float
from scipy.signal import lfilter
from scipy.stats import kstest

from tribetune.evaluate.bootstrap import HeldOut
from tribetune.evaluate.ceilings import (
    Ceiling,
    inter_subject_ceiling,
    repeat_ceiling,
    split_half_ceiling,
)
from tribetune.evaluate.others import mean_of_subjects
from tribetune.evaluate.permutation import Kind, Scheme, permutation_test
from tribetune.evaluate.significance import q_values
from tribetune.simulate.hemodynamics import CANONICAL

SAMPLES = 600
"""Of a test run: ten minutes at 1 Hz."""

SHARES = (0.05, 0.2, 0.5)
"""Of a measurement's variance that repeats."""


def smooth(rng: np.random.Generator, n_samples: int, n_outputs: int) -> Float[np.ndarray, "time output"]:
    """White noise through the canonical hemodynamic response at 1 Hz, of unit variance."""
    kernel = CANONICAL.kernel(1.0)
    white = rng.standard_normal((n_samples + len(kernel), n_outputs))
    return lfilter(kernel / np.linalg.norm(kernel), [1], white, axis=0)[len(kernel) :].astype(np.float32)


def scrubbed(rng: np.random.Generator, n_samples: int, share: float, length: int) -> Bool[np.ndarray, " time"]:
    """True where a sample is left, a share being scrubbed in stretches of some length."""
    mask = np.ones(n_samples, bool)
    while (~mask).mean() < share:
        begin = rng.integers(n_samples)
        mask[begin : begin + length] = False
    return mask


def planted(
    rng: np.random.Generator, share: float, n_repeats: int, n_samples: int, n_outputs: int
) -> Float[np.ndarray, "repeat time output"]:
    """Repeats of one signal that is a share of the variance, each with noise of its own."""
    signal = np.sqrt(share) * smooth(rng, n_samples, n_outputs)
    noise = [np.sqrt(1 - share) * smooth(rng, n_samples, n_outputs) for _ in range(n_repeats)]
    return np.stack([signal + one for one in noise]).astype(np.float32)


def null_p_values(kind: Kind, runs: int, draws: int = 1000) -> Float[np.ndarray, " run"]:
    """P-value of a prediction that has nothing to do with BOLD, once per simulated run."""
    found = []
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        predicted, bold = smooth(rng, SAMPLES, 1), smooth(rng, SAMPLES, 1)
        held_out = HeldOut(bold, ("1",) * SAMPLES)
        found.append(permutation_test(predicted, held_out, Scheme(kind, draws, seed)).p[0])
    return np.array(found)


def false_discoveries(kind: Kind, seeds: int, n_outputs: int = 400, level: float = 0.05) -> tuple[float, float]:
    """Mean share of false outputs among the discoveries, and of true outputs that are discovered: a fifth is true."""
    false, power = [], []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        predicted, bold = smooth(rng, SAMPLES, n_outputs), smooth(rng, SAMPLES, n_outputs)
        true = np.arange(n_outputs) < n_outputs // 5
        bold[:, true] += np.float32(0.5) * predicted[:, true]
        chance = permutation_test(predicted, HeldOut(bold, ("1",) * SAMPLES), Scheme(kind, seed=seed))
        discovered = q_values(chance.p) <= level
        false.append((discovered & ~true).sum() / max(1, discovered.sum()))
        power.append(discovered[true].mean())
    return float(np.mean(false)), float(np.mean(power))


def coverage(kind: str, share: float, n_repeats: int, seeds: int) -> float:
    """Share of seeds in which the interval of a ceiling holds the truth."""
    inside = 0
    for seed in range(seeds):
        repeats = planted(np.random.default_rng(seed), share, n_repeats, SAMPLES, 1)
        low, high = _ceiling(kind, repeats).interval[:, 0]
        inside += low <= true_ceiling(kind, share, n_repeats) <= high
    return inside / seeds


def true_ceiling(kind: str, share: float, n_repeats: int) -> float:
    """A perfect model's r with one measurement; for inter-subject, that of the mean of the others."""
    if kind != "inter-subject":
        return float(np.sqrt(share))
    return float(share / np.sqrt(share + (1 - share) / (n_repeats - 1)))


def report(runs: int, seeds: int) -> list[str]:
    """Uniformity, false discoveries and coverage, as lines of the log."""
    lines = [f"Runs of {SAMPLES} s, white noise through a hemodynamic response on both sides.", ""]
    for kind in ("circular shift", "block permutation"):
        p = null_p_values(kind, runs)
        false, power = false_discoveries(kind, max(1, seeds // 5))
        uniform, below = kstest(p, "uniform").pvalue, np.mean(p <= 0.05)
        lines.append(
            f"- {kind}, {runs} null runs: KS against uniform p = {uniform:.2f}, {below:.1%} below 0.05. At q ≤ 0.05"
            f" {false:.1%} of discoveries are false ({power:.0%} of true outputs are found), {max(1, seeds // 5)} seeds"
            f" × 400 outputs."
        )
    lines += ["", f"Share of {seeds} seeds in which a ceiling's 95 % interval holds the truth:", ""]
    lines += [
        "| explainable share | repeat, 2 | repeat, 4 | split-half, 4 | inter-subject, 9 others |",
        "|---" * 5 + "|",
    ]
    columns = (("repeat", 2), ("repeat", 4), ("split-half", 4), ("inter-subject", 10))
    for share in SHARES:
        lines.append(f"| {share:g} | {' | '.join(f'{coverage(kind, share, n, seeds):.3f}' for kind, n in columns)} |")
    return lines


def _ceiling(kind: str, repeats: Float[np.ndarray, "repeat time output"]) -> Ceiling:
    runs = ("1",) * SAMPLES
    if kind == "inter-subject":
        others = mean_of_subjects(repeats[1:], np.asarray(runs))
        return inter_subject_ceiling(repeats[0], others, len(repeats) - 1, runs)
    return {"repeat": repeat_ceiling, "split-half": split_half_ceiling}[kind](repeats, runs)
