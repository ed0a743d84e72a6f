"""The leak guard: looks at a whole study before anything is trained, writes ``leakage.json``, and refuses."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tribetune.bold.run import is_named
from tribetune.errors import LeakageError
from tribetune.evaluate.checkpoint_leaks import checkpoint_leaks
from tribetune.evaluate.duplicates import compact, plain_words
from tribetune.evaluate.leaks import KINDS, Leak, Shown, shown_leaks
from tribetune.evaluate.split_leaks import (
    Decision,
    decision_leaks,
    edge_leaks,
    fit_leaks,
    stretches_of,
    stretches_of_windows,
)
from tribetune.features.sources import content_of
from tribetune.files import write_json
from tribetune.model.training_list import training_stimuli
from tribetune.share.bundle import read_facts
from tribetune.splits import Part
from tribetune.study.prepare import Prepared
from tribetune.study.runs import StudyRun
from tribetune.study.stages import REFUSED
from tribetune.timing import STEPS_PER_OUTPUT

_OUTPUTS = 64
_SERIES = ("audio", "video")
_LINEAR = ("fir", "banded", "nuisance")


@dataclass(frozen=True)
class Leakage:
    """What the guard found, and what it could not look at.

    Attributes
    ----------
    leaks, repeats : list of Leak
        Repeats are too short to matter.
    decisions : list of Decision
        What was chosen or fitted, and on which stretches of BOLD.
    unchecked : list of str
        In words.
    allowed : str
        Why leaks were allowed; empty when they are not.
    """

    leaks: list[Leak]
    repeats: list[Leak] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    allowed: str = ""

    @property
    def facts(self) -> dict[str, Any]:
        """Plain values for ``leakage.json``."""
        return {"checked": dict(KINDS), **asdict(self)}


def find_leaks(study: Prepared, allowed: str = "") -> Leakage:
    """Look for every kind of leak in a study whose data are read, split and cut."""
    recipe, split = study.recipe, study.split
    test = [shown(part, study.runs[part.aligned.label]) for part in split.test]
    seen = [shown(part, study.runs[part.aligned.label]) for part in (*split.training, *split.validation)]
    leaks: list[Leak] = []
    repeats: list[Leak] = []
    for held_out in test:
        for other in seen:
            found = shown_leaks(held_out, other)
            leaks += found[0]
            repeats += found[1]
    leaks += edge_leaks(split, study.calibration, recipe.windows.duration_s, recipe.windows.hemodynamic_lag_s)
    leaks += fit_leaks(split)
    decisions = _decisions(study)
    leaks += decision_leaks(decisions, split.test)
    in_checkpoint, unchecked = find_in_checkpoint(recipe.checkpoint, study.base, test)
    return Leakage(leaks + in_checkpoint, repeats, decisions, unchecked + _unknown_runs(study), allowed)


def find_in_checkpoint(checkpoint: str, base: Mapping[str, Any], test: Sequence[Shown]) -> tuple[list[Leak], list[str]]:
    """What of the test a checkpoint (its place; its name and licence) was trained on, and what cannot be known."""
    known = training_stimuli(checkpoint, base["licence"])
    if known is None:
        return [], [f"{base['name']} does not list its training stimuli: whether it met the test is not known"]
    by_name = [stimulus.name for stimulus in known if not (stimulus.files or stimulus.words)]
    unchecked = [f"recognised by the names of files and runs alone: {', '.join(by_name)}"] if by_name else []
    return [leak for held_out in test for leak in checkpoint_leaks(held_out, known)], unchecked


def guard(study: Prepared, folder: Path, allowed: str) -> Leakage:
    """Write what was found to a run folder, and refuse to go on with a leak that is not allowed.

    Parameters
    ----------
    study : Prepared
        A leak that is allowed goes to its notes, and to the facts of its adapters.
    folder : Path
        Made where it does not exist.
    allowed : str
        Why leaks are allowed; empty: they are not.

    Raises
    ------
    LeakageError
        Naming every leak.
    """
    found = find_leaks(study, allowed.strip())
    write_json(folder / REFUSED, found.facts)
    enforce(found)
    study.leakage.update({"checked": list(KINDS.values()), "found": [_told(leak) for leak in found.leaks]})
    if found.leaks:
        kinds = list(dict.fromkeys(leak.kind for leak in found.leaks))
        study.leakage["allowed"] = found.allowed
        study.notes.append(f"Leakage was allowed ({', '.join(kinds)}): {found.allowed}. These scores are not held out.")
    return found


def enforce(found: Leakage) -> None:
    """Refuse leaks that were not allowed.

    Raises
    ------
    LeakageError
        Naming every leak.
    """
    if found.leaks and not found.allowed:
        count = f"{len(found.leaks)} leak{'s' if len(found.leaks) > 1 else ''}"
        raise LeakageError(
            f"{count} from test to training",
            hint="put what belongs together on one side of data.split; --allow-leakage REASON goes on, on the record",
            faults=[_told(leak) for leak in found.leaks],
        )


def record_decisions(study: Prepared, found: Leakage, folder: Path, made: Sequence[Decision]) -> None:
    """Add what methods chose while they were fitted to the record, and refuse what they chose on the test.

    Raises
    ------
    LeakageError
        If a choice used test data, and no leak is allowed.
    """
    found.decisions.extend(made)
    found.leaks.extend(decision_leaks(made, study.split.test))
    write_json(folder / REFUSED, found.facts)
    enforce(found)


def made_decisions(study: Prepared, places: Mapping[str, Path]) -> list[Decision]:
    """What was chosen while fitting, and by which BOLD, from the adapters' folders."""
    split, made = study.split, []
    windows, parts = stretches_of_windows(study.calibration), stretches_of(split.training)
    for method, place in places.items():
        used = windows + stretches_of(split.validation) if method == "ladder" else windows
        made += [Decision(f"{method}: {key}", "chosen", used) for key in read_facts(place).get("chosen", {})]
    for name in [name for name in _LINEAR if name in study.recipe.evaluation.baselines]:
        made.append(Decision(f"{name}: penalty", "chosen", parts))
        made.append(Decision(f"{name}: means, scales and components of features", "fitted", parts))
    return made


