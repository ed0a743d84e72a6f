import hashlib
import json
from dataclasses import replace
from pathlib import Path

import av
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy.signal import detrend
from threadpoolctl import threadpool_limits

from tribetune.errors import TribetuneError
from tribetune.simulate import CohortSettings, simulate
from tribetune.simulate.areas import AREAS
from tribetune.simulate.bold import n_volumes, noiseless
from tribetune.simulate.cortex import centre_of, cortex
from tribetune.simulate.hemodynamics import Response
from tribetune.simulate.people import meet
from tribetune.simulate.settings import SCAN

TINY = CohortSettings(subjects=1, runs=1, minutes=0.5, seed=1)


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def planted(cohort, cohort_settings):
    """Noiseless BOLD of a subject watching the film."""
    with np.load(cohort / "truth" / "film-01.npz") as film:
        properties = film["properties"]
    return lambda subject: noiseless(meet(cohort_settings.seed, subject), properties)


def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = detrend(a, axis=0), detrend(b, axis=0)
    return (a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0))


def _smoothed(loudness: np.ndarray) -> np.ndarray:
    """Over 4 s, about as wide as a hemodynamic response."""
    return np.convolve(loudness, np.hanning(40) / np.hanning(40).sum(), mode="same")


def strongest(cohort: Path, n: int = 500) -> np.ndarray:
    with np.load(cohort / "truth" / "sub-01.npz") as truth:
        return np.argsort(-np.nan_to_num(truth["ideal_r"].mean(0)))[:n]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return simulate(tmp_path_factory.mktemp("tiny") / "one", TINY)


def test_the_same_seed_gives_the_same_bytes(tiny, tmp_path):
    assert hashes(simulate(tmp_path / "two", TINY)) == hashes(tiny)


def test_the_bytes_do_not_depend_on_the_number_of_threads(tiny, tmp_path):
    with threadpool_limits(4):
        assert hashes(simulate(tmp_path / "four", TINY)) == hashes(tiny)


def test_another_seed_gives_another_film_and_another_subject(tiny, tmp_path):
    ours, others = hashes(tiny), hashes(simulate(tmp_path / "other", replace(TINY, seed=2)))
    for name in ("stimuli/film-01.mp4", "stimuli/film-01_words.tsv", "truth/sub-01.npz"):
        assert ours[name] != others[name]


def test_the_stimulus_seed_chooses_the_films_alone(tiny, tmp_path):
    ours, others = hashes(tiny), hashes(simulate(tmp_path / "other", replace(TINY, seed=2, stimulus_seed=1)))
    assert ours["stimuli/film-01.mp4"] == others["stimuli/film-01.mp4"]
    assert ours["truth/sub-01.npz"] != others["truth/sub-01.npz"]


def test_a_subject_and_a_run_do_not_depend_on_how_many_there_are(tiny, tmp_path):
    ours, many = hashes(tiny), hashes(simulate(tmp_path / "many", replace(TINY, subjects=2, runs=2)))
    kept = [name for name in ours if name.startswith(("stimuli", "derivatives/fmriprep/sub-01", "sub-01"))]
    assert len(kept) == 8  # film, words, events, confounds, two GIFTI and their sidecars
    assert {name: many[name] for name in kept} == {name: ours[name] for name in kept}


def test_a_simulation_that_was_stopped_is_finished_without_redoing_what_is_whole(tiny, tmp_path):
    folder = simulate(tmp_path / "again", TINY)
    (folder / "truth" / "sub-01.npz").unlink()
    lost = next(folder.rglob("*hemi-R*.gii"))
    lost.unlink()
    (lost.parent / ".part-half-a-file.gii").write_text("half")
    film = folder / "stimuli" / "film-01.mp4"
    before = film.stat().st_mtime_ns
    assert hashes(simulate(folder, TINY)) == hashes(tiny)
    assert film.stat().st_mtime_ns == before


