"""What a lab must know to live with an adapter: how sure it is, whether it forgot the group, whether sessions drift."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tribetune.adapt.adapter import Adapter
from tribetune.adapt.left_out import LeftOut, Made, left_out
from tribetune.adapt.rows import with_rows
from tribetune.adapt.uncertainty import uncertainty
from tribetune.digits import rounded, signed
from tribetune.evaluate.bootstrap import Bootstrap, Estimate, HeldOut, bootstrap_scores
from tribetune.evaluate.drift import Drift, drift_sentence, session_drift
from tribetune.evaluate.predict import Cut, predict_run
from tribetune.evaluate.resampling import Resampling
from tribetune.progress import Progress
from tribetune.share.bundle import load_adapter, read_facts, write_facts
from tribetune.share.uncertainty import save_uncertainty
from tribetune.study.prepare import Prepared
from tribetune.study.settings import plain_settings
from tribetune.timing import OUTPUT_HZ

GROUP = "zero-shot"


@dataclass(frozen=True)
class Lived:
    """An adapter, its settings in the recipe, its folder, and what it predicts for the test at 1 Hz."""

    method: str
    settings: Mapping[str, Any]
    place: Path
    test: np.ndarray


def live_with(study: Prepared, adapted: list[Lived], progress: Progress) -> dict[str, Any]:
    """Uncertainty, forgetting and drift of every adapter, and the group's drift; told in notes, facts and ``scores``.

    What an adapter's facts hold already is not made again.

    Parameters
    ----------
    study : Prepared
        Its notes gain a sentence each.
    adapted : list of Lived
    progress : Progress

    Returns
    -------
    dict
        Plain values for ``scores.json``: per method ``uncertainty``, ``forgetting``, ``beside_group`` and ``drift``,
        each with a sentence; what cannot be told is not there.
    """
    found: dict[str, Any] = {}
    if study.has_zero_shot and _has_sessions(study):
        progress.step("Drift of the unseen subject's prediction between sessions")
        held = left_out(study.trunk, study.calibration, Made(Adapter(GROUP), {}, study.recipe.seed))
        found[GROUP] = _drift_facts(study, GROUP, held, _group_test(study))
    for one in adapted:
        told = read_facts(one.place).get("living")
        if told is None:
            progress.step(f"Uncertainty, forgetting, drift: {one.method}")
            told = _lived(study, one)
            write_facts(one.place, {**read_facts(one.place), "living": told})
        found[one.method] = told
    study.notes.extend(part["told"] for parts in found.values() for part in parts.values())
    return found


def _lived(study: Prepared, one: Lived) -> dict[str, Any]:
    adapter = load_adapter(one.place, study.base["hash"])
    n_outputs = study.calibration[0].bold.shape[1]
    # a ladder fits every rung with its defaults
    settings = {} if one.method != adapter.method else plain_settings(one.settings, n_outputs)
    made = Made(adapter, settings, study.recipe.seed)
    held = left_out(study.trunk, study.calibration, made) if study.recipe.evaluation.uncertainty else None
    found: dict[str, Any] = {}
    if held is not None:
        sure = uncertainty(study.trunk, study.calibration, made, held)
        save_uncertainty(sure, one.place)
        noise = float(np.nanmedian(sure.noise.numpy()))
        told = (
            f"{one.method}: the standard deviation of its predictions covers {sure.covers}; noise {noise:.2f} (median)."
        )
        found["uncertainty"] = {"covers": sure.covers, "median_noise": noise, "told": told}
    if study.has_zero_shot or study.trunk.space is not None:
        found["forgetting"] = _forgetting(study, one.method, adapter)
    if study.trunk.space is not None:
        found["beside_group"] = _beside_group(study, one)
    if _has_sessions(study):
        # a trunk that was trained again on half the data is another adapter: only the test is told of
        found |= _drift_facts(study, one.method, None if adapter.changes_trunk else held, one.test)
    return found


def _forgetting(study: Prepared, method: str, adapter: Adapter) -> dict[str, Any]:
    """The unseen row's test score through the frozen and through the adapted trunk, and their paired difference."""
    if not adapter.changes_trunk:
        return {"changed": False, "told": f"{method} leaves the trunk as it is: the unseen row predicts what it did."}
    before, after = _group_test(study), _group_test(study, adapter)
    scored = _scored(study, {"before": before, "after": after}, _counted(study) & _known(study))
    scores = {name: scored.score(name, 0) for name in ("before", "after")}
    apart = scored.difference("after", "before", 0)
    low, high = apart.interval
    outcome = (
        "it scores lower: the trunk forgot" if high < 0 else "it scores higher" if low > 0 else "no reliable change"
    )
    if low != low:
        outcome = "nothing can be said of it"
    told = (
        f"{method}: read through the adapted trunk, the unseen row has a mean r of {rounded(scores['after'].mean)} on"
        f" the test, before {rounded(scores['before'].mean)} ({_with_interval(apart)}): {outcome}."
    )
    return {"changed": True, "before": asdict(scores["before"]), "after": asdict(scores["after"]),
            "difference": asdict(apart), "told": told}  # fmt: skip


