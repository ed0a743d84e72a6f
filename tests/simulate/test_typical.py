import numpy as np
import pytest

from tribetune.simulate.areas import AREAS
from tribetune.simulate.bold import noiseless
from tribetune.simulate.cortex import centre_of, cortex
from tribetune.simulate.hemodynamics import CANONICAL, respond
from tribetune.simulate.people import average_person, meet
from tribetune.simulate.properties import PROPERTIES
from tribetune.simulate.settings import NOISE
from tribetune.simulate.typical import AREA_SD, TYPICAL


@pytest.mark.slow
def test_the_typical_sizes_are_those_of_a_film(typical_film):
    assert list(TYPICAL) == list(PROPERTIES)
    mean, scale = np.array(list(TYPICAL.values())).T
    shown = respond((typical_film - mean) / scale, CANONICAL, np.arange(30, 480, 1.5))
    assert 0.8 < np.median(shown.std(0)) < 1.2
    assert np.abs(np.median(shown.mean(0))) < 0.3
    assert ((shown.std(0) > 0.3) & (shown.std(0) < 3)).all()  # a topic may be rare in one film of the five


@pytest.mark.slow
def test_areas_respond_as_strongly_as_stated(typical_film):
    assert list(AREA_SD) == [area.name for area in AREAS]
    signal = noiseless(average_person(), typical_film)[20:]
    found, stated = [], []
    for area in AREAS:
        near = np.flatnonzero(100 * np.arccos(np.clip(cortex().sphere @ centre_of(area, 0), -1, 1)) < 6)
        variance = signal[:, near].var(0).mean()
        found.append(np.sqrt(variance / (variance + 1 + NOISE.drift_share + NOISE.global_share)))
        stated.append(area.peak_r)
    assert np.mean(np.array(found) / stated) == pytest.approx(1, abs=0.25)  # areas overlap, and mixtures vary by vertex
    assert np.corrcoef(found, stated)[0, 1] > 0.5


@pytest.mark.slow
def test_subjects_share_as_much_as_stated(typical_film):
    people = [noiseless(meet(11, subject), typical_film)[20:] for subject in range(1, 7)]
    people = [(signal - signal.mean(0)) / np.maximum(signal.std(0), 1e-6) for signal in people]
    pairs = np.mean([(people[i] * people[j]).mean(0) for i in range(6) for j in range(i)], axis=0)
    shared = {True: [], False: []}
    for area in AREAS:
        for hemisphere in (0, 1):
            distance = 100 * np.arccos(np.clip(cortex().sphere @ centre_of(area, hemisphere), -1, 1))
            shared[area.sensory].append(pairs[np.flatnonzero(distance < area.size_mm) + 10242 * hemisphere].mean())
    # six subjects: the mean over areas is uncertain by order of 0.05, the claims are 0.6-0.7 and 0.4-0.5
    assert 0.55 < np.mean(shared[True]) < 0.75
    assert 0.35 < np.mean(shared[False]) < 0.55
