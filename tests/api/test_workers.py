"""Several API processes behind one address: forked, counted together, started again, stopped in order."""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import psycopg
import pytest
from api_processes import free_ports, start_api, wait_until_alive
from pydantic import SecretStr
from small_service import Artifact, fill, promote

from cineclub import bootstrap
from cineclub.adapters.postgres.embedded import embedded_postgres
from cineclub.adapters.postgres.migrate import migrate
from cineclub.api.app import create_app
from cineclub.settings import Settings
from documented_metrics import documented, exposed
from waiting import eventually

SECONDS = 20.0
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
        """Let this worker alone answer, by stopping the other one for a while."""
        other = self.pid(3 - number)
        os.kill(other, signal.SIGSTOP)
        try:
            eventually(lambda: Path(f"/proc/{other}/stat").read_text().rpartition(")")[2].split()[0] == "T")
            yield
        finally:
            os.kill(other, signal.SIGCONT)

    def predict(self, user_id: int = 2) -> httpx.Response:
        """Return the answer of whichever worker takes a new connection."""
        return httpx.post(f"{self.address}/predict/", json={"user_id": user_id}, timeout=SECONDS)

    def metrics(self) -> str:
        """Return the page of whichever worker takes a new connection."""
        answer = httpx.get(f"{self.address}/metrics", timeout=SECONDS)
        assert answer.status_code == 200
        return answer.text

    def n_answers(self) -> float:
        """Return how many predictions /metrics has counted."""
        return sum(
            float(one) for one in re.findall(r"^cineclub_predictions_total\{.*\} (.*)$", self.metrics(), re.MULTILINE)
        )


@contextlib.contextmanager
def two_workers(database_url: str, home: Path) -> Iterator[Workers]:
    """Give two workers that answer, and end what is left of them."""
    [port] = free_ports(1)
    parent = start_api(database_url, home, port, CINECLUB_WORKERS="2", **PROMPT)
    workers = Workers(parent, f"http://127.0.0.1:{port}", home / "metrics" / f"127.0.0.1-{port}")
    try:
        wait_until_alive(workers.address)
        yield workers
    finally:
        parent.terminate()
        parent.wait(SECONDS)


@pytest.fixture
def workers(trained_url: str, home: Path) -> Iterator[Workers]:
    """Two workers with EASE in production, each of which has answered one prediction."""
    with two_workers(trained_url, home) as both:
        for number in (1, 2):
            with both.only(number):
                assert both.predict().json()["strategy"] == "model"
        yield both


def test_whichever_worker_is_asked_counts_every_request(workers: Workers) -> None:
    """Both pages show the answers of both workers, one histogram, and the processes by their numbers."""
    for number, n_requests in ((1, 3), (2, 5)):
        with workers.only(number):
            for _ in range(n_requests):
                assert workers.predict().status_code == 200
    for number in (1, 2):
        with workers.only(number):
            page = workers.metrics()
            assert workers.n_answers() == 10
            predicted = '{method="POST",route="/predict/"'
            assert f'cineclub_http_requests_total{predicted},status="200"}} 10.0' in page
            assert f"cineclub_http_request_duration_seconds_count{predicted}}} 10.0" in page
            assert "cineclub_model_version 1.0" in page
            assert [f'process_resident_memory_bytes{{worker="{one}"}}' in page for one in (1, 2, 3)] == [1, 1, 0]


def test_answers_wait_to_be_logged_in_the_sum_of_all_workers(workers: Workers) -> None:
    """Nothing waits once both have written, whoever was asked last."""
    eventually(lambda: "cineclub_prediction_log_waiting_rows 0.0" in workers.metrics())


def test_outcomes_of_the_one_that_counts_are_shown_by_both(workers: Workers) -> None:
    """The page of each shows what the first has counted."""
    counted = re.compile(r"^cineclub_recommendation_outcomes_timestamp_seconds [1-9]", re.MULTILINE)
    eventually(lambda: counted.search(workers.metrics()) is not None)
    for number in (1, 2):
        with workers.only(number):
            assert counted.search(workers.metrics())


