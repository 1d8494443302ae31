"""`cineclub serve`: PostgreSQL, worker and API as children that start, live and end together."""

import contextlib
import json
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
from typing import IO, Self

from cineclub import bootstrap
from cineclub.children import LOOK_SECONDS, Pauses, StopRequest, end_with_parent, keep_running, stop_requests
from cineclub.domain.errors import CineclubError, Conflict
from cineclub.settings import Settings

DATABASE_LOOK_SECONDS = 3.0
LIVE_TIMEOUT_SECONDS = 120.0
LOOK_TIMEOUT_SECONDS = 5.0
STOP_TIMEOUT_SECONDS = 15.0
LOGS = "logs"
OTHER_PORT = "set CINECLUB_PORT to a free port (CINECLUB_HOST to another address)"
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - compared with, not bound to


@dataclass
class Child:
    """One process of ours, started again after growing pauses when it dies.

    Attributes:
        name: what people call it; its module is ``cineclub.<name>``.
        environment: the whole environment of the process; secrets travel here, never on the command line.
        log: where its output goes; None for our own.
        command: what is run; empty for the module of its name.
        signal_of_our_death: what the system sends it when we are killed ourselves.
    """

    name: str
    environment: dict[str, str]
    log: Path | None = None
    command: Sequence[str] = ()
    signal_of_our_death: signal.Signals = signal.SIGKILL
    process: subprocess.Popen[bytes] | None = None
    pauses: Pauses = field(default_factory=Pauses)
    n_starts: int = 0

    def start(self) -> None:
        """Start the process in a session of its own, so that Ctrl-C reaches it through us and in order."""
        with _output_of(self.log) as output:
            self.process = subprocess.Popen(  # noqa: S603 - our own module, or MLflow's
                self.command or [sys.executable, "-m", f"cineclub.{self.name}"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=end_with_parent(os.getpid(), self.signal_of_our_death),  # noqa: PLW1509 - the supervisor has one thread
            )
        self.pauses.note_start()
        self.n_starts += 1

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self.process is not None and self.process.poll() is None

    def revive(self) -> None:
        """Start the process again if it died and its pause is over; the next pause is twice as long."""
        if not self.is_running and self.pauses.is_over():
            self.start()

    def stop(self) -> None:
        """Ask the process to end, and end it if it does not."""
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
        settings: what to serve, and where.
        on_live: told the address once the API answers there.
        log_folder: where the children's output goes; None for our own output.
        before_serving: called before the API starts, with the settings that name the database and the worker.
        with_worker: whether trainings run here; else a ``cineclub worker`` elsewhere runs them.

    Raises:
        Conflict: the port is in use; nothing was started.
        CineclubError: the API did not begin to answer.
    """
    refuse_used_port(settings.host, settings.port)
    with stop_requests() as stop, KeptDatabase(settings) as kept:
        connected = kept.settings
        bootstrap.refuse_unguarded_service(connected)
        environment = child_environment(connected)
        children = [Child(name, environment, _log_file(log_folder, name)) for name in ("worker", "api")]
        worker, api = children
        try:
            if with_worker:
                worker.start()
            before_serving(connected, stop, worker)
            api.start()
            if _wait_until_live(lambda: is_live(address_of(settings)), api, stop, "the API"):
                on_live(address_of(settings))
            keep_running([*(children if with_worker else [api]), kept], stop)
        finally:
            for child in (api, worker):
                child.stop()


class KeptDatabase:
    """The database for as long as the block runs; the embedded server is started again when it is gone.

    It can go although we live: when it was another command's, which has ended, or when the system ran out of memory.
    """

    def __init__(self, settings: Settings) -> None:
        """Connect to nothing yet."""
        self.settings = settings
        self._asked_for = settings
        self._open = contextlib.ExitStack()
        self._looked_at_seconds = 0.0

    def __enter__(self) -> Self:
        """Start or join the database."""
        self.settings = self._open.enter_context(bootstrap.database(self._asked_for))
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server if it is ours."""
        self._open.close()

    def revive(self) -> None:
        """Look at the embedded server now and then; its address stays the same when it is started again."""
        is_due = time.monotonic() - self._looked_at_seconds > DATABASE_LOOK_SECONDS
        if self._asked_for.database_url is not None or not is_due:
            return
        self._looked_at_seconds = time.monotonic()
        if not bootstrap.is_embedded_server_running(self.settings):
            self._open.close()
            self._open.enter_context(bootstrap.database(self._asked_for))


@contextlib.contextmanager
def worker_for_the_duration(settings: Settings) -> Iterator[Child]:
    """Run a worker of our own beside a command that needs one, and stop it afterwards."""
    worker = Child("worker", child_environment(settings), _log_file(settings.home / LOGS, "worker"))
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


def show_mlflow(settings: Settings, host: str, port: int, on_live: Callable[[str], None]) -> None:
    """Run MLflow's page over our store until a signal asks to stop; PostgreSQL stops last.

    Args:
        settings: where the store is.
        host: the address to listen on.
        port: the port to listen on.
        on_live: told the address once the page answers there.

    Raises:
        Conflict: the port is in use, the page's package is missing, or a server is used, which has a page.
        CineclubError: the page did not begin to answer, or ended.
    """
    bootstrap.refuse_without_mlflow_page(settings)
    refuse_used_port(host, port, "give --port a free port (--host another address)")
    with stop_requests() as stop, KeptDatabase(settings) as kept:
        command, environment = bootstrap.mlflow_page(kept.settings, host, port)
        # the page passes SIGTERM on to the server that it starts; killed itself it would leave that behind
        page = Child("mlflow", environment, command=command, signal_of_our_death=signal.SIGTERM)
        address = _address(host, port)
        try:
            page.start()
            if _wait_until_live(lambda: _answers_at_all(f"{address}/health"), page, stop, "MLflow's page"):
                on_live(address)
            keep_running([page, kept], stop)
        finally:
            page.stop()


def refuse_used_port(host: str, port: int, mend: str = OTHER_PORT) -> None:
    """Find out whether we may listen, before anything is started.

    Args:
        host: the address.
        port: the port.
        mend: what a person can do beside stopping what uses it.

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
            message = f"cannot listen on {host}:{port} ({error.strerror or error}): stop what uses it, or {mend}"
            raise Conflict(message) from error


def child_environment(settings: Settings) -> dict[str, str]:
    """Return the environment of a child: ours, with the database and the state folder that we use."""
    ours = {
        "CINECLUB_DATABASE_URL": bootstrap.database_url(settings),
        "CINECLUB_HOME": str(settings.home),
        "CINECLUB_HOST": settings.host,
        "CINECLUB_PORT": str(settings.port),
        "CINECLUB_WORKERS": str(settings.workers),
    }
    return {**os.environ, **ours}


def address_of(settings: Settings) -> str:
    """Return where this machine reaches the API."""
    return _address(settings.host, settings.port)


def _address(host: str, port: int) -> str:
    """Return where this machine reaches what listens there."""
    host = ANY_ADDRESS.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def is_live(address: str) -> bool:
    """Say whether cineclub's API answers there."""
    return _answers(f"{address}/health")


def is_ready(address: str) -> bool:
    """Say whether recommendations can be had there; they cannot before the first ratings."""
    return _answers(f"{address}/ready")


def _answers(url: str) -> bool:
    """Ask once; what is not 200 with JSON is no answer of ours."""
    try:
        with urllib.request.urlopen(url, timeout=LOOK_TIMEOUT_SECONDS) as answer:  # noqa: S310 - http:// of our own
            json.load(answer)
    except (urllib.error.URLError, OSError, ValueError):
        return False
    return True


def _answers_at_all(url: str) -> bool:
    """Ask once for anything with a status of success."""
    try:
        with urllib.request.urlopen(url, timeout=LOOK_TIMEOUT_SECONDS):  # noqa: S310 - http:// of our own
            return True
    except (urllib.error.URLError, OSError):
        return False


def _wait_until_live(is_answering: Callable[[], bool], child: Child, stop: StopRequest, what: str) -> bool:
    """Say whether a child answers; False if we were asked to stop before.

    Raises:
        CineclubError: it ended, or did not answer in time.
    """
    deadline = time.monotonic() + LIVE_TIMEOUT_SECONDS
    where = f", see {child.log}" if child.log else ", see above"
    while not stop.is_made:
        if is_answering():
            return True
        if not child.is_running:
            message = f"{what} ended before it answered{where}; `cineclub doctor` says what is missing"
            raise CineclubError(message)
        if time.monotonic() > deadline:
            message = f"{what} did not answer within {LIVE_TIMEOUT_SECONDS:.0f} s{where}; run `cineclub doctor`"
            raise CineclubError(message)
        time.sleep(LOOK_SECONDS)
    return False


@contextlib.contextmanager
def _output_of(log: Path | None) -> Iterator[IO[bytes] | None]:
    """Open the log file for appending, in a folder made if need be; None stays None."""
    if log is None:
        yield None
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        yield file


def _log_file(folder: Path | None, name: str) -> Path | None:
    """Return the log file of a child."""
    return folder / f"{name}.log" if folder else None
