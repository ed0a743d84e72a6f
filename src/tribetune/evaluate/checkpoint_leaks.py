"""Stimuli of a test that the checkpoint was trained on: by their bytes, their words, or their names."""

import re
from collections.abc import Iterable

from tribetune.evaluate.duplicates import word_sketch
from tribetune.evaluate.leaks import LEAST_S, LEAST_SHARE, Leak, Shown
from tribetune.model.training_list import TrainingStimulus

_LEAST_MARKS = 4
"""Marks of a sketch in common below which it may be chance."""


def checkpoint_leaks(test: Shown, known: Iterable[TrainingStimulus]) -> list[Leak]:
    """What of a held-out stretch is on the training list of its checkpoint.

    A film that was compressed again is found by its words or its name only: a list holds no features.

    Parameters
    ----------
    test : Shown
    known : iterable of TrainingStimulus
    """
    marks, found = frozenset(word_sketch(test.words)), []
    for stimulus in known:
        told = _by_file(test, stimulus) or _by_words(marks, stimulus) or _by_name(test, stimulus)
        if told:
            found.append(Leak("in-checkpoint", test.where, stimulus.name, told))
    return found


def _by_file(test: Shown, stimulus: TrainingStimulus) -> str:
    seconds = sum(s for content, s in test.contents.items() if content in stimulus.files)
    if seconds < min(LEAST_S, LEAST_SHARE * test.duration_s) or not seconds:
        return ""
    return f"{seconds:.0f} of {test.duration_s:.0f} s are of the same file"


def _by_words(marks: frozenset[int], stimulus: TrainingStimulus) -> str:
    common = len(marks & stimulus.words)
    if common < max(_LEAST_MARKS, LEAST_SHARE * len(marks)):
        return ""
    return f"{common / len(marks):.0%} of its words, by a sample, stand in the same order in both"


def _by_name(test: Shown, stimulus: TrainingStimulus) -> str:
    for name in test.names:
        if any(re.search(pattern, name.lower()) for pattern in stimulus.called):
            return f"it is called {name!r}"
    return ""
