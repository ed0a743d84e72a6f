import os
import signal

import pytest

from tribetune.cli.stderr import Lines
from tribetune.cli.stop import check_stopped, heeding_signals, stopped_by


class Swallows:
    """Python swallows an exception in ``__del__``, as in libraries that clean up."""

    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):  # the handler runs between two instructions
            pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_swallowed_ctrl_c_stops_the_next_step():
    before = signal.getsignal(signal.SIGINT)
    with heeding_signals():
        check_stopped()
        thing = Swallows()
        del thing
        with pytest.raises(KeyboardInterrupt):
            Lines().step("FIR baseline")
        with pytest.raises(KeyboardInterrupt):
            Lines().advance("FIR baseline", 0.5)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts_at_once_and_is_forgotten_by_the_next_command(number):
    before = signal.getsignal(number)

    def interrupted():
        with heeding_signals():
            os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert stopped_by() == number
    assert signal.getsignal(number) is before
    with heeding_signals():
        check_stopped()
    assert stopped_by() == signal.SIGINT  # also of an interrupt that no signal brought
