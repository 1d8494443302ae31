"""Several API processes on one address: forking, shared counts, restart, and stop."""

import contextlib
import errno
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import psycopg
import pytest
from api_processes import free_ports, start_api, wait_until_alive
from pydantic import SecretStr
from small_service import Artifact, fill, promote

from cineclub.adapters.postgres.embedded import embedded_postgres
from cineclub.adapters.postgres.migrate import migrate
from cineclub.api.app import create_app
from cineclub.bootstrap.serving import api_parts
from cineclub.processes.api_processes import Worker
from cineclub.runtime.heartbeats import HangDetector, Heartbeat
from cineclub.settings import Settings
from documented_metrics import documented, exposed
from waiting import eventually

SECONDS = 20.0
PREDICTED = '{method="POST",route="/predict/"'
PROMPT = {"CINECLUB_MODEL_POLL_SECONDS": "0.1", "CINECLUB_OUTCOME_REFRESH_SECONDS": "0.2"}


@dataclass(frozen=True)
class Workers:
    """A parent with two API workers."""

    parent: "subprocess.Popen[bytes]"
    address: str
    metrics_folder: Path

    def pid(self, number: int) -> int:
        """Return the process of a worker."""
        return int((self.metrics_folder / f"{number}.pid").read_text())

    @contextlib.contextmanager
    def only(self, number: int) -> Iterator[None]:
        """Let this worker alone respond, by stopping the other one for a while."""
        other = self.pid(3 - number)
        os.kill(other, signal.SIGSTOP)
        try:
            eventually(lambda: Path(f"/proc/{other}/stat").read_text().rpartition(")")[2].split()[0] == "T")
            yield
        finally:
            os.kill(other, signal.SIGCONT)

    def predict(self, user_id: int = 2) -> httpx.Response:
        """Return the response of either worker to a new connection."""
        return httpx.post(f"{self.address}/predict/", json={"user_id": user_id}, timeout=SECONDS)

    def metrics(self) -> str:
        """Return the /metrics of either worker on a new connection."""
        response = httpx.get(f"{self.address}/metrics", timeout=SECONDS)
        assert response.status_code == 200
        return response.text

    def n_counted(self) -> float:
        """Return the number of predictions in the middleware's counts.

        A worker counts a request after it has sent the response: whoever stops a worker waits for its count first.
        """
        sample = re.escape(f'cineclub_http_requests_total{PREDICTED},status="200"}}')
        counted = re.search(f"^{sample} (.*)$", self.metrics(), re.MULTILINE)
        return float(counted[1]) if counted else 0.0

    def n_answers(self) -> float:
        """Return the number of predictions in /metrics."""
        return sum(
            float(count)
            for count in re.findall(r"^cineclub_predictions_total\{.*\} (.*)$", self.metrics(), re.MULTILINE)
        )


@contextlib.contextmanager
def two_workers(database_url: str, home: Path, **more: str) -> Iterator[Workers]:
    """Yield two ready workers, and end the remaining ones."""
    [port] = free_ports(1)
    parent = start_api(database_url, home, port, CINECLUB_WORKERS="2", **PROMPT, **more)
    workers = Workers(parent, f"http://127.0.0.1:{port}", home / "metrics" / f"127.0.0.1-{port}")
    try:
        wait_until_alive(workers.address)
        yield workers
    finally:
        parent.terminate()
        parent.wait(SECONDS)


@pytest.fixture
def workers(trained_url: str, home: Path) -> Iterator[Workers]:
    """Two workers with EASE in production, each with one prediction."""
    with two_workers(trained_url, home) as both:
        for number in (1, 2):
            with both.only(number):
                assert both.predict().json()["strategy"] == "model"
                eventually(lambda number=number: both.n_counted() == number)  # type: ignore[misc]
        yield both


def test_whichever_worker_is_asked_counts_every_request(workers: Workers) -> None:
    """Both workers' pages show the responses of both, one histogram, and the processes by number."""
    for number, n_requests, n_of_all in ((1, 3, 5), (2, 5, 10)):
        with workers.only(number):
            for _ in range(n_requests):
                assert workers.predict().status_code == 200
            eventually(lambda n_of_all=n_of_all: workers.n_counted() == n_of_all)  # type: ignore[misc]
    for number in (1, 2):
        with workers.only(number):
            eventually(lambda: workers.n_counted() == 10 and workers.n_answers() == 10)
            page = workers.metrics()
            assert f"cineclub_http_request_duration_seconds_count{PREDICTED}}} 10.0" in page
            assert "cineclub_model_version 1.0" in page
            assert [f'process_resident_memory_bytes{{worker="{worker}"}}' in page for worker in (1, 2, 3)] == [1, 1, 0]


