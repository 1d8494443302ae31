"""Ratings are attributed to the right answer, and counted as a plain reading of the definitions counts them."""

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
from cineclub.domain.outcomes import Outcomes, StrategyOutcomes

UNTIL = datetime(2026, 3, 30, 12, tzinfo=UTC)  # the clocks of Europe changed the night before
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
class Answer:
    """A logged answer, so many hours before the end of the period."""

    hours_ago: int
    user: int | None
    films: tuple[int, ...]
    version: int | None = 1
    strategy: str = "model"

    @property
    def name(self) -> str | None:
        """The model's name."""
        return None if self.version is None else "ease"


@dataclass(frozen=True)
class Rating:
    """A rating, so many hours before the end of the period."""

    hours_ago: int
    user: int
    film: int
    stars: float = 4.0


@pytest.fixture
def catalogue_url(database_url: str) -> str:
    """A database with films and users, and views of them as an owner would have."""
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


def fill(database_url: str, answers: Sequence[Answer], ratings: Sequence[Rating]) -> None:
    """Let the log and the ratings be these."""
    with psycopg.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE cineclub.predictions, cineclub.ratings")
        cursor.executemany(
            "INSERT INTO cineclub.predictions VALUES (%s, %s, %s, %s, %s, %s, %s, '{}', 0.001, false)",
            [
                (
                    UUID(int=nth + 1),
                    UNTIL - timedelta(hours=one.hours_ago),
                    None if one.user is None else str(500 + one.user),
                    one.strategy,
                    one.name,
                    one.version,
                    list(one.films),
                )
                for nth, one in enumerate(answers)
            ],
        )
        cursor.executemany(
            "INSERT INTO cineclub.ratings (user_id, movie_id, rating, rated_at) VALUES (%s, %s, %s, %s)",
            [(one.user, one.film, one.stars, UNTIL - timedelta(hours=one.hours_ago)) for one in ratings],
        )


@asynccontextmanager
async def store_of(database_url: str, schema: str | None = None) -> AsyncIterator[PostgresOutcomes]:
    """Give the store over a database."""
    pool = ServingPool(database_url)
    await pool.start()
    try:
        yield PostgresOutcomes(pool, schema)
    finally:
        await pool.stop()


def counted(database_url: str, schema: str | None = None) -> Outcomes:
    """Return what PostgreSQL counts over the period."""

    async def count() -> Outcomes:
        async with store_of(database_url, schema) as store:
            return await store.count(SINCE, UNTIL, WINDOW_DAYS)

    return asyncio.run(count())


def only(outcomes: Outcomes) -> StrategyOutcomes:
    """Return the outcomes of the one strategy that answered."""
    [one] = outcomes.strategies
    return one


SCHEMAS = pytest.mark.parametrize("schema", [None, "cineclub_source"], ids=["own tables", "views"])


@SCHEMAS
def test_a_rating_after_the_answer_is_taken(catalogue_url: str, schema: str | None) -> None:
    """Films that were shown and then rated within the window count, with their ratings."""
    fill(catalogue_url, [Answer(300, 1, (1, 2, 3))], [Rating(299, 1, 1, 5.0), Rating(200, 1, 3, 2.0)])
    one = only(counted(catalogue_url, schema))
    assert (one.n_answers, one.n_hits, one.n_taken, one.hit_rate, one.mean_taken_rating) == (1, 1, 2, 1.0, 3.5)


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
    """Ratings that the answer cannot have led to are not its outcome."""
    fill(catalogue_url, [Answer(300, 1, (1, 2, 3))], [rating])
    one = only(counted(catalogue_url, schema))
    assert (one.n_hits, one.n_taken, one.hit_rate, one.mean_taken_rating) == (0, 0, 0.0, None)


