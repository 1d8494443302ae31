"""Several processes that share the requests of one address and the memory of one model, forked from a warm parent."""

import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NoReturn

import uvicorn
from fastapi import FastAPI

from cineclub import bootstrap
from cineclub.api.app import create_app
from cineclub.children import LOOK_SECONDS, STOP_SIGNALS, Pauses, end_with_parent, keep_running, stop_requests
from cineclub.settings import Settings

log = logging.getLogger(__name__)

BACKLOG = 2048
STOP_TIMEOUT_SECONDS = 12.0
"""Answers are finished and the log is flushed within ten; the supervisor waits for fifteen."""
FAILED = 70


@dataclass
class Worker:
    """One forked process with a number, which its successor takes over when it dies.

    Attributes:
        number: from 1.
        work: what it does, once it is a process of its own.
        on_start: told number and process id.
        on_end: told the number.
    """

    number: int
    work: Callable[[int], None]
    on_start: Callable[[int, int], None]
    on_end: Callable[[int], None]
    pid: int | None = None
    pauses: Pauses = field(default_factory=Pauses)

    def start(self) -> None:
        """Fork; a signal that comes meanwhile waits until each side knows what to do with it."""
        parent = os.getpid()
        with _held_back_signals():
            pid = os.fork()
            if not pid:
                _become(parent, lambda: self.work(self.number))
        self.pid = pid
        self.pauses.note_start()
        self.on_start(self.number, pid)

    def revive(self) -> None:
        """Start it again if it died and its pause is over."""
        if not self.is_running() and self.pauses.is_over():
            self.start()

    def is_running(self) -> bool:
        """Say whether it lives; note its end if it is found dead."""
        if self.pid is None:
            return False
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            level = logging.INFO if code == -signal.SIGTERM else logging.WARNING  # the first is how it ends when asked
            log.log(level, "api_worker_ended number=%s pid=%s exit=%s", self.number, pid, code)
            self.pid = None
            self.on_end(self.number)
        return self.pid is not None

    def send(self, signal_number: signal.Signals) -> None:
        """Send it a signal if it lives."""
        if self.pid is not None:
            os.kill(self.pid, signal_number)


def serve(settings: Settings, options: dict[str, object]) -> None:
    """Serve with several processes until told to stop; what they are made of is made once, before they are forked.

    Args:
        settings: what to serve, where, and with how many workers.
        options: what uvicorn serves with.
    """
    numbered = _Number()
    with _listening(settings) as listening:
        try:
            metrics = bootstrap.shared_metrics(settings, lambda: numbered.value)
        except OSError as error:
            sys.exit(f"error: several workers count together in {settings.home}, which cannot be written ({error})")
        app = create_app(bootstrap.api_parts(settings, metrics))
        config = uvicorn.Config(app, **options)  # type: ignore[arg-type]
        config.load()

        def work(number: int) -> None:
            numbered.value = number
            _serve_in_child(app, config, listening, is_first=number == 1)

        workers = [
            Worker(number, work, metrics.note_started, metrics.note_ended) for number in range(1, settings.workers + 1)
        ]
        gc.collect()
        gc.freeze()  # or the first collection in each child would write into, and so copy, every page
        with stop_requests() as stop:
            try:
                for worker in workers:
                    worker.start()
                keep_running(workers, stop)
            finally:
                listening.close()
                _stop(workers)
                metrics.forget()


@dataclass
class _Number:
    """Which worker this process is; 0: the parent."""

    value: int = 0


def _serve_in_child(app: FastAPI, config: uvicorn.Config, listening: socket.socket, *, is_first: bool) -> None:
    """Answer requests until told to stop."""
    app.state.is_first = is_first
    uvicorn.Server(config).run(sockets=[listening])


@contextlib.contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """Give the socket that all workers accept from; connections wait in it while no worker lives."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listening = socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        sys.exit(f"error: cannot listen on {settings.host}:{settings.port} ({error.strerror or error})")
    with listening:
        yield listening


@contextlib.contextmanager
def _held_back_signals() -> Iterator[None]:
    """Let signals that ask to stop wait until the end of the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _become(parent: int, work: Callable[[], None]) -> NoReturn:
    """Do a child's work and end; nothing of the parent's own, such as stopping the others, may run here."""
    status = FAILED
    try:
        for name in STOP_SIGNALS:
            signal.signal(name, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        if ask_the_kernel := end_with_parent(parent, signal.SIGKILL):
            ask_the_kernel()
        work()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else FAILED
    except BaseException:
        log.exception("api_worker_failed")
    finally:
        os._exit(status)


def _stop(workers: list[Worker]) -> None:
    """Ask all to end, and end those that do not."""
    for worker in workers:
        worker.send(signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
    while any(worker.is_running() for worker in workers) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    for worker in workers:
        worker.send(signal.SIGKILL)