def test_responses_wait_to_be_logged_in_the_sum_of_all_workers(workers: Workers) -> None:
    """The queue of the log is the sum over both workers, and empty once both have written."""
    eventually(lambda: "cineclub_prediction_log_waiting_rows 0.0" in workers.metrics())


def test_outcomes_of_the_one_that_counts_are_shown_by_both(workers: Workers) -> None:
    """Both workers' pages show the outcomes that the first has counted."""
    counted = re.compile(r"^cineclub_recommendation_outcomes_timestamp_seconds [1-9]", re.MULTILINE)
    eventually(lambda: counted.search(workers.metrics()) is not None)
    for number in (1, 2):
        with workers.only(number):
            assert counted.search(workers.metrics())


def test_trainings_and_connections_are_the_same_at_every_worker(workers: Workers) -> None:
    """Figures from PostgreSQL are shown once, connections are added up, and all documented metrics appear."""
    httpx.post(f"{workers.address}/training/", json={}, timeout=SECONDS)
    eventually(lambda: "\ncineclub_trainings_queued 1.0\n" in workers.metrics())
    for number in (1, 2):
        with workers.only(number):
            page = workers.metrics()
            assert "\ncineclub_trainings_queued 1.0\n" in page
            assert "\ncineclub_worker_up 0.0\n" in page
            assert "\ncineclub_database_pool_limit 16.0\n" in page
            assert "\ncineclub_database_up 1.0\n" in page
            assert "\ncineclub_drift_verdict -1.0\n" in page
            ours = {name for name in exposed(page) if name.startswith("cineclub_")}
            assert ours == {name for name in documented() if name.startswith("cineclub_")}


class Recorder:
    """A service that records whether it was started."""

    is_started = False

    async def start(self) -> None:
        """Note it."""
        self.is_started = True

    async def stop(self) -> None:
        """Do nothing."""


@pytest.mark.anyio
@pytest.mark.parametrize("is_first", [True, False])
async def test_what_runs_once_runs_in_the_first_worker_alone(database_url: str, home: Path, *, is_first: bool) -> None:
    """Services for one worker run in the first alone; the others run in all."""
    each, once = Recorder(), Recorder()
    parts = api_parts(Settings(home=home, database_url=SecretStr(database_url)))
    assert [getattr(task, "name", type(task).__name__) for task in parts.services_once] == [
        "trainings",
        "outcomes",
        "ScheduledDriftChecks",
    ]
    app = create_app(replace(parts, services=(each,), services_once=(once,)))
    app.state.is_first = is_first
    async with app.router.lifespan_context(app):
        assert (each.is_started, once.is_started) == (True, is_first)


def test_a_file_without_counts_hides_nobody_elses(workers: Workers) -> None:
    """An empty metrics file of a killed worker does not hide the others' metrics."""
    before = workers.n_answers()
    (workers.metrics_folder / "counter_1_unfinished.db").touch()
    assert workers.n_answers() == before


def test_a_killed_worker_comes_back_and_no_other_response_fails(workers: Workers) -> None:
    """The other worker responds meanwhile, and the counts of the killed one are kept and continued."""
    killed = workers.pid(1)
    os.kill(killed, signal.SIGKILL)
    n_requested = 2

    def is_back() -> bool:
        nonlocal n_requested
        assert workers.predict().status_code == 200
        n_requested += 1
        assert workers.n_answers() == n_requested
        with contextlib.suppress(FileNotFoundError):
            return workers.pid(1) != killed
        return False

    eventually(is_back)
    with workers.only(1):
        assert workers.predict().json()["model"]["version"] == 1
        assert workers.n_answers() == n_requested + 1
        assert "cineclub_model_version 1.0" in workers.metrics()


def test_a_stopped_worker_is_replaced_but_not_after_all_were_stopped(trained_url: str, home: Path) -> None:
    """A worker that gives no sign is killed and started again; if all were stopped for longer, none is."""
    with two_workers(trained_url, home, CINECLUB_HANG_SECONDS="3") as workers:
        pids = [workers.pid(number) for number in (1, 2)]
        assert [workers.predict().status_code for _ in range(4)] == [200] * 4
        everybody = [workers.parent.pid, *pids]
        for pid in everybody:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(5)
        for pid in everybody:
            os.kill(pid, signal.SIGCONT)
        time.sleep(2)
        assert [workers.pid(number) for number in (1, 2)] == pids
        os.kill(pids[0], signal.SIGSTOP)

        def is_replaced() -> bool:
            assert not is_alive(pids[1]) or workers.pid(2) == pids[1]
            with contextlib.suppress(FileNotFoundError):
                return workers.pid(1) != pids[0]
            return False

        eventually(is_replaced)
        assert not is_alive(pids[0])
        eventually(lambda: 'process_resident_memory_bytes{worker="1"}' in workers.metrics())
        assert workers.pid(2) == pids[1]
        assert workers.n_answers() == 4


