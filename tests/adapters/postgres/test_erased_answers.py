"""Responses of an erased user that are being logged, in any process."""

import asyncio
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from cineclub.adapters.postgres.outcomes import PostgresOutcomes
from cineclub.adapters.postgres.people import PostgresPeople
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.postgres.sessions import named_queries
from waiting import eventually

SQL = named_queries("people.sql")
RESPONSE = """
INSERT INTO cineclub.predictions VALUES (%s, %s, %s, 'model', 'ease', 1, '{1}', '{0.5}', 0.001, false)
"""


@pytest.fixture
def person(database_url: str) -> str:
    """The external id of a known user."""
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO cineclub.users (external_id) VALUES ('alice')")
    return "alice"


def write(connection: psycopg.Connection, user_id: str, answered_at: datetime) -> None:
    """Log a response."""
    connection.execute(RESPONSE, (uuid.uuid4(), answered_at, user_id))


def logged(database_url: str) -> list[str | None]:
    """Return the users of the logged responses."""
    with psycopg.connect(database_url) as connection:
        return [row[0] for row in connection.execute("SELECT user_id FROM cineclub.predictions ORDER BY user_id")]


def erase(database_url: str, person: str) -> int:
    """Erase a user, and return the number of deleted responses."""
    return PostgresPeople(database_url).erase(person).n_predictions


def is_waiting(database_url: str) -> bool:
    """Return whether a transaction waits for a lock on the log."""
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'cineclub.predictions'::regclass"
    with psycopg.connect(database_url) as connection:
        return connection.execute(query).fetchall() != [(0,)]


def test_a_response_that_arrives_after_the_erasure_is_anonymous(database_url: str, person: str) -> None:
    """A response given before the erasure is logged without a user; later and other ones are logged as usual."""
    now = datetime.now(UTC)
    erase(database_url, person)
    with psycopg.connect(database_url) as connection:
        write(connection, person, now - timedelta(minutes=5))
        write(connection, "bob", now - timedelta(minutes=5))
        write(connection, person, now + timedelta(minutes=5))
    assert logged(database_url) == ["alice", "bob", None]


def test_a_response_that_is_being_written_is_waited_for(database_url: str, person: str) -> None:
    """The erasure deletes a response whose write was not committed when the erasure began."""
    with ThreadPoolExecutor(1) as pool, psycopg.connect(database_url) as writing:
        write(writing, person, datetime.now(UTC))
        erasing = pool.submit(erase, database_url, person)
        eventually(lambda: is_waiting(database_url), 10)
        writing.commit()
        assert erasing.result(10) == 1
    assert logged(database_url) == []


def test_a_response_that_waits_for_the_erasure_is_anonymous(database_url: str, person: str) -> None:
    """A write that began before the erasure was committed logs the response without a user."""

    def write_one() -> None:
        with psycopg.connect(database_url) as connection:
            write(connection, person, datetime.now(UTC) - timedelta(seconds=1))

    with ThreadPoolExecutor(1) as pool, psycopg.connect(database_url) as erasing:
        erasing.execute(SQL["hold_log"])
        writing = pool.submit(write_one)
        eventually(lambda: is_waiting(database_url), 10)
        erasing.execute(SQL["note_erased_lately"], {"external_id": person})
        erasing.commit()
        writing.result(10)
    assert logged(database_url) == [None]


async def delete_old(database_url: str) -> None:
    """Delete old answers, as the service does."""
    pool = ServingPool(database_url)
    await pool.start()
    try:
        await PostgresOutcomes(pool).delete_before(datetime.now(UTC) - timedelta(days=90), 100)
    finally:
        await pool.stop()


def test_who_was_erased_is_remembered_for_a_day(database_url: str, person: str) -> None:
    """The deletion of old responses also deletes the ids of users erased long ago."""
    erase(database_url, person)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE cineclub.erased_lately SET erased_at = erased_at - interval '25 hours'")
        connection.execute("INSERT INTO cineclub.users (external_id) VALUES ('bob')")
        erase(database_url, "bob")
        asyncio.run(delete_old(database_url))
        assert connection.execute("SELECT user_id FROM cineclub.erased_lately").fetchall() == [("bob",)]


SLOW_DELETE = """
CREATE TABLE public.deleted (at timestamptz);
CREATE FUNCTION public.take_a_while() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(0.1);
    INSERT INTO public.deleted VALUES (clock_timestamp());
    RETURN NULL;
END
$$;
CREATE TRIGGER slow AFTER DELETE ON cineclub.predictions FOR EACH STATEMENT EXECUTE FUNCTION public.take_a_while();
"""


def test_an_erasure_that_takes_long_is_noted_when_it_is_over(database_url: str, person: str) -> None:
    """Responses given while rows are being deleted count as before the erasure."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(SLOW_DELETE)
        erase(database_url, person)
        late = "SELECT erased_at > (SELECT at FROM public.deleted) FROM cineclub.erased_lately"
        assert connection.execute(late.encode()).fetchall() == [(True,)]
