import numpy as np
import pytest

from tribetune.simulate.cortex import cortex
from tribetune.simulate.noise import Body, add_noise, move
from tribetune.simulate.settings import NOISE, SCAN, draw

N_TRS = 300


@pytest.fixture(scope="module")
def scanned():
    body, nuisance = Body.of(0, 1), move(draw(0, "test"), N_TRS)
    return body, nuisance, add_noise(np.zeros((N_TRS, 20484), np.float32), body, nuisance, draw(0, "noise"))


def whitened(bold: np.ndarray) -> np.ndarray:
    """Without drift: a polynomial and cosines slower than 100 s taken out."""
    t = np.linspace(-1, 1, len(bold))
    slow = np.stack([np.cos(np.pi * k * (t + 1) / 2) for k in range(10)] + [t], axis=1)
    return bold - slow @ np.linalg.lstsq(slow, bold, rcond=None)[0]


def test_noise_is_as_strong_as_stated(scanned):
    body, _, bold = scanned
    inside = cortex().inside
    sd = whitened(bold)[:, inside].std(0) / body.noise_sd[inside]
    assert np.median(sd) == pytest.approx(
        1, abs=0.2
    )  # slow noise is lost with the drift, spikes and breathing come on top


def test_noise_is_autocorrelated_as_stated(scanned):
    _, nuisance, bold = scanned
    still = nuisance.displacement < 0.3
    pairs = still[1:] & still[:-1]
    bold = whitened(bold[:, cortex().inside])
    bold /= bold.std(0)
    found = (bold[1:] * bold[:-1])[pairs].mean(0)
    low, high = NOISE.ar
    assert low - 0.1 < np.median(found) < high  # taking drift out lowers it


def test_neighbours_share_noise_and_far_vertices_do_not(scanned):
    _, _, bold = scanned
    sphere, bold = cortex().sphere, whitened(bold[:, :10242])
    inside = np.flatnonzero(~cortex().wall[0])[::97]
    order = sphere[inside] @ sphere.T
    order[:, cortex().wall[0]] = -1
    near = [np.corrcoef(bold[:, v], bold[:, o.argsort()[-2]])[0, 1] for v, o in zip(inside, order, strict=True)]
    assert 0.3 < np.mean(near) < 0.65  # the stated smooth share, plus what breathing and spikes share


def test_displacement_is_that_of_the_motion(scanned):
    _, nuisance, _ = scanned
    scaled = nuisance.motion * ([1] * 3 + [50] * 3)
    np.testing.assert_allclose(nuisance.displacement[1:], np.abs(np.diff(scaled, axis=0)).sum(1))
    assert nuisance.displacement[0] == 0


def test_spikes_show_in_bold_when_the_head_moves():
    rng = draw(3, "spikes")
    nuisance = next(n for n in (move(rng, N_TRS) for _ in range(50)) if (n.displacement > 1).sum() >= 2)
    bold = add_noise(np.zeros((N_TRS, 20484), np.float32), Body.of(0, 1), nuisance, rng)
    jumps = np.abs(np.diff(bold, axis=0)).mean(1)
    moved = nuisance.displacement[1:] > 1
    assert jumps[moved].mean() > 1.1 * jumps[~moved].mean()


def test_runs_have_their_own_level():
    body = Body.of(0, 1)
    still = move(draw(0, "still"), 20)
    levels = [add_noise(np.zeros((20, 20484), np.float32), body, still, draw(k)).mean() for k in range(8)]
    assert 0.3 * NOISE.offset_sd < np.std(levels) / np.mean(levels) < 2.5 * NOISE.offset_sd  # eight runs
    assert np.mean(levels) == pytest.approx(SCAN.baseline, rel=0.15)  # less where signal is lost, and on the wall
