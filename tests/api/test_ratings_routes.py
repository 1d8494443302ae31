"""POST and DELETE /ratings/ over the real application."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from small_service import FIRST_EXTERNAL_ID, Service, error_of, running

from cineclub.adapters.postgres import importing, rating_writes

pytestmark = pytest.mark.anyio

GOOD = {"user_id": 5, "movie_id": FIRST_EXTERNAL_ID, "rating": 4.5}
TIME_RULE = "rated_at must be a time in ISO 8601 with its offset"


def rows_of(database_url: str, user_id: str) -> list[tuple[str, float, datetime]]:
    """Return the ratings of a user."""
    with psycopg.connect(database_url) as connection:
        return connection.execute(
            "SELECT m.external_id, r.rating, r.rated_at FROM cineclub.ratings r "
            "JOIN cineclub.users u ON u.id = r.user_id JOIN cineclub.movies m ON m.id = r.movie_id "
            "WHERE u.external_id = %s ORDER BY 1",
            [user_id],
        ).fetchall()


async def test_one_rating_is_written_with_its_time(untrained: Service, filled_url: str) -> None:
    """A rating of a new user is written as sent, and a second one of the same film replaces it."""
    first = {"user_id": "new", "movie_id": str(FIRST_EXTERNAL_ID), "rating": 3, "rated_at": "2020-05-01T12:00:00+02:00"}
    assert (await untrained.client.post("/ratings/", json=first)).json() == {"written": 1}
    assert rows_of(filled_url, "new") == [("1001", 3.0, datetime(2020, 5, 1, 10, tzinfo=UTC))]
    assert (await untrained.client.post("/ratings/", json=first | {"rating": 0.5})).status_code == 200
    assert [row[1] for row in rows_of(filled_url, "new")] == [0.5]


@pytest.mark.parametrize("offset", ["+23:59:59.999999", "-23:59:59", "+00:00:00.000001", "-15:59:59"])
async def test_a_time_with_an_unusual_offset_is_written(untrained: Service, filled_url: str, offset: str) -> None:
    """Every offset that ISO 8601 and Python know is written as the same moment."""
    rated_at = f"1970-01-02T00:00:00{offset}"
    response = await untrained.client.post("/ratings/", json=GOOD | {"user_id": "new", "rated_at": rated_at})
    assert response.status_code == 200, response.text
    assert rows_of(filled_url, "new")[0][2] == datetime.fromisoformat(rated_at)


async def test_the_last_of_two_ratings_of_one_movie_counts(untrained: Service, filled_url: str) -> None:
    """The last of two ratings of a film in one request counts; without a time it is given now."""
    twice = [{"user_id": "new", "movie_id": 1001, "rating": rating} for rating in (1, 5)]
    assert (await untrained.client.post("/ratings/", json=twice)).status_code == 200
    [(_, rating, rated_at)] = rows_of(filled_url, "new")
    assert rating == 5
    assert abs(datetime.now(UTC) - rated_at) < timedelta(minutes=1)


async def test_a_thousand_ratings_are_taken_and_more_are_refused(untrained: Service) -> None:
    """A list may hold 1000 ratings and no more."""
    many = [{"user_id": f"u{number}", "movie_id": 1001 + number % 40, "rating": 4} for number in range(1001)]
    assert (await untrained.client.post("/ratings/", json=many[:1000])).json() == {"written": 1000}
    refused = await untrained.client.post("/ratings/", json=many)
    assert refused.status_code == 422
    assert "1000 at most" in error_of(refused)["message"]


async def test_unknown_movies_are_404_and_nothing_is_written(untrained: Service, filled_url: str) -> None:
    """One unknown film refuses the whole request and is named."""
    both = [GOOD | {"user_id": "new"}, GOOD | {"user_id": "new", "movie_id": "no-such-film"}]
    response = await untrained.client.post("/ratings/", json=both)
    assert response.status_code == 404
    assert "no-such-film" in error_of(response)["message"]
    assert rows_of(filled_url, "new") == []


@pytest.mark.parametrize("rating", [0, 0.4, 5.1, 6, -1, 1e30])
async def test_ratings_off_the_scale_are_refused(untrained: Service, rating: float) -> None:
    """A rating off the scale is refused with the scale."""
    response = await untrained.client.post("/ratings/", json=GOOD | {"rating": rating})
    assert response.status_code == 422
    assert "from 0.5 to 5" in error_of(response)["message"]


async def test_ratings_into_an_empty_catalogue_are_404(empty: Service) -> None:
    """Ratings into an empty catalogue are 404."""
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
        ({"rated_at": "0001-01-01T00:00:00+00:00"}, TIME_RULE),
        ({"rated_at": "0001-01-01T00:00:00+23:59"}, TIME_RULE),
        ({"rated_at": "9999-12-31T23:59:59.999999-23:59"}, TIME_RULE),
        ({"stars": 5}, "stars is not a field of this request"),
    ],
)
async def test_malformed_ratings_are_refused_precisely(
    refusing: Service, changes: dict[str, Any], message: str
) -> None:
    """Each invalid field is 422 with its allowed values, in a list with its position too."""
    alone = await refusing.client.post("/ratings/", json=GOOD | changes)
    in_list = await refusing.client.post("/ratings/", json=[GOOD, GOOD | changes])
    assert (alone.status_code, in_list.status_code) == (422, 422)
    assert error_of(alone)["message"].startswith(message)
    assert error_of(in_list)["message"].startswith(f"[1].{message}")


@pytest.mark.parametrize("body", [b"[]", b'{"user_id": 1, "movie_id": 1, "rating": NaN}', b"1", b'"x"'])
async def test_other_bodies_are_refused(refusing: Service, body: bytes) -> None:
    """Empty lists, NaN and other JSON values are refused."""
    response = await refusing.client.post("/ratings/", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422


async def test_a_rating_is_taken_back(untrained: Service, filled_url: str) -> None:
    """A rating is deleted, deleting it again is 404, and ids may hold slashes."""
    assert (await untrained.client.post("/ratings/", json=GOOD | {"user_id": "a/b"})).status_code == 200
    assert (await untrained.client.delete("/ratings/a%2Fb/1001")).status_code == 204
    assert rows_of(filled_url, "a/b") == []
    again = await untrained.client.delete("/ratings/a%2Fb/1001")
    assert (again.status_code, error_of(again)["code"]) == (404, "not_found")
    assert (await untrained.client.delete("/ratings/a%00b/1001")).status_code == 422


async def test_a_slash_inside_an_id_differs_from_the_one_between_ids(untrained: Service, filled_url: str) -> None:
    """An encoded slash belongs to the id, of film or user; a plain one is refused as ambiguous."""
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
    """With the owner's views writing is 409 and the message names where to write."""
    async with running(filled_url, home, source="external") as service:
        write = await service.client.post("/ratings/", json=GOOD)
        delete = await service.client.delete("/ratings/5/1001")
    assert (write.status_code, delete.status_code) == (409, 409)
    assert error_of(write)["code"] == error_of(delete)["code"] == "read_only_source"


async def test_writing_without_storage_is_503(refusing: Service) -> None:
    """Writing without the database is 503 with the time to retry after."""
    response = await refusing.client.post("/ratings/", json=GOOD)
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert error_of(response)["code"] == "storage_mismatch"


async def test_ratings_that_wait_for_an_import_hold_up_no_prediction(
    service: Service, trained_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While an import writes, many ratings wait, and predictions come from PostgreSQL; afterwards all are written."""
    monkeypatch.setitem(rating_writes.SQL, "begin", rating_writes.SQL["begin"].replace("4s", "60s"))
    monkeypatch.setattr(rating_writes, "WAIT_FOR_TURN_SECONDS", 60.0)
    monkeypatch.setattr(rating_writes, "WRITE_LIMIT_SECONDS", 60.0)
    with psycopg.connect(trained_url) as holding:
        holding.execute(importing.SQL["lock"])
        writes = [
            asyncio.create_task(service.client.post("/ratings/", json=GOOD | {"user_id": user}))
            for user in range(1, 31)
        ]
        for user in range(31, 46):
            assert not (await service.predict(user))["degraded"]
            await asyncio.sleep(0.1)
        assert not any(write.done() for write in writes)
    assert {(await write).status_code for write in writes} == {200}
