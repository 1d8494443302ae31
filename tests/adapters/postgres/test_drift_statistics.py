"""Statistics of a window read from PostgreSQL equal those of the rating log of a training."""

import asyncio
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import numpy as np
import psycopg
import pytest
from drifting_ratings import N_WEEKS, fill_weeks, promote_with_baseline
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from cineclub.adapters.postgres import drift as drift_module
from cineclub.adapters.postgres.drift import PostgresDriftStatistics
from cineclub.adapters.postgres.drift_store import PostgresDriftStore
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.domain.drift import statistics as statistics_module
from cineclub.domain.drift.periods import Measure, Period
from cineclub.domain.drift.statistics import Baseline, PeriodStatistics, baseline_of
from cineclub.domain.errors import StorageUnavailable
from cineclub.domain.ratings.log import Movie, RatingLog, RatingScale
from cineclub.domain.ratings.segments import SegmentRatings

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


def movies() -> list[Movie]:
    """Return films with various genres and years."""
    return [
        Movie(nth, str(1000 + nth), f"Film {nth}", YEARS[nth % len(YEARS)], tuple(GENRES[nth % len(GENRES)]))
        for nth in range(1, N_MOVIES + 1)
    ]


@pytest.fixture
def movies_url(database_url: str) -> str:
    """A database with films and users, and an owner's views of them."""
    with psycopg.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.execute(VIEWS)
        cursor.executemany(
            "INSERT INTO cineclub.movies (external_id, title, year, genres) VALUES (%s, %s, %s, %s)",
            [(movie.external_id, movie.title, movie.year, list(movie.genres)) for movie in movies()],
        )
        cursor.execute(
            "INSERT INTO cineclub.users (external_id) SELECT i::text FROM generate_series(1, %s) i", [N_USERS]
        )
    return database_url