def shown(part: Part, run: StudyRun) -> Shown:
    """What a part shows, between its start and its end, and its BOLD in a few outputs."""
    aligned, (begin, end) = part.aligned, part.span
    start_s, contents, names, words = run.timeline.start_s, {}, {aligned.label: None}, []
    for event in run.timeline.events:
        onset_s = event.onset_s - start_s
        seconds = min(onset_s + event.duration_s, end) - max(onset_s, begin)
        if event.kind == "word" and begin <= onset_s < end:
            words.append(event.text)
        elif event.file is not None and seconds > 0:
            names[event.file.stem] = None
            content = content_of(event)
            contents[content] = max(seconds, contents.get(content, 0.0))  # its picture and its sound are one file
    steps = aligned.features.steps(begin * STEPS_PER_OUTPUT, end * STEPS_PER_OUTPUT)
    series = {name: compact(steps[name]) for name in _SERIES if name in steps}
    return Shown(aligned.label, part.span, contents, tuple(names), plain_words(words), series, _few(part))


def _unknown_runs(study: Prepared) -> list[str]:
    """Runs of ``chosen_on`` that are none of this study's, nor can be held against its test."""
    split = study.split
    there = [part.aligned for part in (*split.training, *split.validation, *split.test)]
    return [
        f"chosen_on: {key} names run {name}, which this study does not use"
        for key, names in study.recipe.chosen_on.items()
        for name in names
        if not any(is_named(aligned.label, name) for aligned in there)
    ]


def _told(leak: Leak) -> str:
    return f"{leak.kind}: {leak.test} and {leak.training}: {leak.told}"


def _few(part: Part) -> np.ndarray:
    """BOLD of the first outputs; on fsaverage5 they lie far apart. Undefined ones stay in place as zeros."""
    bold = np.array(part.aligned.bold[slice(*part.span), :_OUTPUTS], np.float32)
    return np.nan_to_num(bold)


def _decisions(study: Prepared) -> list[Decision]:
    """What the recipe says was chosen on which runs, and what the calibration data will decide."""
    parts = [*study.split.training, *study.split.validation, *study.split.test]
    told = [
        Decision(
            key, "chosen", stretches_of(p for p in parts if any(is_named(p.aligned.label, name) for name in names))
        )
        for key, names in study.recipe.chosen_on.items()
    ]
    return [*told, Decision("outputs in the chosen set", "chosen", stretches_of(study.split.training))]
