"""PostgreSQL credits ratings to the lists of two versions as a plain implementation of the definitions does."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cineclub.adapters.postgres.comparisons import PostgresComparisons, recent_checks
from cineclub.adapters.postgres.outcomes import PostgresOutcomes
from cineclub.adapters.postgres.people import PostgresPeople
from cineclub.adapters.postgres.promotions import PostgresPromotions
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.domain.promotion.online_comparison import PairOutcomes, PersonOutcomes
from cineclub.domain.promotion.online_records import ComparedResponse, ProbationCheck
from cineclub.domain.promotion.records import NewPromotion
from cineclub.domain.promotion.versions import KnownVersion, RegisteredVersion
from cineclub.domain.ratings.log import SnapshotIdentity
from cineclub.domain.recommend.recipe import Recipe

UNTIL = datetime(2026, 3, 30, 12, tzinfo=UTC)
SINCE = UNTIL - timedelta(days=30)
WINDOW_DAYS = 7
N_MOVIES, N_USERS = 8, 3
LIKED_FROM = 4.0
VIEWS = """
CREATE SCHEMA cineclub_source;
CREATE VIEW cineclub_source.ratings AS
SELECT u.external_id::bigint AS user_id, m.external_id::int AS movie_id, r.rating::numeric AS rating, r.rated_at
FROM cineclub.ratings r JOIN cineclub.users u ON u.id = r.user_id JOIN cineclub.movies m ON m.id = r.movie_id;
"""


@dataclass(frozen=True)
class Rating:
    """A rating, with its hours before the end of the period."""

    hours_ago: int
    user: int
    movie: int
    stars: float = 4.0


def compared(
    hours_ago: int, user: int | None, served: Sequence[int], other: Sequence[int], version: int = 1
) -> ComparedResponse:
    """Return a compared response, with its hours before the end of the period."""
    at = UNTIL - timedelta(hours=hours_ago)
    user_id = None if user is None else str(500 + user)
    return ComparedResponse(str(UUID(int=1)), "probation", at, user_id, 2, version, served, other, 0.5, 0.25)


@pytest.fixture
def catalogue_url(database_url: str) -> str:
    """A database with films and users, and an owner's views of their ratings."""
    with psycopg.connect(database_url) as connection:
        connection.execute(VIEWS)
        connection.execute("INSERT INTO cineclub.catalogue VALUES (true, 0.5, 5, true, true)")
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


@asynccontextmanager
async def pool_of(database_url: str) -> AsyncIterator[ServingPool]:
    """Yield a pool of connections to a database."""
    pool = ServingPool(database_url)
    await pool.start()
    try:
        yield pool
    finally:
        await pool.stop()


def counted(
    database_url: str, responses: Sequence[ComparedResponse], ratings: Sequence[Rating], schema: str | None = None
) -> dict[int, PairOutcomes]:
    """Return the outcomes that PostgreSQL counts for these responses and ratings, by the other version."""
    with psycopg.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE cineclub.comparisons, cineclub.ratings")
        cursor.executemany(
            "INSERT INTO cineclub.ratings (user_id, movie_id, rating, rated_at) VALUES (%s, %s, %s, %s)",
            [
                (rating.user, rating.movie, rating.stars, UNTIL - timedelta(hours=rating.hours_ago))
                for rating in ratings
            ],
        )

    async def count() -> tuple[PairOutcomes, ...]:
        async with pool_of(database_url) as pool:
            store = PostgresComparisons(pool, schema)
            numbered = [
                replace(response, recommendation_id=str(UUID(int=nth))) for nth, response in enumerate(responses, 1)
            ]
            await store.write(numbered)
            await store.write(numbered[:1])
            return await store.count(SINCE, UNTIL, WINDOW_DAYS)

    return {outcomes.other_version: outcomes for outcomes in asyncio.run(count())}


RESPONSES = st.lists(
    st.builds(
        compared,
        st.integers(0, 40).map(lambda n: 24 * n),
        st.sampled_from([None, 1, 2, 3]),
        st.lists(st.integers(1, N_MOVIES), max_size=4, unique=True),
        st.lists(st.integers(1, N_MOVIES), max_size=4, unique=True),
        st.sampled_from([1, 7]),
    ),
    max_size=12,
)
RATINGS = st.lists(
    st.builds(
        Rating,
        st.integers(-2, 40).map(lambda n: 24 * n),
        st.integers(1, N_USERS),
        st.integers(1, N_MOVIES),
        st.sampled_from([0.5, 3.5, 4.0, 5.0]),
    ),
    max_size=25,
    unique_by=lambda rating: (rating.user, rating.movie),
)