def fill(database_url: str, log: RatingLog) -> None:
    """Replace the ratings."""
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
    """Return random ratings of a few users over some days, popular films rated most."""
    rng = np.random.default_rng(seed)
    pairs = rng.permutation(N_USERS * N_MOVIES)[:n_ratings]
    steps = rng.integers(0, 10, len(pairs))
    ratings = (scale.lowest + steps * (scale.highest - scale.lowest) / 9).astype(np.float32)
    ratings = np.clip(ratings, scale.lowest, scale.highest).astype(np.float32)
    begin = int(BEGIN.timestamp() * 1_000_000)
    rated_at = begin + rng.integers(0, int(days * 86_400), len(pairs)) * 1_000_000
    return RatingLog.from_columns(pairs % N_USERS + 1, pairs // N_USERS + 1, ratings, rated_at.astype(np.int64), scale)


def computed(database_url: str, baseline: Baseline, schema: str | None) -> Baseline:
    """Return the baseline that a check computes from the ratings in PostgreSQL."""

    async def compute() -> Baseline:
        pool = ServingPool(database_url)
        await pool.start()
        try:
            store = PostgresDriftStatistics(pool, schema)
            extent = await store.extent(datetime(2030, 1, 1, tzinfo=UTC))
            assert extent is not None
            whole = await store.whole_log(extent.ends_at)
            assert whole is not None
            measure = Measure(whole.scale, baseline.sample_size, whole.head_movie_ids)
            periods = extent.windows_before(timedelta(days=baseline.window_days), 26)
            assert await store.sizes(periods) == [window.n_ratings for window in baseline.windows]
            return Baseline(
                scale=measure.scale,
                window_days=baseline.window_days,
                sample_size=measure.sample_size,
                head_movie_ids=measure.head_movie_ids,
                whole=whole.whole,
                windows=tuple([await store.of_ratings(period, measure) for period in periods]),
            )
        finally:
            await pool.stop()

    return asyncio.run(compute())


def assert_alike(ours: PeriodStatistics, theirs: PeriodStatistics) -> None:
    """Check that every field is equal up to the order of summation."""
    for field in fields(PeriodStatistics):
        our_value, their_value = getattr(ours, field.name), getattr(theirs, field.name)
        if field.name == "segments":
            assert_segments_alike(our_value, their_value)
        elif field.name == "damped_mixes":
            assert our_value.keys() == their_value.keys()
            for dimension, mix in their_value.items():
                assert our_value[dimension] == pytest.approx(mix, abs=1e-9), dimension
        else:
            assert our_value == (
                pytest.approx(their_value, abs=1e-9) if isinstance(their_value, float | tuple | dict) else their_value
            ), field.name


def assert_segments_alike(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Check that dimensions, parts and figures are equal."""
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
def test_a_check_counts_what_a_training_counts(
    movies_url: str, seed: int, n_ratings: int, scale: RatingScale, days: float, schema: str | None
) -> None:
    """Whole log, windows, their sizes and the head are equal for random ratings, in our tables and in views."""
    log = random_log(seed, n_ratings, scale, days)
    fill(movies_url, log)
    known = baseline_of(log, movies(), WINDOW_DAYS)
    ours = computed(movies_url, known, schema)
    assert (ours.scale, ours.head_movie_ids) == (known.scale, known.head_movie_ids)
    assert_alike(ours.whole, replace(known.whole, sampled_popularity_gini=ours.whole.sampled_popularity_gini))
    assert len(ours.windows) == len(known.windows)
    for our_window, known_window in zip(ours.windows, known.windows, strict=True):
        assert_alike(our_window, known_window)


def test_a_check_of_a_window_equals_what_the_version_learned_from(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stored baseline of a version and a check of the same weeks have equal numbers, samples included."""
    monkeypatch.setattr(statistics_module, "MIN_SAMPLE_SIZE", 50)
    monkeypatch.setattr(statistics_module, "MAX_SAMPLED_USERS", 100)
    monkeypatch.setattr(statistics_module, "PIECE_SIZE", 150)
    monkeypatch.setattr(drift_module, "PIECE_SIZE", 70)
    promote_with_baseline(database_url, fill_weeks(database_url, BEGIN, has_last_week=False))

    async def counted() -> tuple[Baseline, list[PeriodStatistics]]:
        pool = ServingPool(database_url)
        await pool.start()
        try:
            stored = (await PostgresDriftStore(pool).baselines()).model
            assert stored is not None
            learned, statistics = stored.baseline, PostgresDriftStatistics(pool)
            periods = [window.period for window in learned.windows]
            return learned, [await statistics.of_ratings(period, learned.measure) for period in periods]
        finally:
            await pool.stop()

    learned, windows = asyncio.run(counted())
    assert len(learned.windows) == N_WEEKS - 1
    assert all(window.sampled_popularity_gini is not None for window in learned.windows)
    assert tuple(windows) == learned.windows


def test_the_sampled_concentration_is_near_and_the_same_each_time(movies_url: str) -> None:
    """The sample depends on the ratings alone, so the same ratings give the same figure."""
    log = random_log(3, 360, SCALES[0], 1.0)
    fill(movies_url, log)
    period = Period(BEGIN, BEGIN + timedelta(days=1))

    async def measured(sample_size: int) -> float | None:
        pool = ServingPool(movies_url)
        await pool.start()
        try:
            statistics = await PostgresDriftStatistics(pool).of_ratings(period, Measure(log.scale, sample_size, ()))
            return statistics.sampled_popularity_gini
        finally:
            await pool.stop()

    of_all = asyncio.run(measured(len(log)))
    assert of_all == pytest.approx(baseline_of(log, movies()).whole.popularity_gini)
    assert asyncio.run(measured(200)) == asyncio.run(measured(200))
    assert asyncio.run(measured(len(log) + 1)) is None


def test_a_window_without_ratings_has_no_figures(movies_url: str) -> None:
    """A window without ratings has no figures and raises no error."""
    fill(movies_url, random_log(1, 50, SCALES[0], 1.0))

    async def measured() -> PeriodStatistics:
        pool = ServingPool(movies_url)
        await pool.start()
        try:
            period = Period(BEGIN + timedelta(days=100), BEGIN + timedelta(days=107))
            return await PostgresDriftStatistics(pool).of_ratings(period, Measure(SCALES[0], 500, (1,)))
        finally:
            await pool.stop()

    statistics = asyncio.run(measured())
    assert (statistics.n_ratings, statistics.n_active_users, statistics.mean_rating, statistics.popularity_gini) == (
        0,
        0,
        None,
        None,
    )
    assert (statistics.new_user_share, statistics.sampled_popularity_gini, statistics.ratings_per_user) == (
        None,
        None,
        {},
    )
    assert statistics.segments == {"genre": {}, "decade": {}, "activity": {}, "popularity": {}}


def test_a_count_that_takes_too_long_leaves_the_requests_alone(
    movies_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL cancels the query, the error says what to do, and the pool stays available."""
    monkeypatch.setattr(drift_module, "LIMIT_SECONDS", 0.2)
    slow = "CREATE OR REPLACE VIEW cineclub_source.ratings AS SELECT 1::bigint AS user_id, 1 AS movie_id,"
    slow += " 1::float8 AS rating, now() AS rated_at FROM pg_sleep(30)"
    with psycopg.connect(movies_url) as connection:
        connection.execute(slow.encode())

    async def measure() -> bool:
        pool = ServingPool(movies_url)
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


def test_a_check_that_is_stopped_stops_its_query(movies_url: str) -> None:
    """A service that stops during a check cancels its query."""
    slow = "CREATE OR REPLACE VIEW cineclub_source.ratings AS SELECT 1::bigint AS user_id, 1 AS movie_id,"
    slow += " 1::float8 AS rating, now() AS rated_at FROM pg_sleep(30)"
    with psycopg.connect(movies_url) as connection:
        connection.execute(slow.encode())

    async def stop() -> None:
        pool = ServingPool(movies_url)
        await pool.start()
        period = Period(BEGIN, datetime(2999, 1, 1, tzinfo=UTC))
        checking = asyncio.create_task(
            PostgresDriftStatistics(pool, "cineclub_source").of_ratings(period, Measure(SCALES[0], 500, ()))
        )
        await asyncio.sleep(1.0)
        checking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await checking
        await pool.stop()

    began = monotonic()
    asyncio.run(stop())
    assert monotonic() - began < 20
    with psycopg.connect(movies_url) as connection:
        running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'COPY%'"
        assert connection.execute(running).fetchall() == [(0,)]


def test_statements_that_take_too_long_together_are_no_outage(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL cancels the second statement before the connection is cut: no outage is reported."""
    monkeypatch.setattr(drift_module, "SPARE_SECONDS", 1.0)

    async def hang(pool: ServingPool) -> None:
        async with PostgresDriftStatistics(pool)._counting(2.0) as counting:
            for _ in range(2):
                await counting.rows(sql.SQL("SELECT pg_sleep(1.8)"), {})

    async def work() -> bool:
        pool = ServingPool(database_url)
        await pool.start()
        try:
            with pytest.raises(StorageUnavailable, match="counting for drift took more than 2 s"):
                await hang(pool)
            return pool.usage().is_away
        finally:
            await pool.stop()

    assert not asyncio.run(work())
