"""PostgreSQL attributes ratings to responses and counts them as a plain implementation does."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cineclub.adapters.postgres import outcomes as outcomes_module
from cineclub.adapters.postgres.outcomes import PostgresOutcomes
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.domain.errors import StorageUnavailable
from cineclub.domain.recommend.outcomes import Outcomes, StrategyOutcomes

UNTIL = datetime(2026, 3, 30, 12, tzinfo=UTC)  # daylight saving began in Europe the night before
SINCE = UNTIL - timedelta(days=30)
WINDOW_DAYS = 7
N_MOVIES, N_USERS = 12, 3
VIEWS = """
CREATE SCHEMA cineclub_source;
CREATE VIEW cineclub_source.movies AS SELECT external_id::int AS movie_id, title FROM cineclub.movies;
CREATE VIEW cineclub_source.ratings AS
SELECT u.external_id::bigint AS user_id, m.external_id::int AS movie_id, r.rating::numeric AS rating, r.rated_at
FROM cineclub.ratings r JOIN cineclub.users u ON u.id = r.user_id JOIN cineclub.movies m ON m.id = r.movie_id;
"""


@dataclass(frozen=True)
class LoggedResponse:
    """A logged response, with its hours before the end of the period."""

    hours_ago: int
    user: int | None
    movies: tuple[int, ...]
    version: int | None = 1
    strategy: str = "model"

    @property
    def name(self) -> str | None:
        """The model's name."""
        return None if self.version is None else "ease"


@dataclass(frozen=True)
class Rating:
    """A rating, with its hours before the end of the period."""

    hours_ago: int
    user: int
    movie: int
    stars: float = 4.0


@pytest.fixture
def catalogue_url(database_url: str) -> str:
    """A database with films and users, and an owner's views of them."""
    with psycopg.connect(database_url) as connection:
        connection.execute(VIEWS)
        connection.execute(
            "INSERT INTO cineclub.movies (external_id, title) SELECT (1000 + i)::text, 'Film ' || i"
            " FROM generate_series(1, %s) AS i",
            [N_MOVIES],
        )
        connection.execute(
            "INSERT INTO cineclub.users (external_id) SELECT (500 + i)::text FROM generate_series(1, %s) AS i",
            [N_USERS],
        )
    return database_url


def fill(database_url: str, responses: Sequence[LoggedResponse], ratings: Sequence[Rating]) -> None:
    """Fill the log and the ratings."""
    with psycopg.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE cineclub.predictions, cineclub.ratings")
        cursor.executemany(
            "INSERT INTO cineclub.predictions VALUES (%s, %s, %s, %s, %s, %s, %s, '{}', 0.001, false)",
            [
                (
                    UUID(int=nth + 1),
                    UNTIL - timedelta(hours=response.hours_ago),
                    None if response.user is None else str(500 + response.user),
                    response.strategy,
                    response.name,
                    response.version,
                    list(response.movies),
                )
                for nth, response in enumerate(responses)
            ],
        )
        cursor.executemany(
            "INSERT INTO cineclub.ratings (user_id, movie_id, rating, rated_at) VALUES (%s, %s, %s, %s)",
            [
                (rating.user, rating.movie, rating.stars, UNTIL - timedelta(hours=rating.hours_ago))
                for rating in ratings
            ],
        )


@asynccontextmanager
async def store_of(database_url: str, schema: str | None = None) -> AsyncIterator[PostgresOutcomes]:
    """Yield the store over a database."""
    pool = ServingPool(database_url)
    await pool.start()
    try:
        yield PostgresOutcomes(pool, schema)
    finally:
        await pool.stop()


def counted(database_url: str, schema: str | None = None) -> Outcomes:
    """Return PostgreSQL's counts over the period."""

    async def count() -> Outcomes:
        async with store_of(database_url, schema) as store:
            return await store.count(SINCE, UNTIL, WINDOW_DAYS)

    return asyncio.run(count())


def only(outcomes: Outcomes) -> StrategyOutcomes:
    """Return the outcomes of the only strategy."""
    [strategy] = outcomes.strategies
    return strategy


SCHEMAS = pytest.mark.parametrize("schema", [None, "cineclub_source"], ids=["own tables", "views"])


@SCHEMAS
def test_a_rating_after_the_response_is_taken(catalogue_url: str, schema: str | None) -> None:
    """Recommended films rated within the window count, with their ratings."""
    fill(catalogue_url, [LoggedResponse(300, 1, (1, 2, 3))], [Rating(299, 1, 1, 5.0), Rating(200, 1, 3, 2.0)])
    strategy = only(counted(catalogue_url, schema))
    assert (strategy.n_answers, strategy.n_hits, strategy.n_taken) == (1, 1, 2)
    assert (strategy.hit_rate, strategy.mean_taken_rating) == (1.0, 3.5)


