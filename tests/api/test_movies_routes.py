"""GET /movies/… and GET /users/…: the catalogue over HTTP."""

from typing import Any

import psycopg
import pytest
from small_service import FIRST_EXTERNAL_ID, N_MOVIES, Service, error_of, eventually

pytestmark = pytest.mark.anyio


async def got(service: Service, path: str, **params: Any) -> dict[str, Any]:
    """Return the response of a path."""
    response = await service.client.get(path, params=params)
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.json()
    return document


def numbers(movies: list[dict[str, Any]]) -> list[int]:
    """Return films by their number in the small catalogue."""
    return [movie["movie_id"] - FIRST_EXTERNAL_ID + 1 for movie in movies]


async def test_movies_are_found_by_title_also_those_no_model_knows(service: Service, trained_url: str) -> None:
    """A newly imported film is found a moment later."""
    with psycopg.connect(trained_url) as connection:
        connection.execute(
            "INSERT INTO cineclub.movies (external_id, title, year) VALUES ('9', 'Godfather, The', 1972)"
        )

    async def is_found() -> bool:
        return bool((await got(service, "/movies/", search="godfahter"))["movies"])

    await eventually(is_found)
    movies = (await got(service, "/movies/", search="godfahter"))["movies"]
    assert [(movie["movie_id"], movie["title"], movie["year"], movie["labels"]) for movie in movies] == [
        (9, "Godfather, The", 1972, {})
    ]
    assert (await got(service, "/movies/9"))["title"] == "Godfather, The"
    assert len((await got(service, "/movies/", search="film", limit=7))["movies"]) == 7


async def test_movies_like_another_are_those_that_its_friends_like(service: Service) -> None:
    """Even films are similar to even ones; the film itself is not listed."""
    similar = await got(service, f"/movies/{FIRST_EXTERNAL_ID + 3}/similar", limit=5)
    assert (similar["movie"]["title"], similar["strategy"]) == ("Film 4", "model")
    assert all(number % 2 == 0 and number != 4 for number in numbers(similar["movies"]))
    assert len(similar["movies"]) == 5


async def test_an_unknown_movie_is_not_found(service: Service) -> None:
    """An unknown film is 404 with the next step, for the film and for similar films."""
    for path in ("/movies/nowhere", "/movies/nowhere/similar"):
        response = await service.client.get(path)
        assert response.status_code == 404
        assert "GET /movies/?search=" in error_of(response)["message"]


async def test_popular_movies_can_be_of_a_window_and_a_genre(service: Service, trained_url: str) -> None:
    """All ratings of the small catalogue lie within hours; a later rating makes its film the only one of 91 days.

    Lists of fewer days follow the crowd's counts: ``test_trends_of_the_crowd.py``.
    """
    everything = await got(service, "/movies/popular", limit=100)
    assert len(everything["movies"]) == N_MOVIES
    scores = [movie["score"] for movie in everything["movies"]]
    assert scores == sorted(scores, reverse=True)
    body = {"user_id": 1, "movie_id": FIRST_EXTERNAL_ID, "rating": 5, "rated_at": "2026-01-01T00:00:00Z"}
    assert (await service.client.post("/ratings/", json=body)).status_code == 200
    assert numbers((await got(service, "/movies/popular", window_days=91))["movies"]) == [1]
    assert len((await got(service, "/movies/popular", genre="drama"))["movies"]) == 10
    response = await service.client.get("/movies/popular", params={"genre": "Western"})
    assert response.status_code == 422
    assert "there are Drama" in error_of(response)["message"]
    with psycopg.connect(trained_url) as connection:
        assert connection.execute("SELECT count(*) FROM cineclub.ratings WHERE rated_at > '2025-01-01'").fetchone() == (
            1,
        )


async def test_what_somebody_has_rated_is_listed_newest_first(service: Service) -> None:
    """The present ratings are listed with titles; an unknown user has none."""
    for movie, rating in ((3, 4.0), (5, 2.5)):
        body = {"user_id": "new/one", "movie_id": FIRST_EXTERNAL_ID + movie - 1, "rating": rating}
        assert (await service.client.post("/ratings/", json=body)).status_code == 200
    rows = (await got(service, "/users/new/one/ratings"))["ratings"]
    assert [(row["movie"]["title"], row["rating"]) for row in rows] == [("Film 5", 2.5), ("Film 3", 4.0)]
    assert len((await got(service, "/users/new/one/ratings", limit=1))["ratings"]) == 1
    assert (await got(service, "/users/nobody/ratings"))["ratings"] == []


async def test_the_catalogue_of_a_new_database_is_empty(empty: Service) -> None:
    """An empty catalogue gives an empty list."""
    assert (await got(empty, "/movies/", search="matrix"))["movies"] == []
    assert (await got(empty, "/movies/popular"))["movies"] == []


async def test_movies_like_another_need_a_model(untrained: Service) -> None:
    """Without a model the response says what to do."""
    response = await untrained.client.get(f"/movies/{FIRST_EXTERNAL_ID}/similar")
    assert response.status_code == 503
    assert "start a training" in error_of(response)["message"]


async def test_a_film_that_nobody_has_rated_has_similar_films(service: Service, trained_url: str) -> None:
    """They are of its genre and time, the nearest first; one that nothing is known of has the popular ones."""
    with psycopg.connect(trained_url) as connection:
        connection.execute("UPDATE cineclub.movies SET genres = ARRAY['Comedy'] WHERE id % 2 = 1")
        connection.execute(
            "INSERT INTO cineclub.movies (external_id, title, year, genres) VALUES"
            " ('9', 'New comedy', 2001, ARRAY['comedy']), ('8', 'Nothing known', NULL, '{}')"
        )

    async def is_known() -> bool:
        return (await service.client.get("/movies/8")).status_code == 200

    await eventually(is_known)
    similar = await got(service, "/movies/9/similar", limit=3)
    assert (similar["movie"]["title"], similar["model"]["name"]) == ("New comedy", "ease")
    assert similar["strategy"] == "attributes"
    assert [movie["year"] for movie in similar["movies"]] == [2001, 1999, 2003]
    assert {movie["genres"][0] for movie in similar["movies"]} == {"Comedy"}
    scores = [movie["score"] for movie in similar["movies"]]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == 1
    nothing = await got(service, "/movies/8/similar", limit=3)
    assert (nothing["strategy"], len(nothing["movies"])) == ("popular", 3)
