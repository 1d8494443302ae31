"""`cineclub serve`: PostgreSQL, worker and API as children that start, live and end together."""

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from cineclub.bootstrap import storage
from cineclub.domain.errors import CineclubError, Conflict
from cineclub.processes.supervised_database import SupervisedDatabase
from cineclub.runtime.child_processes import (
    POLL_SECONDS,
    RestartBackoff,
    StopRequest,
    end_with_parent,
    keep_running,
    stop_requests,
)
from cineclub.runtime.heartbeats import HangDetector
from cineclub.settings import Settings

log = logging.getLogger(__name__)

WORKER_HANG_SECONDS = 60.0
"""Compiling and linear algebra may hold up the thread that beats for some seconds."""
LIVE_TIMEOUT_SECONDS = 120.0
REQUEST_TIMEOUT_SECONDS = 5.0
STOP_TIMEOUT_SECONDS = 15.0
LOGS = "logs"
OTHER_PORT = "set CINECLUB_PORT to a free port (CINECLUB_HOST to another address)"
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - compared with, not bound to


@dataclass
class Child:
    """One child process, restarted after growing delays when it dies.

    Attributes:
        name: its name; its module is ``cineclub.processes.<name>``.
        environment: the whole environment of the process; secrets travel here, never on the command line.
        log: the file of its output; None for the output of this process.
        command: the command line; empty for the module of its name.
        death_signal: the signal that the system sends it when this process is killed.
        hang: detects by the heartbeat that is passed to the process that it hangs; None for one that does not beat.
        n_starts: how often it was started.
    """

    name: str
    environment: dict[str, str]
    log: Path | None = None
    command: Sequence[str] = ()
    death_signal: signal.Signals = signal.SIGKILL
    hang: HangDetector | None = None
    process: subprocess.Popen[bytes] | None = None
    backoff: RestartBackoff = field(default_factory=RestartBackoff)
    n_starts: int = 0

    def start(self) -> None:
        """Start the process in a session of its own, so that Ctrl-C reaches it through the supervisor, in order."""
        if self.hang is not None:
            self.hang.note_start()
        command = self.command or [sys.executable, "-m", f"cineclub.processes.{self.name}"]
        with _output_of(self.log) as output:
            self.process = subprocess.Popen(  # noqa: S603 - our own module, or MLflow's
                [*command, *([] if self.hang is None else self.hang.heartbeat.arguments)],
                pass_fds=[] if self.hang is None else [self.hang.heartbeat.file],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=end_with_parent(self.death_signal),  # noqa: PLW1509 - the supervisor has one thread
            )
        self.backoff.note_start()
        self.n_starts += 1

    @property
    def is_running(self) -> bool:
        """The process is alive."""
        return self.process is not None and self.process.poll() is None

    def restart_if_dead(self) -> None:
        """Start the process again if it died and its restart is due; kill it first if it hangs."""
        if self.is_running:
            self._kill_if_hanging()
        elif self.backoff.is_due():
            try:
                self.start()
            except OSError as error:  # no memory, no room for the log: the service goes on without it until it can
                log.warning("%s_not_started cause=%s", self.name, error)
                self.backoff.note_start()

    def _kill_if_hanging(self) -> None:
        """Kill a process that hangs, with what it has started; the next one starts when it has ended."""
        if self.process is not None and self.hang is not None and self.hang.is_hanging():
            log.warning("%s_hangs pid=%s: it is killed and started again", self.name, self.process.pid)
            os.killpg(self.process.pid, signal.SIGKILL)

    def stop(self) -> None:
        """Terminate the process, and kill it if it does not end in time."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)  # with what it has started
            self.process.wait()


def serve(
    settings: Settings,
    on_live: Callable[[str], None],
    log_folder: Path | None = None,
    before_serving: Callable[[Settings, StopRequest, Child], None] = lambda _settings, _stop, _worker: None,
    *,
    with_worker: bool = True,
) -> None:
    """Run everything until a signal asks to stop; PostgreSQL stops last.

    Args:
        settings: the settings, with the address to listen on.
        on_live: called with the address once the API responds there.
        log_folder: the folder of the children's output; None for the output of this process.
        before_serving: called before the API starts, with the settings that name the database and the worker.
        with_worker: whether trainings run here; else a ``cineclub worker`` elsewhere runs them.

    Raises:
        Conflict: the port is in use; nothing was started.
        CineclubError: the API did not respond in time.
    """
    refuse_used_port(settings.host, settings.port)
    with stop_requests() as stop, SupervisedDatabase(settings) as database:
        if not database.is_ready_before(stop):
            return
        connected = database.settings
        storage.refuse_unguarded_service(connected)
        environment = child_environment(connected)
        worker = _worker(environment, _log_file(log_folder, "worker"))
        hang = HangDetector.of_child(connected.hang_seconds)
        api = Child("api", environment, _log_file(log_folder, "api"), hang=hang)
        try:
            if with_worker:
                worker.start()
            before_serving(connected, stop, worker)
            api.start()
            if _wait_until_live(lambda: is_live(address_of(settings)), api, stop, "the API"):
                on_live(address_of(settings))
            keep_running([*([worker] if with_worker else []), api, database], stop)
        finally:
            for child in (api, worker):
                child.stop()


def work(settings: Settings) -> None:
    """Run a worker, and the embedded PostgreSQL where no other process runs it, until a signal asks to stop."""
    with stop_requests() as stop, SupervisedDatabase(settings) as database:
        if not database.is_ready_before(stop):
            return
        worker = _worker(child_environment(database.settings))
        worker.start()
        try:
            keep_running([worker, database], stop)
        finally:
            worker.stop()


@contextlib.contextmanager
def worker_for_the_duration(settings: Settings) -> Iterator[Child]:
    """Run a worker beside a command that needs one, and stop it afterwards."""
    worker = _worker(child_environment(settings), _log_file(settings.home / LOGS, "worker"))
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


def show_mlflow(settings: Settings, host: str, port: int, on_live: Callable[[str], None]) -> None:
    """Run MLflow's page over cineclub's store until a signal asks to stop; PostgreSQL stops last.

    Args:
        settings: the settings that name the store.
        host: the address to listen on.
        port: the port to listen on.
        on_live: called with the address once the page responds there.

    Raises:
        Conflict: the port is in use, the page's package is missing, or the store is a server, which has a page.
        CineclubError: the page did not respond in time, or ended.
    """
    storage.refuse_without_mlflow_page(settings)
    refuse_used_port(host, port, "give --port a free port (--host another address)")
    with stop_requests() as stop, SupervisedDatabase(settings) as database:
        if not database.is_ready_before(stop):
            return
        command, environment = storage.mlflow_page(database.settings, host, port)
        # the page passes SIGTERM on to the server that it starts; killed itself it would leave that behind
        page = Child("mlflow", environment, command=command, death_signal=signal.SIGTERM)
        address = _address(host, port)
        try:
            page.start()
            if _wait_until_live(lambda: _responds(f"{address}/health"), page, stop, "MLflow's page"):
                on_live(address)
            keep_running([page, database], stop)
        finally:
            page.stop()


def refuse_used_port(host: str, port: int, fix: str = OTHER_PORT) -> None:
    """Check that an address can be listened on, before anything is started.

    Args:
        host: the address.
        port: the port.
        fix: what a person can do other than stop the process that uses it.

    Raises:
        Conflict: another process listens there.
        CineclubError: the address is not one of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            message = f"cannot listen on {host}:{port} ({error.strerror or error}): stop what uses it, or {fix}"
            raise Conflict(message) from error


