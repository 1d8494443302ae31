"""The crowd's counts of PostgreSQL, against those that the domain computes from the same ratings."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
import pytest

from cineclub.adapters.postgres.crowd import PostgresCrowd
from cineclub.adapters.postgres.movies import PostgresMovies
from cineclub.adapters.postgres.people import PostgresPeople
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.domain.ratings.crowd import (
    GRANULE_MICROSECONDS,
    STANDSTILL_MICROSECONDS,
    CountedLikes,
    CrowdCounts,
    granule_of,
    start_of_recent,
)
from cineclub.domain.ratings.log import EPOCH, RatingLog, RatingScale
from cineclub.domain.ratings.popularity import MICROSECONDS_PER_DAY

pytestmark = pytest.mark.anyio

DAY = MICROSECONDS_PER_DAY
NOW = 1_700_000_000_000_000
SCALES = {"stars": RatingScale(0.5, 5.0), "points": RatingScale(1.0, 10.0)}
VIEWS = """
CREATE SCHEMA cineclub_source;
CREATE TABLE cineclub_source.movies AS
SELECT external_id AS movie_id, title, year, genres, imdb_id, tmdb_id FROM cineclub.movies;
CREATE VIEW cineclub_source.ratings AS
SELECT 'u' || user_id AS user_id, movie_id::text AS movie_id, rating::numeric AS rating, rated_at FROM cineclub.ratings
UNION ALL VALUES
    (NULL, '1', 5, now() - interval '1 hour'), ('u1', NULL, 5, now()), ('u1', '1', NULL, now()),
    ('u1', '1', 99, '2023-11-14Z'), ('u1', '1', 'NaN'::numeric, '2023-11-14Z'),
    ('u1', '1', 5, '-infinity'), ('u1', '1', 5, 'infinity');
CREATE VIEW cineclub_source.rating_scale AS SELECT scale_lowest AS lowest, scale_highest AS highest
FROM cineclub.catalogue;
"""


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection to a database with 200 films and 30 users, and no rating."""
    with psycopg.connect(database_url, autocommit=True) as opened:
        opened.execute(
            "INSERT INTO cineclub.movies (external_id, title) SELECT i, 'Film ' || i FROM generate_series(1, 200) AS i"
        )
        opened.execute("INSERT INTO cineclub.users (external_id) SELECT i FROM generate_series(1, 30) AS i")
        yield opened


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[ServingPool]:
    """Connections to the database."""
    opened = ServingPool(database_url)
    await opened.start()
    yield opened
    await opened.stop()


