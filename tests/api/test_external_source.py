"""Predictions out of the owner's own tables."""

from pathlib import Path

import psycopg
import pytest
from small_service import film_ids, running

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
    """Histories and the popular list come out of the views, rated films are left out, odd user ids are nobody."""
    with psycopg.connect(database_url) as connection:
        connection.execute(OWNERS_TABLES)
        connection.execute("INSERT INTO shop.vote VALUES (50, 3, 9, now())")
    async with running(database_url, home, source="external") as service:
        everybody = await service.predict("not a number", 100)
        somebody = await service.predict(50, 100)
        huge = await service.predict("9" * 100, 100)
    assert sorted(film_ids(everybody)) == list(range(1, 10))
    assert film_ids(everybody) == film_ids(huge)
    assert film_ids(somebody) == [one for one in film_ids(everybody) if one != 3]


async def test_missing_views_are_503(database_url: str, home: Path) -> None:
    """Without the views the answer is 503 and names the command that says what is missing."""
    async with running(database_url, home, source="external") as service:
        response = await service.client.post("/predict/", json={"user_id": 1})
    assert response.status_code == 503
    assert "cineclub doctor" in response.json()["error"]["message"]
