"""Heartbeats: which processes hang, and which were only stopped together with their parent."""

import os

import pytest

from cineclub.runtime import heartbeats
from cineclub.runtime.heartbeats import HangDetector, Heartbeat


class Clock:
    """A clock that a test moves; it is asked in place of the system's."""

    def __init__(self) -> None:
        """Begin long after the start of the machine."""
        self.seconds = 1000.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of heartbeats."""
    moved = Clock()
    monkeypatch.setattr(heartbeats, "time", moved)
    return moved


def hangs_within(detector: HangDetector, clock: Clock, seconds: float) -> bool:
    """Return whether a process is found to hang by a parent that works for some seconds."""
    for _ in range(int(seconds * 10)):
        clock.seconds += 0.1
        if detector.is_hanging():
            return True
    return False


def test_a_process_without_beats_hangs(clock: Clock) -> None:
    """It hangs after the time of the setting, and not while it beats."""
    heartbeat = Heartbeat()
    detector = HangDetector(heartbeat, 30)
    for _ in range(100):
        heartbeat.beat()
        assert not hangs_within(detector, clock, 25)
    assert hangs_within(detector, clock, 10)


def test_a_process_has_longer_to_start(clock: Clock) -> None:
    """Before the first beat it has two minutes; the beats of its predecessor do not count."""
    heartbeat = Heartbeat()
    heartbeat.beat()
    detector = HangDetector(heartbeat, 30)
    detector.note_start()
    assert not hangs_within(detector, clock, 119)
    assert hangs_within(detector, clock, 5)


@pytest.mark.parametrize("away_seconds", [6.0, 100_000.0])
def test_a_parent_that_was_stopped_itself_gives_the_time_again(clock: Clock, away_seconds: float) -> None:
    """After the parent was away, perhaps with all others, a process has the whole time once more."""
    heartbeat = Heartbeat()
    detector = HangDetector(heartbeat, 30)
    heartbeat.beat()
    assert not hangs_within(detector, clock, 25)
    clock.seconds += away_seconds
    assert not hangs_within(detector, clock, 29)
    assert hangs_within(detector, clock, 2)


def test_a_heartbeat_reaches_another_process() -> None:
    """The beats of a forked process are seen, and those of one that opens the file."""
    heartbeat = Heartbeat()
    child = os.fork()
    if not child:
        heartbeat.beat()
        os._exit(0)
    os.waitpid(child, 0)
    assert heartbeat.last_seconds
    passed_on = Heartbeat.to_pass_on()
    assert passed_on is not None
    Heartbeat(passed_on.file).beat()
    assert passed_on.last_seconds
