"""Leaks: what a test and the training have in common that they must not, each with its own name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float

from tribetune.evaluate.duplicates import shared_series, shared_words
from tribetune.timing import FEATURE_HZ, OUTPUT_HZ

Kind = Literal[
    "same-run", "same-stimulus", "near-duplicate", "same-words", "split-edge", "fitted-across", "chosen-on-test",
    "in-checkpoint",
]  # fmt: skip

KINDS: Mapping[Kind, str] = {
    "same-run": "the same BOLD is in training and test",
    "same-stimulus": "the same film or sound is in training and test",
    "near-duplicate": "the same material, compressed again or cut, is in training and test",
    "same-words": "the same words are in training and test",
    "split-edge": "a window or the lag reaches over the edge of a split",
    "fitted-across": "z-scores or components were fitted over training and test together",
    "chosen-on-test": "a value was chosen with test data",
    "in-checkpoint": "the checkpoint was trained on a stimulus of the test",
}
"""Every leak by its name, in words."""

LEAST_S, LEAST_SHARE, LEAST_WORDS = 60.0, 0.1, 150
"""What a test may have in common with the training: less than a minute (150 words) and than a tenth of it. A series'
title music in every episode is a repeat that the report names, not a leak."""

_SAME_BOLD_R = 0.7
"""Of changes from second to second: another run stays below 0.5, even where both follow their onsets; the same run lies
above, with its first volumes taken off or smoothed otherwise."""


@dataclass(frozen=True)
class Leak:
    """One thing that training and test have in common.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    test : str
        The stretch that is held out.
    training : str
        What reached the training: a stretch, a choice, or a stimulus of the checkpoint.
    told : str
        What was found.
    """

    kind: Kind
    test: str
    training: str
    told: str


@dataclass(frozen=True)
class Shown:
    """What a stretch of a run shows, and its BOLD.

    Attributes
    ----------
    label : str
        The run.
    span : (int, int)
        Seconds from the start of its stimulus.
    contents : mapping of str to float
        SHA-256 of each media file to the seconds of it that are shown.
    names : tuple of str
        What its stimuli are called, and the run itself.
    words : tuple of str
        As `plain_words` gives them.
    series : mapping of modality to array of shape (n_steps, n_dims)
        Features at 2 Hz as `compact` gives them.
    bold : array of shape (n_samples, n_outputs)
        At 1 Hz; a few outputs are enough.
    """

    label: str
    span: tuple[int, int]
    contents: Mapping[str, float] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    series: Mapping[str, Float[np.ndarray, "step few"]] = field(default_factory=dict)
    bold: Float[np.ndarray, "time output"] = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    @property
    def where(self) -> str:
        """The stretch, for a reader."""
        return f"{self.label}, {self.span[0]}-{self.span[1]} s"

    @property
    def duration_s(self) -> float:
        """Its length."""
        return (self.span[1] - self.span[0]) / OUTPUT_HZ


def shown_leaks(test: Shown, training: Shown) -> tuple[list[Leak], list[Leak]]:
    """What a held-out stretch has in common with one that is trained or chosen on.

    Returns
    -------
    leaks, repeats : list of Leak
        Repeats are too short to matter, see `LEAST_S`.
    """
    overlap = min(test.span[1], training.span[1]) - max(test.span[0], training.span[0])
    if test.label == training.label and overlap > 0:
        return [Leak("same-run", test.where, training.where, f"{overlap} s are in both")], []
    leaks: list[Leak] = []
    repeats: list[Leak] = []
    for kind, told, share, is_long in _common(test, training):
        found = Leak(kind, test.where, training.where, told)
        (leaks if is_long or share >= LEAST_SHARE else repeats).append(found)
    return leaks, repeats


def _common(test: Shown, training: Shown) -> Iterator[tuple[Kind, str, float, bool]]:
    """What two stretches have in common: its kind, in words, as a share of the test, and whether it is long."""
    total = test.duration_s
    if same := _same_bold(test, training):
        yield "same-run", f"{same:.0f} of {total:.0f} s of BOLD are alike", same / total, same >= LEAST_S
    common = 0.0
    if test.label != training.label:  # two blocks of one run share its file
        common = sum(min(s, training.contents[key]) for key, s in test.contents.items() if key in training.contents)
    if common:
        yield "same-stimulus", f"{common:.0f} of {total:.0f} s show the same file", common / total, common >= LEAST_S
    else:
        yield from _near_duplicates(test, training)
    if n_words := shared_words(test.words, training.words):
        told = f"{n_words} of {len(test.words)} words stand in the same order in both"
        yield "same-words", told, n_words / len(test.words), n_words >= LEAST_WORDS


def _near_duplicates(test: Shown, training: Shown) -> Iterator[tuple[Kind, str, float, bool]]:
    for modality in sorted(test.series.keys() & training.series.keys()):
        found = shared_series(test.series[modality], training.series[modality], 1 / FEATURE_HZ)
        if found and found.seconds:
            told = f"{modality}: {found.seconds:.0f} of {test.duration_s:.0f} s are alike (r {found.r:.2f})"
            yield "near-duplicate", told, found.seconds / test.duration_s, found.seconds >= LEAST_S


def _same_bold(test: Shown, training: Shown) -> float:
    """Seconds of BOLD that two stretches have in common."""
    if not (test.bold.size and training.bold.shape[1] == test.bold.shape[1]):
        return 0.0
    found = shared_series(test.bold, training.bold, 1 / OUTPUT_HZ, _SAME_BOLD_R)
    return found.seconds if found else 0.0
