"""How fast the API starts and answers beside the same server with a constant body of the same size, in the same run.

One process on one core, the client on the other. Prints start-up seconds, requests per second as fast as they go, and
latencies at 70 % of that rate, for known users, new users and the constant.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psycopg

from cineclub.adapters.artifacts import write_artifact
from cineclub.adapters.postgres.embedded import embedded_postgres
from cineclub.adapters.postgres.migrate import migrate
from cineclub.adapters.postgres.promotions import PromotionHistory
from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.ratings import Movie, RatingLog, RatingScale, SnapshotIdentity
from cineclub.models import catalogue
from cineclub.ports import NewPromotion
from report import machine, write_report

PORT = 18_765
SERVER_CORE, CLIENT_CORE = 0, 1
LOAD = 0.7
N_USERS, N_MOVIES, N_RATINGS = 610, 9_000, 100_000


def generated_log() -> RatingLog:
    """Return ratings whose users and films are as unevenly busy as real ones."""
    rng = np.random.default_rng(0)
    users = (rng.beta(0.6, 2.0, N_RATINGS) * N_USERS).astype(np.int64) + 1
    movies = (rng.beta(0.5, 4.0, N_RATINGS) * N_MOVIES).astype(np.int64) + 1
    _, first = np.unique(users * N_MOVIES + movies, return_index=True)
    ratings = rng.choice(np.arange(0.5, 5.5, 0.5, dtype=np.float32), len(first))
    rated_at = 1_600_000_000_000_000 + np.arange(len(first), dtype=np.int64) * 1_000_000
    return RatingLog.from_columns(users[first], movies[first], ratings, rated_at, RatingScale(0.5, 5.0))


def fill(url: str, log: RatingLog) -> None:
    """Put films, users and ratings into the database."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO cineclub.catalogue VALUES (true, 0.5, 5, true, true)")
        for statement, count in (
            ("movies (external_id, title) SELECT i::text, 'Film ' || i", N_MOVIES),
            ("users (external_id) SELECT i::text", N_USERS),
        ):
            cursor.execute(f"INSERT INTO cineclub.{statement} FROM generate_series(1, {count}) AS i".encode())
        with cursor.copy("COPY cineclub.ratings FROM STDIN") as copy:
            for row in zip(log.user_ids, log.movie_ids, log.ratings, log.rated_at, strict=True):
                copy.write_row((*row[:3], datetime.fromtimestamp(row[3] / 1e6, UTC)))
        cursor.execute("ANALYZE")


def promote(url: str, folder: Path, log: RatingLog, model: str) -> None:
    """Fit a model and put it into production."""
    fitted = catalogue.fit(
        catalogue.default_recipe(model), RatingMatrix.from_log(log), np.random.default_rng(0), lambda _: None
    )
    movies = [Movie(int(one), str(one), f"Film {one}", 1999, ("Drama", "Comedy")) for one in fitted.movie_ids]
    sha256 = write_artifact(folder, fitted, movies, SnapshotIdentity(len(log), None, "0" * 64))
    promotion = NewPromotion(1, "PROMOTE", "benchmark", "person", None, fitted.recipe, sha256, str(folder))
    PromotionHistory(url).record(promotion)


@contextmanager
def server(url: str, home: Path) -> Iterator[float]:
    """Run the API; give the seconds until a model answered."""
    ours = {"CINECLUB_DATABASE_URL": url, "CINECLUB_HOME": str(home), "CINECLUB_PORT": str(PORT)}
    with running([sys.executable, "-m", "cineclub.api"], "/ready", {**os.environ, **ours}) as seconds:
        yield seconds


@contextmanager
def running(command: list[str], path: str, environment: dict[str, str]) -> Iterator[float]:
    """Run a server on its core; give the seconds until it answered at a path."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, env=environment)
    os.sched_setaffinity(process.pid, {SERVER_CORE})
    try:
        while not answers(path):
            time.sleep(0.01)
        yield time.perf_counter() - begun
    finally:
        process.terminate()
        process.wait(20)


def answers(path: str) -> bool:
    """Say whether the server answers at a path."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=1):
            return True
    except OSError:
        return False