@given(RESPONSES, RATINGS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_postgres_credits_by_the_definitions(
    catalogue_url: str, responses: list[ComparedResponse], ratings: list[Rating]
) -> None:
    """The statement agrees with a plain implementation on random logs and ratings, in both sources."""
    expected = {
        version: read_plainly(responses, ratings, version)
        for version in {response.other_version for response in responses}
    }
    for schema in (None, "cineclub_source"):
        outcomes = counted(catalogue_url, responses, ratings, schema)
        assert outcomes == {version: pair for version, pair in expected.items() if pair.n_answers}


def read_plainly(responses: Sequence[ComparedResponse], ratings: Sequence[Rating], version: int) -> PairOutcomes:
    """Return the outcomes of a pair, rating by rating."""
    mine = [
        response
        for response in responses
        if response.other_version == version and SINCE <= response.compared_at < UNTIL
    ]
    people: dict[int, Counter[str]] = {user: Counter() for user in range(1, N_USERS + 1)}
    for rating in ratings:
        rated_at = UNTIL - timedelta(hours=rating.hours_ago)
        before = [
            (response.compared_at, nth, response)
            for nth, response in enumerate(responses)
            if response in mine
            and response.user_id == str(500 + rating.user)
            and rated_at - timedelta(days=WINDOW_DAYS) <= response.compared_at < rated_at <= UNTIL
            and rating.movie in {*response.served_movie_ids, *response.other_movie_ids}
        ]
        if not before:
            continue
        last = max(before, key=lambda row: row[:2])[2]
        by = (rating.movie in last.served_movie_ids, rating.movie in last.other_movie_ids)
        people[rating.user].update(served=by[0], other=by[1])
        if rating.stars >= LIKED_FROM:
            people[rating.user].update({"both" if all(by) else "only served" if by[0] else "only other": 1})
    outcomes = [
        PersonOutcomes(person["only served"], person["only other"], person["both"]) for person in people.values()
    ]
    return PairOutcomes(
        purpose="probation",
        served_version=2,
        other_version=version,
        n_answers=len(mine),
        n_anonymous=sum(response.user_id is None for response in mine),
        mean_overlap=0.5,
        mean_rank_overlap=0.25,
        n_served_taken=sum(person["served"] for person in people.values()),
        n_other_taken=sum(person["other"] for person in people.values()),
        people=tuple(outcome for outcome in outcomes if outcome != PersonOutcomes(0, 0, 0)),
    )


def test_a_disliked_movie_is_taken_and_not_liked(catalogue_url: str) -> None:
    """A disliked film counts as taken but not for the verdict."""
    outcomes = counted(catalogue_url, [compared(48, 1, [1, 2], [2, 3])], [Rating(24, 1, 1, 2.0), Rating(24, 1, 2)])
    assert (outcomes[1].n_served_taken, outcomes[1].n_other_taken) == (2, 1)
    assert outcomes[1].people == (PersonOutcomes(0, 0, 1),)


def test_old_comparisons_leave_with_the_old_responses(catalogue_url: str) -> None:
    """The log's retention deletes them too, in batches."""
    counted(catalogue_url, [compared(hours, 1, [1], [2]) for hours in (10, 50, 20, 40, 30)], [])

    async def delete() -> list[int]:
        async with pool_of(catalogue_url) as pool:
            store = PostgresOutcomes(pool)
            return [await store.delete_before(UNTIL - timedelta(hours=20), 2) for _ in range(3)]

    assert asyncio.run(delete()) == [2, 1, 0]


def test_erasing_somebody_takes_their_comparisons(catalogue_url: str) -> None:
    """Erasing a user deletes the user's comparisons and no others."""
    counted(catalogue_url, [compared(10, user, [1], [2]) for user in (1, 2, None)], [])
    PostgresPeople(catalogue_url).erase("501")
    with psycopg.connect(catalogue_url) as connection:
        rows = connection.execute("SELECT user_id FROM cineclub.comparisons ORDER BY 1").fetchall()
    assert rows == [("502",), (None,)]


def note(history: PostgresPromotions, version: int, verdict: str = "HOLD", training: int = 0) -> KnownVersion:
    """Record a registered version in PostgreSQL."""
    learned = SnapshotIdentity(10, UNTIL, "cd" * 32)
    registered = RegisteredVersion(version, Recipe("ease"), UNTIL, f"{version:02d}" * 32, learned)
    training_id = str(UUID(int=training or version))
    known = KnownVersion(registered, training_id, f"role {version}", verdict, "why", {}, {}, "1")
    history.note_version(known)
    return known


def promoted(history: PostgresPromotions, known: KnownVersion) -> int:
    """Promote a version and return the number of the promotion."""
    version = known.registered
    row = NewPromotion(
        version.version,
        "PROMOTE",
        "better",
        "gate",
        known.training_id,
        version.recipe,
        version.manifest_sha256,
        "",
    )
    return history.record(row).promotion_id


def test_the_challenger_is_the_newest_that_stands(database_url: str) -> None:
    """The challenger is not promoted, rejected, refused, withdrawn, or of a training older than production's."""
    history = PostgresPromotions(database_url)
    assert history.challenger() is None
    note(history, 1)
    held = note(history, 2, training=3)
    promoted(history, note(history, 3, "REFRESH", training=3))
    assert history.challenger() == held
    newer = note(history, 4)
    note(history, 5, "REJECT")
    note(history, 6)
    history.refuse(6, "gate", "broken")
    history.withdraw(note(history, 7).registered)
    assert history.challenger() == newer
    promoted(history, newer)
    assert history.challenger() is None


def test_a_check_is_made_once(database_url: str) -> None:
    """A second process is told that the check was made, and the first record stays."""
    history = PostgresPromotions(database_url)
    promotion_id = promoted(history, note(history, 1))
    check = ProbationCheck(promotion_id, 1, UNTIL, 2, 1, "other_better", 30, 0.1, 0.05, 0.15, 0.99, "better")
    second = replace(check, verdict="no_difference", difference=None)

    async def record() -> list[bool]:
        async with pool_of(database_url) as pool:
            store = PostgresComparisons(pool)
            made = [await store.record_check(entry) for entry in (check, second, replace(second, nth=2))]
            assert await store.checks(2) == recent_checks(database_url, 5)
            return made

    assert asyncio.run(record()) == [True, False, True]
    newest, first = recent_checks(database_url, 5)
    assert (first, newest.difference, newest.is_alarm, first.is_alarm) == (check, None, False, True)