def test_a_full_disk_or_process_table_ends_no_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that cannot be noted runs; one that cannot be forked is tried again later."""
    full = OSError(errno.ENOSPC, "No space left on device")

    def no_space(*_: object) -> None:
        raise full

    hang = HangDetector(Heartbeat(), 30)
    worker = Worker(1, lambda _number: time.sleep(60), no_space, no_space, hang)
    worker.start()
    assert worker.is_running()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fork", no_space)
        worker.send(signal.SIGKILL)
        eventually(lambda: not worker.is_running())
        worker.start()
        assert not worker.is_running()
    eventually(lambda: worker.restart_if_dead() or worker.is_running())  # type: ignore[func-returns-value]
    worker.send(signal.SIGKILL)
    eventually(lambda: not worker.is_running())


def test_a_promotion_reaches_both_workers(
    workers: Workers, trained_url: str, artifacts: Callable[[str], Artifact]
) -> None:
    """Each worker loads the new version within its next checks."""
    promote(trained_url, 2, artifacts("bias"))
    for number in (1, 2):
        with workers.only(number):
            eventually(lambda: workers.predict().json()["model"] == {"name": "bias", "version": 2})


def test_a_stop_finishes_the_logs_of_both_workers(workers: Workers, trained_url: str) -> None:
    """After SIGTERM every response is logged, the parent exits cleanly, and its files are removed."""
    for number in (1, 2):
        with workers.only(number):
            for _ in range(4):
                assert workers.predict().status_code == 200
    workers.parent.terminate()
    assert workers.parent.wait(SECONDS) == 0
    with psycopg.connect(trained_url) as connection:
        assert connection.execute("SELECT count(*) FROM cineclub.predictions").fetchone() == (10,)
    assert not workers.metrics_folder.exists()


def test_killed_with_its_parent_no_worker_holds_the_port(workers: Workers, trained_url: str, home: Path) -> None:
    """The workers of a killed parent end at once, and the service can start on the same port."""
    pids = [workers.pid(number) for number in (1, 2)]
    port = int(workers.address.rpartition(":")[2])
    workers.parent.kill()
    workers.parent.wait(SECONDS)
    eventually(lambda: not any(is_alive(pid) for pid in pids))
    again = start_api(trained_url, home, port, CINECLUB_WORKERS="2")
    try:
        wait_until_alive(workers.address)
        assert workers.n_answers() == 0
    finally:
        again.terminate()
        again.wait(SECONDS)


def is_alive(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_both_workers_respond_while_the_database_is_away(home: Path, artifacts: Callable[[str], Artifact]) -> None:
    """Both respond from the model in memory, degraded, and recover by themselves."""
    with contextlib.ExitStack() as server:
        url = server.enter_context(embedded_postgres(home))
        migrate(url)
        fill(url)
        promote(url, 1, artifacts("ease"))
        with two_workers(url, home) as workers:
            for number in (1, 2):
                with workers.only(number):
                    assert workers.predict().json()["strategy"] == "model"
            server.close()
            for number in (1, 2):
                with workers.only(number):
                    response = workers.predict()
                    assert (response.status_code, response.json()["degraded"]) == (200, True)
            server.enter_context(embedded_postgres(home))
            for number in (1, 2):
                with workers.only(number):
                    eventually(lambda: not workers.predict().json()["degraded"])


def test_without_room_for_shared_metrics_each_worker_counts_itself(trained_url: str, home: Path) -> None:
    """A full disk at the start leaves metrics of each worker alone, and does not keep the API down."""
    (home / "metrics").write_text("in the way")
    with two_workers(trained_url, home) as workers:
        for _ in range(4):
            assert workers.predict().status_code == 200
        assert "cineclub_http_requests_total" in workers.metrics()
        assert workers.parent.poll() is None


def test_a_taken_port_is_reported_plainly(database_url: str, home: Path) -> None:
    """A second service on the port ends with a sentence and no traceback."""
    with two_workers(database_url, home) as workers:
        port = workers.address.rpartition(":")[2]
        ours = {"CINECLUB_DATABASE_URL": database_url, "CINECLUB_HOME": str(home), "CINECLUB_PORT": port}
        second = subprocess.run(
            [workers.parent.args[0], "-m", "cineclub.processes.api"],  # type: ignore[index]
            env={**os.environ, **ours, "CINECLUB_WORKERS": "2"},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert (second.returncode, "Traceback" in second.stderr) == (1, False)
        assert f"cannot listen on 127.0.0.1:{port}" in second.stderr
        assert workers.metrics()
