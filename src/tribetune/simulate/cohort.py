"""Make a cohort: films first, then every subject's runs; finished work is kept when it is called again."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import numpy as np

from tribetune.errors import TribetuneError
from tribetune.files import whole, write_json
from tribetune.simulate import dataset
from tribetune.simulate.bold import n_volumes, noiseless
from tribetune.simulate.cortex import cortex
from tribetune.simulate.dataset import Layout
from tribetune.simulate.language import tell
from tribetune.simulate.movie import make_film, write_words
from tribetune.simulate.noise import Body, add_noise, move
from tribetune.simulate.people import COLUMNS, Person, average_person, meet
from tribetune.simulate.properties import PROPERTIES
from tribetune.simulate.settings import NOISE, SCAN, SPREAD, CohortSettings, draw

__all__ = ["simulate"]

Result = TypeVar("Result")

_WORKERS = 2


def simulate(out: Path, settings: CohortSettings, on_progress: Callable[[str, float], None] | None = None) -> Path:
    """Write a small BIDS dataset whose truth is known.

    Films in ``stimuli/`` with their words; events and fMRIPrep-named BOLD on fsaverage5 with confounds for every
    subject and run; and in ``truth/`` what only a simulation knows: ``film-01.npz`` has the properties BOLD was planted
    from, per frame; ``sub-01.npz`` has, per run and vertex, ``ideal_r`` (r of noiseless and measured BOLD),
    ``common_r`` (r of the average person's noiseless BOLD and the measured one), ``shared_r`` (r of the two noiseless
    ones) and ``explained`` (the signal's share of the variance), all without linear trend, from 5 s after the film's
    onset to 5 s after its end, NaN where nothing is planted; per vertex ``lag_s``, the time to peak; and the person's
    ``loadings`` and responses.

    Parameters
    ----------
    out : Path
        The dataset's folder; made when it is missing, continued when it was begun with the same settings.
    settings : CohortSettings
    on_progress : callable, optional
        Called with what is being made and the share of it that is done, 0 to 1.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    TribetuneError
        If the folder holds another cohort or other files.
    """
    layout = Layout(Path(out))
    _claim(layout, settings)
    dataset.write_descriptions(layout, settings.subjects)
    report = on_progress or (lambda _what, _share: None)
    films = list(range(1, settings.runs + 1))
    for done, _ in enumerate(_in_parallel(lambda run: _film(layout, settings, run), films), 1):
        report("films", done / len(films))
    for subject in range(1, settings.subjects + 1):
        before = subject - 1
        _subject(
            layout, settings, subject, lambda share, before=before: report("BOLD", (before + share) / settings.subjects)
        )
    _write_truth(layout, settings)
    return layout.root


def _film(layout: Layout, settings: CohortSettings, run: int) -> None:
    paths = (layout.film(run), layout.words(run), layout.properties(run))
    if all(path.exists() for path in paths):
        return
    with whole(paths[0]) as part:
        film = make_film(part, settings.film_seed, run, settings.duration_s)
    write_words(paths[1], tell(settings.film_seed, run, settings.duration_s))
    dataset.write_arrays(paths[2], {"properties": film, "names": np.array(PROPERTIES)})


def _subject(layout: Layout, settings: CohortSettings, subject: int, report: Callable[[float], None]) -> None:
    runs = _runs(settings)
    truth = layout.truth(subject)
    if truth.exists() and all(path.exists() for run in runs for path in layout.run_files(subject, run)):
        return
    who = meet(settings.seed, subject), Body.of(settings.seed, subject)
    scored = []
    for scores in _in_parallel(lambda run: _run(layout, settings, (subject, run, runs[run]), who), list(runs)):
        scored.append(scores)
        report(len(scored) / len(runs))
    dataset.write_arrays(
        truth, {name: np.stack([scores[name] for scores in scored]) for name in scored[0]} | _known(who[0], list(runs))
    )


def _known(person: Person, runs: list[int]) -> dict[str, np.ndarray]:
    """What makes a person, as arrays."""
    return {
        "runs": np.array(runs),
        "lag_s": person.lag_s().astype(np.float32),
        "loadings": person.loadings.astype(np.float16),
        "columns": np.array(["/".join(column) for column in COLUMNS]),
        "areas": np.array(list(person.responses)),
        "peak_s": np.array([response.peak_s for response in person.responses.values()]),
        "width_s": np.array([response.width_s for response in person.responses.values()]),
    }


def _run(
    layout: Layout, settings: CohortSettings, label: tuple[int, int, int], who: tuple[Person, Body]
) -> dict[str, np.ndarray]:
    """Scan one run and write it; what can be known about it is returned."""
    subject, run, film_number = label
    repeat = "again" if run != film_number else "once"
    with np.load(layout.properties(film_number)) as stored:
        film = stored["properties"]
    signal = noiseless(who[0], film)
    nuisance = move(draw(settings.seed, "motion", subject, film_number, repeat), len(signal))
    bold = add_noise(signal, who[1], nuisance, draw(settings.seed, "noise", subject, film_number, repeat))
    dataset.write_bold(layout, subject, run, bold)
    dataset.write_confounds(
        layout.confounds(subject, run), nuisance, draw(settings.seed, "confounds", subject, film_number, repeat)
    )
    dataset.write_events(layout.events(subject, run), layout.film(film_number), settings.duration_s)
    return _scores(signal, noiseless(average_person(), film), bold, settings.duration_s)


def _scores(signal: np.ndarray, common: np.ndarray, bold: np.ndarray, duration_s: float) -> dict[str, np.ndarray]:
    """Score per vertex of the noiseless signal, and of the average person's; what they share; the signal's share."""
    seconds = np.arange(len(bold)) * SCAN.t_r - SCAN.onset_s
    scored = (seconds >= 5.0) & (seconds <= duration_s + 5.0)
    mine, others, measured = (_standardized(values, scored) for values in (signal, common, bold))
    ideal = np.einsum("tv,tv->v", mine, measured)
    return {
        "ideal_r": ideal.astype(np.float32),
        "common_r": np.einsum("tv,tv->v", others, measured).astype(np.float32),
        "shared_r": np.einsum("tv,tv->v", others, mine).astype(np.float32),
        "explained": (ideal * np.abs(ideal)).astype(np.float32),
    }


def _standardized(values: np.ndarray, scored: np.ndarray) -> np.ndarray:
    """Columns without their linear trend, then centred and of unit length over the scored volumes; NaN where flat."""
    trend = np.linspace(-1, 1, len(values))
    line = np.stack([np.full(len(values), len(values) ** -0.5), trend / np.linalg.norm(trend)]).astype(values.dtype)
    fit = np.einsum("kt,tv->kv", line, values)
    values = (values - line[0, :, None] * fit[0] - line[1, :, None] * fit[1])[scored]
    values -= values.mean(0)
    length = np.linalg.norm(values, axis=0)
    flat = length < 1e-4
    return np.where(flat, np.nan, values / np.where(flat, 1, length))


def _runs(settings: CohortSettings) -> dict[int, int]:
    """Run label -> film shown; the repeated run shows the first film once more."""
    runs = {run: run for run in range(1, settings.runs + 1)}
    return runs | {settings.runs + 1: 1} if settings.repeat else runs


def _claim(layout: Layout, settings: CohortSettings) -> None:
    """Make the folder this cohort's, or refuse one that is something else's."""
    path = layout.root / "truth" / "settings.json"
    wanted = asdict(settings) | {"stimulus_seed": settings.film_seed}
    found = dataset.read_settings(path)
    if found is None and layout.root.exists() and any(layout.root.iterdir()):
        raise TribetuneError(f"{layout.root} is not empty and holds no simulated cohort", hint="name a new folder")
    if found is not None and found != wanted:
        changed = [key for key in wanted if found.get(key) != wanted[key]]
        different = ", ".join(f"{key} is {found.get(key)}, not {wanted[key]}" for key in changed)
        raise TribetuneError(
            f"{layout.root} holds another cohort: {different}", hint="name a new folder, or ask for the same cohort"
        )
    for leftover in layout.root.rglob(".part-*"):
        leftover.unlink()  # of a run that was killed
    write_json(path, {"settings": wanted})


def _write_truth(layout: Layout, settings: CohortSettings) -> None:
    write_json(
        layout.root / "truth" / "truth.json",
        {
            "settings": asdict(settings) | {"stimulus_seed": settings.film_seed},
            "scan": asdict(SCAN) | {"n_trs": n_volumes(settings.duration_s)},
            "spread": asdict(SPREAD),
            "noise": asdict(NOISE),
            "runs": {str(run): layout.film(film).name for run, film in _runs(settings).items()},
            "repeated": [1, settings.runs + 1] if settings.repeat else None,
            "n_cortex": int(cortex().inside.sum()),
            "columns": ["/".join(column) for column in COLUMNS],
        },
    )


def _in_parallel(work: Callable[[int], Result], items: list[int]) -> Iterator[Result]:
    """Results of independent work on two threads, in order: codecs and array arithmetic release Python's lock."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        try:
            yield from pool.map(work, items)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
