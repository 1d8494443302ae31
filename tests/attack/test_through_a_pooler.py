"""A service behind PgBouncer in transaction mode, under predictions and ratings, while a training runs."""

import asyncio
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import httpx
import psycopg
import pytest
from api_processes import free_ports, start_api, wait_until_alive

from cineclub.adapters.postgres.histories import PostgresHistories
from cineclub.adapters.postgres.jobs import PostgresTrainingJobs
from cineclub.adapters.postgres.movies import PostgresMovies
from cineclub.adapters.postgres.serving_pool import ServingPool
from conftest import Repetitions
from pgbouncer import pgbouncer
from registry_bench import write_ratings

pytestmark = [pytest.mark.attack, pytest.mark.anyio]

N_CONNECTIONS = 16
ROUNDS, READS = 10, 300


def start_worker(variables: dict[str, str]) -> "subprocess.Popen[bytes]":
    """Start a worker that ends with the queue."""
    command = [sys.executable, "-m", "cineclub.processes.worker", "--until-idle"]
    return subprocess.Popen(command, env={**os.environ, **variables})


async def send(url: str, n_requests: int) -> Counter[str]:
    """Return the number of each outcome of predictions and ratings, sent over some connections."""
    outcomes: Counter[str] = Counter()
    numbers = itertools.count()

    async def send_until_done(client: httpx.AsyncClient) -> None:
        while (number := next(numbers)) < n_requests:
            user_id = number % 60 + 1
            if number % 4 == 0:
                rating = {"user_id": user_id, "movie_id": number % 20 + 1, "rating": 4}
                outcomes[f"rating {(await client.post('/ratings/', json=rating)).status_code}"] += 1
            else:
                response = await client.post("/predict/", json={"user_id": user_id, "top_n": 3})
                degraded = " degraded" if response.json().get("degraded") else ""
                outcomes[f"prediction {response.status_code}{degraded}"] += 1

    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        await asyncio.gather(*(send_until_done(client) for _ in range(N_CONNECTIONS)))
    return outcomes


async def test_nothing_fails_through_a_pooler(bench_database: str, home: Path, repetitions: Repetitions) -> None:
    """No response is a 5xx or degraded, the training succeeds, and no lock stays in a session of the pooler."""
    write_ratings(bench_database)
    [port] = free_ports(1)
    url, jobs = f"http://127.0.0.1:{port}", PostgresTrainingJobs(bench_database)
    training_id = jobs.start({"models": ["popular", "ease"]}, None).training_id
    with pgbouncer(bench_database, size=4) as pooled:
        direct = {"CINECLUB_DIRECT_DATABASE_URL": bench_database}
        worker = start_worker(direct | {"CINECLUB_DATABASE_URL": pooled, "CINECLUB_HOME": str(home)})
        api = start_api(pooled, home, port, **direct)
        try:
            await asyncio.to_thread(wait_until_alive, url)
            outcomes = await send(url, repetitions.of(9_200))
            assert await asyncio.to_thread(worker.wait, 120) == 0
            outcomes += await send(url, repetitions.of(2_000))
        finally:
            for process in (worker, api):
                process.terminate()
                await asyncio.to_thread(process.wait, 30)
        with psycopg.connect(bench_database) as connection:
            locks = connection.execute("SELECT * FROM pg_locks WHERE locktype = 'advisory'").fetchall()
    print(f"through PgBouncer in transaction mode: {dict(sorted(outcomes.items()))}")
    assert set(outcomes) == {"prediction 200", "rating 200"}
    assert jobs.get(training_id).status == "succeeded"
    assert locks == []


async def test_the_cost_of_unprepared_statements(bench_database: str, repetitions: Repetitions) -> None:
    """Print the time of the read of a history with and without prepared statements, which poolers cannot have."""
    write_ratings(bench_database)
    pools = {"prepared": ServingPool(bench_database), "unprepared": ServingPool(bench_database, bench_database)}
    seconds: dict[str, list[float]] = {name: [] for name in pools}
    for pool in pools.values():
        await pool.start()
    try:
        for _ in range(repetitions.of(ROUNDS, 2)):
            for name, pool in pools.items():
                histories = PostgresHistories(pool, PostgresMovies(pool))
                began = time.perf_counter()
                for number in range(READS):
                    await histories.ratings_of(str(number % 60 + 1))
                seconds[name].append((time.perf_counter() - began) / READS)
    finally:
        for pool in pools.values():
            await pool.stop()
    medians = {name: round(1e6 * statistics.median(values)) for name, values in seconds.items()}
    rounds = f"median of {len(seconds['prepared'])} rounds of {READS}"
    print(f"read of a history, microseconds, {rounds}: {medians}")
    assert medians["unprepared"] < 20 * medians["prepared"]