def test_progress_ends_at_one(tmp_path):
    heard = []
    simulate(tmp_path / "bids", replace(TINY, minutes=0.25), lambda what, share: heard.append((what, share)))
    assert heard == [("films", 1.0), ("BOLD", 1.0)]


@pytest.mark.parametrize(
    "wrong",
    [{"subjects": 0}, {"runs": 0}, {"minutes": -1.0}, {"minutes": float("nan")}, {"seed": -1}, {"stimulus_seed": -1}],
)
def test_wrong_settings_are_refused_by_name(wrong):
    with pytest.raises(TribetuneError, match=next(iter(wrong))) as caught:
        CohortSettings(**wrong)
    assert caught.value.hint


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(TribetuneError, match="holds no simulated cohort"):
        simulate(tmp_path, TINY)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_of_another_cohort_is_left_alone(tiny):
    before = hashes(tiny)
    with pytest.raises(TribetuneError, match="seed is 1, not 9"):
        simulate(tiny, replace(TINY, seed=9, stimulus_seed=1))
    assert hashes(tiny) == before


def test_bold_reads_as_fmriprep_writes_it(cohort, cohort_settings):
    path = next(cohort.rglob("sub-01_task-movie_run-1_hemi-L_space-fsaverage5_bold.func.gii"))
    image = nib.load(path)
    assert len(image.darrays) == n_volumes(cohort_settings.duration_s) == 91  # (6 + 120 + 10) s / 1.5 s, rounded up
    assert image.meta["AnatomicalStructurePrimary"] == "CortexLeft"
    for volume in image.darrays:
        assert volume.data.shape == (10242,)
        assert volume.data.dtype == np.float32
        assert volume.intent == nib.nifti1.intent_codes["NIFTI_INTENT_TIME_SERIES"]
    assert json.loads(path.with_name(path.name.replace(".func.gii", ".json")).read_text())["RepetitionTime"] == SCAN.t_r


def test_events_and_confounds_fit_the_run(cohort):
    events = pd.read_csv(cohort / "sub-02/func/sub-02_task-movie_run-2_events.tsv", sep="\t")
    assert events.to_dict("records") == [
        {"onset": 6.0, "duration": 120.0, "trial_type": "film", "stim_file": "film-01.mp4"}
    ]
    assert (cohort / "stimuli" / events.stim_file[0]).is_file()
    confounds = pd.read_csv(next(cohort.rglob("sub-02_task-movie_run-2_desc-confounds_timeseries.tsv")), sep="\t")
    assert len(confounds) == 91
    assert {"trans_x", "rot_z_derivative1_power2", "framewise_displacement", "csf", "global_signal"} <= set(confounds)
    assert sum(name.startswith(("trans", "rot")) for name in confounds) == 24
    assert confounds.framewise_displacement.isna().tolist() == [True] + 90 * [False]


def test_the_medial_wall_is_zero_and_cortex_is_not(measured):
    bold = measured(1, 1)
    inside = cortex().inside
    assert (bold[:, ~inside] == 0).all()
    assert (bold[:, inside].std(0) > 1).all()


def test_the_ideal_score_is_that_of_the_planted_signal(cohort, cohort_settings, measured, planted):
    where = strongest(cohort)
    seconds = np.arange(91) * SCAN.t_r - SCAN.onset_s
    scored = (seconds >= 5) & (seconds <= cohort_settings.duration_s + 5)
    signal, bold = (detrend(values[:, where], axis=0)[scored] for values in (planted(1), measured(1, 1)))
    with np.load(cohort / "truth" / "sub-01.npz") as truth:
        ideal = truth["ideal_r"][list(truth["runs"]).index(1), where]
    found = [np.corrcoef(signal[:, k], bold[:, k])[0, 1] for k in range(len(where))]
    np.testing.assert_allclose(found, ideal, atol=1e-3)  # float32 against float64, and BOLD stored around 1,000
    assert ideal.mean() > 0.5


