"""A cancel is on record within five seconds, whatever the training does just then, and leaves nothing running."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from cineclub.adapters.postgres.jobs import PostgresTrainingJobs, TrainingQueue
from cineclub.adapters.postgres.promotions import PromotionHistory
from cineclub.adapters.postgres.training_rows import worker_name
from registry_bench import write_ratings
from waiting import eventually

LIMIT_SECONDS = 5.0
MODELS = {"models": ["popular", "ease", "svd"]}
HANGING_WORKER = """
import os, sys, time
from pathlib import Path
from cineclub import worker
from cineclub.adapters import artifacts
from cineclub.flows.training import TrainingFlow

place, flag = sys.argv[1], Path(sys.argv[2])

def hangs(*_args, **_kwargs):
    flag.write_text(str(os.getpid()))
    time.sleep(120)

if place == "verification":
    sleeping_check = (
        "import os, sys, time; from pathlib import Path; import cineclub.adapters.artifacts.__main__ as fresh; "
        f"fresh.check_answers = lambda *_: (Path({str(flag)!r}).write_text(str(os.getpid())), time.sleep(120)); "
        "sys.exit(fresh.main())"
    )
    from cineclub.adapters.artifacts import verification
    run = verification._run_while_we_live
    verification._run_while_we_live = lambda command: run([sys.executable, "-c", sleeping_check, *command[3:]])
elif place != "nowhere":
    setattr(TrainingFlow, place, hangs)
sys.exit(worker.main([]))
"""


@pytest.fixture
def jobs(bench_database: str) -> PostgresTrainingJobs:
    """The queue as those who ask see it, over ratings to learn from."""
    write_ratings(bench_database)
    return PostgresTrainingJobs(bench_database)


@pytest.fixture
def flag(home: Path) -> Path:
    """Where the process that hangs writes its number."""
    return home / "hangs"


@pytest.fixture
def start_worker(bench_database: str, home: Path, flag: Path) -> Iterator[Callable[[str], "subprocess.Popen[bytes]"]]:
    """Start real worker processes that hang at a place, and end them afterwards."""
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
    """Say whether a process lives; a zombie does not."""
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
    """The training is `cancelled` within five seconds; its worker and the worker's child are gone with it."""
    process = start_worker(place)
    training = jobs.start(MODELS, None)
    eventually(lambda: flag.is_file() and flag.read_text() != "")
    jobs.cancel(training.training_id)
    eventually(lambda: jobs.get(training.training_id).status == "cancelled", LIMIT_SECONDS)
    process.wait(2)
    eventually(lambda: not is_running(int(flag.read_text())), 2)
    assert PromotionHistory(bench_database).newest() is None
    assert jobs.start(MODELS, None).status == "queued"


def test_a_cancel_ends_an_ordinary_step_and_the_worker_stays(
    jobs: PostgresTrainingJobs, start_worker: Callable[[str], "subprocess.Popen[bytes]"]
) -> None:
    """A step that reports stops by itself; the same process takes the next training."""
    process = start_worker("nowhere")
    training = jobs.start({}, None)
    eventually(lambda: (seen := jobs.get(training.training_id).progress) is not None and seen.step != "load_ratings")
    jobs.cancel(training.training_id)
    eventually(lambda: jobs.get(training.training_id).status == "cancelled", LIMIT_SECONDS)
    following = jobs.start(MODELS, None)
    eventually(lambda: jobs.get(following.training_id).status == "running")
    assert process.poll() is None


def test_a_cancel_that_comes_after_the_promotion_says_so(jobs: PostgresTrainingJobs, bench_database: str) -> None:
    """What was promoted stands in the record of the training that is cancelled."""
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


def test_a_lease_tells_once_that_a_person_asked_to_stop(jobs: PostgresTrainingJobs, bench_database: str) -> None:
    """The heartbeat learns of it within a second or so, without any report."""
    training = jobs.start({}, None)
    lease = TrainingQueue(bench_database, worker_name(), 20, 3).claim()
    assert lease is not None
    told = threading.Semaphore(0)
    lease.when_cancelled(told.release)
    jobs.cancel(training.training_id)
    assert told.acquire(timeout=2.5)
    assert not told.acquire(timeout=1.5)
    lease.close()
