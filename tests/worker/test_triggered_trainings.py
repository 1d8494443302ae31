"""Worker processes start due trainings by the settings of their environment."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from cineclub.adapters.postgres.jobs import PostgresTrainingJobs
from registry_bench import write_ratings
from waiting import eventually

YEARLY = "0 0 1 1 *"


@pytest.fixture
def start_worker(bench_database: str, home: Path) -> Iterator[Callable[[dict[str, str]], None]]:
    """Start worker processes with settings, and end them afterwards."""
    started: list[subprocess.Popen[bytes]] = []
    ours = {"CINECLUB_DATABASE_URL": bench_database, "CINECLUB_HOME": str(home)}

    def start(settings: dict[str, str]) -> None:
        command = [sys.executable, "-m", "cineclub.processes.worker"]
        started.append(subprocess.Popen(command, env={**os.environ, **ours, **settings}))

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_two_workers_make_up_once_for_a_missed_due_time(
    bench_database: str, start_worker: Callable[[dict[str, str]], None]
) -> None:
    """Two workers start one training for a missed due time, with the trigger schedule, and no second one."""
    jobs = PostgresTrainingJobs(bench_database)
    with psycopg.connect(bench_database) as connection:
        connection.execute("INSERT INTO cineclub.training_schedules VALUES (%s, now() - interval '5 years')", (YEARLY,))
    for _ in range(2):
        start_worker({"CINECLUB_TRAINING_SCHEDULE": YEARLY})
    eventually(lambda: [training.status for training in jobs.recent(5)] == ["failed"])
    requested = jobs.start({}, None)
    eventually(lambda: jobs.get(requested.training_id).status == "failed")
    assert [training.trigger for training in jobs.recent(5)] == ["request", "schedule"]


def test_a_worker_trains_when_enough_ratings_are_new(
    bench_database: str, start_worker: Callable[[dict[str, str]], None]
) -> None:
    """The first ratings count as new and start a training."""
    jobs = PostgresTrainingJobs(bench_database)
    write_ratings(bench_database)
    start_worker({"CINECLUB_RETRAIN_AFTER_RATINGS": "1000"})
    eventually(lambda: [training.trigger for training in jobs.recent(5)] == ["new_ratings"])
