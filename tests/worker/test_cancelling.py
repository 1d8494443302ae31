"""A cancel is recorded within five seconds in any step, and leaves no process."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from cineclub.adapters.postgres.jobs import PostgresTrainingJobs, TrainingQueue
from cineclub.adapters.postgres.promotions import PostgresPromotions
from cineclub.adapters.postgres.training_rows import worker_name
from registry_bench import write_ratings
from waiting import eventually

LIMIT_SECONDS = 5.0
MODELS = {"models": ["popular", "ease", "svd"]}
HANGING_WORKER = """
import os, sys, time
from pathlib import Path
from cineclub.processes import worker
from cineclub.adapters import model_store as artifacts
from cineclub.flows.training import TrainingFlow

place, flag = sys.argv[1], Path(sys.argv[2])

def hangs(*_args, **_kwargs):
    flag.write_text(str(os.getpid()))
    time.sleep(120)

if place == "verification":
    sleeping_check = (
        "import os, sys, time; from pathlib import Path; import cineclub.adapters.model_store.__main__ as fresh; "
        f"fresh.check_sample_scores = lambda *_: (Path({str(flag)!r}).write_text(str(os.getpid())), time.sleep(120)); "
        "sys.exit(fresh.main())"
    )
    from cineclub.adapters.model_store import verification
    run = verification._run_while_we_live
    verification._run_while_we_live = lambda command: run([sys.executable, "-c", sleeping_check, *command[3:]])
elif place != "nowhere":
    setattr(TrainingFlow, place, hangs)
sys.exit(worker.main([]))
"""


@pytest.fixture
def jobs(bench_database: str) -> PostgresTrainingJobs:
    """The queue of the requesters, over ratings."""
    write_ratings(bench_database)
    return PostgresTrainingJobs(bench_database)


@pytest.fixture
def flag(home: Path) -> Path:
    """The file with the process id of the hanging process."""
    return home / "hangs"


@pytest.fixture
def start_worker(bench_database: str, home: Path, flag: Path) -> Iterator[Callable[[str], "subprocess.Popen[bytes]"]]:
    """Start real worker processes that hang at a place, and stop them afterwards."""
    environment = {**os.environ, "CINECLUB_DATABASE_URL": bench_database, "CINECLUB_HOME": str(home)}
    started: list[subprocess.Popen[bytes]] = []

    def start(place: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", HANGING_WORKER, place, str(flag)]
        started.append(subprocess.Popen(command, env=environment))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def is_running(pid: int) -> bool:
    """Return whether a process is alive and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("place", ["load_ratings", "evaluate_models", "register_model", "verification"])
def test_a_cancel_ends_a_step_that_hangs(
    place: str,
    jobs: PostgresTrainingJobs,
    bench_database: str,
    flag: Path,
    start_worker: Callable[[str], "subprocess.Popen[bytes]"],
) -> None:
    """A training in a hanging step is `cancelled` within five seconds; the worker and its child end."""
    process = start_worker(place)
    training = jobs.start(MODELS, None)
    eventually(lambda: flag.is_file() and flag.read_text() != "")
    jobs.cancel(training.training_id)
    eventually(lambda: jobs.get(training.training_id).status == "cancelled", LIMIT_SECONDS)
    process.wait(2)
    eventually(lambda: not is_running(int(flag.read_text())), 2)
    assert PostgresPromotions(bench_database).newest() is None
    assert jobs.start(MODELS, None).status == "queued"


def test_a_cancel_ends_an_ordinary_step_and_the_worker_stays(
    jobs: PostgresTrainingJobs, start_worker: Callable[[str], "subprocess.Popen[bytes]"]
) -> None:
    """A step that reports progress stops by itself, and the same process takes the next training."""
    process = start_worker("nowhere")
    training = jobs.start({}, None)
    eventually(lambda: (seen := jobs.get(training.training_id).progress) is not None and seen.step != "load_ratings")
    jobs.cancel(training.training_id)
    eventually(lambda: jobs.get(training.training_id).status == "cancelled", LIMIT_SECONDS)
    following = jobs.start(MODELS, None)
    eventually(lambda: jobs.get(following.training_id).status == "running")
    assert process.poll() is None


def test_a_cancel_that_comes_after_the_promotion_is_recorded(jobs: PostgresTrainingJobs, bench_database: str) -> None:
    """A cancel after the promotion is recorded with the promoted version."""
    training = jobs.start({}, None)
    lease = TrainingQueue(bench_database, worker_name(), 20, 3).claim()
    assert lease is not None
    with psycopg.connect(bench_database) as connection:
        connection.execute(
            "INSERT INTO cineclub.promotions (version, verdict, reason, promoted_by, training_id, recipe,"
            " manifest_sha256, artifact_folder) VALUES (7, 'PROMOTE', 'better', 'gate', %s, '{}', %s, '7-ab')",
            (training.training_id, "ab" * 32),
        )
    lease.acknowledge_cancel()
    seen = jobs.get(training.training_id)
    assert (seen.status, seen.error) == ("cancelled", "version 7 was promoted before the cancel came")


def test_a_lease_reports_a_cancel_once(jobs: PostgresTrainingJobs, bench_database: str) -> None:
    """The heartbeat learns of a cancel within about a second and reports it once, without progress."""
    training = jobs.start({}, None)
    lease = TrainingQueue(bench_database, worker_name(), 20, 3).claim()
    assert lease is not None
    cancelled = threading.Semaphore(0)
    lease.when_cancelled(cancelled.release)
    jobs.cancel(training.training_id)
    assert cancelled.acquire(timeout=2.5)
    assert not cancelled.acquire(timeout=1.5)
    lease.close()
