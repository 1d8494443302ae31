"""Outcomes of recommendations over HTTP and in /metrics, from responses that the service logged."""

import asyncio
from pathlib import Path
from typing import Any

import psycopg
import pytest
from small_service import Service, error_of, eventually, running

from cineclub.domain.errors import StorageUnavailable
from cineclub.domain.recommend.outcomes import Outcomes

pytestmark = pytest.mark.anyio


async def outcomes_of(service: Service, days: int = 30) -> dict[str, Any]:
    """Return the response of the route."""
    response = await service.client.get("/monitoring/recommendations", params={"days": days})
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.json()
    return document


async def rate(service: Service, user_id: Any, movie_id: Any, rating: float) -> None:
    """Rate a film now."""
    body = {"user_id": user_id, "movie_id": movie_id, "rating": rating}
    response = await service.client.post("/ratings/", json=body)
    assert response.status_code < 300, response.text


async def until_logged(database_url: str, n_answers: int) -> None:
    """Wait until the log holds a number of responses."""

    async def are_there() -> bool:
        return await asyncio.to_thread(n_logged, database_url) == n_answers

    await eventually(are_there)


def n_logged(database_url: str) -> int:
    """Return the number of logged responses."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT count(*) FROM cineclub.predictions").fetchone()
    assert row is not None
    return int(row[0])


async def test_a_rating_of_a_recommended_movie_shows(service: Service, trained_url: str) -> None:
    """Of four responses, to known, new and anonymous users, one held a film that was rated afterwards."""
    response = await service.predict(2, 3)
    await service.predict(3, 3)
    await service.predict("newcomer", 3)
    anonymous = {"ratings": [{"movie_id": 1002, "rating": 5}], "top_n": 3}
    assert (await service.client.post("/predict/", json=anonymous)).status_code == 200
    await until_logged(trained_url, 4)
    await rate(service, 2, response["recommendations"][1]["movie_id"], 4.5)
    await rate(service, 4, response["recommendations"][1]["movie_id"], 1.0)
    outcomes = await outcomes_of(service)
    assert (outcomes["days"], outcomes["window_days"], outcomes["n_movies"]) == (30, 7, 40)
    [version] = outcomes["versions"]
    assert (version["model"], version["n_answers"]) == ({"name": "ease", "version": 1}, 4)
    assert version["cold_start_share"] == 0.25
    model, popular = version["strategies"]
    assert (model["strategy"], model["n_answers"], model["n_anonymous"], model["n_open"]) == ("model", 3, 1, 2)
    assert (model["n_hits"], model["n_taken"], model["hit_rate"], model["mean_taken_rating"]) == (1, 1, 0.5, 4.5)
    assert 0 < model["coverage"] <= 9 / 40
    assert 0 <= model["popularity_share"] <= 1
    assert (popular["strategy"], popular["hit_rate"], popular["mean_taken_rating"]) == ("popular", 0, None)
    assert popular["coverage"] == 3 / 40
    assert popular["popularity_share"] > 0


async def test_responses_before_the_first_model_have_none(untrained: Service, filled_url: str) -> None:
    """Popular films without a model are shown as such and do not count as cold starts."""
    await untrained.predict(2, 3)
    await until_logged(filled_url, 1)
    [version] = (await outcomes_of(untrained))["versions"]
    assert (version["model"], version["cold_start_share"]) == (None, None)
    assert [strategy["strategy"] for strategy in version["strategies"]] == ["popular"]


async def test_without_responses_there_are_no_versions(empty: Service) -> None:
    """An empty log is no error."""
    outcomes = await outcomes_of(empty, 1)
    assert (outcomes["versions"], outcomes["n_movies"]) == ([], 0)


@pytest.mark.parametrize("days", ["0", "3651", "many"])
async def test_odd_periods_are_refused(refusing: Service, days: str) -> None:
    """The days of a period lie between one and ten years."""
    response = await refusing.client.get("/monitoring/recommendations", params={"days": days})
    assert response.status_code == 422
    assert "days" in error_of(response)["message"]


async def test_without_tables_the_response_is_503(refusing: Service) -> None:
    """Without tables the response is 503 and names the command that creates them."""
    response = await refusing.client.get("/monitoring/recommendations")
    assert response.status_code == 503
    assert "cineclub doctor" in error_of(response)["message"]


async def test_outcomes_are_counted_once_a_minute(service: Service, trained_url: str) -> None:
    """A second request for the same days is answered from the cache, one for other days is counted."""
    first = await outcomes_of(service)
    await service.predict(2)
    await until_logged(trained_url, 1)
    assert await outcomes_of(service) == first
    assert (await outcomes_of(service, 31))["versions"] != []


async def test_metrics_are_refreshed_beside_the_requests(
    trained_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gauges are refreshed periodically, and a scrape counts nothing."""
    async with running(trained_url, home, outcome_refresh_seconds=0.05) as service:
        monkeypatch.setattr("cineclub.runtime.fresh_cache.FRESH_SECONDS", 0.0)
        response = await service.predict(2, 4)
        await service.predict("newcomer", 4)
        await until_logged(trained_url, 2)
        await rate(service, 2, response["recommendations"][0]["movie_id"], 3.0)

        async def are_known() -> bool:
            text = (await service.client.get("/metrics")).text
            return 'cineclub_recommendation_taken_films{model_version="1",strategy="model"} 1.0' in text

        await eventually(are_known)

        async def refuse(*_: object) -> Outcomes:
            message = "not now"
            raise StorageUnavailable(message)

        monkeypatch.setattr(service.parts.monitoring, "_count", refuse)
        text = (await service.client.get("/metrics")).text
    labels = '{model_version="1",strategy="model"}'
    assert f"cineclub_recommendation_answers{labels} 1.0" in text
    assert f"cineclub_recommendation_named_answers{labels} 1.0" in text
    assert f"cineclub_recommendation_hit_rate{labels} 1.0" in text
    assert f"cineclub_recommendation_mean_taken_rating{labels} 3.0" in text
    assert f"cineclub_recommendation_coverage{labels} 0.1" in text
    assert f"cineclub_recommendation_popularity_share{labels} " in text
    assert 'cineclub_recommendation_cold_start_share{model_version="1"} 0.5' in text
    assert 'cineclub_recommendation_mean_taken_rating{model_version="1",strategy="popular"}' not in text


async def test_old_responses_leave_the_log(trained_url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Responses older than the retention are deleted in batches, and no others, though outcomes cannot be counted."""
    monkeypatch.setattr("cineclub.flows.monitoring.ROWS_AT_ONCE", 7)
    with psycopg.connect(trained_url) as connection:
        connection.execute(
            "INSERT INTO cineclub.predictions SELECT gen_random_uuid(), now() - make_interval(hours => 24 * days - 1),"
            " '2', 'model', 'ease', 1, '{1}', '{1}', 0.001, false FROM generate_series(1, 40) AS days"
        )
        connection.execute("ALTER TABLE cineclub.movies RENAME TO films")
    async with running(trained_url, home, outcome_refresh_seconds=0.05, prediction_log_days=20):

        async def are_gone() -> bool:
            return await asyncio.to_thread(n_logged, trained_url) == 20

        await eventually(are_gone)