async def hammer(requests: list[bytes], n_connections: int, seconds: float, rate: float | None = None) -> list[float]:
    """Return the latency of each answer that came within the time.

    With a rate requests are due at even times, and an answer is late from when it was due, not from when it was sent.
    """
    latencies: list[float] = []
    begun = time.perf_counter()
    pause = n_connections / rate if rate else 0.0

    async def one_connection(offset: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        number, due = offset, begun + offset / rate if rate else begun
        while (now := time.perf_counter()) < begun + seconds:
            if rate:
                await asyncio.sleep(max(0.0, due - now))
            asked = due if rate else time.perf_counter()
            writer.write(requests[number % len(requests)])
            await read_answer(reader)
            latencies.append(time.perf_counter() - asked)
            number += n_connections
            due += pause
        writer.close()

    await asyncio.gather(*(one_connection(offset) for offset in range(n_connections)))
    return latencies


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    """Return the body of one answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise RuntimeError(head.decode())
    return await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))


async def body_of(request: bytes) -> bytes:
    """Return the body of the answer to one request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    writer.write(request)
    body = await read_answer(reader)
    writer.close()
    return body


def predict_request(user_id: str) -> bytes:
    """Return the bytes of one POST /predict/."""
    body = json.dumps({"user_id": user_id, "top_n": 10}).encode()
    lines = ["POST /predict/ HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--model", default="ease")
    arguments.add_argument("--connections", type=int, default=16)
    arguments.add_argument("--seconds", type=float, default=5.0)
    options = arguments.parse_args()
    known = [predict_request(str(number)) for number in range(1, N_USERS + 1)]
    new = [predict_request(f"new-{number}") for number in range(1000)]
    os.sched_setaffinity(0, {CLIENT_CORE})
    with tempfile.TemporaryDirectory(prefix="cineclub-bench-") as name:
        home = Path(name)
        home.chmod(0o711)
        with embedded_postgres(home) as url:
            migrate(url)
            log = generated_log()
            fill(url, log)
            promote(url, home / "models" / "bench", log, options.model)
            with server(url, home) as start_seconds:
                n_bytes = len(asyncio.run(body_of(known[41])))
                figures = {"known users": figures_of(known, options), "new users": figures_of(new, options)}
            constant = [sys.executable, str(Path(__file__).with_name("constant_server.py")), str(PORT), str(n_bytes)]
            with running(constant, "/openapi.json", dict(os.environ)):
                figures["the constant"] = figures_of(known, options)
    title = f"{options.model}, {len(log):,} generated ratings; ready {start_seconds:.2f} s after the process began."
    rates = {case: one["rate"] / figures["the constant"]["rate"] for case, one in figures.items()}
    late = {case: one["p99_ms"] / figures["the constant"]["p99_ms"] for case, one in figures.items()}
    rows = [
        f"| {case} | {one['rate']:,.0f} | {rates[case]:.0%} | {one['p50_ms']:.1f} | {one['p99_ms']:.1f} "
        f"| {late[case]:.1f} |"
        for case, one in figures.items()
    ]
    head = "| requests | a second | of the constant | p50 ms | p99 ms at 70 % | times the constant |"
    note = f"The constant: the same server and framework with {n_bytes:,} bytes that are always the same."
    table = "\n".join([title, "", head, "|---|---:|---:|---:|---:|---:|", *rows, "", note])
    report = {"machine": machine(), "start_seconds": start_seconds, "n_bytes": n_bytes, "cases": figures}
    write_report("serving", report, table)


def figures_of(requests: list[bytes], options: argparse.Namespace) -> dict[str, float]:
    """Return the rate as fast as it goes, and the latencies at 70 % of it."""
    asyncio.run(hammer(requests, options.connections, 1.0))  # warm
    rate = len(asyncio.run(hammer(requests, options.connections, options.seconds))) / options.seconds
    latencies = np.array(asyncio.run(hammer(requests, options.connections, options.seconds, LOAD * rate)))
    p50, p99 = np.percentile(latencies, [50, 99]) * 1000
    return {"rate": rate, "p50_ms": p50, "p99_ms": p99}


if __name__ == "__main__":
    main()
