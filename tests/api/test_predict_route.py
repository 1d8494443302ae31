"""POST /predict/ over the real application."""

import json
from typing import Any

import pytest
from small_service import FIRST_EXTERNAL_ID, N_MOVIES, Service, error_of, movie_ids, small_log

from cineclub.api.app import create_app

pytestmark = pytest.mark.anyio


def seen_by(user: int) -> set[int]:
    """Return the external ids of the films that a user has rated."""
    log = small_log()
    return {FIRST_EXTERNAL_ID - 1 + int(movie) for movie in log.movie_ids[log.user_ids == user]}


async def test_known_user_is_answered_by_the_model(service: Service) -> None:
    """A user with ratings gets unseen films of their taste, with texts, ranks, scores and reasons."""
    response = await service.predict(2, 5)
    assert response["strategy"] == "model"
    assert response["degraded"] is False
    assert response["model"] == {"name": "ease", "version": 1}
    assert [recommendation["rank"] for recommendation in response["recommendations"]] == [1, 2, 3, 4, 5]
    scores = [recommendation["score"] for recommendation in response["recommendations"]]
    assert scores == sorted(scores, reverse=True)
    first = response["recommendations"][0]
    assert first["title"] == f"Film {first['movie_id'] - FIRST_EXTERNAL_ID + 1}"
    assert first["genres"] == ["Drama"]
    assert 1 <= len(first["reasons"]) <= 3
    assert {reason["movie_id"] for reason in first["reasons"]} <= seen_by(2)
    assert all(reason["weight"] > 0 for reason in first["reasons"])


async def test_seen_movies_never_return(service: Service) -> None:
    """The longest list holds every unseen film once and no rated one."""
    response = await service.predict(2, 100)
    everything = set(range(FIRST_EXTERNAL_ID, FIRST_EXTERNAL_ID + N_MOVIES))
    assert sorted(movie_ids(response)) == sorted(everything - seen_by(2))


async def test_text_and_integer_name_the_same_user(service: Service) -> None:
    """The id may be text or integer; the lists are equal and the response echoes the form."""
    as_integer, as_text = await service.predict(2), await service.predict("2")
    assert (as_integer["user_id"], as_text["user_id"]) == (2, "2")
    assert as_integer["recommendations"] == as_text["recommendations"]


async def test_unknown_user_gets_popular_movies(service: Service) -> None:
    """A user without ratings gets the popular list of the model in production."""
    response = await service.predict("nobody-yet", 3)
    assert response["strategy"] == "popular"
    assert response["model"] == {"name": "ease", "version": 1}
    assert len(response["recommendations"]) == 3
    assert all(recommendation["reasons"] == [] for recommendation in response["recommendations"])


async def test_rating_three_movies_changes_the_answer_at_once(service: Service) -> None:
    """A new user who rates three films is no longer new, and those films leave the list."""
    before = await service.predict("newcomer")
    rated = movie_ids(before)[:3]
    ratings = [{"user_id": "newcomer", "movie_id": movie_id, "rating": 5} for movie_id in rated]
    written = await service.client.post("/ratings/", json=ratings)
    assert (written.status_code, written.json()) == (200, {"written": 3})
    after = await service.predict("newcomer")
    assert after["strategy"] == "model"
    assert movie_ids(after) != movie_ids(before)
    assert not set(movie_ids(after)) & set(rated)
    reasons = {
        reason["movie_id"] for recommendation in after["recommendations"] for reason in recommendation["reasons"]
    }
    assert reasons
    assert reasons <= set(rated)


async def test_half_known_user_is_answered_from_what_the_model_knows(service: Service, trained_url: str) -> None:
    """A user with one known and one unknown film is served by the model."""
    import psycopg  # noqa: PLC0415 - one row beside the fixture

    with psycopg.connect(trained_url) as connection:
        connection.execute("INSERT INTO cineclub.movies (external_id, title) VALUES ('9999', 'Brand New')")
    ratings = [{"user_id": 777, "movie_id": movie_id, "rating": 4} for movie_id in (9999, FIRST_EXTERNAL_ID)]
    assert (await service.client.post("/ratings/", json=ratings)).status_code == 200
    response = await service.predict(777, 100)
    assert response["strategy"] == "model"
    assert len(movie_ids(response)) == N_MOVIES - 1
    assert not set(movie_ids(response)) & {9999, FIRST_EXTERNAL_ID}
    await service.client.delete(f"/ratings/777/{FIRST_EXTERNAL_ID}")
    assert (await service.predict(777))["strategy"] == "popular"


