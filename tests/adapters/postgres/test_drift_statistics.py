"""Statistics computed inside PostgreSQL are those that a training computes from the same ratings."""

import asyncio
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from cineclub.adapters.postgres import drift as drift_module
from cineclub.adapters.postgres.drift import PostgresDriftStatistics
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.domain.errors import StorageUnavailable
from cineclub.domain.ratings import Movie, RatingLog, RatingScale
from cineclub.domain.segments import SegmentRatings
from cineclub.domain.statistics import Baseline, PeriodStatistics, baseline_of
from cineclub.ports import Measure, Period

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW_DAYS = 1.0
N_MOVIES, N_USERS = 30, 12
GENRES = [[], ["Drama"], ["Drama", "Comedy"], ["Drama", "Drama", "Horror"], ["Comedy"]]
YEARS = [None, 1979, 1980, 1989, 2001]
SCALES = [RatingScale(0.5, 5.0), RatingScale(1.0, 5.0), RatingScale(0.0, 100.0), RatingScale(1.0, 10.0)]
VIEWS = """
CREATE SCHEMA cineclub_source;
CREATE VIEW cineclub_source.movies AS SELECT external_id::int AS movie_id, title FROM cineclub.movies;
CREATE VIEW cineclub_source.ratings AS
SELECT u.external_id::bigint AS user_id, m.external_id::int AS movie_id, r.rating::float8 AS rating, r.rated_at
FROM cineclub.ratings r JOIN cineclub.users u ON u.id = r.user_id JOIN cineclub.movies m ON m.id = r.movie_id;
"""


def films() -> list[Movie]:
    """Return films with all sorts of genres and years."""
    return [
        Movie(nth, str(1000 + nth), f"Film {nth}", YEARS[nth % len(YEARS)], tuple(GENRES[nth % len(GENRES)]))
        for nth in range(1, N_MOVIES + 1)
    ]


@pytest.fixture
def films_url(database_url: str) -> str:
    """A database with films and users, and views of them as an owner would have."""
    with psycopg.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.execute(VIEWS)
        cursor.executemany(
            "INSERT INTO cineclub.movies (external_id, title, year, genres) VALUES (%s, %s, %s, %s)",
            [(one.external_id, one.title, one.year, list(one.genres)) for one in films()],
        )
        cursor.execute(
            "INSERT INTO cineclub.users (external_id) SELECT i::text FROM generate_series(1, %s) i", [N_USERS]
        )
    return database_url


def fill(database_url: str, log: RatingLog) -> None:
    """Let the ratings be these."""
    columns = zip(log.user_ids, log.movie_ids, log.ratings, log.rated_at, strict=True)
    with psycopg.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE cineclub.ratings")
        cursor.execute("DELETE FROM cineclub.catalogue")
        cursor.execute(
            "INSERT INTO cineclub.catalogue VALUES (true, %s, %s, true, true)", [log.scale.lowest, log.scale.highest]
        )
        cursor.executemany(
            "INSERT INTO cineclub.ratings (user_id, movie_id, rating, rated_at) VALUES (%s, %s, %s, %s)",
            [(int(user), int(movie), float(rating), at(int(when))) for user, movie, rating, when in columns],
        )


def at(microseconds: int) -> datetime:
    """Return a time."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


def random_log(seed: int, n_ratings: int, scale: RatingScale, days: float) -> RatingLog:
    """Return ratings of a few people over some days, the popular films rated most."""
    rng = np.random.default_rng(seed)
    pairs = rng.permutation(N_USERS * N_MOVIES)[:n_ratings]
    steps = rng.integers(0, 10, len(pairs))
    ratings = (scale.lowest + steps * (scale.highest - scale.lowest) / 9).astype(np.float32)
    ratings = np.clip(ratings, scale.lowest, scale.highest).astype(np.float32)
    begin = int(BEGIN.timestamp() * 1_000_000)
    rated_at = begin + rng.integers(0, int(days * 86_400), len(pairs)) * 1_000_000
    return RatingLog.from_columns(pairs % N_USERS + 1, pairs // N_USERS + 1, ratings, rated_at.astype(np.int64), scale)


def computed(database_url: str, baseline: Baseline, schema: str | None) -> Baseline:
    """Return the same baseline as PostgreSQL computes it, from the ends of its windows and what it is measured by."""

    async def compute() -> Baseline:
        pool = ServingPool(database_url)
        await pool.start()
        try:
            store = PostgresDriftStatistics(pool, schema)
            extent = await store.extent(datetime(2030, 1, 1, tzinfo=UTC))
            assert extent is not None
            measure = await store.measure(extent.ends_at, baseline.sample_size)
            periods = extent.windows_before(timedelta(days=baseline.window_days), 26)
            assert await store.sizes(periods) == [one.n_ratings for one in baseline.windows]
            return Baseline(
                scale=measure.scale,
                window_days=baseline.window_days,
                sample_size=measure.sample_size,
                head_movie_ids=measure.head_movie_ids,
                whole=await store.of_ratings(extent, measure, is_whole=True),
                windows=tuple([await store.of_ratings(period, measure) for period in periods]),
            )
        finally:
            await pool.stop()

    return asyncio.run(compute())


def assert_alike(ours: PeriodStatistics, theirs: PeriodStatistics) -> None:
    """Every field is the same up to the order of summation, but for the concentration of a sample drawn otherwise."""
    for field in fields(PeriodStatistics):
        one, other = getattr(ours, field.name), getattr(theirs, field.name)
        if field.name == "sampled_popularity_gini":
            assert (one is None) == (other is None)
            assert one == pytest.approx(other, abs=0.25)
        elif field.name == "segments":
            assert_segments_alike(one, other)
        else:
            assert one == (pytest.approx(other, abs=1e-9) if isinstance(other, float | tuple | dict) else other), (
                field.name
            )


def assert_segments_alike(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Dimensions, parts and figures are the same."""
    assert ours.keys() == theirs.keys()
    for dimension, parts in theirs.items():
        assert ours[dimension].keys() == parts.keys()
        for name, part in parts.items():
            for field in fields(SegmentRatings):
                assert getattr(ours[dimension][name], field.name) == pytest.approx(getattr(part, field.name), abs=1e-9)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10_000),
    n_ratings=st.integers(1, N_USERS * N_MOVIES),
    scale=st.sampled_from(SCALES),
    days=st.floats(0.5, 12.0),
    schema=st.sampled_from([None, "cineclub_source"]),
)
def test_postgresql_computes_what_a_training_computes(
    films_url: str, seed: int, n_ratings: int, scale: RatingScale, days: float, schema: str | None
) -> None:
    """For any ratings, the whole log, its windows, their sizes and the head are equal, in our tables and in views."""
    log = random_log(seed, n_ratings, scale, days)
    fill(films_url, log)
    known = baseline_of(log, films(), np.random.default_rng(0), WINDOW_DAYS)
    ours = computed(films_url, known, schema)
    assert (ours.scale, ours.head_movie_ids) == (known.scale, known.head_movie_ids)
    assert_alike(ours.whole, known.whole)
    assert len(ours.windows) == len(known.windows)
    for one, other in zip(ours.windows, known.windows, strict=True):
        assert_alike(one, other)


