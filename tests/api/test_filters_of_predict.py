"""POST /predict/ for people without an account, and with filters."""

from typing import Any

import psycopg
import pytest
from small_service import FIRST_EXTERNAL_ID, Service, error_of, eventually, movie_ids

pytestmark = pytest.mark.anyio

EVEN = [{"movie_id": FIRST_EXTERNAL_ID + number - 1, "rating": 5} for number in (2, 4, 6)]


async def predict(service: Service, **body: Any) -> dict[str, Any]:
    """Return the response to a request."""
    response = await service.client.post("/predict/", json=body)
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.json()
    return document


def numbers(response: dict[str, Any]) -> list[int]:
    """Return the recommended films by their number in the small catalogue."""
    return [movie - FIRST_EXTERNAL_ID + 1 for movie in movie_ids(response)]


async def test_somebody_without_an_account_is_served_from_their_ratings(service: Service) -> None:
    """Three liked even films give even films without those three, with reasons; the log has no user."""
    response = await predict(service, ratings=EVEN, top_n=5)
    assert (response["user_id"], response["strategy"], response["unknown_films"]) == (None, "model", [])
    assert all(number % 2 == 0 for number in numbers(response))
    assert not set(numbers(response)) & {2, 4, 6}
    assert response["recommendations"][0]["reasons"][0]["your_rating"] == 5.0


async def test_an_anonymous_response_is_logged(service: Service, trained_url: str) -> None:
    """The logged row is complete except for the user."""
    response = await predict(service, ratings=EVEN, top_n=5)

    async def is_logged() -> bool:
        with psycopg.connect(trained_url) as connection:
            rows = connection.execute("SELECT recommendation_id::text, user_id FROM cineclub.predictions").fetchall()
        return rows == [(response["recommendation_id"], None)]

    await eventually(is_logged)


async def test_the_same_ratings_with_and_without_an_account_get_the_same_movies(service: Service) -> None:
    """Equal ratings give equal lists with and without an account."""
    body = [{"user_id": "newcomer", **rating} for rating in EVEN]
    assert (await service.client.post("/ratings/", json=body)).status_code == 200
    known, unknown = await predict(service, user_id="newcomer"), await predict(service, ratings=EVEN)
    assert movie_ids(known) == movie_ids(unknown)


async def test_no_ratings_yet_get_the_popular_movies_and_unknown_movies_are_named(service: Service) -> None:
    """A film unknown to the model is no error and is named in the response."""
    response = await predict(service, ratings=[])
    assert response["strategy"] == "popular"
    response = await predict(service, ratings=[{"movie_id": "nowhere", "rating": 4}])
    assert (response["strategy"], response["unknown_films"]) == ("popular", ["nowhere"])


async def test_filters_hold(service: Service) -> None:
    """Filters by year, candidates, exclusions, genres and rated films hold."""
    response = await predict(service, ratings=EVEN, year_from=1990, year_to=2000, top_n=100)
    assert {recommendation["year"] for recommendation in response["recommendations"]} == set(range(1990, 2001))
    wanted = [FIRST_EXTERNAL_ID + number for number in (1, 10, 11)]
    response = await predict(service, ratings=EVEN, candidate_movie_ids=[*wanted, "nowhere"], include_seen=True)
    assert set(movie_ids(response)) == set(wanted)
    response = await predict(service, ratings=EVEN, candidate_movie_ids=wanted, exclude_movie_ids=wanted[1:])
    assert movie_ids(response) == []
    response = await predict(service, ratings=EVEN, genres=["drama"], diversity=0.5)
    assert len(movie_ids(response)) == 10
    assert movie_ids(await predict(service, ratings=EVEN, exclude_genres=["Drama"])) == []


async def test_filters_hold_while_there_is_no_model(untrained: Service) -> None:
    """Without a model the filters hold for the popular films."""
    response = await predict(untrained, ratings=EVEN, year_to=1990, top_n=100)
    assert response["model"] is None
    assert sorted(numbers(response)) == [1, 3, 5, 7, 8, 9, 10]
    assert set(numbers(await predict(untrained, ratings=EVEN, top_n=100))) == {*range(1, 41)} - {2, 4, 6}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "give either user_id or ratings"),
        ({"user_id": 1, "ratings": []}, "give either user_id or ratings"),
        ({"ratings": [{"rating": 4}]}, "must name the film by one of movie_id, imdb_id and tmdb_id"),
        ({"ratings": [{"movie_id": 1, "imdb_id": "tt1", "rating": 4}]}, "must name the film by one of"),
        ({"ratings": [{"movie_id": 1001, "rating": 5.5}]}, r"ratings[0].rating 5.5 is off the scale"),
        ({"user_id": 1, "genres": ["Scifi"]}, "no film has the genre 'Scifi'; there are Drama"),
        ({"user_id": 1, "year_from": 10_000}, "year_from must be an integer from 1800 to 2200"),
        ({"user_id": 1, "diversity": 1.5}, "diversity must be a number from 0 to 1"),
        ({"user_id": 1, "candidate_movie_ids": []}, "candidate_movie_ids must have at least one entry"),
    ],
)
async def test_what_cannot_be_meant_is_refused_with_what_to_do(
    service: Service, body: dict[str, Any], message: str
) -> None:
    """Invalid requests get 422; the message names field and values."""
    response = await service.client.post("/predict/", json=body)
    assert response.status_code == 422
    assert message in error_of(response)["message"]


async def test_many_users_at_once_get_what_each_would_get_alone(service: Service, trained_url: str) -> None:
    """Batch responses keep the order of the request and the filters, unknown users included; nothing is logged."""
    body = {"user_ids": [1, "nobody", 2, 1], "top_n": 5, "year_from": 1990}
    response = await service.client.post("/predict/batch", json=body)
    assert response.status_code == 200, response.text
    predictions = response.json()["answers"]
    assert [prediction["user_id"] for prediction in predictions] == [1, "nobody", 2, 1]
    assert [prediction["strategy"] for prediction in predictions] == ["model", "popular", "model", "model"]
    with psycopg.connect(trained_url) as connection:
        assert connection.execute("SELECT count(*) FROM cineclub.predictions").fetchone() == (0,)
    for prediction in predictions:
        alone = await predict(service, user_id=prediction["user_id"], top_n=5, year_from=1990)
        assert movie_ids(alone) == movie_ids(prediction)
    too_many = await service.client.post("/predict/batch", json={"user_ids": list(range(1001))})
    assert too_many.status_code == 422
    assert "user_ids has too many entries: 1000 at most" in error_of(too_many)["message"]
