"""The noise ceiling that a study's test data allow, chosen as the recipe says."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from tribetune.evaluate.ceilings import (
    Ceiling,
    inter_subject_ceiling,
    no_ceiling,
    repeat_ceiling,
    split_half_ceiling,
)
from tribetune.evaluate.resampling import Resampling
from tribetune.splits import Part
from tribetune.study.others import Others, shows
from tribetune.study.prepare import Prepared
from tribetune.windows import align


def study_ceiling(study: Prepared, others: Callable[[], Others], resampling: Resampling) -> Ceiling:
    """Estimate the ceiling of the test data, at 1 Hz.

    Parameters
    ----------
    study : Prepared
    others : callable
        Reads the other subjects, only where they are needed.
    resampling : Resampling

    Returns
    -------
    Ceiling
        Of no kind, with the reason, where these data allow none.
    """
    wanted, n_outputs = study.recipe.evaluation.noise_ceiling, int(study.split.test[0].aligned.bold.shape[1])
    if wanted == "none":
        return no_ceiling(n_outputs, "the recipe asks for none")
    if study.recipe.evaluation.native_t_r:
        return no_ceiling(n_outputs, "repeats and subjects are aligned at 1 Hz, and these scores are at the volumes")
    if wanted in ("auto", "repeat", "split-half"):
        repeats, runs, averaged = _measured_again(study)
        estimate = split_half_ceiling if wanted == "split-half" else repeat_ceiling
        found = estimate(repeats, runs, averaged, resampling)
        if found.kind != "none" or wanted != "auto":
            return found
        why = f"of repeats, {found.reason}" if len(repeats) > 1 else "no stimulus is repeated within the test"
        if others().mean is None:
            return no_ceiling(n_outputs, f"{why}, and no other subject of the dataset had it")
    return _inter_subject(study, others(), resampling)


def _measured_again(study: Prepared) -> tuple[Float[np.ndarray, "repeat time output"], list[str], int]:
    """BOLD of what was shown again, the stimulus of each sample, and how many showings are averaged in scored BOLD."""
    if study.repeats:
        return *_of_clip(study.repeats), 1
    shown = {part.aligned.label: _showings(part, study) for part in study.split.test}
    again = {label: found for label, found in shown.items() if len(found) > 1}
    if not again:
        return *_repeats(study.split.test, study), 1
    n = min(len(found) for found in again.values())
    runs = [label for label, found in again.items() for _ in found[0]]
    return np.concatenate([np.stack(found[:n]) for found in again.values()], axis=1), runs, n


def _showings(part: Part, study: Prepared) -> list[Float[np.ndarray, "time output"]]:
    """Each showing of a test part that is the mean of several, in its valid samples."""
    run, rows = study.runs[part.aligned.label], slice(*part.span)
    made = [align(one, run.timeline, part.aligned.features, part.aligned.lag_s) for one in run.showings()]
    return [one.bold[rows][part.mask[rows]] for one in made]


def _repeats(parts: tuple[Part, ...], study: Prepared) -> tuple[Float[np.ndarray, "repeat time output"], list[str]]:
    """BOLD of the stimuli that the test shows again, in samples that are valid every time; and their stimulus."""
    groups: dict[tuple, list[Part]] = {}
    for part in parts:
        groups.setdefault((shows(study.runs[part.aligned.label].timeline), part.span), []).append(part)
    again = [group for group in groups.values() if len(group) > 1] or [[parts[0]]]
    n, pieces, runs = min(len(group) for group in again), [], []
    for group in again:
        rows = slice(*group[0].span)
        valid = np.all([part.mask[rows] for part in group[:n]], axis=0)
        pieces.append(np.stack([part.aligned.bold[rows][valid] for part in group[:n]]))
        runs += [group[0].aligned.label] * int(valid.sum())
    return np.concatenate(pieces, axis=1), runs


def _of_clip(parts: tuple[Part, ...]) -> tuple[Float[np.ndarray, "repeat time output"], list[str]]:
    """BOLD of one clip, in samples that are valid every time."""
    valid = np.all([part.aligned.mask[slice(*part.span)] for part in parts], axis=0)
    repeats = np.stack([part.aligned.bold[slice(*part.span)][valid] for part in parts])
    return repeats, ["clip"] * int(valid.sum())


def _inter_subject(study: Prepared, others: Others, resampling: Resampling) -> Ceiling:
    mask, bold, runs = study.held_out()
    if others.mean is None:
        return inter_subject_ceiling(bold[mask], bold[mask], 0, np.asarray(runs)[mask].tolist(), resampling)
    keep = mask & np.isfinite(others.mean).any(1)
    labels = np.asarray(runs)[keep].tolist()
    return inter_subject_ceiling(bold[keep], others.mean[keep], len(others.subjects), labels, resampling)