def child_environment(settings: Settings) -> dict[str, str]:
    """Return the environment of a child: that of this process, with the settings in use."""
    ours = {
        **storage.addresses(settings),
        "CINECLUB_HOME": str(settings.home),
        "CINECLUB_HOST": settings.host,
        "CINECLUB_PORT": str(settings.port),
        "CINECLUB_WORKERS": str(settings.workers),
    }
    return {**os.environ, **ours}


def address_of(settings: Settings) -> str:
    """Return the URL of the API on this machine."""
    return _address(settings.host, settings.port)


def _address(host: str, port: int) -> str:
    """Return the URL on this machine of an address that is listened on."""
    host = ANY_ADDRESS.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def is_live(address: str) -> bool:
    """Return whether cineclub's API responds there."""
    return _responds(f"{address}/health", with_json=True)


def is_ready(address: str) -> bool:
    """Return whether recommendations are available there; they are not before the first ratings."""
    return _responds(f"{address}/ready", with_json=True)


def _responds(url: str, *, with_json: bool = False) -> bool:
    """Return whether a request gets a success status, and JSON if that is wanted, as the API sends it."""
    try:
        with urllib.request.urlopen(url, timeout=REQUEST_TIMEOUT_SECONDS) as response:  # noqa: S310 - http:// of our own
            if with_json:
                json.load(response)
    except (urllib.error.URLError, OSError, ValueError):
        return False
    return True


def _wait_until_live(is_live_now: Callable[[], bool], child: Child, stop: StopRequest, name: str) -> bool:
    """Wait until a child responds, and return True; False if a stop was requested before.

    Raises:
        CineclubError: it ended, or did not respond in time.
    """
    deadline = time.monotonic() + LIVE_TIMEOUT_SECONDS
    where = f", see {child.log}" if child.log else ", see above"
    while not stop.is_made:
        if is_live_now():
            return True
        if not child.is_running:
            message = f"{name} ended before it answered{where}; `cineclub doctor` says what is missing"
            raise CineclubError(message)
        if time.monotonic() > deadline:
            message = f"{name} did not answer within {LIVE_TIMEOUT_SECONDS:.0f} s{where}; run `cineclub doctor`"
            raise CineclubError(message)
        time.sleep(POLL_SECONDS)
    return False


@contextlib.contextmanager
def _output_of(log: Path | None) -> Iterator[IO[bytes] | None]:
    """Open the log file for appending, in a folder made if necessary; None stays None."""
    if log is None:
        yield None
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        yield file


def _worker(environment: dict[str, str], log_file: Path | None = None) -> Child:
    """Return the worker that is to be started, which is replaced when it hangs."""
    return Child("worker", environment, log_file, hang=HangDetector.of_child(WORKER_HANG_SECONDS))


def _log_file(folder: Path | None, name: str) -> Path | None:
    """Return the log file of a child."""
    return folder / f"{name}.log" if folder else None