@SCHEMAS
@pytest.mark.parametrize(
    "rating",
    [
        Rating(301, 1, 1),
        Rating(300, 1, 1),
        Rating(299, 1, 4),
        Rating(299, 2, 1),
        Rating(300 - 24 * WINDOW_DAYS - 1, 1, 1),
        Rating(-1, 1, 1),
    ],
    ids=["before", "at the same instant", "not shown", "somebody else", "too late", "after the period"],
)
def test_what_is_not_taken(catalogue_url: str, schema: str | None, rating: Rating) -> None:
    """Ratings that the response cannot have caused are not its outcome."""
    fill(catalogue_url, [LoggedResponse(300, 1, (1, 2, 3))], [rating])
    strategy = only(counted(catalogue_url, schema))
    assert (strategy.n_hits, strategy.n_taken, strategy.hit_rate, strategy.mean_taken_rating) == (0, 0, 0.0, None)


def test_the_window_ends_after_whole_days_of_24_hours(catalogue_url: str) -> None:
    """The last instant of the window counts, also across a daylight saving change."""
    fill(catalogue_url, [LoggedResponse(170, 1, (1,))], [Rating(170 - 24 * WINDOW_DAYS, 1, 1)])
    with psycopg.connect(catalogue_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET timezone = 'Europe/Berlin'".encode())
    assert only(counted(catalogue_url)).n_taken == 1


def test_the_last_response_that_showed_the_movie_has_the_rating(catalogue_url: str) -> None:
    """A rating counts for the last earlier response with its film."""
    responses = [
        LoggedResponse(100, 1, (1, 2), version=1),
        LoggedResponse(90, 1, (3, 1), version=2),
        LoggedResponse(80, 1, (4, 5), version=3),
        LoggedResponse(60, 1, (1, 6), version=4),
    ]
    fill(catalogue_url, responses, [Rating(70, 1, 1)])
    taken_by_version = {strategy.model_version: strategy.n_taken for strategy in counted(catalogue_url).strategies}
    assert taken_by_version == {1: 0, 2: 1, 3: 0, 4: 0}


def test_anonymous_responses_take_nothing_and_spoil_no_rate(catalogue_url: str) -> None:
    """Anonymous responses and their films are counted, but not in the hit rate."""
    responses = [LoggedResponse(50, None, (1, 2)), LoggedResponse(50, None, (1, 3)), LoggedResponse(50, 1, (1, 4))]
    fill(catalogue_url, responses, [Rating(40, 1, 1), Rating(40, 2, 2)])
    strategy = only(counted(catalogue_url))
    assert (strategy.n_answers, strategy.n_anonymous, strategy.n_hits, strategy.hit_rate) == (3, 2, 1, 1.0)
    assert (strategy.n_shown, strategy.n_different_shown, strategy.coverage(N_MOVIES)) == (6, 4, 4 / 12)


def test_responses_of_other_periods_do_not_count(catalogue_url: str) -> None:
    """Responses before the period and at its end are not counted."""
    fill(catalogue_url, [LoggedResponse(30 * 24 + 1, 1, (1,)), LoggedResponse(0, 1, (1,))], [Rating(30 * 24 - 1, 1, 1)])
    assert counted(catalogue_url) == Outcomes(SINCE, UNTIL, WINDOW_DAYS, N_MOVIES, ())


def test_popular_movies_are_the_most_rated_tenth(catalogue_url: str) -> None:
    """Two of twelve films are popular: those with the most ratings, the lower id first."""
    ratings = [Rating(2000, user, 7) for user in (1, 2, 3)] + [Rating(2000, 1, 9), Rating(2000, 1, 11)]
    fill(catalogue_url, [LoggedResponse(50, 2, (7, 9, 11, 1))], ratings)
    strategy = only(counted(catalogue_url))
    assert (strategy.n_popular_shown, strategy.popularity_share) == (2, 0.5)


def test_empty_responses_are_counted(catalogue_url: str) -> None:
    """A response without films is counted, and shares of nothing are unknown."""
    fill(catalogue_url, [LoggedResponse(50, 1, ())], [])
    strategy = only(counted(catalogue_url))
    assert (strategy.n_answers, strategy.n_open, strategy.n_shown) == (1, 1, 0)
    assert (strategy.popularity_share, strategy.hit_rate) == (None, 0.0)


def test_a_count_that_takes_too_long_leaves_the_requests_alone(
    catalogue_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL cancels the query, the error says so, and the pool stays available."""
    monkeypatch.setattr(outcomes_module, "COUNTING_LIMIT_SECONDS", 0.2)
    fill(catalogue_url, [LoggedResponse(50, 1, (1,))], [])
    slow = "CREATE OR REPLACE VIEW cineclub_source.ratings AS SELECT 1::bigint AS user_id, 1 AS movie_id,"
    slow += " 1::numeric AS rating, now() AS rated_at FROM pg_sleep(30)"
    with psycopg.connect(catalogue_url) as connection:
        connection.execute(slow.encode())

    async def count() -> bool:
        async with store_of(catalogue_url, "cineclub_source") as store:
            with pytest.raises(StorageUnavailable, match="fewer days"):
                await store.count(SINCE, UNTIL, WINDOW_DAYS)
            return await store._pool.is_reachable()

    assert asyncio.run(count())


def test_old_responses_are_deleted_in_batches(catalogue_url: str) -> None:
    """Old responses are deleted in batches, oldest first, until none is too old."""
    fill(catalogue_url, [LoggedResponse(hours, 1, (1,)) for hours in (10, 50, 20, 40, 30)], [])

    async def delete() -> list[int]:
        async with store_of(catalogue_url) as store:
            return [await store.delete_before(UNTIL - timedelta(hours=20), 2) for _ in range(3)]

    assert asyncio.run(delete()) == [2, 1, 0]
    with psycopg.connect(catalogue_url) as connection:
        rows = connection.execute("SELECT answered_at FROM cineclub.predictions ORDER BY 1").fetchall()
    assert [UNTIL - row[0] for row in rows] == [timedelta(hours=20), timedelta(hours=10)]


RESPONSES = st.lists(
    st.builds(
        LoggedResponse,
        st.integers(0, 40).map(lambda n: 24 * n),
        st.sampled_from([None, 1, 2, 3]),
        st.lists(st.integers(1, N_MOVIES), max_size=4, unique=True).map(tuple),
        st.sampled_from([None, 1, 2]),
        st.sampled_from(["model", "popular"]),
    ),
    max_size=12,
)
RATINGS = st.lists(
    st.builds(
        Rating,
        st.integers(-2, 40).map(lambda n: 24 * n),
        st.integers(1, N_USERS),
        st.integers(1, N_MOVIES),
        st.sampled_from([0.5, 2.0, 3.5, 5.0]),
    ),
    max_size=25,
    unique_by=lambda rating: (rating.user, rating.movie),
)


@given(RESPONSES, RATINGS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_postgres_counts_by_the_definitions(
    catalogue_url: str, responses: list[LoggedResponse], ratings: list[Rating]
) -> None:
    """The statement agrees with a plain implementation on random logs and ratings, in both sources."""
    fill(catalogue_url, responses, ratings)
    expected = {_key(strategy): strategy for strategy in _read_plainly(responses, ratings)}
    for schema in (None, "cineclub_source"):
        outcomes = counted(catalogue_url, schema)
        assert {_key(strategy): strategy for strategy in outcomes.strategies} == expected
        assert outcomes.n_movies == N_MOVIES


def _key(outcomes: StrategyOutcomes) -> tuple[int | None, str]:
    """Return the key of outcomes."""
    return outcomes.model_version, outcomes.strategy


def _read_plainly(responses: Sequence[LoggedResponse], ratings: Sequence[Rating]) -> Iterator[StrategyOutcomes]:
    """Yield the counts, response by response and rating by rating."""
    n_ratings = Counter(rating.movie for rating in ratings)
    popular = sorted(n_ratings, key=lambda movie: (-n_ratings[movie], movie))[: math.ceil(N_MOVIES / 10)]
    taken: dict[int, list[float]] = {nth: [] for nth in range(len(responses))}
    for rating in ratings:
        nth = _taken_from(rating, responses)
        if nth is not None:
            taken[nth].append(rating.stars)
    for version, name, strategy in {(response.version, response.name, response.strategy) for response in responses}:
        mine = [
            nth
            for nth, response in enumerate(responses)
            if (response.version, response.strategy) == (version, strategy) and 0 < response.hours_ago <= 30 * 24
        ]
        named = [nth for nth in mine if responses[nth].user is not None]
        movies = [movie for nth in mine for movie in responses[nth].movies]
        stars = [taken_rating for nth in mine for taken_rating in taken[nth]]
        if mine:
            yield StrategyOutcomes(
                model_name=name,
                model_version=version,
                strategy=strategy,
                n_answers=len(mine),
                n_anonymous=len(mine) - len(named),
                n_open=sum(responses[nth].hours_ago < 24 * WINDOW_DAYS for nth in named),
                n_hits=sum(bool(taken[nth]) for nth in mine),
                n_taken=len(stars),
                taken_rating_sum=sum(stars),
                n_shown=len(movies),
                n_popular_shown=sum(movie in popular for movie in movies),
                n_different_shown=len(set(movies)),
            )


def _taken_from(rating: Rating, responses: Sequence[LoggedResponse]) -> int | None:
    """Return the response that a rating is attributed to: the last before it with its film and user, if recent."""
    if rating.hours_ago < 0:
        return None
    before = [
        (-response.hours_ago, nth)
        for nth, response in enumerate(responses)
        if response.user == rating.user and rating.movie in response.movies and response.hours_ago > rating.hours_ago
    ]
    if not before:
        return None
    last = max(before)[1]
    return last if responses[last].hours_ago - rating.hours_ago <= 24 * WINDOW_DAYS else None