def drawn_log(seed: int, scale: RatingScale) -> RatingLog:
    """Return ratings of months, days and minutes before NOW, with bursts, shared instants, and some dated after NOW."""
    rng = np.random.default_rng(seed)
    pairs = rng.choice(30 * 200, 900, replace=False)
    users, movies = pairs // 200 + 1, pairs % 200 + 1
    age = np.array([0, 1, GRANULE_MICROSECONDS, DAY // 24, DAY, 2 * DAY, 3 * DAY, 40 * DAY, 4000 * DAY])
    rated_at = NOW - rng.choice(age, 900) - rng.choice([0, 0, 1, DAY // 50], 900)
    rated_at[users == 1] = NOW - 5 * DAY + rng.integers(0, 4, 900)[users == 1]  # a burst with shared instants
    rated_at[users == 2] = NOW - DAY // 3
    ratings = rng.choice(np.linspace(scale.lowest, scale.highest, 10), 900).astype(np.float32)
    return RatingLog.from_columns(users, movies, ratings, rated_at, scale)


def store(connection: psycopg.Connection, log: RatingLog) -> None:
    """Replace the stored ratings and their scale."""
    connection.execute("TRUNCATE cineclub.ratings, cineclub.catalogue")
    connection.execute(
        "INSERT INTO cineclub.catalogue VALUES (true, %s, %s, true, true)", (log.scale.lowest, log.scale.highest)
    )
    with connection.cursor() as cursor, cursor.copy("COPY cineclub.ratings FROM STDIN") as copy:
        for user, movie, rating, at in zip(log.user_ids, log.movie_ids, log.ratings, log.rated_at, strict=True):
            copy.write_row((int(user), int(movie), float(rating), EPOCH + timedelta(microseconds=int(at))))


async def counted(crowd: PostgresCrowd, moment: int) -> CrowdCounts:
    """Return the counts as the service makes them."""
    start = start_of_recent(moment)
    older = await crowd.older(start, await crowd.stored(start))
    return older.counts.with_recent(await crowd.recent(start, granule_of(moment)))


def assert_equal(counts: CrowdCounts, expected: CrowdCounts) -> None:
    """Assert that counts are equal to 1e-9; weights below the smallest that PostgreSQL computes count as 0."""
    assert counts.movie_ids.tolist() == expected.movie_ids.tolist()
    assert (counts.clock, counts.moment) == (expected.clock, expected.moment)
    assert counts.newest_liked_at == expected.newest_liked_at
    np.testing.assert_allclose(counts.sums, expected.sums, rtol=1e-9, atol=1e-200)
    assert np.isfinite(counts.sums).all()


@pytest.mark.parametrize("source", ["own", "views"])
@pytest.mark.parametrize(("seed", "scale"), [(0, "stars"), (1, "points"), (2, "stars")])
async def test_postgresql_counts_what_the_domain_counts(
    connection: psycopg.Connection, pool: ServingPool, seed: int, scale: str, source: str
) -> None:
    """During and after the ratings the counts are those of the domain, of tables and of the owner's views."""
    log = drawn_log(seed, SCALES[scale])
    store(connection, log)
    connection.execute(VIEWS)
    schema = "cineclub_source" if source == "views" else None
    crowd = PostgresCrowd(pool, PostgresMovies(pool, schema), schema)
    for later in (-3 * DAY, 0, 2 * GRANULE_MICROSECONDS, 5 * DAY, 900 * DAY):
        moment = NOW + later
        given = log.take(log.rated_at < granule_of(moment) + GRANULE_MICROSECONDS)
        store(connection, given)
        connection.execute("DELETE FROM cineclub.older_crowd_counts")
        assert_equal(await counted(crowd, moment), CrowdCounts.of(CountedLikes.of(given), moment))


async def test_likes_dated_after_now_count_as_now(connection: psycopg.Connection, pool: ServingPool) -> None:
    """They weigh 1, damped by the person's ratings of today, do not move the clock, and are not the newest like."""
    ends = granule_of(NOW)
    rows = [(user, 1, 5.0, ends - 20 * DAY) for user in (1, 2)]
    rows += [(3, 2, 5.0, ends + GRANULE_MICROSECONDS - 1), (4, 3, 5.0, ends + 9999 * DAY)]
    rows += [(5, movie, 5.0, ends + movie * DAY) for movie in range(10, 30)]
    users, movies, ratings, times = (np.array(column) for column in zip(*rows, strict=True))
    log = RatingLog.from_columns(users, movies, ratings.astype(np.float32), times, SCALES["stars"])
    store(connection, log)
    counts = await counted(PostgresCrowd(pool, PostgresMovies(pool)), NOW)
    assert counts.newest_liked_at == ends - 20 * DAY
    assert counts.clock == ends - 20 * DAY + STANDSTILL_MICROSECONDS
    assert counts.movie_ids.tolist() == [1, 3, *range(10, 30)]  # that of this granule is not known yet
    known = CrowdCounts.of(CountedLikes.of(log), NOW)
    np.testing.assert_allclose(counts.sums[:, 0], known.sums[:, 0], rtol=1e-9)
    assert (counts.sums[:, 1] == 1).all()
    np.testing.assert_allclose(counts.sums[:, 2:], 0.5)


@pytest.mark.parametrize("source", ["own", "views"])
async def test_a_like_at_an_infinite_time_is_never_counted(
    connection: psycopg.Connection, pool: ServingPool, source: str
) -> None:
    """It has no age: neither part of the counts holds it, it is not the newest, and it damps no other like."""
    log = RatingLog.from_columns(
        np.arange(1, 3),
        np.array([1, 2]),
        np.full(2, 5, np.float32),
        np.array([NOW - 9 * DAY, NOW - DAY]),
        SCALES["stars"],
    )
    store(connection, log)
    connection.execute("INSERT INTO cineclub.ratings SELECT 1, i, 5, 'infinity' FROM generate_series(10, 30) AS i")
    connection.execute("INSERT INTO cineclub.ratings SELECT 2, i, 5, '-infinity' FROM generate_series(10, 30) AS i")
    connection.execute(VIEWS)
    schema = "cineclub_source" if source == "views" else None
    counts = await counted(PostgresCrowd(pool, PostgresMovies(pool, schema), schema), NOW)

    assert_equal(counts, CrowdCounts.of(CountedLikes.of(log), NOW))


async def test_there_are_no_counts_before_the_first_import(pool: ServingPool) -> None:
    """Without a scale and ratings the counts are empty."""
    counts = await counted(PostgresCrowd(pool, PostgresMovies(pool)), NOW)
    assert counts.sums.shape == (6, 0)
    assert counts.newest_liked_at is None


RATED_LONG_AGO = "INSERT INTO cineclub.ratings VALUES (7, 7, 5, '2020-01-01Z')"


async def test_changes_of_older_ratings_are_known(
    database_url: str, connection: psycopg.Connection, pool: ServingPool
) -> None:
    """Each kind of change of an older rating is noticed once committed, and none of a new one."""
    store(connection, drawn_log(0, SCALES["stars"]))
    crowd = PostgresCrowd(pool, PostgresMovies(pool))
    start = start_of_recent((datetime.now(UTC) - EPOCH) // timedelta(microseconds=1))
    older = await crowd.older(start, None)
    connection.execute("INSERT INTO cineclub.ratings VALUES (8, 8, 5, now()) ON CONFLICT DO NOTHING")
    connection.execute("UPDATE cineclub.ratings SET rating = 4 WHERE rated_at > now() - interval '1 hour'")
    assert await crowd.changes(older) == "none"
    connection.execute("DELETE FROM cineclub.ratings WHERE (user_id, movie_id) = (7, 7)")
    older = await crowd.older(start, older)
    for statement in (
        RATED_LONG_AGO,
        "DELETE FROM cineclub.ratings WHERE (user_id, movie_id) = (7, 7)",
        RATED_LONG_AGO,
        "UPDATE cineclub.ratings SET rated_at = now() WHERE (user_id, movie_id) = (7, 7)",
    ):
        with psycopg.connect(database_url) as other:
            other.execute(statement.encode())
            during = await crowd.older(start, older)  # sums before the commit: the mark must not cover it
            other.commit()
        assert await crowd.changes(during) == "some", statement
        older = await crowd.older(start, during)
        assert await crowd.changes(older) == "none"
    connection.execute("TRUNCATE cineclub.ratings")
    assert await crowd.changes(older) == "some"


async def test_one_process_sums_for_all(connection: psycopg.Connection, pool: ServingPool) -> None:
    """Counts that are kept serve other processes and the next start, of the same day and source alone."""
    store(connection, drawn_log(0, SCALES["stars"]))
    crowd, start = PostgresCrowd(pool, PostgresMovies(pool)), start_of_recent(NOW)
    assert await crowd.stored(start) is None
    older = await crowd.older(start, None)
    again = await crowd.older(start, None)
    stored = await crowd.stored(start)
    assert stored is not None
    assert stored.seen == older.seen == again.seen
    assert stored.counts.is_same_as(older.counts)
    connection.execute("DELETE FROM cineclub.ratings")
    assert len((await crowd.older(start, stored)).counts.movie_ids) == 0
    assert await crowd.stored(start + DAY) is None
    assert await PostgresCrowd(pool, PostgresMovies(pool), "elsewhere").stored(start) is None


async def test_an_erased_person_is_in_no_kept_counts(
    database_url: str, connection: psycopg.Connection, pool: ServingPool
) -> None:
    """An erasure deletes kept counts, and every process knows that its own hold the person."""
    store(connection, drawn_log(0, SCALES["stars"]))
    crowd = PostgresCrowd(pool, PostgresMovies(pool))
    start = start_of_recent(NOW)
    older = await crowd.older(start, None)
    PostgresPeople(database_url).erase("1")
    assert await crowd.stored(start) is None
    assert await crowd.changes(older) == "erasure"
    log = drawn_log(0, SCALES["stars"])
    without = log.take(log.user_ids != 1)
    assert_equal(await counted(crowd, NOW), CrowdCounts.of(CountedLikes.of(without), NOW))


async def test_rows_of_another_server_mean_nothing(connection: psycopg.Connection, pool: ServingPool) -> None:
    """Sums and changes that came with a copy of another server have other transaction numbers and are not used."""
    store(connection, drawn_log(0, SCALES["stars"]))
    crowd, start = PostgresCrowd(pool, PostgresMovies(pool)), start_of_recent(NOW)
    older = await crowd.older(start, None)
    connection.execute("INSERT INTO cineclub.older_rating_changes (changed_in, is_erasure) VALUES ('1000000000', true)")
    assert await crowd.changes(older) == "none"
    connection.execute("UPDATE cineclub.older_crowd_counts SET seen = '1000000000:1000000000:'")
    assert await crowd.stored(start) is None
