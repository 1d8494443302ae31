"""POST and DELETE /ratings/ over the real application."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from small_service import FIRST_EXTERNAL_ID, Service, error_of, running

pytestmark = pytest.mark.anyio

GOOD = {"user_id": 5, "movie_id": FIRST_EXTERNAL_ID, "rating": 4.5}
TIME_RULE = "rated_at must be a time in ISO 8601 with its offset"


def rows_of(database_url: str, user_id: str) -> list[tuple[str, float, datetime]]:
    """Return what a user has rated."""
    with psycopg.connect(database_url) as connection:
        return connection.execute(
            "SELECT m.external_id, r.rating, r.rated_at FROM cineclub.ratings r "
            "JOIN cineclub.users u ON u.id = r.user_id JOIN cineclub.movies m ON m.id = r.movie_id "
            "WHERE u.external_id = %s ORDER BY 1",
            [user_id],
        ).fetchall()


async def test_one_rating_is_written_with_its_time(untrained: Service, filled_url: str) -> None:
    """A single rating of a new user is written as sent, and a second one of the same film replaces it."""
    first = {"user_id": "new", "movie_id": str(FIRST_EXTERNAL_ID), "rating": 3, "rated_at": "2020-05-01T12:00:00+02:00"}
    assert (await untrained.client.post("/ratings/", json=first)).json() == {"written": 1}
    assert rows_of(filled_url, "new") == [("1001", 3.0, datetime(2020, 5, 1, 10, tzinfo=UTC))]
    assert (await untrained.client.post("/ratings/", json=first | {"rating": 0.5})).status_code == 200
    assert [row[1] for row in rows_of(filled_url, "new")] == [0.5]


async def test_the_last_of_two_ratings_of_one_film_counts(untrained: Service, filled_url: str) -> None:
    """One request may rate a film twice; without a time a rating was given now."""
    twice = [{"user_id": "new", "movie_id": 1001, "rating": rating} for rating in (1, 5)]
    assert (await untrained.client.post("/ratings/", json=twice)).status_code == 200
    [(_, rating, rated_at)] = rows_of(filled_url, "new")
    assert rating == 5
    assert abs(datetime.now(UTC) - rated_at) < timedelta(minutes=1)


async def test_a_thousand_ratings_are_taken_and_more_are_refused(untrained: Service) -> None:
    """A list may hold 1000 ratings."""
    many = [{"user_id": f"u{number}", "movie_id": 1001 + number % 40, "rating": 4} for number in range(1001)]
    assert (await untrained.client.post("/ratings/", json=many[:1000])).json() == {"written": 1000}
    refused = await untrained.client.post("/ratings/", json=many)
    assert refused.status_code == 422
    assert "1000 at most" in error_of(refused)["message"]


async def test_unknown_films_are_404_and_nothing_is_written(untrained: Service, filled_url: str) -> None:
    """One unknown film refuses the whole request, by name."""
    both = [GOOD | {"user_id": "new"}, GOOD | {"user_id": "new", "movie_id": "no-such-film"}]
    response = await untrained.client.post("/ratings/", json=both)
    assert response.status_code == 404
    assert "no-such-film" in error_of(response)["message"]
    assert rows_of(filled_url, "new") == []


@pytest.mark.parametrize("rating", [0, 0.4, 5.1, 6, -1, 1e30])
async def test_ratings_off_the_scale_are_refused(untrained: Service, rating: float) -> None:
    """A rating off the catalogue's scale is answered with the scale."""
    response = await untrained.client.post("/ratings/", json=GOOD | {"rating": rating})
    assert response.status_code == 422
    assert "from 0.5 to 5" in error_of(response)["message"]