def _beside_group(study: Prepared, one: Lived) -> dict[str, Any]:
    """An adapter's test score and the unseen row's, where that predicts only some of the outputs: on those alone."""
    outputs = _counted(study) & _known(study)
    scored = _scored(study, {GROUP: _group_test(study), one.method: one.test}, outputs)
    scores = {name: scored.score(name, 0) for name in (GROUP, one.method)}
    apart = scored.difference(one.method, GROUP, 0)
    told = (
        f"{one.method}: on the {apart.n_outputs:,} outputs that the unseen row predicts its mean r on the test is"
        f" {rounded(scores[one.method].mean)}, zero-shot's {rounded(scores[GROUP].mean)} ({_with_interval(apart)})."
    )
    plain = {name: asdict(score) for name, score in scores.items()}
    return {"scores": plain, "difference": asdict(apart), "told": told}


def _known(study: Prepared) -> np.ndarray:
    """Outputs that the unseen row predicts."""
    return study.tribe.subjects.bias[-1].isfinite().cpu().numpy()


def _with_interval(apart: Estimate) -> str:
    low, high = apart.interval
    known = f"95 % interval {signed(low, 4)} to {signed(high, 4)}"
    return f"{signed(apart.mean, 4)}, {known if low == low else 'too little test data for an interval'}"


def _scored(study: Prepared, predicted: Mapping[str, np.ndarray], outputs: np.ndarray) -> Bootstrap:
    """Predictions of the test on some outputs, paired."""
    mask, bold, runs = study.held_out()
    held_out = HeldOut(bold[mask], tuple(np.asarray(runs)[mask].tolist()))
    valid = {name: values[mask] for name, values in predicted.items()}
    return bootstrap_scores(valid, held_out, outputs[None], **asdict(_resampling(study)))


def _group_test(study: Prepared, adapter: Adapter | None = None) -> np.ndarray:
    """The unseen row's prediction of the test, through the frozen trunk or an adapted one."""
    model, window_s, block = study.tribe, study.recipe.windows.duration_s, study.tribe.subjects
    if adapter:
        model = with_rows(adapter.apply(model), block.weights[-1:], block.bias[-1:], unseen_row=True)
    return np.concatenate([
        predict_run(model, part.aligned, None, Cut(window_s, span=part.span), None if adapter else study.trunk)
        for part in study.split.test
    ])  # fmt: skip


def _drift_facts(study: Prepared, method: str, held: LeftOut | None, test: np.ndarray) -> dict[str, Any]:
    """Drift over what was left out of calibration and the test; nothing where it all is of one session."""
    mask, bold, runs = study.held_out()
    predicted, measured, labels = [test[mask]], [bold[mask]], np.asarray(runs)[mask].tolist()
    if held is not None:
        predicted, measured, labels = [held.predicted, *predicted], [held.measured, *measured], [*held.runs, *labels]
    sessions = [session_of(label) for label in labels]
    if len(set(sessions)) < 2:
        return {}
    held_out = HeldOut(np.concatenate(measured), tuple(labels))
    drift = session_drift(np.concatenate(predicted), held_out, sessions, _counted(study), _resampling(study))
    return {"drift": _plain(drift) | {"told": drift_sentence(method, drift)}}


def _plain(drift: Drift) -> dict[str, Any]:
    score_moves, gain_moves = drift.moves
    return {**asdict(drift), "score_moves": score_moves, "gain_moves": gain_moves}


def _has_sessions(study: Prepared) -> bool:
    labels = {part.aligned.label for part in (*study.split.training, *study.split.test)}
    sessions = {session_of(label) for label in labels}
    return len(sessions) > 1 and "" not in sessions


def session_of(label: str) -> str:
    """The session of a BIDS name (``sub-01_ses-2_task-movie_run-1``); empty where it has none."""
    found = re.search(r"(?:^|_)ses-([A-Za-z0-9]+)", label)
    return found[1] if found else ""


def _counted(study: Prepared) -> np.ndarray:
    _, bold, _ = study.held_out()
    return np.asarray(np.isfinite(bold).all(0)) & study.in_means


def _resampling(study: Prepared) -> Resampling:
    choice = study.recipe.evaluation
    return Resampling(max(1, round(choice.bootstrap_block_s * OUTPUT_HZ)), choice.bootstrap_draws, study.recipe.seed)
