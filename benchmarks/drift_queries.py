"""How long PostgreSQL counts for a check of drift, with generated ratings as many as MovieLens 25M has."""

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
from cineclub.domain.statistics import MAX_WINDOWS, SAMPLE_SIZE
from cineclub.ports import Measure, Period
from generated_ratings import FULL_RATINGS, generated_log
from report import write_report
from section import table_of
from service import bring_in, database

WINDOW_RATINGS = 500_000
LIMIT_SECONDS = 2.0
N_TIMES = 5
DAYS = 7
FILL_ANSWERS = """
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
        f"{options.ratings:,} generated ratings and {options.answers:,} answers over {MAX_WINDOWS + 1} windows; the "
        f"median of {N_TIMES} times, and the first time. The limit for a window of {WINDOW_RATINGS:,} ratings is "
        f"{LIMIT_SECONDS:.0f} s.\n\n"
    )
    figures = {"ratings": options.ratings, "answers": options.answers, "rows": rows}
    write_report("drift-queries", figures, head + table_of(["what", "median s", "first s", ""], cells))


def measured(url: str, n_answers: int) -> list[dict[str, Any]]:
    """Return one row for each piece of work, with ratings that lie person by person as an import leaves them."""

    async def measure(store: PostgresDriftStatistics) -> list[dict[str, Any]]:
        whole, window, known = await facts(store, url)
        fill_answers(url, window, n_answers)
        answers = windows_of_answers(window)
        return [
            await row_of("the newest ratings, stored by person", lambda: store.of_ratings(window, known), note_of),
            await row_of("the answers of 27 windows", lambda: store.of_answers(answers, known.head_movie_ids, 1)),
            await row_of("the most rated films", lambda: store.measure(whole.ends_at, SAMPLE_SIZE), n_times=1),
            await row_of("all ratings, to pin", lambda: store.of_ratings(whole, known, is_whole=True), n_times=1),
        ]

    return asyncio.run(with_store(url, measure))


def with_a_busy_week(url: str) -> list[dict[str, Any]]:
    """Return the same for a week in which many people who had rated before gave the ratings, as those of a service do.

    Rows that are changed are written anew behind all others, where a service writes those that come.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # nobody keeps histories who is to be told
        connection.execute(LET_SOME_BE_OF_LAST_WEEK, {"share": WINDOW_RATINGS / n_ratings_of(connection)})
        connection.execute("VACUUM (ANALYZE) cineclub.ratings")

    async def measure(store: PostgresDriftStatistics) -> list[dict[str, Any]]:
        whole = await store.extent(datetime.now(tz=UTC))
        known = await store.measure(whole.ends_at, SAMPLE_SIZE)
        week = Period(whole.ends_at - timedelta(days=DAYS), whole.ends_at)
        return [
            await row_of("a week of many people, stored as it came", lambda: store.of_ratings(week, known), note_of)
        ]

    return asyncio.run(with_store(url, measure))


def n_ratings_of(connection: psycopg.Connection[tuple[Any, ...]]) -> int:
    """Return how many ratings there are."""
    return int(connection.execute("SELECT count(*) FROM cineclub.ratings").fetchall()[0][0])


async def with_store(
    url: str, measure: Callable[[PostgresDriftStatistics], Awaitable[list[dict[str, Any]]]]
) -> list[dict[str, Any]]:
    """Return what is measured over a pool of connections."""
    pool = ServingPool(url)
    await pool.start()
    try:
        return await measure(PostgresDriftStatistics(pool))
    finally:
        await pool.stop()


async def facts(store: PostgresDriftStatistics, url: str) -> tuple[Period, Period, Measure]:
    """Return the whole period, a window of so many ratings at its end, and what both are measured by."""
    with psycopg.connect(url) as connection:
        [[ends_at, starts_at]] = connection.execute(
            "SELECT (SELECT max(rated_at) FROM cineclub.ratings),"
            " (SELECT rated_at FROM cineclub.ratings ORDER BY rated_at DESC OFFSET %s LIMIT 1)",
            [WINDOW_RATINGS - 1],
        ).fetchall()
    whole = await store.extent(ends_at + timedelta(days=1))
    known = await store.measure(whole.ends_at, SAMPLE_SIZE)
    return whole, Period.up_to(starts_at, ends_at), known


def fill_answers(url: str, window: Period, n_answers: int) -> None:
    """Log answers that are spread over the windows of seven days before the end, and their films unevenly."""
    step = timedelta(days=DAYS) * (MAX_WINDOWS + 1) / n_answers
    with psycopg.connect(url, autocommit=True) as connection:
        [[n_movies]] = connection.execute("SELECT count(*) FROM cineclub.movies").fetchall()
        asked = {"ends_at": window.ends_at, "step": step, "n_movies": n_movies, "n_answers": n_answers}
        connection.execute(FILL_ANSWERS, asked)
        connection.execute("VACUUM (ANALYZE) cineclub.predictions")


def windows_of_answers(window: Period) -> Sequence[Period]:
    """Return the windows of answers, the last of them up to the end of the window of ratings."""
    length = timedelta(days=DAYS)
    whole = Period(window.ends_at - (MAX_WINDOWS + 1) * length, window.ends_at)
    return whole.windows_before(length, MAX_WINDOWS + 1)


async def row_of(
    what: str,
    work: Callable[[], Awaitable[Any]],
    note_of_result: Callable[[Any], str] = lambda _: "",
    n_times: int = N_TIMES,
) -> dict[str, Any]:
    """Return how long a piece of work took, the first time and in the middle of a few."""
    seconds = []
    for _ in range(n_times):
        started = time.perf_counter()
        result = await work()
        seconds.append(time.perf_counter() - started)
    middle = statistics.median(seconds)
    return {"what": what, "seconds": middle, "first_seconds": seconds[0], "note": note_of_result(result)}


def note_of(found: Any) -> str:
    """Return how much a window holds."""
    return f"{found.n_ratings:,} ratings of {found.n_active_users:,} users, {found.n_rated_movies:,} films"


if __name__ == "__main__":
    main()