async def test_ratings_into_an_empty_catalogue_are_404(empty: Service) -> None:
    """Without films there is nothing to rate."""
    response = await empty.client.post("/ratings/", json=GOOD)
    assert response.status_code == 404
    assert "cineclub import" in error_of(response)["message"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rating": "5"}, "rating must be a finite number"),
        ({"rating": True}, "rating must be a finite number"),
        ({"rating": None}, "rating must be a finite number"),
        ({"rating": 1e300}, "rating must be a finite number"),
        ({"movie_id": ""}, "movie_id must be text of 1 to 256 characters"),
        ({"user_id": False}, "user_id must be text of 1 to 256 characters"),
        ({"rated_at": 1600000000}, TIME_RULE),
        ({"rated_at": "1600000000000"}, TIME_RULE),
        ({"rated_at": "2020-05-01T12:00:00"}, TIME_RULE),
        ({"rated_at": "1890-05-01T12:00:00Z"}, TIME_RULE),
        ({"rated_at": "2999-05-01T12:00:00Z"}, TIME_RULE),
        ({"stars": 5}, "stars is not a field of this request"),
    ],
)
async def test_malformed_ratings_are_refused_precisely(
    refusing: Service, changes: dict[str, Any], message: str
) -> None:
    """Each wrong field is answered with 422 and what it may be; in a list with its position too."""
    alone = await refusing.client.post("/ratings/", json=GOOD | changes)
    listed = await refusing.client.post("/ratings/", json=[GOOD, GOOD | changes])
    assert (alone.status_code, listed.status_code) == (422, 422)
    assert error_of(alone)["message"].startswith(message)
    assert error_of(listed)["message"].startswith(f"[1].{message}")


@pytest.mark.parametrize("body", [b"[]", b'{"user_id": 1, "movie_id": 1, "rating": NaN}', b"1", b'"x"'])
async def test_other_bodies_are_refused(refusing: Service, body: bytes) -> None:
    """Empty lists, NaN and other JSON values are no ratings."""
    response = await refusing.client.post("/ratings/", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422


async def test_a_rating_is_taken_back(untrained: Service, filled_url: str) -> None:
    """A deleted rating is gone, and deleting it again is 404; ids may hold slashes."""
    assert (await untrained.client.post("/ratings/", json=GOOD | {"user_id": "a/b"})).status_code == 200
    assert (await untrained.client.delete("/ratings/a%2Fb/1001")).status_code == 204
    assert rows_of(filled_url, "a/b") == []
    again = await untrained.client.delete("/ratings/a%2Fb/1001")
    assert (again.status_code, error_of(again)["code"]) == (404, "not_found")
    assert (await untrained.client.delete("/ratings/a%00b/1001")).status_code == 404


async def test_a_slash_inside_an_id_is_told_from_the_one_between_ids(untrained: Service, filled_url: str) -> None:
    """Encoded it belongs to the film as well as to the user; plain it is refused, for nobody can say whose it is."""
    with psycopg.connect(filled_url) as connection:
        connection.execute("UPDATE cineclub.movies SET external_id = 'x/y/' WHERE external_id = '1001'")
    body = {"user_id": "a/b", "movie_id": "x/y/", "rating": 4}
    assert (await untrained.client.post("/ratings/", json=body)).status_code == 200
    refused = await untrained.client.delete("/ratings/a/b/x%2Fy%2F")
    assert (refused.status_code, "%2F" in error_of(refused)["message"]) == (422, True)
    assert (await untrained.client.delete("/ratings/a%2Fb/")).status_code == 422
    assert (await untrained.client.delete("/ratings/a%2Fb/x%2Fy%2F")).status_code == 204
    assert rows_of(filled_url, "a/b") == []


async def test_external_ratings_are_read_only(filled_url: str, home: Path) -> None:
    """Where ratings come from the owner's views, writing is 409 and says where to write."""
    async with running(filled_url, home, source="external") as service:
        write = await service.client.post("/ratings/", json=GOOD)
        delete = await service.client.delete("/ratings/5/1001")
    assert (write.status_code, delete.status_code) == (409, 409)
    assert error_of(write)["code"] == error_of(delete)["code"] == "read_only_source"


async def test_writing_without_storage_is_503(refusing: Service) -> None:
    """Writing needs the database, and the answer says when to try again."""
    response = await refusing.client.post("/ratings/", json=GOOD)
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert error_of(response)["code"] == "storage_unavailable"
