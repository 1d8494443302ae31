"""Seconds of the crowd's counts, with as many generated ratings as MovieLens 25M."""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import psycopg

from cineclub.adapters.postgres.crowd import PostgresCrowd
from cineclub.adapters.postgres.movies import PostgresMovies
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.domain.ratings.crowd import CrowdCounts, granule_of, start_of_recent
from cineclub.domain.ratings.popularity import MICROSECONDS_PER_DAY
from generated_ratings import FULL_RATINGS, generated_log
from report import write_report
from section import table_of
from service import bring_in, database

RECENT_RATINGS, RECENT_DAYS = 250_000, 2.5
LET_SOME_BE_RECENT = """
UPDATE cineclub.ratings SET rated_at = newest.rated_at - random() * make_interval(secs => %(seconds)s)
FROM (SELECT max(rated_at) AS rated_at FROM cineclub.ratings) AS newest
WHERE random() < %(share)s
"""


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ratings", type=int, default=FULL_RATINGS)
    options = parser.parse_args()
    with database() as (url, _):
        bring_in(url, generated_log(options.ratings))
        rows = measured(url, options.ratings)
    cells = [[row["what"], f"{row['seconds']:.2f}", row["note"]] for row in rows]
    head = f"{options.ratings:,} generated ratings, of which {RECENT_RATINGS:,} are of the last {RECENT_DAYS} days.\n\n"
    write_report(
        "crowd-counts", {"ratings": options.ratings, "rows": rows}, head + table_of(["operation", "s", ""], cells)
    )


def measured(url: str, n_ratings: int) -> list[dict[str, Any]]:
    """Return a row for each query; some ratings are made recent before, and are then stored in the order of arrival."""
    seconds = RECENT_DAYS * MICROSECONDS_PER_DAY / 1e6
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # no notices: no process keeps counts
        connection.execute(LET_SOME_BE_RECENT, {"share": RECENT_RATINGS / n_ratings, "seconds": seconds})
        connection.execute("VACUUM (ANALYZE) cineclub.ratings")
        [[newest]] = connection.execute(
            "SELECT (extract(epoch FROM max(rated_at)) * 1000000)::bigint FROM cineclub.ratings"
        ).fetchall()
    return asyncio.run(_measured(url, newest))


async def _measured(url: str, newest: int) -> list[dict[str, Any]]:
    """Return a row for each query at a moment after the newest rating."""
    pool = ServingPool(url)
    await pool.start()
    try:
        crowd = PostgresCrowd(pool, PostgresMovies(pool))
        moment, start = granule_of(newest) + MICROSECONDS_PER_DAY // 288, start_of_recent(newest)
        older, first = await _row("older ratings, once a day and after changes", lambda: crowd.older(start, None))
        _, second = await _row("the same, as a process has kept them", lambda: crowd.stored(start))
        recent, third = await _row("recent ratings, every five minutes", lambda: crowd.recent(start, moment))
        _, fourth = await _row("changes of older ratings, every five minutes", lambda: crowd.changes(older))
        _, fifth = await _row("the counts of both parts", lambda: _joined(older.counts, recent))
    finally:
        await pool.stop()
    first["note"], third["note"] = f"{len(older.counts.movie_ids):,} films", f"{len(recent.movie_ids):,} films"
    return [first, second, third, fourth, fifth]


async def _row(what: str, work: Callable[[], Awaitable[Any]]) -> tuple[Any, dict[str, Any]]:
    """Return what some work returns, and the row of its seconds."""
    started = time.perf_counter()
    result = await work()
    seconds = time.perf_counter() - started
    return result, {"what": what, "seconds": seconds, "note": "", "measured_at": datetime.now(UTC).isoformat()}


async def _joined(older: CrowdCounts, recent: CrowdCounts) -> CrowdCounts:
    """Return the counts of both parts."""
    return older.with_recent(recent)


if __name__ == "__main__":
    main()
