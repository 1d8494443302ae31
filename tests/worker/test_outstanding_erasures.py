"""What an erasure left to do on this machine is done by its worker."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pyarrow.parquet as pq

from cineclub import bootstrap
from cineclub.adapters.postgres.jobs import PostgresTrainingJobs
from cineclub.settings import Settings
from registry_bench import write_ratings


def test_the_worker_finishes_an_erasure_that_was_interrupted(bench_database: str, home: Path) -> None:
    """The database has forgotten a person, the process died too soon: the next idle worker rewrites the snapshots."""
    write_ratings(bench_database)
    environment = {**os.environ, "CINECLUB_DATABASE_URL": bench_database, "CINECLUB_HOME": str(home)}
    command = [sys.executable, "-m", "cineclub.worker", "--until-idle"]
    jobs = PostgresTrainingJobs(bench_database)
    training = jobs.start({"models": ["bias"]}, None)
    subprocess.run(command, env=environment, check=True, timeout=120)
    assert jobs.get(training.training_id).status == "succeeded"
    (file,) = (home / "snapshots").glob("*/ratings.parquet")
    with psycopg.connect(bench_database) as connection:
        (user_id,) = connection.execute("SELECT id FROM cineclub.users WHERE external_id = '5'").fetchone()
    assert user_id in pq.read_table(file)["user_id"].to_pylist()
    settings = Settings(home=home, database_url=bench_database)
    bootstrap.people(settings).erase("5")
    subprocess.run(command, env=environment, check=True, timeout=120)
    assert user_id not in pq.read_table(file)["user_id"].to_pylist()
    assert "snapshots_rewritten" in (home / "logs" / "worker.log").read_text()
