"""How fast the API starts and answers: EASE on generated ratings of ml-latest-small's size, one process.

Prints start-up seconds, and requests per second with latencies for known users, new users and /health. The client
shares the machine with the server.
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
    """Run the API; give the seconds until /health and a model answered."""
    environment = {
        **os.environ,
        "CINECLUB_DATABASE_URL": url,
        "CINECLUB_HOME": str(home),
        "CINECLUB_PORT": str(PORT),
    }
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "cineclub.api"], env=environment)
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/ready", timeout=1) as answer:
                    if json.load(answer)["model"]:
                        break
            except OSError:
                time.sleep(0.01)
        yield time.perf_counter() - begun
    finally:
        process.terminate()
        process.wait(20)


async def hammer(requests: list[bytes], n_connections: int, seconds: float) -> list[float]:
    """Return the latency of each answer that came within the time."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def one_connection(offset: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        number = offset
        while time.perf_counter() < end:
            begun = time.perf_counter()
            writer.write(requests[number % len(requests)])
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head.partition(b"\r\n")[0]:
                raise RuntimeError(head.decode())
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            latencies.append(time.perf_counter() - begun)
            number += n_connections
        writer.close()

    await asyncio.gather(*(one_connection(offset) for offset in range(n_connections)))
    return latencies


def predict_request(user_id: str) -> bytes:
    """Return the bytes of one POST /predict/."""
    body = json.dumps({"user_id": user_id, "top_n": 10}).encode()
    head = (
        f"POST /predict/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--model", default="ease")
    arguments.add_argument("--connections", type=int, default=16)
    arguments.add_argument("--seconds", type=float, default=5.0)
    options = arguments.parse_args()
    cases = {
        "known users": [predict_request(str(number)) for number in range(1, N_USERS + 1)],
        "new users": [predict_request(f"new-{number}") for number in range(1000)],
        "/health": [b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"],
    }
    with tempfile.TemporaryDirectory(prefix="cineclub-bench-") as name:
        home = Path(name)
        home.chmod(0o711)
        with embedded_postgres(home) as url:
            migrate(url)
            log = generated_log()
            fill(url, log)
            promote(url, home / "models" / "bench", log, options.model)
            with server(url, home) as start_seconds:
                figures = {case: figures_of(requests, options) for case, requests in cases.items()}
    title = f"{options.model}, {len(log):,} generated ratings; ready {start_seconds:.2f} s after the process began."
    rows = [
        f"| {case} | {one['rate']:,.0f} | {one['p50_ms']:.1f} | {one['p99_ms']:.1f} |" for case, one in figures.items()
    ]
    table = "\n".join([title, "", "| requests | a second | p50 ms | p99 ms |", "|---|---:|---:|---:|", *rows])
    write_report("serving", {"machine": machine(), "start_seconds": start_seconds, "cases": figures}, table)


def figures_of(requests: list[bytes], options: argparse.Namespace) -> dict[str, float]:
    """Return the rate and the latencies of one kind of request."""
    latencies = np.array(asyncio.run(hammer(requests, options.connections, options.seconds)))
    p50, p99 = np.percentile(latencies, [50, 99]) * 1000
    return {"rate": len(latencies) / options.seconds, "p50_ms": p50, "p99_ms": p99}


if __name__ == "__main__":
    main()
