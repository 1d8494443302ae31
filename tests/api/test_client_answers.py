"""Requests of the client for each route, and its handling of unusual responses."""

import contextlib
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from small_service import Service

from cineclub.client import Client, GivenRatingIn, IdentifiedMovieIn, MovieIn, RatingRequest, ServiceError

BUSY = {"error": {"code": "storage_unavailable", "message": "PostgreSQL does not answer", "since": "now"}}
MOVIE_FILTERS: dict[str, Any] = {
    "genres": ["Drama"],
    "exclude_genres": ["War"],
    "year_from": 1990,
    "year_to": 1999,
    "labels": {"director": ["Michael Mann", "Agnès Varda"], "keyword": ["heist"]},
    "exclude_labels": {"tag": ["a:b"]},
    "languages": ["English"],
    "runtime_from": 60,
    "runtime_to": 120,
}
FILTERS: dict[str, Any] = {
    **MOVIE_FILTERS,
    "top_n": 3,
    "exclude_movie_ids": [1],
    "candidate_movie_ids": ["2"],
    "include_seen": True,
    "diversity": 0.5,
    "fresh": 0.3,
}
CALLS: list[Callable[[Client], Any]] = [
    lambda client: client.predict(1, **FILTERS),
    lambda client: client.predict(ratings=[GivenRatingIn(imdb_id="tt1", rating=5)]),
    lambda client: client.predict_batch([1], **FILTERS),
    lambda client: client.rate(1, 2, 3.0),
    lambda client: client.rate_many([RatingRequest(user_id=1, movie_id=2, rating=3)]),
    lambda client: client.take_back(1, 2),
    lambda client: client.search("heat", available=True, limit=1, **MOVIE_FILTERS),
    lambda client: client.movie(1),
    lambda client: client.put_movie(1, MovieIn(title="Ronin"), ids_become_text=True),
    lambda client: client.put_movies([IdentifiedMovieIn(movie_id=1, title="Ronin")], ids_become_text=True),
    lambda client: client.delete_movie(1),
    lambda client: client.similar(1, limit=1, **MOVIE_FILTERS),
    lambda client: client.popular(window_days=7, genre="Drama", limit=1, **MOVIE_FILTERS),
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


def client_with_responses(*responses: httpx.Response | Exception) -> tuple[Client, list[httpx.Request]]:
    """Return a client that gets these responses, the last one repeatedly, and the list of its requests."""
    sent: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        given = responses[min(len(sent), len(responses)) - 1]
        if isinstance(given, Exception):
            raise given
        return given

    return Client("http://test", transport=httpx.MockTransport(respond)), sent


def busy(retry_after: str) -> httpx.Response:
    """Return a 503 with a Retry-After header."""
    return httpx.Response(503, json=BUSY, headers={"Retry-After": retry_after})


def template_of(request: httpx.Request, templates: list[str]) -> str:
    """Return the documented path of a request; one without parameters first."""
    path = request.url.raw_path.decode().partition("?")[0]
    fitting = [template for template in templates if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path)]
    return min(fitting, key=lambda template: template.count("{"))


@pytest.mark.anyio
async def test_every_documented_route_and_parameter_has_a_method(refusing: Service) -> None:
    """Every route and parameter of the OpenAPI document has its place in the client."""
    paths = (await refusing.client.get("/openapi.json")).json()["paths"]
    documented = {
        (method.upper(), path): {
            parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "query"
        }
        for path, operations in paths.items()
        for method, operation in operations.items()
    }
    client, sent = client_with_responses(httpx.Response(418))
    for ask in CALLS:
        with contextlib.suppress(ServiceError):
            ask(client)
    assert len(sent) == len(CALLS)
    requested = {(request.method, template_of(request, list(paths))): set(request.url.params) for request in sent}
    assert requested == documented


def test_filters_of_lists_are_parameters_of_the_query() -> None:
    """A label is its kind, a colon and its name; lists are repeated."""
    client, sent = client_with_responses(httpx.Response(200, json={"movies": []}))
    client.search("heat", **MOVIE_FILTERS)
    params = sent[0].url.params
    assert params.get_list("label") == ["director:Michael Mann", "director:Agnès Varda", "keyword:heist"]
    assert (params.get_list("exclude_label"), params["languages"], params["year_from"]) == (
        ["tag:a:b"],
        "English",
        "1990",
    )


def test_requests_to_a_busy_service_are_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client retries after the requested seconds until it gets a response."""
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    client, sent = client_with_responses(busy("5"), busy("1"), httpx.Response(200, json={"movies": []}))
    assert client.search("heat").movies == []
    assert (len(sent), waited) == (3, [5.0, 1.0])


def test_a_service_that_stays_busy_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After two retries the API's error is raised with all its fields."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    client, sent = client_with_responses(busy("5"))
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
    """A training, a promotion and a rollback are never retried."""
    client, sent = client_with_responses(busy("0"))
    with pytest.raises(ServiceError):
        ask(client)
    assert len(sent) == 1


@pytest.mark.parametrize("retry_after", ["3600", "", "-1", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_nobody_waits_longer_than_they_said(retry_after: str) -> None:
    """A Retry-After that is too long, or not in seconds, is left to the caller."""
    client, sent = client_with_responses(busy(retry_after))
    with pytest.raises(ServiceError):
        client.production()
    assert len(sent) == 1


@pytest.mark.parametrize(
    "response", [httpx.Response(200, json={"films": []}), httpx.Response(502, text="<html>"), httpx.Response(301)]
)
def test_responses_of_another_service_are_recognised(response: httpx.Response) -> None:
    """The page of a proxy and another schema raise errors that name what to check."""
    client, _ = client_with_responses(response)
    with pytest.raises(ServiceError, match="check the address") as error:
        client.search("heat")
    assert (error.value.status, error.value.code) == (response.status_code, "unexpected_answer")


def test_a_timeout_has_its_own_code() -> None:
    """A timeout has its own code and no status."""
    client, sent = client_with_responses(httpx.ReadTimeout("slow"))
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
        (lambda client: client.popular(year_from=1), "year_from must be an integer from 1800 to 2200"),
        (lambda client: client.similar(1, labels={"Director": ["x"]}), "small letters"),
    ],
)
def test_what_the_schemas_refuse_is_not_sent(ask: Callable[[Client], Any], part: str) -> None:
    """Requests that the schemas refuse are not sent; the messages are those of the API."""
    client, sent = client_with_responses(httpx.Response(200))
    with pytest.raises(ServiceError, match=part) as error:
        ask(client)
    assert (error.value.status, error.value.code, sent) == (None, "invalid_request", [])
