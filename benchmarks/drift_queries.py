"""Seconds of the queries of a drift check, with as many generated ratings as MovieLens 25M."""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from cineclub.adapters.postgres.drift import PostgresDriftStatistics
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.domain.drift.periods import Measure, Period
from cineclub.domain.drift.statistics import MAX_WINDOWS
from generated_ratings import FULL_RATINGS, generated_log
from report import write_report
from section import table_of
from service import bring_in, database

WINDOW_RATINGS = 500_000
LIMIT_SECONDS = 2.0
N_TIMES = 5
DAYS = 7
FILL_RESPONSES = """
INSERT INTO cineclub.predictions
SELECT gen_random_uuid(), %(ends_at)s::timestamptz - n * %(step)s::interval, 'user', 'model', 'ease', 1,
    ARRAY(
        SELECT DISTINCT (1 + floor(%(n_movies)s * power(random(), 3)))::bigint FROM generate_series(1, 10) WHERE n > 0
    ),
    ARRAY(SELECT random()::real FROM generate_series(1, 10) WHERE n > 0), 0.001, false
FROM generate_series(1, %(n_answers)s) AS n
"""

LET_SOME_BE_OF_LAST_WEEK = """
UPDATE cineclub.ratings SET rated_at = newest.rated_at + interval '7 days' - random() * interval '7 days'
FROM (SELECT max(rated_at) AS rated_at FROM cineclub.ratings) AS newest
WHERE random() < %(share)s
"""


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ratings", type=int, default=FULL_RATINGS)
    parser.add_argument("--answers", type=int, default=500_000)
    options = parser.parse_args()
    log = generated_log(options.ratings)
    with database() as (url, _):
        bring_in(url, log)
        rows = [*measured(url, options.answers), *with_a_busy_week(url)]
    cells = [[row["what"], f"{row['seconds']:.2f}", f"{row['first_seconds']:.2f}", row["note"]] for row in rows]
    head = (
        f"{options.ratings:,} generated ratings and {options.answers:,} responses in {MAX_WINDOWS + 1} windows; the "
        f"median of {N_TIMES} runs, and the first run. The limit for a window of {WINDOW_RATINGS:,} ratings is "
        f"{LIMIT_SECONDS:.0f} s.\n\n"
    )
    figures = {"ratings": options.ratings, "answers": options.answers, "rows": rows}
    write_report("drift-queries", figures, head + table_of(["operation", "median s", "first s", ""], cells))


def measured(url: str, n_answers: int) -> list[dict[str, Any]]:
    """Return a row for each query, on ratings stored user by user as by an import."""

    async def measure(store: PostgresDriftStatistics) -> list[dict[str, Any]]:
        whole, window, known = await facts(store, url)
        fill_responses(url, window, n_answers)
        windows = windows_of_responses(window)
        return [
            await row_of(
                "the newest ratings, stored in the order of users", lambda: store.of_ratings(window, known), note_of
            ),
            await row_of("the responses of 27 windows", lambda: store.of_responses(windows, known.head_movie_ids, 1)),
            await row_of("all ratings, for a pinned baseline", lambda: store.whole_log(whole.ends_at), n_times=1),
        ]

    return asyncio.run(with_store(url, measure))


def with_a_busy_week(url: str) -> list[dict[str, Any]]:
    """Return the same for a week of ratings by returning users, as a service stores them.

    Changed rows are rewritten at the end of the table, where a service inserts new ones.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # no notices: no process caches histories
        connection.execute(LET_SOME_BE_OF_LAST_WEEK, {"share": WINDOW_RATINGS / n_ratings_of(connection)})
        connection.execute("VACUUM (ANALYZE) cineclub.ratings")

    async def measure(store: PostgresDriftStatistics) -> list[dict[str, Any]]:
        whole = await store.extent(datetime.now(tz=UTC))
        known = (await store.whole_log(whole.ends_at)).measure
        week = Period(whole.ends_at - timedelta(days=DAYS), whole.ends_at)
        return [
            await row_of(
                "a week with many users, stored in the order of arrival", lambda: store.of_ratings(week, known), note_of
            )
        ]

    return asyncio.run(with_store(url, measure))


def n_ratings_of(connection: psycopg.Connection[tuple[Any, ...]]) -> int:
    """Return the number of ratings."""
    return int(connection.execute("SELECT count(*) FROM cineclub.ratings").fetchall()[0][0])


async def with_store(
    url: str, measure: Callable[[PostgresDriftStatistics], Awaitable[list[dict[str, Any]]]]
) -> list[dict[str, Any]]:
    """Return the result of a measurement over a pool of connections."""
    pool = ServingPool(url)
    await pool.start()
    try:
        return await measure(PostgresDriftStatistics(pool))
    finally:
        await pool.stop()


async def facts(store: PostgresDriftStatistics, url: str) -> tuple[Period, Period, Measure]:
    """Return the whole period, a window of a number of ratings at its end, and their common measure."""
    with psycopg.connect(url) as connection:
        [[ends_at, starts_at]] = connection.execute(
            "SELECT (SELECT max(rated_at) FROM cineclub.ratings),"
            " (SELECT rated_at FROM cineclub.ratings ORDER BY rated_at DESC OFFSET %s LIMIT 1)",
            [WINDOW_RATINGS - 1],
        ).fetchall()
    whole = await store.extent(ends_at + timedelta(days=1))
    known = (await store.whole_log(whole.ends_at)).measure
    return whole, Period.up_to(starts_at, ends_at), known


def fill_responses(url: str, window: Period, n_answers: int) -> None:
    """Log responses spread over the seven-day windows before the end, with long-tailed films."""
    step = timedelta(days=DAYS) * (MAX_WINDOWS + 1) / n_answers
    with psycopg.connect(url, autocommit=True) as connection:
        [[n_movies]] = connection.execute("SELECT count(*) FROM cineclub.movies").fetchall()
        params = {"ends_at": window.ends_at, "step": step, "n_movies": n_movies, "n_answers": n_answers}
        connection.execute(FILL_RESPONSES, params)
        connection.execute("VACUUM (ANALYZE) cineclub.predictions")


def windows_of_responses(window: Period) -> Sequence[Period]:
    """Return the windows of responses, the last ending with the window of ratings."""
    length = timedelta(days=DAYS)
    whole = Period(window.ends_at - (MAX_WINDOWS + 1) * length, window.ends_at)
    return whole.windows_before(length, MAX_WINDOWS + 1)


async def row_of(
    what: str,
    work: Callable[[], Awaitable[Any]],
    note_of_result: Callable[[Any], str] = lambda _: "",
    n_times: int = N_TIMES,
) -> dict[str, Any]:
    """Return the seconds of a query, the first and the median of a few."""
    seconds = []
    for _ in range(n_times):
        started = time.perf_counter()
        result = await work()
        seconds.append(time.perf_counter() - started)
    middle = statistics.median(seconds)
    return {"what": what, "seconds": middle, "first_seconds": seconds[0], "note": note_of_result(result)}


def note_of(statistics: Any) -> str:
    """Return the size of a window in words."""
    return (
        f"{statistics.n_ratings:,} ratings of {statistics.n_active_users:,} users, {statistics.n_rated_movies:,} films"
    )


if __name__ == "__main__":
    main()