@pytest.mark.parametrize("subject", [1, 2])
def test_the_lag_of_the_response_is_found_where_it_was_planted(cohort, cohort_settings, measured, subject):
    person, bold = meet(cohort_settings.seed, subject), measured(subject, 1)
    with np.load(cohort / "truth" / "film-01.npz") as film, np.load(cohort / f"truth/sub-{subject:02d}.npz") as truth:
        properties, where = film["properties"], np.argsort(-np.nan_to_num(truth["ideal_r"][0]))[:500]
        lag = truth["lag_s"][where].mean()
    peaks = np.arange(2.5, 9.5, 0.5)
    scores = []
    for peak in peaks:
        tried = replace(person, responses=dict.fromkeys(person.responses, Response(float(peak))))
        scores.append(correlation(noiseless(tried, properties)[:, where], bold[:, where]).mean())
    assert peaks[np.argmax(scores)] == pytest.approx(lag, abs=0.75)  # tried in steps of 0.5 s, areas differ by 0.4 s


def test_auditory_cortex_follows_the_sound_of_the_file_by_the_lag(cohort, measured):
    with av.open(str(cohort / "stimuli" / "film-01.mp4")) as film:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in film.decode(audio=0)])
    loudness = np.sqrt((sound[: len(sound) // 1600 * 1600].reshape(-1, 1600) ** 2).mean(1))  # ten values a second
    events = pd.read_csv(cohort / "sub-01/func/sub-01_task-movie_run-1_events.tsv", sep="\t")
    heard = events.onset[0] + np.arange(len(loudness)) / 10
    area = next(area for area in AREAS if area.name == "A1")
    near = [np.flatnonzero(cortex().sphere @ centre_of(area, h) > np.cos(0.08)) + 10242 * h for h in (0, 1)]
    with np.load(cohort / "truth" / "sub-01.npz") as truth:
        lag = truth["lag_s"][np.concatenate(near)].mean()
    bold = sum(detrend(measured(1, run)[:, np.concatenate(near)].mean(1)) for run in (1, 2))
    times = np.arange(len(bold)) * SCAN.t_r
    lags = np.arange(0, 14, 0.5)
    scores = [np.corrcoef(np.interp(times - delay, heard, _smoothed(loudness)), bold)[0, 1] for delay in lags]
    assert max(scores) > 0.4
    assert lags[np.argmax(scores)] == pytest.approx(
        lag, abs=1.25
    )  # the response is skewed: later than its peak on average


def test_two_showings_share_the_signal_and_not_the_noise(cohort, measured, planted):
    first, second, signal = measured(1, 1), measured(1, 2), planted(1)
    with np.load(cohort / "truth" / "sub-01.npz") as truth:
        explained = truth["explained"].mean(0)
        silent = cortex().inside & np.isnan(explained)
    where = strongest(cohort)
    repeated = correlation(first[:, where], second[:, where])
    # r of two showings estimates the share of variance the signal explains; 500 smooth vertices leave some error
    assert repeated.mean() == pytest.approx(explained[where].mean(), abs=0.1)
    # 91 volumes of AR noise at 0.4 and slow drift: one r has an SD of 0.2, the mean of many smooth vertices less
    assert abs(correlation(first[:, silent], second[:, silent]).mean()) < 0.1
    assert correlation(first[:, where], signal[:, where]).mean() > 0.4


def test_two_subjects_share_part_of_the_signal(cohort, measured, planted):
    where = strongest(cohort)
    between = correlation(planted(1)[:, where], planted(2)[:, where])
    assert 0.3 < between.mean() < 0.95
    assert correlation(measured(1, 1)[:, where], measured(2, 1)[:, where]).mean() > 0.05


def test_the_truth_names_the_repeated_run(cohort, cohort_settings):
    truth = json.loads((cohort / "truth" / "truth.json").read_text())
    assert truth["repeated"] == [1, 2]
    assert truth["runs"] == {"1": "film-01.mp4", "2": "film-01.mp4"}
    assert truth["settings"]["seed"] == cohort_settings.seed
