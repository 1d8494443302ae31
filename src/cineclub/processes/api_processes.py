"""API processes that share the requests of one address and the memory of one model, forked from one parent."""

import contextlib
import gc
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NoReturn

import uvicorn

from cineclub.api.app import create_app
from cineclub.bootstrap.serving import shared_api_parts
from cineclub.processes.connection_limits import ConnectionLimits
from cineclub.processes.limited_server import LimitedServer, listening_sockets
from cineclub.runtime.child_processes import (
    POLL_SECONDS,
    STOP_SIGNALS,
    RestartBackoff,
    end_with_parent,
    keep_running,
    stop_requests,
)
from cineclub.runtime.heartbeats import HangDetector, Heartbeat
from cineclub.settings import Settings

log = logging.getLogger(__name__)

STOP_TIMEOUT_SECONDS = 12.0
"""Requests are finished and the log is flushed within ten; the supervisor waits for fifteen."""
FAILED = 70


@dataclass
class Worker:
    """One forked process with a number, which its successor takes over when it dies.

    Attributes:
        number: from 1.
        work: called in the forked process.
        on_start: called with number and process id.
        on_end: called with the number.
        hang: detects that its event loop does not run any more.
    """

    number: int
    work: Callable[[int], None]
    on_start: Callable[[int, int], None]
    on_end: Callable[[int], None]
    hang: HangDetector
    pid: int | None = None
    backoff: RestartBackoff = field(default_factory=RestartBackoff)

    def start(self) -> None:
        """Fork; a signal that arrives meanwhile waits until both sides have their handlers.

        A system without room for another process lets it try again later: the others serve meanwhile.
        """
        request_death_signal = end_with_parent(signal.SIGKILL)
        self.hang.note_start()
        self.backoff.note_start()
        try:
            with _stop_signals_blocked():
                pid = os.fork()
                if not pid:
                    _run_in_child(request_death_signal, lambda: self.work(self.number))
        except OSError as error:
            log.warning("api_worker_not_started number=%s error=%s", self.number, error)
            return
        self.pid = pid
        with _noted():
            self.on_start(self.number, pid)

    def restart_if_dead(self) -> None:
        """Fork it again if it died and its restart is due; kill it if it hangs."""
        if not self.is_running():
            if self.backoff.is_due():
                self.start()
        elif self.hang.is_hanging():
            log.warning("api_worker_hangs number=%s pid=%s", self.number, self.pid)
            self.send(signal.SIGKILL)

    def is_running(self) -> bool:
        """Return whether it is alive; its end is logged once."""
        if self.pid is None:
            return False
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            level = logging.INFO if code == -signal.SIGTERM else logging.WARNING  # SIGTERM is the regular end
            log.log(level, "api_worker_ended number=%s pid=%s exit=%s", self.number, pid, code)
            self.pid = None
            with _noted():
                self.on_end(self.number)
        return self.pid is not None

    def send(self, signal_number: signal.Signals) -> None:
        """Send it a signal if it is alive."""
        if self.pid is not None:
            os.kill(self.pid, signal_number)


def serve(settings: Settings, options: dict[str, object], beat: Callable[[], None] = lambda: None) -> None:
    """Serve with several processes until a signal asks to stop; the application is made once, before they are forked.

    Args:
        settings: the settings, with the address and the number of workers.
        options: the options of uvicorn.
        beat: called several times a second while this parent works.
    """
    own_number = _Number()
    limits = ConnectionLimits.of(settings)
    with listening_sockets(settings) as sockets:
        parts, metrics = shared_api_parts(settings, lambda: own_number.value)
        app = create_app(parts)
        config = uvicorn.Config(app, **options)  # type: ignore[arg-type]
        config.load()

        heartbeats = {number: Heartbeat() for number in range(1, settings.workers + 1)}

        def work(number: int) -> None:
            own_number.value = number
            app.state.is_first = number == 1
            LimitedServer(config, limits, heartbeats[number].beat).run(sockets=sockets)

        workers = [
            Worker(
                number, work, metrics.note_started, metrics.note_ended, HangDetector(heartbeat, settings.hang_seconds)
            )
            for number, heartbeat in heartbeats.items()
        ]
        gc.collect()
        gc.freeze()  # or the first collection in each child would write into, and so copy, every page
        with stop_requests() as stop:
            try:
                for worker in workers:
                    worker.start()
                keep_running(workers, stop, beat)
            finally:
                for listening in sockets:
                    listening.close()
                _stop(workers)
                metrics.forget()


@dataclass
class _Number:
    """The number of the worker that this process is; 0 in the parent."""

    value: int = 0


@contextlib.contextmanager
def _noted() -> Iterator[None]:
    """Log a failure to write about a worker: a full disk must not end the others with this parent."""
    try:
        yield
    except OSError as error:
        log.warning("api_worker_not_noted error=%s", error)


@contextlib.contextmanager
def _stop_signals_blocked() -> Iterator[None]:
    """Block the signals that ask to stop until the end of the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run_in_child(request_death_signal: Callable[[], None] | None, work: Callable[[], None]) -> NoReturn:
    """Do a child's work and exit; no code of the parent, such as the stop of the others, may run here."""
    status = FAILED
    try:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        if request_death_signal is not None:
            request_death_signal()
        work()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else FAILED
    except BaseException:
        log.exception("api_worker_failed")
    finally:
        os._exit(status)


def _stop(workers: list[Worker]) -> None:
    """Terminate all, and kill those that do not end in time."""
    for worker in workers:
        worker.send(signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
    while any(worker.is_running() for worker in workers) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    for worker in workers:
        worker.send(signal.SIGKILL)
