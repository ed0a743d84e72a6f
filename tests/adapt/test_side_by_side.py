import threading

import pytest
import torch

from tribetune.adapt.base import Base
from tribetune.adapt.side_by_side import side_by_side

CPU = torch.device("cpu")


@pytest.fixture
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("four_threads")
def test_items_are_worked_on_at_once_and_come_back_in_order():
    everyone = threading.Barrier(4, timeout=60)  # passed only by four at a time

    def work(item):
        everyone.wait()
        return item, torch.get_num_threads()

    assert side_by_side(work, range(8), CPU) == [(item, 1) for item in range(8)]
    assert torch.get_num_threads() == 4


@pytest.mark.usefixtures("four_threads")
def test_an_error_ends_the_work_and_the_threads_are_as_before():
    def work(item):
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 0"):
        side_by_side(work, range(100), CPU)
    assert torch.get_num_threads() == 4
    side_by_side(torch.sqrt, [torch.ones(1)] * 3, CPU)  # and it works again


@pytest.mark.usefixtures("four_threads")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_windows_side_by_side_are_the_windows_one_by_one(tribe, windows, precision):
    together, base = Base(tribe, precision=precision).trunk_outputs(windows), Base(tribe, precision=precision)
    for found, window in zip(together, windows, strict=True):
        torch.testing.assert_close(found, base.trunk_output(window), atol=1e-5, rtol=0)  # sums by fewer threads


@pytest.mark.usefixtures("four_threads")
def test_a_stimulus_that_is_shown_twice_goes_through_the_trunk_once(tribe, windows, monkeypatch):
    from tribetune.adapt import base as rooms

    runs, real = [], rooms.window_latents
    monkeypatch.setattr(rooms, "window_latents", lambda *given: runs.append(1) or real(*given))
    found = Base(tribe).trunk_outputs([windows[0], windows[1], windows[0]])
    assert len(runs) == 2
    assert torch.equal(found[0], found[2])
