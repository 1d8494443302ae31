"""Stop signals: one request, its callbacks, and only inside the block."""

import os
import signal

import pytest

from cineclub.runtime.child_processes import STOP_SIGNALS, stop_requests


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_each_stop_signal_makes_the_request_and_the_first_alone_calls_the_reactions(number: signal.Signals) -> None:
    """Each stop signal sets the request, and the first alone calls the callbacks."""
    before, reactions = signal.getsignal(number), []
    with stop_requests() as stop:
        stop.on_made.append(lambda: reactions.append("put back"))
        assert not stop.is_made
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        assert stop.is_made
    assert reactions == ["put back"]
    assert signal.getsignal(number) == before
