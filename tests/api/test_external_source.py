"""Predictions from the owner's own tables."""

from pathlib import Path

import psycopg
import pytest
from small_service import movie_ids, running

from cineclub.adapters.postgres.ratings import PostgresRatingStore

pytestmark = pytest.mark.anyio

OWNERS_TABLES = """
CREATE SCHEMA shop;
CREATE TABLE shop.film (id int PRIMARY KEY, name text);
CREATE TABLE shop.vote (customer bigint, film int, points numeric, at timestamptz, PRIMARY KEY (customer, film));
INSERT INTO shop.film SELECT i, 'Film ' || i FROM generate_series(1, 20) AS i;
INSERT INTO shop.vote SELECT c, f, 1 + (c + f) % 10, '2024-01-01Z'
FROM generate_series(1, 9) c, generate_series(1, 9) f;
CREATE SCHEMA cineclub_source;
CREATE VIEW cineclub_source.movies AS
SELECT id AS movie_id, name AS title, 2000 AS year, ARRAY['Drama'] AS genres, NULL::text AS imdb_id,
    NULL::text AS tmdb_id FROM shop.film;
CREATE VIEW cineclub_source.ratings AS
SELECT customer AS user_id, film AS movie_id, points AS rating, at AS rated_at FROM shop.vote;
CREATE VIEW cineclub_source.rating_scale AS SELECT 1 AS lowest, 10 AS highest;
"""


async def test_external_views_are_read(database_url: str, home: Path) -> None:
    """Histories and popular films are read from the views, without rated films; malformed ids are unknown users."""
    with psycopg.connect(database_url) as connection:
        connection.execute(OWNERS_TABLES)
        connection.execute("INSERT INTO shop.vote VALUES (50, 3, 9, now())")
    async with running(database_url, home, source="external") as service:
        everybody = await service.predict("not a number", 100)
        somebody = await service.predict(50, 100)
        huge = await service.predict("9" * 100, 100)
    assert sorted(movie_ids(everybody)) == list(range(1, 10))
    assert movie_ids(everybody) == movie_ids(huge)
    assert movie_ids(somebody) == [movie_id for movie_id in movie_ids(everybody) if movie_id != 3]


async def test_films_of_views_may_have_attributes(database_url: str, home: Path) -> None:
    """Optional columns of the view are in the responses of the API."""
    attributes = (
        "SELECT id AS movie_id, name AS title, 2000 AS year, ARRAY['Drama'] AS genres, NULL::text AS imdb_id,"
        " NULL::text AS tmdb_id, jsonb_build_object('director', jsonb_build_array('Ana ' || id)) AS labels,"
        " 90 + id AS runtime_minutes, 'About ' || name AS overview, id <> 4 AS available FROM shop.film"
    )
    with psycopg.connect(database_url) as connection:
        connection.execute(OWNERS_TABLES)
        connection.execute("DROP VIEW cineclub_source.movies")
        connection.execute(f"CREATE VIEW cineclub_source.movies AS {attributes}".encode())
    PostgresRatingStore(database_url, "external", "cineclub_source").load_snapshot(lambda _fraction: None)
    async with running(database_url, home, source="external") as service:
        movie = (await service.client.get("/movies/3")).json()
        withdrawn = (await service.client.get("/movies/4")).json()
    assert (movie["labels"], movie["runtime_minutes"]) == ({"director": ["Ana 3"]}, 93)
    assert (movie["overview"], movie["available"]) == ("About Film 3", True)
    assert withdrawn["available"] is False


async def test_missing_views_are_503(database_url: str, home: Path) -> None:
    """Without the views the response is 503 and names the command that checks them."""
    async with running(database_url, home, source="external") as service:
        response = await service.client.post("/predict/", json={"user_id": 1})
    assert response.status_code == 503
    assert "cineclub doctor" in response.json()["error"]["message"]


RATINGS_AS = (
    "DROP VIEW cineclub_source.ratings; CREATE VIEW cineclub_source.ratings AS"
    " SELECT {user_id} AS user_id, film AS movie_id, {rating} AS rating, at AS rated_at FROM shop.vote"
)


def replace_ratings(database_url: str, user_id: str, rating: str = "points") -> None:
    """Replace the owner's view of ratings by one with other types."""
    with psycopg.connect(database_url) as connection:
        connection.execute(RATINGS_AS.format(user_id=user_id, rating=rating).encode())


async def test_a_replaced_view_is_noticed(database_url: str, home: Path) -> None:
    """Other types of ids are taken up at once; a type that is none is 503 until the view is right again."""
    with psycopg.connect(database_url) as connection:
        connection.execute(OWNERS_TABLES)
        connection.execute("INSERT INTO shop.vote VALUES (50, 3, 9, now())")
    async with running(database_url, home, source="external") as service:
        before = [await service.predict(50, 100) for _ in range(20)]  # statements are prepared by then
        for user_id in ("customer::text", "customer::int", "customer::numeric", "customer::varchar", "customer"):
            replace_ratings(database_url, user_id)
            after = [await service.predict(50, 100) for _ in range(10)]
            assert [movie_ids(body) for body in after] == [movie_ids(before[0])] * 10, user_id
            assert not any(body["degraded"] for body in after)
        for user_id in ("at", "decode(customer::text, 'escape')", "customer::float8"):
            replace_ratings(database_url, user_id)
            for number in (50, 77, 51):
                refused = await service.client.post("/predict/", json={"user_id": number})
                assert (refused.status_code, refused.json()["error"]["code"]) == (503, "storage_mismatch"), user_id
                assert "cineclub doctor" in refused.json()["error"]["message"]
        replace_ratings(database_url, "customer")
        assert movie_ids(await service.predict(50, 100)) == movie_ids(before[0])


async def test_ratings_of_another_type_are_no_unknown_user(database_url: str, home: Path) -> None:
    """A view with values that are no ratings is 503; no list that may hold rated films."""
    with psycopg.connect(database_url) as connection:
        connection.execute(OWNERS_TABLES)
    async with running(database_url, home, source="external") as service:
        await service.predict(51)
        replace_ratings(database_url, "customer", "'a ' || points")
        for path, body in [("/predict/", {"user_id": 5}), ("/predict/batch", {"user_ids": [5, 6]})]:
            refused = await service.client.post(path, json=body)
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "storage_mismatch")
        refused = await service.client.get("/movies/popular", params={"window_days": 91})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "storage_mismatch")
        replace_ratings(database_url, "customer")
        assert movie_ids(await service.predict("not a number", 100)) == movie_ids(await service.predict(51, 100))
