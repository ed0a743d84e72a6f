import numpy as np
import pytest

from tribetune.simulate.hemodynamics import CANONICAL, Response, respond
from tribetune.simulate.settings import FRAME_HZ


@pytest.mark.parametrize("response", [CANONICAL, Response(4.0, 1.8), Response(7.5, 2.6)])
def test_the_response_peaks_where_it_says_and_undershoots_later(response):
    kernel = response.kernel(100)
    # the undershoot's first rise pulls the peak forward by less than a quarter of a second
    assert kernel.argmax() / 100 == pytest.approx(response.peak_s, abs=0.25)
    assert kernel.argmin() > kernel.argmax()
    assert kernel.min() < 0
    assert np.abs(kernel).sum() == pytest.approx(1)
    assert abs(kernel[-1]) < 1e-3 * kernel.max()


def test_the_peak_of_an_event_is_found_where_it_was_planted():
    drive = np.zeros((int(60 * FRAME_HZ), 2))
    drive[int(10 * FRAME_HZ), 0] = 1
    times = np.arange(0, 50, 0.1)
    bold = respond(drive, Response(6.0, 2.2), times)
    assert times[bold[:, 0].argmax()] == pytest.approx(16.0, abs=0.3)
    assert np.abs(bold[:, 1]).max() < 1e-12  # rounding of the fast Fourier transform
    assert np.abs(bold[times < 10, 0]).max() < 1e-12


def test_the_response_adds_up():
    rng = np.random.default_rng(0)
    one, two = rng.standard_normal((2, 1000, 3))
    times = np.arange(0, 75, 1.5)
    together = respond(one + 2 * two, CANONICAL, times)
    np.testing.assert_allclose(
        together, respond(one, CANONICAL, times) + 2 * respond(two, CANONICAL, times), atol=1e-12
    )
