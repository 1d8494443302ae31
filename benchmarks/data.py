"""Loading ratings beside ``psql``'s own binary copy, and importing them into an empty table and as upserts.

Writes ``docs/benchmarks/data.json`` and ``docs/benchmarks/data.md`` and prints the table.
"""

import argparse
import multiprocessing
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray
from psycopg.conninfo import conninfo_to_dict

from cineclub.adapters.files import open_source, write_rejects
from cineclub.adapters.postgres.copy_stream import read_ratings
from cineclub.adapters.postgres.embedded import embedded_postgres
from cineclub.adapters.postgres.importing import PostgresRatingImport
from cineclub.adapters.postgres.migrate import migrate
from cineclub.adapters.postgres.ratings import PostgresRatingStore
from cineclub.adapters.postgres.server_programs import packaged_binaries
from cineclub.adapters.postgres.sessions import connect
from cineclub.flows.importing import ImportReport, import_ratings
from report import machine, write_report

COPY = "COPY (SELECT user_id, movie_id, rating, rated_at FROM cineclub.ratings) TO STDOUT (FORMAT BINARY)"
N_LOADS = 3
FIRST_SECOND = 1_000_000_000


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="how many ratings to generate")
    n_rows = parser.parse_args().rows
    home = Path(tempfile.mkdtemp(prefix="cineclub-bench-"))
    home.chmod(0o711)
    try:
        with embedded_postgres(home) as url:
            migrate(url)
            figures = measure(url, home, n_rows)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    write_report("data", figures, table_of(figures))


def measure(url: str, home: Path, n_rows: int) -> dict[str, Any]:
    """Return every figure."""
    path = home / "ratings.csv"
    write_ratings(path, n_rows)
    first = run_import(url, path)
    again = run_import(url, path)
    write_ratings(path, n_rows, changed=True)
    changed = run_import(url, path)
    loads = [load_in_a_child(url) for _ in range(N_LOADS)]
    copies = [psql_seconds(url) for _ in range(N_LOADS)]
    return {
        "machine": machine(),
        "n_rows": n_rows,
        "import_empty": first,
        "import_equal": again,
        "import_tenth_changed": changed,
        "psql_seconds": min(copies),
        "load_seconds": min(load["columns_seconds"] for load in loads),
        "snapshot_seconds": min(load["seconds"] for load in loads),
        "load_peak_bytes_a_row": max(load["peak_bytes"] for load in loads) / n_rows,
    }


def write_ratings(path: Path, n_rows: int, *, changed: bool = False) -> None:
    """Write long-tailed ratings; with ``changed`` every tenth rating differs."""
    rng = np.random.default_rng(0)
    users, movies = long_tailed_pairs(rng, n_rows)
    ratings = rng.integers(1, 11, n_rows) / 2
    if changed:
        ratings[::10] = 5.5 - ratings[::10]
    seconds = FIRST_SECOND + np.sort(rng.integers(0, 500_000_000, n_rows))
    table = pa.table({"userId": users, "movieId": movies, "rating": ratings, "timestamp": seconds})
    pyarrow.csv.write_csv(table, path)


def long_tailed_pairs(rng: np.random.Generator, n_rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return distinct pairs of user and film, in random order, with long-tailed films."""
    n_users, n_movies = max(n_rows // 150, 10), max(min(n_rows // 400, 59_000), 100)
    pairs = np.empty(0, np.int64)
    while len(pairs) < n_rows:
        users = rng.integers(0, n_users, n_rows)
        movies = (n_movies * rng.random(n_rows) ** 3).astype(np.int64)
        pairs = np.unique(np.concatenate([pairs, users * n_movies + movies]))
    pairs = rng.permutation(pairs)[:n_rows]
    return pairs // n_movies + 1, pairs % n_movies + 1


def run_import(url: str, path: Path) -> dict[str, Any]:
    """Import a file and return the seconds of each phase."""
    started = time.perf_counter()
    target, reject = PostgresRatingImport(url), partial(write_rejects, path.with_suffix(".rejects"))
    report: ImportReport = import_ratings(open_source(path), target.scale(), target.write, reject)
    seconds = time.perf_counter() - started
    counts = report.counts
    return {
        "seconds": seconds,
        "rows_a_second": report.n_read / seconds,
        "phases": {"read and check": report.read_seconds, **counts.phase_seconds},
        "n_inserted": counts.n_inserted,
        "n_updated": counts.n_updated,
        "n_unchanged": counts.n_unchanged,
    }


def load_in_a_child(url: str) -> dict[str, float]:
    """Load in a fresh process, so that its peak memory is that of loading."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=load, args=(url, sender))
    child.start()
    figures: dict[str, float] = receiver.recv()
    child.join()
    return figures


def load(url: str, sender: Any) -> None:
    """Load columns alone, then the whole snapshot; send both times and the additional peak memory."""
    before = status("VmRSS")
    with closing(connect(url)) as connection:
        n_rows = connection.execute("SELECT count(*) AS n FROM cineclub.ratings").fetchall()[0]["n"]
        started = time.perf_counter()
        read_ratings(connection, COPY.encode(), n_rows, ignore)
        columns_seconds = time.perf_counter() - started
    started = time.perf_counter()
    PostgresRatingStore(url, "internal", "cineclub_source").load_snapshot(ignore)
    seconds = time.perf_counter() - started
    sender.send({"seconds": seconds, "columns_seconds": columns_seconds, "peak_bytes": status("VmHWM") - before})


def ignore(_fraction: float) -> None:
    """Show no progress."""


def status(field: str) -> float:
    """Return a memory figure of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(field))) * 1024


def psql_seconds(url: str) -> float:
    """Return the seconds that psql takes to copy the same rows to /dev/null."""
    parameters = conninfo_to_dict(url)
    environment = {f"PG{name.upper()}": str(value) for name, value in parameters.items() if name != "dbname"}
    environment["PGDATABASE"] = str(parameters["dbname"])
    command = [str(packaged_binaries().folder / "psql"), "--no-psqlrc", "-c", COPY]
    started = time.perf_counter()
    subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def table_of(figures: dict[str, Any]) -> str:
    """Return the figures as a table."""
    n_rows = figures["n_rows"]
    rows = [
        (
            "psql, binary copy, output discarded",
            figures["psql_seconds"],
            n_rows / figures["psql_seconds"],
            "1.00 (reference)",
        ),
        (
            "load into arrays",
            figures["load_seconds"],
            n_rows / figures["load_seconds"],
            f"{figures['psql_seconds'] / figures['load_seconds']:.2f} of psql's rate",
        ),
        (
            "load, canonical order and content hash",
            figures["snapshot_seconds"],
            n_rows / figures["snapshot_seconds"],
            f"{figures['load_peak_bytes_a_row']:.0f} bytes per row at the peak",
        ),
    ]
    for name, label in (
        ("import_empty", "import into the empty table"),
        ("import_equal", "import again, all rows equal"),
        ("import_tenth_changed", "import, a tenth of the rows changed"),
    ):
        figure = figures[name]
        phases = ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in figure["phases"].items())
        rows.append((label, figure["seconds"], figure["rows_a_second"], phases))
    lines = [f"| {label} | {seconds:.1f} | {rate:,.0f} | {note} |" for label, seconds, rate, note in rows]
    head = f"{n_rows:,} generated ratings.\n\n| operation | seconds | rows per second | |\n|---|---:|---:|---|"
    return "\n".join([head, *lines])


if __name__ == "__main__":
    main()
