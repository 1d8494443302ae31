"""POST /predict/ for people without an account, and with wishes."""

from typing import Any

import psycopg
import pytest
from small_service import FIRST_EXTERNAL_ID, Service, error_of, eventually, film_ids

pytestmark = pytest.mark.anyio

EVEN = [{"movie_id": FIRST_EXTERNAL_ID + number - 1, "rating": 5} for number in (2, 4, 6)]


async def asked(service: Service, **question: Any) -> dict[str, Any]:
    """Return the answer to a question."""
    response = await service.client.post("/predict/", json=question)
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.json()
    return document


def numbers(answer: dict[str, Any]) -> list[int]:
    """Return the films of an answer by their number in the small catalogue."""
    return [film - FIRST_EXTERNAL_ID + 1 for film in film_ids(answer)]


async def test_somebody_without_an_account_is_answered_from_their_ratings(service: Service) -> None:
    """Three even films liked: even films come back, none of the three, with reasons; the log has no user."""
    answer = await asked(service, ratings=EVEN, top_n=5)
    assert (answer["user_id"], answer["strategy"], answer["unknown_films"]) == (None, "model", [])
    assert all(number % 2 == 0 for number in numbers(answer))
    assert not set(numbers(answer)) & {2, 4, 6}
    assert answer["recommendations"][0]["reasons"][0]["your_rating"] == 5.0


async def test_an_answer_to_nobody_in_particular_is_logged(service: Service, trained_url: str) -> None:
    """The row has everything but a user."""
    answer = await asked(service, ratings=EVEN, top_n=5)

    async def is_logged() -> bool:
        with psycopg.connect(trained_url) as connection:
            rows = connection.execute("SELECT recommendation_id::text, user_id FROM cineclub.predictions").fetchall()
        return rows == [(answer["recommendation_id"], None)]

    await eventually(is_logged)


async def test_the_same_ratings_with_and_without_an_account_get_the_same_films(service: Service) -> None:
    """A user is their history, wherever it comes from."""
    body = [{"user_id": "newcomer", **one} for one in EVEN]
    assert (await service.client.post("/ratings/", json=body)).status_code == 200
    known, unknown = await asked(service, user_id="newcomer"), await asked(service, ratings=EVEN)
    assert film_ids(known) == film_ids(unknown)


async def test_no_ratings_yet_get_the_popular_films_and_unknown_films_are_named(service: Service) -> None:
    """A film that the model has not learned is no error, and the answer says which it was."""
    answer = await asked(service, ratings=[])
    assert answer["strategy"] == "popular"
    answer = await asked(service, ratings=[{"movie_id": "nowhere", "rating": 4}])
    assert (answer["strategy"], answer["unknown_films"]) == ("popular", ["nowhere"])


async def test_wishes_are_kept(service: Service) -> None:
    """Years, candidates, exclusions and films that were rated."""
    answer = await asked(service, ratings=EVEN, year_from=1990, year_to=2000, top_n=100)
    assert {one["year"] for one in answer["recommendations"]} == set(range(1990, 2001))
    wanted = [FIRST_EXTERNAL_ID + number for number in (1, 10, 11)]
    answer = await asked(service, ratings=EVEN, candidate_movie_ids=[*wanted, "nowhere"], include_seen=True)
    assert set(film_ids(answer)) == set(wanted)
    answer = await asked(service, ratings=EVEN, candidate_movie_ids=wanted, exclude_movie_ids=wanted[1:])
    assert film_ids(answer) == []
    answer = await asked(service, ratings=EVEN, genres=["drama"], diversity=0.5)
    assert len(film_ids(answer)) == 10
    assert film_ids(await asked(service, ratings=EVEN, exclude_genres=["Drama"])) == []


async def test_wishes_are_kept_while_there_is_no_model(untrained: Service) -> None:
    """The popular films of the wanted years, without those that were rated."""
    answer = await asked(untrained, ratings=EVEN, year_to=1990, top_n=100)
    assert answer["model"] is None
    assert sorted(numbers(answer)) == [1, 3, 5, 7, 8, 9, 10]
    assert set(numbers(await asked(untrained, ratings=EVEN, top_n=100))) == {*range(1, 41)} - {2, 4, 6}


@pytest.mark.parametrize(
    ("question", "message"),
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
    service: Service, question: dict[str, Any], message: str
) -> None:
    """422, and the sentence names field and values."""
    response = await service.client.post("/predict/", json=question)
    assert response.status_code == 422
    assert message in error_of(response)["message"]


async def test_many_users_at_once_get_what_each_would_get_alone(service: Service, trained_url: str) -> None:
    """In the order of the request, an unknown one too; a film of a wish is kept; nothing is logged."""
    body = {"user_ids": [1, "nobody", 2, 1], "top_n": 5, "year_from": 1990}
    response = await service.client.post("/predict/batch", json=body)
    assert response.status_code == 200, response.text
    answers = response.json()["answers"]
    assert [one["user_id"] for one in answers] == [1, "nobody", 2, 1]
    assert [one["strategy"] for one in answers] == ["model", "popular", "model", "model"]
    with psycopg.connect(trained_url) as connection:
        assert connection.execute("SELECT count(*) FROM cineclub.predictions").fetchone() == (0,)
    for answer in answers:
        alone = await asked(service, user_id=answer["user_id"], top_n=5, year_from=1990)
        assert film_ids(alone) == film_ids(answer)
    too_many = await service.client.post("/predict/batch", json={"user_ids": list(range(1001))})
    assert too_many.status_code == 422
    assert "user_ids has too many entries: 1000 at most" in error_of(too_many)["message"]
