"""What the client sends for each route, and what it makes of answers that are not the usual ones."""

import contextlib
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from small_service import Service

from cineclub.client import Client, GivenRatingIn, RatingRequest, ServiceError

BUSY = {"error": {"code": "storage_unavailable", "message": "PostgreSQL does not answer", "since": "now"}}
WISHES: dict[str, Any] = {
    "top_n": 3,
    "genres": ["Drama"],
    "exclude_genres": ["War"],
    "year_from": 1990,
    "year_to": 1999,
    "exclude_movie_ids": [1],
    "candidate_movie_ids": ["2"],
    "include_seen": True,
    "diversity": 0.5,
}
ASKED: list[Callable[[Client], Any]] = [
    lambda client: client.predict(1, **WISHES),
    lambda client: client.predict(ratings=[GivenRatingIn(imdb_id="tt1", rating=5)]),
    lambda client: client.predict_batch([1], **WISHES),
    lambda client: client.rate(1, 2, 3.0),
    lambda client: client.rate_many([RatingRequest(user_id=1, movie_id=2, rating=3)]),
    lambda client: client.take_back(1, 2),
    lambda client: client.search("heat", limit=1),
    lambda client: client.movie(1),
    lambda client: client.similar(1, limit=1),
    lambda client: client.popular(window_days=7, genre="Drama", limit=1),
    lambda client: client.ratings_of(1, limit=1),
    lambda client: client.erase(1),
    lambda client: client.outcomes(days=7),
    lambda client: client.comparisons(days=7),
    lambda client: client.drift(threshold_pct=10, window="7d", until="newest"),
    lambda client: client.drift_history(limit=1, before=2),
    lambda client: client.drift_baseline(),
    lambda client: client.pin_drift_baseline(7),
    lambda client: client.unpin_drift_baseline(),
    lambda client: client.start_training(["ease"], "why"),
    lambda client: client.follow_training("id"),
    lambda client: client.cancel_training("id"),
    lambda client: client.list_trainings(limit=1),
    lambda client: client.models(limit=1, before=2, promotions_before=4, refusals_before=5),
    lambda client: client.model(1),
    lambda client: client.production(),
    lambda client: client.promote(1, "why"),
    lambda client: client.roll_back("why"),
    lambda client: client.health(),
    lambda client: client.ready(),
    lambda client: client.metrics(),
]


def answering(*answers: httpx.Response | Exception) -> tuple[Client, list[httpx.Request]]:
    """Return a client that gets these answers, the last one again and again, and what it sends."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        given = answers[min(len(sent), len(answers)) - 1]
        if isinstance(given, Exception):
            raise given
        return given

    return Client("http://test", transport=httpx.MockTransport(answer)), sent


def busy(retry_after: str) -> httpx.Response:
    """Return a 503 that says when to come back."""
    return httpx.Response(503, json=BUSY, headers={"Retry-After": retry_after})


def template_of(request: httpx.Request, templates: list[str]) -> str:
    """Return the documented path that a request goes to; one without parameters first."""
    path = request.url.raw_path.decode().partition("?")[0]
    fitting = [one for one in templates if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", one), path)]
    return min(fitting, key=lambda one: one.count("{"))


@pytest.mark.anyio
async def test_every_documented_route_and_parameter_has_a_method(refusing: Service) -> None:
    """A route or a parameter that is new in the OpenAPI document needs its place in the client."""
    paths = (await refusing.client.get("/openapi.json")).json()["paths"]
    documented = {
        (method.upper(), path): {one["name"] for one in operation.get("parameters", []) if one["in"] == "query"}
        for path, operations in paths.items()
        for method, operation in operations.items()
    }
    client, sent = answering(httpx.Response(418))
    for ask in ASKED:
        with contextlib.suppress(ServiceError):
            ask(client)
    assert len(sent) == len(ASKED)
    asked = {(one.method, template_of(one, list(paths))): set(one.url.params) for one in sent}
    assert asked == documented


def test_a_busy_service_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """After as many seconds as it asks for, until it answers."""
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    client, sent = answering(busy("5"), busy("1"), httpx.Response(200, json={"movies": []}))
    assert client.search("heat").movies == []
    assert (len(sent), waited) == (3, [5.0, 1.0])


def test_a_service_that_stays_busy_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After two repetitions the error of the API is raised with all it says."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    client, sent = answering(busy("5"))
    with pytest.raises(ServiceError, match="PostgreSQL does not answer") as error:
        client.rate(1, 2, 3.0)
    assert (error.value.status, error.value.code) == (503, "storage_unavailable")
    assert error.value.details == {"since": "now"}
    assert len(sent) == 3


@pytest.mark.parametrize(
    "ask",
    [lambda c: c.start_training(), lambda c: c.promote(1, "why"), lambda c: c.roll_back("a"), lambda c: c.erase(1)],
)
def test_what_must_not_happen_twice_is_sent_once(ask: Callable[[Client], Any]) -> None:
    """A training, a promotion and a rollback are never sent again."""
    client, sent = answering(busy("0"))
    with pytest.raises(ServiceError):
        ask(client)
    assert len(sent) == 1


@pytest.mark.parametrize("retry_after", ["3600", "", "-1", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_nobody_waits_longer_than_they_said(retry_after: str) -> None:
    """A wait that is too long, or none in seconds, is left to the caller."""
    client, sent = answering(busy(retry_after))
    with pytest.raises(ServiceError):
        client.production()
    assert len(sent) == 1


@pytest.mark.parametrize(
    "answer", [httpx.Response(200, json={"films": []}), httpx.Response(502, text="<html>"), httpx.Response(301)]
)
def test_answers_of_another_service_are_told_apart(answer: httpx.Response) -> None:
    """A proxy's page and another schema are errors that say where to look."""
    client, _ = answering(answer)
    with pytest.raises(ServiceError, match="check the address") as error:
        client.search("heat")
    assert (error.value.status, error.value.code) == (answer.status_code, "unexpected_answer")


def test_a_timeout_says_so() -> None:
    """It has a code of its own and no status."""
    client, sent = answering(httpx.ReadTimeout("slow"))
    with pytest.raises(ServiceError, match="in time") as error:
        client.health()
    assert (error.value.status, error.value.code, len(sent)) == (None, "timed_out", 1)


@pytest.mark.parametrize(
    ("ask", "part"),
    [
        (lambda client: client.predict(), "either user_id or ratings"),
        (lambda client: client.predict(1, top_n=0), "top_n must be an integer"),
        (lambda client: client.predict(user_id=True), "user_id must be text"),
        (lambda client: client.rate(1, 2, float("nan")), "rating must be a finite number"),
        (lambda client: client.movie(""), "an id must be text"),
        (lambda client: client.take_back(1, "a/b"), "holds a slash"),
        (lambda client: client.search("\ud800"), "UTF-8"),
    ],
)
def test_what_the_schemas_refuse_is_not_sent(ask: Callable[[Client], Any], part: str) -> None:
    """The same sentences as the API's, without the way there."""
    client, sent = answering(httpx.Response(200))
    with pytest.raises(ServiceError, match=part) as error:
        ask(client)
    assert (error.value.status, error.value.code, sent) == (None, "invalid_request", [])
