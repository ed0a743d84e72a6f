"""Does the leak guard find copies, and only copies? Simulated films with tiny encoders, ten clean cohorts.

Every pair of films of a cohort, clean, must give no alarm. Copies are planted as a stretch of one film's features and
words put into another's at a random place, with noise as strong as compression at 24 kbit/s and half of the size made
it (r of .83 for sound and .98 for pictures), on the grid and half a step off it.
"""

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np

from tribetune.evaluate.duplicates import compact, plain_words
from tribetune.evaluate.leaks import Shown, shown_leaks
from tribetune.features.encoders import encoders
from tribetune.features.extract import extract
from tribetune.simulate.language import tell
from tribetune.simulate.movie import make_film
from tribetune.stimulus.timeline import timeline_of_files

COHORTS, FILMS, MINUTES = 10, 3, 3.0
SHARES = (1.0, 0.5, 0.25, 0.15)
R_OF_COPIES = {"audio": 0.83, "video": 0.98}


def measure(scratch: Path) -> list[str]:
    """Alarms on clean pairs, and the share of planted copies that is found, as lines of Markdown."""
    clean, alarms, repeats = 0, 0, 0
    found: dict[tuple[float, bool], list[bool]] = {(share, half): [] for share in SHARES for half in (False, True)}
    for cohort in range(COHORTS):
        films = [_film(scratch, 700 + cohort, run) for run in range(1, FILMS + 1)]
        rng = np.random.default_rng([3, cohort])
        for test, training in permutations(films, 2):
            leaks, short = shown_leaks(test, training)
            clean, alarms, repeats = clean + 1, alarms + bool(leaks), repeats + bool(short)
            for (share, half), hits in found.items():
                hits.append(bool(shown_leaks(_planted(test, training, share, half, rng), training)[0]))
    lines = [
        f"{COHORTS} cohorts of {FILMS} films of {MINUTES:g} minutes, each film held against the others: {alarms} alarms"
        f" in {clean} clean pairs, {repeats} with a repeat too short to matter.",
        "",
        "| copied share of the test | on the grid of 0.5 s | half a step off |",
        "|---|---|---|",
    ]
    for share in SHARES:
        cells = [f"{np.mean(found[share, half]):.1%} of {clean}" for half in (False, True)]
        lines.append(f"| {share:.0%} ({share * MINUTES * 60:.0f} s) | {' | '.join(cells)} |")
    return lines


def _film(scratch: Path, seed: int, run: int) -> Shown:
    path = scratch / f"{seed}-{run}.mp4"
    make_film(path, seed, run, MINUTES * 60)
    features = extract(timeline_of_files([path]), encoders("tiny"), list(R_OF_COPIES), scratch / "store")
    words = plain_words([word.text for word in tell(seed, run, MINUTES * 60).words])
    series = {name: compact(np.asarray(values)) for name, values in features.arrays.items()}
    path.unlink()
    return Shown(f"run-{run}", (0, round(MINUTES * 60)), words=words, series=series)


def _planted(test: Shown, training: Shown, share: float, half: bool, rng: np.random.Generator) -> Shown:
    """The test with a stretch of the training in it; its words stay its own, as in a film without speech."""
    series = {}
    n_steps = len(test.series["audio"])
    length = round(share * n_steps) - half
    source, target = (int(rng.integers(0, n_steps - length - half + 1)) for _ in range(2))
    for name, values in test.series.items():
        other = training.series[name]
        copy = other[source : source + length]
        if half:  # a step then averages two halves of neighbours
            copy = (copy + other[source + 1 : source + 1 + length]) / 2
        r = R_OF_COPIES[name]
        noise = rng.standard_normal(copy.shape) * copy.std(0) * np.sqrt(1 / r**2 - 1)
        series[name] = values.copy()
        series[name][target : target + length] = copy + noise
    return replace(test, series=series)
