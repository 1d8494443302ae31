"""Periodic tasks go on after failures and stop on request."""

import asyncio
import logging
import threading
import time

import pytest

from cineclub.domain.errors import StorageUnavailable
from cineclub.runtime.periodic_tasks import Intervals, PeriodicTask, PeriodicThread
from waiting import until


@pytest.mark.anyio
async def test_a_task_goes_on_after_every_failure(caplog: pytest.LogCaptureFixture) -> None:
    """An outage is logged once when it begins; other errors with their traceback each time."""
    away, bug = StorageUnavailable("away"), ValueError("a bug")
    errors = [None, away, away, bug, None, away, None]
    outcomes = list(errors)

    async def run_once() -> None:
        if outcomes and (error := outcomes.pop(0)) is not None:
            raise error

    task = PeriodicTask("stars", run_once, Intervals(between=0.0))
    with caplog.at_level(logging.WARNING):
        await task.start()
        await until(lambda: not outcomes)
        await task.stop()
    lines = [record.getMessage() for record in caplog.records if record.name == "cineclub.runtime.periodic_tasks"]
    assert lines == ["stars_not_watched cause=away", "stars_watch_failed", "stars_not_watched cause=away"]


@pytest.mark.anyio
async def test_a_task_waits_for_its_intervals() -> None:
    """The first run comes after the first interval; after a failure its own interval applies."""
    started, times = time.monotonic(), []

    async def run_once() -> None:
        times.append(time.monotonic())
        if len(times) == 1:
            message = "once"
            raise ValueError(message)

    task = PeriodicTask("stars", run_once, Intervals(between=60.0, first=0.05, after_failure=0.1))
    await task.start()
    await until(lambda: len(times) == 2)
    await asyncio.sleep(0.15)
    await task.stop()
    assert times[0] - started >= 0.05
    assert times[1] - times[0] >= 0.1
    assert len(times) == 2


@pytest.mark.anyio
async def test_a_task_stops_in_the_middle_of_a_run_and_starts_again() -> None:
    """A run that never ends does not delay the stop, and the task can start again."""
    n_runs = 0

    async def run_once() -> None:
        nonlocal n_runs
        n_runs += 1
        await asyncio.Event().wait()

    task = PeriodicTask("stars", run_once, Intervals(between=0.0))
    for nth in (1, 2):
        await task.start()
        await until(lambda nth=nth: n_runs == nth)
        await asyncio.wait_for(task.stop(), 1)


def test_a_thread_repeats_beside_a_computation_until_it_is_stopped() -> None:
    """A thread repeats until it is stopped, and may be stopped twice."""
    runs: list[str] = []
    with PeriodicThread("beats", lambda: runs.append(threading.current_thread().name), 0.005) as thread:
        deadline = time.monotonic() + 10
        while len(runs) < 3:
            assert time.monotonic() < deadline
    n_runs = len(runs)
    thread.stop()
    time.sleep(0.03)
    assert len(runs) == n_runs
    assert set(runs) == {"beats"}
