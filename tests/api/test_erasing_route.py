"""DELETE /users/{id}: everything about a person, and what follows."""

import psycopg
import pytest
from small_service import FIRST_EXTERNAL_ID, Service, error_of, eventually

pytestmark = pytest.mark.anyio


async def test_an_erased_user_is_new_and_a_training_is_queued(service: Service, trained_url: str) -> None:
    """Ratings and logged answers are gone, the next answer is a newcomer's, and it is said what remains."""
    await service.predict(1)

    async def is_logged() -> bool:
        with psycopg.connect(trained_url) as connection:
            return connection.execute("SELECT count(*) FROM cineclub.predictions").fetchone() == (1,)

    await eventually(is_logged)
    await service.predict(1)
    response = await service.client.delete("/users/1")
    assert response.status_code == 200, response.text
    erased = response.json()
    assert erased["n_ratings"] > 0
    assert "until the queued training's version serves" in erased["remains"]
    training = (await service.client.get(f"/training/{erased['training_id']}")).json()
    assert training["status"] == "queued"
    assert (await service.predict(1))["strategy"] == "popular"
    assert (await service.client.get("/users/1/ratings")).json()["ratings"] == []
    response = await service.client.delete("/users/1")
    assert response.status_code == 404
    assert "no user 1" in error_of(response)["message"]


async def test_films_can_be_rated_by_the_ids_of_others(service: Service, trained_url: str) -> None:
    """By IMDb's and TMDB's numbers, however written; two names of one film are one rating; unknown ones are named."""
    with psycopg.connect(trained_url) as connection:
        connection.execute("UPDATE cineclub.movies SET imdb_id = '0114709', tmdb_id = '862' WHERE external_id = '1001'")
    body = [
        {"user_id": "me", "imdb_id": "tt0114709", "rating": 3},
        {"user_id": "me", "tmdb_id": 862, "rating": 4.5},
        {"user_id": "me", "movie_id": FIRST_EXTERNAL_ID + 1, "rating": 2},
    ]
    response = await service.client.post("/ratings/", json=body)
    assert response.status_code == 200, response.text
    rows = (await service.client.get("/users/me/ratings")).json()["ratings"]
    assert sorted((row["movie"]["movie_id"], row["rating"]) for row in rows) == [(1001, 4.5), (1002, 2.0)]
    unknown = await service.client.post("/ratings/", json={"user_id": "me", "imdb_id": "tt99", "rating": 3})
    assert unknown.status_code == 404
    assert "not in the catalogue: film imdb_id 99" in error_of(unknown)["message"]