def test_the_sampled_concentration_is_near_and_the_same_each_time(films_url: str) -> None:
    """A sample of hashes is as good as a random one, and the same ratings give the same number."""
    log = random_log(3, 360, SCALES[0], 1.0)
    fill(films_url, log)
    period = Period(BEGIN, BEGIN + timedelta(days=1))

    async def measured(sample_size: int) -> float | None:
        pool = ServingPool(films_url)
        await pool.start()
        try:
            found = await PostgresDriftStatistics(pool).of_ratings(period, Measure(log.scale, sample_size, ()))
            return found.sampled_popularity_gini
        finally:
            await pool.stop()

    of_all = asyncio.run(measured(len(log)))
    assert of_all == pytest.approx(baseline_of(log, films(), np.random.default_rng(0)).whole.popularity_gini)
    assert asyncio.run(measured(200)) == asyncio.run(measured(200))
    assert asyncio.run(measured(len(log) + 1)) is None


def test_a_window_without_ratings_has_no_figures(films_url: str) -> None:
    """Nothing is known of it, and nothing fails."""
    fill(films_url, random_log(1, 50, SCALES[0], 1.0))

    async def measured() -> PeriodStatistics:
        pool = ServingPool(films_url)
        await pool.start()
        try:
            period = Period(BEGIN + timedelta(days=100), BEGIN + timedelta(days=107))
            return await PostgresDriftStatistics(pool).of_ratings(period, Measure(SCALES[0], 500, (1,)))
        finally:
            await pool.stop()

    found = asyncio.run(measured())
    assert (found.n_ratings, found.n_active_users, found.mean_rating, found.popularity_gini) == (0, 0, None, None)
    assert (found.new_user_share, found.sampled_popularity_gini, found.ratings_per_user) == (None, None, {})
    assert found.segments == {"genre": {}, "decade": {}, "activity": {}, "popularity": {}}


def test_a_count_that_takes_too_long_leaves_the_requests_alone(films_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL ends it, the error says what to do, and the pool does not take the database for lost."""
    monkeypatch.setattr(drift_module, "LIMIT_SECONDS", 0.2)
    slow = "CREATE OR REPLACE VIEW cineclub_source.ratings AS SELECT 1::bigint AS user_id, 1 AS movie_id,"
    slow += " 1::float8 AS rating, now() AS rated_at FROM pg_sleep(30)"
    with psycopg.connect(films_url) as connection:
        connection.execute(slow.encode())

    async def measure() -> bool:
        pool = ServingPool(films_url)
        await pool.start()
        try:
            with pytest.raises(StorageUnavailable, match="shorter window"):
                await PostgresDriftStatistics(pool, "cineclub_source").of_ratings(
                    Period(BEGIN, datetime(2999, 1, 1, tzinfo=UTC)), Measure(SCALES[0], 500, ())
                )
            return await pool.is_reachable()
        finally:
            await pool.stop()

    assert asyncio.run(measure())


def test_statements_that_take_too_long_together_do_not_look_like_an_outage(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL ends the second before the connection is cut: nobody else is told that it does not answer."""
    monkeypatch.setattr(drift_module, "SPARE_SECONDS", 1.0)

    async def pauses(pool: ServingPool) -> None:
        async with PostgresDriftStatistics(pool)._counting(2.0) as counting:
            for _ in range(2):
                await counting.rows(sql.SQL("SELECT pg_sleep(1.8)"), {})

    async def work() -> bool:
        pool = ServingPool(database_url)
        await pool.start()
        try:
            with pytest.raises(StorageUnavailable, match="counting for drift took more than 2 s"):
                await pauses(pool)
            return pool.usage().is_away
        finally:
            await pool.stop()

    assert not asyncio.run(work())
