"""DELETE /users/{id}: deletion of a user's data, and the training after it."""

import psycopg
import pytest
from small_service import FIRST_EXTERNAL_ID, Service, error_of, eventually

from cineclub.adapters.postgres.jobs import PostgresTrainingJobs, TrainingQueue
from cineclub.adapters.postgres.training_rows import worker_name
from cineclub.client.calls import path_part

pytestmark = pytest.mark.anyio


async def test_an_erased_user_is_new_and_a_training_is_queued(service: Service, trained_url: str) -> None:
    """Ratings and logged responses are deleted, the user is new, and the response lists what remains."""
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


async def test_a_training_that_may_have_read_the_ratings_is_not_named(service: Service, trained_url: str) -> None:
    """During a training no id is given: the training without the user is queued after it."""
    running = PostgresTrainingJobs(trained_url).start({}, None)
    lease = TrainingQueue(trained_url, worker_name(), 20, 3).claim()
    assert lease is not None
    assert (await service.client.delete("/users/2")).json()["training_id"] is None
    lease.fail("it was only a test")
    response = await service.client.delete("/users/3")
    assert response.json()["training_id"] not in {None, running.training_id}


async def test_movies_can_be_rated_by_the_ids_of_others(service: Service, trained_url: str) -> None:
    """Films can be rated by IMDb and TMDB ids; two ids of one film are one rating; unknown ids are named."""
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


ODD_IDS = (
    "x/ratings",
    "x/ratings/ratings",
    "/ratings",
    "a/b",
    "/",
    "..",
    ".",
    "a/../b",
    "100%",
    "%2F",
    "%2Fratings",
    "ä?#&=",
)


@pytest.mark.parametrize("user_id", ODD_IDS)
async def test_every_id_can_be_erased(service: Service, user_id: str) -> None:
    """Whatever an id consists of, its user is erased, and nobody else."""
    others = [user_id.partition("/")[0] or "x", "x"]
    for person in (user_id, *others):
        rating = {"user_id": person, "movie_id": FIRST_EXTERNAL_ID, "rating": 4}
        assert (await service.client.post("/ratings/", json=rating)).status_code == 200
    path = f"/users/{path_part(user_id)}"
    assert len((await service.client.get(f"{path}/ratings")).json()["ratings"]) == 1
    assert (await service.client.get(path)).status_code == 405
    response = await service.client.delete(path)
    assert (response.status_code, response.json()["n_ratings"]) == (200, 1), response.text
    assert (await service.client.delete(path)).status_code == 404
    for person in set(others) - {user_id}:
        left = (await service.client.get(f"/users/{path_part(person)}/ratings")).json()
        assert (left["user_id"], len(left["ratings"])) == (person, 1)


async def test_a_path_below_a_user_is_no_user(service: Service, trained_url: str) -> None:
    """An unencoded /ratings at the end is the ratings of a user, which cannot be deleted as a whole."""
    with psycopg.connect(trained_url) as connection:
        connection.execute("INSERT INTO cineclub.users (external_id) VALUES ('1/ratings')")
    refused = await service.client.delete("/users/1/ratings")
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET")
    unknown = await service.client.get("/movies/a%2fsimilar")
    assert (unknown.status_code, "a/similar" in error_of(unknown)["message"]) == (404, True)
    assert (await service.client.get("/training/a%2Fb")).status_code == 404
