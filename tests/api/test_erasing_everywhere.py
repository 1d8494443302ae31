"""An erased id is in no table and in no file, whatever the person did; what is the owner's stays, and is reported."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from small_service import FIRST_EXTERNAL_ID, Service, error_of, eventually, running
from test_external_source import OWNERS_TABLES

from cineclub.adapters.postgres.jobs import PostgresTrainingJobs
from cineclub.bootstrap import storage
from cineclub.domain.errors import NotFound
from cineclub.domain.ratings.log import Movie
from cineclub.settings import Settings
from waiting import until

pytestmark = pytest.mark.anyio

MAIL = "jane.doe+films@example.org"
TABLES = """
SELECT schemaname AS schema, tablename AS name FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema', 'shop') AND tablename <> 'erased_lately'
"""


def places_of(database_url: str, home: Path, text: str) -> list[str]:
    """Return the tables, other than the note of a day, and the files of a home that contain a text."""
    with psycopg.connect(database_url) as connection:
        tables = [sql.Identifier(*row) for row in connection.execute(TABLES).fetchall()]
        search = sql.SQL("SELECT count(*) FROM {} AS t WHERE strpos(t::text, {}) > 0")
        with_it = [
            table.as_string(connection)
            for table in tables
            if connection.execute(search.format(table, text)).fetchall() != [(0,)]
        ]
    return with_it + [str(path) for path in home.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def n_logged(database_url: str, user_id: str) -> int:
    """Return the number of logged responses of a user."""
    with psycopg.connect(database_url) as connection:
        query = "SELECT count(*) FROM cineclub.predictions WHERE user_id = %s"
        return int(connection.execute(query, [user_id]).fetchall()[0][0])


def is_logged(database_url: str, user_id: str, n_rows: int = 1) -> Callable[[], Awaitable[bool]]:
    """Return a condition: so many responses of a user are logged."""

    async def condition() -> bool:
        return await asyncio.to_thread(n_logged, database_url, user_id) >= n_rows

    return condition


async def test_somebody_who_only_asked_is_erased(service: Service, trained_url: str, home: Path) -> None:
    """A logged response of an unknown id is deleted; no training follows, as none has read any rating."""
    await service.predict(MAIL)
    await eventually(is_logged(trained_url, MAIL))
    response = await service.client.delete(f"/users/{MAIL}")
    assert response.status_code == 200, response.text
    erased = response.json()
    assert (erased["n_ratings"], erased["n_predictions"], erased["training_id"]) == (0, 1, None)
    assert "film weights" not in erased["remains"]
    assert PostgresTrainingJobs(trained_url).recent(5) == []
    assert places_of(trained_url, home, MAIL) == []


async def test_a_response_on_its_way_to_the_log_is_anonymous_after_404(service: Service, trained_url: str) -> None:
    """An id of which nothing is stored yet is 404, and its response is logged without the id."""
    await service.predict(MAIL)
    response = await service.client.delete(f"/users/{MAIL}")
    assert response.status_code in {200, 404}

    async def is_written() -> bool:
        with psycopg.connect(trained_url) as connection:
            return connection.execute("SELECT count(*) FROM cineclub.predictions").fetchall() != [(0,)]

    if response.status_code == 404:
        await eventually(is_written)
    assert n_logged(trained_url, MAIL) == 0


async def test_an_erased_id_is_in_no_table_and_no_file(service: Service, trained_url: str, home: Path) -> None:
    """After ratings, responses of every kind, a search and a training in the queue nothing has the id."""
    client = service.client
    for movie_id in (FIRST_EXTERNAL_ID, FIRST_EXTERNAL_ID + 1):
        rating = {"user_id": MAIL, "movie_id": movie_id, "rating": 4}
        assert (await client.post("/ratings/", json=rating)).status_code == 200
    await client.delete(f"/ratings/{MAIL}/{FIRST_EXTERNAL_ID}")
    await service.predict(MAIL)
    await client.post("/predict/batch", json={"user_ids": [MAIL, 1]})
    await client.get(f"/users/{MAIL}/ratings")
    await eventually(is_logged(trained_url, MAIL))
    with psycopg.connect(trained_url) as connection:
        connection.execute(
            "INSERT INTO cineclub.comparisons"
            " VALUES (gen_random_uuid(), 'shadow', now(), %s, 1, 2, '{1}', '{2}', 0, 0)",
            [MAIL],
        )
    assert len(places_of(trained_url, home, MAIL)) >= 3
    erased = (await client.delete(f"/users/{MAIL}")).json()
    assert (erased["n_ratings"], erased["n_predictions"], erased["learned_version"]) == (1, 1, 1)
    assert "film weights of version 1, until the queued training's version serves" in erased["remains"]
    assert places_of(trained_url, home, MAIL) == []


async def test_a_user_of_the_owners_views_is_erased_here(database_url: str, home: Path) -> None:
    """The log and the mapped id go, in every process; the owner's ratings stay, and the response says how many."""
    with psycopg.connect(database_url) as connection:
        connection.execute(OWNERS_TABLES.replace("customer bigint", "customer text"))
        connection.execute("INSERT INTO shop.vote VALUES (%s, 3, 9, now())", [MAIL])
    settings = Settings(home=home, database_url=database_url, source="external")
    snapshot = storage.rating_store(settings).load_snapshot(lambda _: None)
    assert isinstance(snapshot.movies[0], Movie)
    async with running(database_url, home, source="external") as other:
        await other.predict(MAIL)
        async with running(database_url, home, source="external") as service:
            await service.predict(MAIL)
            await eventually(is_logged(database_url, MAIL, 2))
            before = len(await other.parts.histories.ratings_of(MAIL))
            erased = (await service.client.delete(f"/users/{MAIL}")).json()
            assert (before, erased["n_ratings"], erased["n_predictions"], erased["n_owner_ratings"]) == (1, 0, 2, 1)
            assert "1 ratings in your own views" in erased["remains"]
            assert erased["training_id"] is not None
            assert places_of(database_url, home, MAIL) == []
            await until(lambda: other.parts.predictor._cache.last_known(MAIL) is None)
            refused = await service.client.delete(f"/users/{MAIL}")
            assert refused.status_code == 404
            assert "1 ratings in your own views are yours to delete" in error_of(refused)["message"]