async def test_without_a_model_the_database_counts_what_is_popular(untrained: Service) -> None:
    """Before the first promotion the popular films are counted in the database, without the rated ones."""
    response = await untrained.predict(2, 100)
    assert (response["strategy"], response["model"], response["degraded"]) == ("popular", None, False)
    assert not set(movie_ids(response)) & seen_by(2)
    assert len(response["recommendations"]) == N_MOVIES - len(seen_by(2))


async def test_without_anything_the_response_is_503(empty: Service) -> None:
    """Without imported ratings the response is 503 and says what to do."""
    response = await empty.client.post("/predict/", json={"user_id": 1})
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert error_of(response)["code"] == "not_enough_data"
    assert "cineclub import" in error_of(response)["message"]


ID_RULE = "user_id must be text of 1 to 256 characters or an integer of 64 bits"
WHO = "give either user_id or ratings"
TOP_N_RULE = "top_n must be an integer from 1 to 100"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"user_id": None}, WHO),
        ({"user_id": ""}, ID_RULE),
        ({"user_id": "x" * 257}, ID_RULE),
        ({"user_id": 1.5}, ID_RULE),
        ({"user_id": True}, ID_RULE),
        ({"user_id": [1]}, ID_RULE),
        ({"user_id": 2**63}, ID_RULE),
        ({"user_id": "a\0b"}, "user_id must be text without NUL characters and lone surrogates"),
        ({"user_id": "\ud800"}, "user_id must be text without NUL characters and lone surrogates"),
        ({}, WHO),
        ({"user_id": 1, "top_n": 0}, TOP_N_RULE),
        ({"user_id": 1, "top_n": 101}, TOP_N_RULE),
        ({"user_id": 1, "top_n": "10"}, TOP_N_RULE),
        ({"user_id": 1, "top_n": 2.5}, TOP_N_RULE),
        ({"user_id": 1, "top_n": True}, TOP_N_RULE),
        ({"user_id": 1, "top_n": None}, TOP_N_RULE),
        ({"user_id": 1, "topn": 5}, "topn is not a field of this request"),
        ({"user_id": 1, "top_n": 0, "x": 1}, f"{TOP_N_RULE}; x is not a field of this request"),
    ],
)
async def test_malformed_requests_are_refused_precisely(refusing: Service, body: dict[str, Any], message: str) -> None:
    """Each invalid field is 422 with its name and allowed values."""
    response = await refusing.client.post(
        "/predict/", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 422
    assert error_of(response)["code"] == "invalid_request"
    assert error_of(response)["message"] == message


@pytest.mark.parametrize(
    ("body", "media_type", "part"),
    [
        (b"{", "application/json", "the body is not JSON"),
        (b"\xff\xfe", "application/json", "not JSON"),
        (b"[" * 16_000, "application/json", "not JSON"),  # more are refused before they are parsed
        (b"", "application/json", "body"),
        (b"[]", "application/json", "JSON object"),
        (b"42", "application/json", "JSON object"),
        (b'{"user_id": 1}', "text/plain", "Content-Type: application/json"),
        (b"user_id=1", "application/x-www-form-urlencoded", "Content-Type: application/json"),
    ],
)
async def test_bodies_that_are_not_json_are_refused(refusing: Service, body: bytes, media_type: str, part: str) -> None:
    """A body that is no JSON object is 422 and the message shows how to send one."""
    response = await refusing.client.post("/predict/", content=body, headers={"Content-Type": media_type})
    assert response.status_code == 422
    assert error_of(response)["code"] == "not_json"
    assert part in error_of(response)["message"]


async def test_extreme_ids_are_served(service: Service) -> None:
    """Ids at the edge of what is allowed are new users like any other."""
    for user_id in (-(2**63), 2**63 - 1, "x" * 256, "İ/ñ?#%", "'; DROP TABLE cineclub.users; --"):
        assert (await service.predict(user_id))["user_id"] == user_id


async def test_a_caller_who_hangs_up_in_the_middle_is_no_failure_of_ours(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """An incomplete request body is refused as bad input, without an error in the log."""
    halves = iter([{"type": "http.request", "body": b'{"user_id"', "more_body": True}, {"type": "http.disconnect"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(halves)

    async def send(message: Any) -> None:
        sent.append(message)

    head = [(b"host", b"127.0.0.1:8000"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/predict/", "raw_path": b"/predict/", "query_string": b""}
    more = {"asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "root_path": "", "headers": head}
    await create_app(service.parts)({**scope, **more}, receive, send)
    assert sent[0]["status"] == 422
    assert not caplog.records