def test_trainings_and_connections_are_the_same_whichever_worker_is_asked(workers: Workers) -> None:
    """What PostgreSQL knows is shown once, connections are added up, and the page has what its tables say."""
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
    """A service that notes whether it was started."""

    is_started = False

    async def start(self) -> None:
        """Note it."""
        self.is_started = True

    async def stop(self) -> None:
        """Do nothing."""


@pytest.mark.anyio
@pytest.mark.parametrize("is_first", [True, False])
async def test_what_runs_once_runs_in_the_first_worker_alone(database_url: str, home: Path, *, is_first: bool) -> None:
    """The others leave it out, and start everything else."""
    each, once = Recorder(), Recorder()
    parts = bootstrap.api_parts(Settings(home=home, database_url=SecretStr(database_url)))
    assert [type(one).__name__ for one in parts.services_once] == ["Watch", "OutcomeWatch", "DriftWatch"]
    app = create_app(replace(parts, services=(each,), services_once=(once,)))
    app.state.is_first = is_first
    async with app.router.lifespan_context(app):
        assert (each.is_started, once.is_started) == (True, is_first)


def test_a_file_without_counts_hides_nobody_elses(workers: Workers) -> None:
    """A worker that is killed while it makes a file leaves it empty: the page goes on without it."""
    before = workers.n_answers()
    (workers.metrics_folder / "counter_1_unfinished.db").touch()
    assert workers.n_answers() == before


def test_a_killed_worker_comes_back_and_no_other_answer_fails(workers: Workers) -> None:
    """The other one answers meanwhile, and the counts of the dead one are kept and continued."""
    killed = workers.pid(1)
    os.kill(killed, signal.SIGKILL)
    n_asked = 2

    def is_back() -> bool:
        nonlocal n_asked
        assert workers.predict().status_code == 200
        n_asked += 1
        assert workers.n_answers() == n_asked
        with contextlib.suppress(FileNotFoundError):
            return workers.pid(1) != killed
        return False

    eventually(is_back)
    with workers.only(1):
        assert workers.predict().json()["model"]["version"] == 1
        assert workers.n_answers() == n_asked + 1
        assert "cineclub_model_version 1.0" in workers.metrics()


def test_a_promotion_reaches_both_workers(
    workers: Workers, trained_url: str, artifacts: Callable[[str], Artifact]
) -> None:
    """Each looks for itself, and serves the new version within its next looks."""
    promote(trained_url, 2, artifacts("bias"))
    for number in (1, 2):
        with workers.only(number):
            eventually(lambda: workers.predict().json()["model"] == {"name": "bias", "version": 2})


def test_a_stop_finishes_the_logs_of_both_workers(workers: Workers, trained_url: str) -> None:
    """After SIGTERM every answer is in the log, the parent has ended well, and its files are gone."""
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
    """The workers of a killed parent end at once, and the service starts again on the same port."""
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
    """Say whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_both_workers_answer_while_the_database_is_away(home: Path, artifacts: Callable[[str], Artifact]) -> None:
    """Each answers from the model in its memory, degraded, and both heal by themselves."""
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
                    answer = workers.predict()
                    assert (answer.status_code, answer.json()["degraded"]) == (200, True)
            server.enter_context(embedded_postgres(home))
            for number in (1, 2):
                with workers.only(number):
                    eventually(lambda: not workers.predict().json()["degraded"])


def test_a_taken_port_is_said_plainly(database_url: str, home: Path) -> None:
    """Two services on one port: the second ends with a sentence and no traceback."""
    with two_workers(database_url, home) as workers:
        port = workers.address.rpartition(":")[2]
        ours = {"CINECLUB_DATABASE_URL": database_url, "CINECLUB_HOME": str(home), "CINECLUB_PORT": port}
        second = subprocess.run(
            [workers.parent.args[0], "-m", "cineclub.api"],  # type: ignore[index]
            env={**os.environ, **ours, "CINECLUB_WORKERS": "2"},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert (second.returncode, "Traceback" in second.stderr) == (1, False)
        assert f"cannot listen on 127.0.0.1:{port}" in second.stderr
        assert workers.metrics()