def test_views_that_cannot_be_read_do_not_prevent_an_erasure(database_url: str, home: Path) -> None:
    """Without the views the id is erased, and the report says that the owner's ratings are unknown."""
    people = storage.people(Settings(home=home, database_url=database_url, source="external"))
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO cineclub.users (external_id) VALUES (%s)", [MAIL])
    assert people.erase(MAIL).n_owner_ratings is None
    with psycopg.connect(database_url) as connection:
        connection.execute(OWNERS_TABLES)
        connection.execute("INSERT INTO cineclub.users (external_id) VALUES (%s)", [MAIL])
    assert people.erase(MAIL).n_owner_ratings == 0  # its integer ids can be no mail address
    with pytest.raises(NotFound):
        people.erase(MAIL)


SLOW_VIEW = "CREATE VIEW cineclub_source.ratings AS SELECT '7'::text AS user_id FROM pg_sleep(60)"
WITHOUT_FUNCTION = "CREATE VIEW cineclub_source.ratings AS SELECT '{}'::json AS user_id"
RAISING = """
CREATE FUNCTION cineclub_source.refused() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$;
CREATE VIEW cineclub_source.ratings AS SELECT cineclub_source.refused() AS user_id
"""
INVALID = "CREATE VIEW cineclub_source.ratings AS SELECT (1 / (random()::int * 0))::text AS user_id"
FAILING = {"slow": SLOW_VIEW, "no function": WITHOUT_FUNCTION, "raising": RAISING, "invalid": INVALID}


@pytest.mark.parametrize("kind", FAILING)
def test_a_view_that_fails_does_not_prevent_an_erasure(database_url: str, home: Path, kind: str) -> None:
    """A count that takes too long, that PostgreSQL cannot do, or that raises leaves the number unknown."""
    address = f"{database_url}&options=-c%20statement_timeout%3D3s"
    people = storage.people(Settings(home=home, database_url=address, source="external"))
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE SCHEMA cineclub_source")
        connection.execute(FAILING[kind].encode())
        connection.execute("INSERT INTO cineclub.users (external_id) VALUES ('7')")
    assert people.erase("7").n_owner_ratings is None
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT FROM cineclub.users").fetchall() == []