def test_the_window_ends_after_whole_days_of_24_hours(catalogue_url: str) -> None:
    """The last instant of the window counts, also across a change of the clocks."""
    fill(catalogue_url, [Answer(170, 1, (1,))], [Rating(170 - 24 * WINDOW_DAYS, 1, 1)])
    with psycopg.connect(catalogue_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET timezone = 'Europe/Berlin'".encode())
    assert only(counted(catalogue_url)).n_taken == 1


def test_the_last_answer_that_showed_the_film_has_the_rating(catalogue_url: str) -> None:
    """A second answer with the same film takes the rating over; a later one, or one without the film, does not."""
    answers = [
        Answer(100, 1, (1, 2), version=1),
        Answer(90, 1, (3, 1), version=2),
        Answer(80, 1, (4, 5), version=3),
        Answer(60, 1, (1, 6), version=4),
    ]
    fill(catalogue_url, answers, [Rating(70, 1, 1)])
    found = {one.model_version: one.n_taken for one in counted(catalogue_url).strategies}
    assert found == {1: 0, 2: 1, 3: 0, 4: 0}


def test_anonymous_answers_take_nothing_and_spoil_no_rate(catalogue_url: str) -> None:
    """Answers to people without an account count as answers and as shown films, but not in the hit rate."""
    answers = [Answer(50, None, (1, 2)), Answer(50, None, (1, 3)), Answer(50, 1, (1, 4))]
    fill(catalogue_url, answers, [Rating(40, 1, 1), Rating(40, 2, 2)])
    one = only(counted(catalogue_url))
    assert (one.n_answers, one.n_anonymous, one.n_hits, one.hit_rate) == (3, 2, 1, 1.0)
    assert (one.n_shown, one.n_different_shown, one.coverage(N_MOVIES)) == (6, 4, 4 / 12)


def test_answers_of_other_periods_do_not_count(catalogue_url: str) -> None:
    """Neither older answers nor those at the end of the period are counted."""
    fill(catalogue_url, [Answer(30 * 24 + 1, 1, (1,)), Answer(0, 1, (1,))], [Rating(30 * 24 - 1, 1, 1)])
    assert counted(catalogue_url) == Outcomes(SINCE, UNTIL, WINDOW_DAYS, N_MOVIES, ())


def test_popular_films_are_the_most_rated_tenth(catalogue_url: str) -> None:
    """Of twelve films two are popular: those with the most ratings, and the lower id among equals."""
    ratings = [Rating(2000, user, 7) for user in (1, 2, 3)] + [Rating(2000, 1, 9), Rating(2000, 1, 11)]
    fill(catalogue_url, [Answer(50, 2, (7, 9, 11, 1))], ratings)
    one = only(counted(catalogue_url))
    assert (one.n_popular_shown, one.popularity_share) == (2, 0.5)


def test_empty_answers_are_counted(catalogue_url: str) -> None:
    """An answer without films is an answer, and shares of nothing are unknown."""
    fill(catalogue_url, [Answer(50, 1, ())], [])
    one = only(counted(catalogue_url))
    assert (one.n_answers, one.n_open, one.n_shown, one.popularity_share, one.hit_rate) == (1, 1, 0, None, 0.0)


def test_a_count_that_takes_too_long_leaves_the_requests_alone(
    catalogue_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL ends it, the error says so, and the pool does not take the database for lost."""
    monkeypatch.setattr(outcomes_module, "COUNTING_LIMIT_SECONDS", 0.2)
    fill(catalogue_url, [Answer(50, 1, (1,))], [])
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


def test_old_answers_are_deleted_in_batches(catalogue_url: str) -> None:
    """The oldest go first, so many at a time, until none is left that is too old."""
    fill(catalogue_url, [Answer(hours, 1, (1,)) for hours in (10, 50, 20, 40, 30)], [])

    async def delete() -> list[int]:
        async with store_of(catalogue_url) as store:
            return [await store.delete_before(UNTIL - timedelta(hours=20), 2) for _ in range(3)]

    assert asyncio.run(delete()) == [2, 1, 0]
    with psycopg.connect(catalogue_url) as connection:
        rows = connection.execute("SELECT answered_at FROM cineclub.predictions ORDER BY 1").fetchall()
    assert [UNTIL - row[0] for row in rows] == [timedelta(hours=20), timedelta(hours=10)]


ANSWERS = st.lists(
    st.builds(
        Answer,
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
    unique_by=lambda one: (one.user, one.film),
)


@given(ANSWERS, RATINGS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_postgres_counts_what_the_definitions_say(
    catalogue_url: str, answers: list[Answer], ratings: list[Rating]
) -> None:
    """On every log and every ratings the statement and a plain reading of the definitions agree, in both sources."""
    fill(catalogue_url, answers, ratings)
    expected = {_key(one): one for one in _read_plainly(answers, ratings)}
    for schema in (None, "cineclub_source"):
        found = counted(catalogue_url, schema)
        assert {_key(one): one for one in found.strategies} == expected
        assert found.n_movies == N_MOVIES


def _key(one: StrategyOutcomes) -> tuple[int | None, str]:
    """Return what tells two outcomes apart."""
    return one.model_version, one.strategy


def _read_plainly(answers: Sequence[Answer], ratings: Sequence[Rating]) -> Iterator[StrategyOutcomes]:
    """Yield what is counted, answer by answer and rating by rating."""
    n_ratings = Counter(one.film for one in ratings)
    popular = sorted(n_ratings, key=lambda film: (-n_ratings[film], film))[: math.ceil(N_MOVIES / 10)]
    taken: dict[int, list[float]] = {nth: [] for nth in range(len(answers))}
    for rating in ratings:
        nth = _taken_from(rating, answers)
        if nth is not None:
            taken[nth].append(rating.stars)
    for version, name, strategy in {(one.version, one.name, one.strategy) for one in answers}:
        mine = [
            nth
            for nth, one in enumerate(answers)
            if (one.version, one.strategy) == (version, strategy) and 0 < one.hours_ago <= 30 * 24
        ]
        named = [nth for nth in mine if answers[nth].user is not None]
        films = [film for nth in mine for film in answers[nth].films]
        stars = [one for nth in mine for one in taken[nth]]
        if mine:
            yield StrategyOutcomes(
                model_name=name,
                model_version=version,
                strategy=strategy,
                n_answers=len(mine),
                n_anonymous=len(mine) - len(named),
                n_open=sum(answers[nth].hours_ago < 24 * WINDOW_DAYS for nth in named),
                n_hits=sum(bool(taken[nth]) for nth in mine),
                n_taken=len(stars),
                taken_rating_sum=sum(stars),
                n_shown=len(films),
                n_popular_shown=sum(film in popular for film in films),
                n_different_shown=len(set(films)),
            )


def _taken_from(rating: Rating, answers: Sequence[Answer]) -> int | None:
    """Return which answer a rating belongs to: the last before it that showed its film to its user, if recent."""
    if rating.hours_ago < 0:
        return None
    before = [
        (-one.hours_ago, nth)
        for nth, one in enumerate(answers)
        if one.user == rating.user and rating.film in one.films and one.hours_ago > rating.hours_ago
    ]
    if not before:
        return None
    last = max(before)[1]
    return last if answers[last].hours_ago - rating.hours_ago <= 24 * WINDOW_DAYS else None
