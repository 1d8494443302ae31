"""Lists that move: films of earlier visits step back, in every process and for the opponents of a comparison."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from small_service import Service, error_of, movie_ids, running

from cineclub.domain.errors import StorageUnavailable
from cineclub.domain.recommend.impressions import ShownMovies

pytestmark = pytest.mark.anyio

USER = 2


def visited(database_url: str, recommended_ids: list[int], *hours_ago: float, user: Any = USER) -> None:
    """Log lists of these films, by the ids of the small catalogue, shown so many hours ago."""
    with psycopg.connect(database_url) as connection:
        for ago in hours_ago:
            connection.execute(
                "INSERT INTO cineclub.predictions (recommendation_id, answered_at, user_id, strategy, movie_ids,"
                " scores, latency_seconds, degraded) VALUES (gen_random_uuid(), %s, %s, 'model', %s, %s, 0.01, false)",
                (
                    datetime.now(UTC) - timedelta(hours=ago),
                    str(user),
                    [movie_id - 1000 for movie_id in recommended_ids],
                    [1.0] * len(recommended_ids),
                ),
            )


async def first_list(trained_url: str, home: Path, **settings: Any) -> list[int]:
    """Return the list of the user from a service that starts just now."""
    async with running(trained_url, home, **settings) as service:
        return movie_ids(await service.predict(USER))


async def test_a_film_that_was_shown_and_not_taken_steps_back_and_returns(trained_url: str, home: Path) -> None:
    """A few visits move nothing, each further one moves the first film down, and after two weeks it is back."""
    unseen = await first_list(trained_url, home, step_back=0.0)
    visited(trained_url, unseen[:1], 2, 4, 6)
    assert await first_list(trained_url, home, step_back=0.5) == unseen
    visited(trained_url, unseen[:1], 8)
    once = await first_list(trained_url, home, step_back=0.5)
    visited(trained_url, unseen[:1], 10, 12, 14)
    often = await first_list(trained_url, home, step_back=0.5)

    assert 0 < once.index(unseen[0]) < (often.index(unseen[0]) if unseen[0] in often else len(often))
    with psycopg.connect(trained_url) as connection:
        connection.execute("UPDATE cineclub.predictions SET answered_at = answered_at - interval '15 days'")
    assert await first_list(trained_url, home, step_back=0.5) == unseen


async def test_a_page_that_is_loaded_again_shows_the_same_list(trained_url: str, home: Path) -> None:
    """Requests of single visit get the same list, also from a process that starts during the visit."""
    async with running(trained_url, home, step_back=0.9) as service:
        lists = [movie_ids(await service.predict(USER)) for _ in range(4)]
    lists.append(await first_list(trained_url, home, step_back=0.9))

    assert all(recommended == lists[0] for recommended in lists)


async def test_the_next_visit_shows_other_films_without_a_restart(
    trained_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the visit is over, the log is read again, and the remembered list is not served again."""
    async with running(trained_url, home, step_back=0.9) as service:
        first = movie_ids(await service.predict(USER))
        visited(trained_url, first, 3, 5, 7, 9)
        assert movie_ids(await service.predict(USER)) == first
        later = datetime.now(UTC) + timedelta(minutes=61)
        monkeypatch.setattr(service.parts.predictor, "_now", lambda: later)
        assert movie_ids(await service.predict(USER)) != first


async def test_a_visit_reads_the_log_once(trained_url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests after the first of a visit make no query; without strength no request does."""
    for step_back, n_expected in ((0.5, 1), (0.0, 0)):
        async with running(trained_url, home, step_back=step_back) as service:
            n_reads = reads_of(service, monkeypatch)
            for _ in range(5):
                await service.predict(USER)
            assert len(n_reads) == n_expected


async def test_batches_and_people_without_an_account_get_lists_that_stay(trained_url: str, home: Path) -> None:
    """POST /predict/batch ignores what was shown; ratings in the request belong to nobody who was shown anything."""
    async with running(trained_url, home, step_back=0.9) as service:
        body = {"user_ids": [USER]}
        [before] = (await service.client.post("/predict/batch", json=body)).json()["answers"]
        visited(trained_url, movie_ids(before)[:3], 2, 4, 6, 8)
        [after] = (await service.client.post("/predict/batch", json=body)).json()["answers"]
        moved = await service.predict(USER)

    assert movie_ids(after) == movie_ids(before) != movie_ids(moved)


async def test_without_postgresql_the_films_of_the_last_visit_step_back(
    trained_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read that fails changes nothing for a known user, and an unknown single gets the list of the model."""

    async def is_away(_user_id: str) -> ShownMovies:
        raise StorageUnavailable

    unseen = await first_list(trained_url, home, step_back=0.0)
    visited(trained_url, unseen[:2], 2, 4, 6, 8)
    async with running(trained_url, home, step_back=0.5) as service:
        first = movie_ids(await service.predict(USER))
        other = movie_ids((await service.client.post("/predict/batch", json={"user_ids": [4]})).json()["answers"][0])
        monkeypatch.setattr(service.parts.histories, "shown_to", is_away)
        later = datetime.now(UTC) + timedelta(hours=2)
        monkeypatch.setattr(service.parts.predictor, "_now", lambda: later)
        assert movie_ids(await service.predict(USER)) == first != unseen
        assert movie_ids(await service.predict(4)) == other


async def test_an_erased_user_starts_anew(trained_url: str, home: Path) -> None:
    """After an erasure nothing that was shown is known, in the log or in memory."""
    async with running(trained_url, home, step_back=0.9) as service:
        new_user = movie_ids(await service.predict("nobody"))
        visited(trained_url, new_user[:5], 2, 4, 6, 8, 10, user="gone")
        with psycopg.connect(trained_url) as connection:
            connection.execute("INSERT INTO cineclub.users (external_id) VALUES ('gone')")
        assert movie_ids(await service.predict("gone")) != new_user
        assert (await service.client.delete("/users/gone")).status_code == 200
        assert movie_ids(await service.predict("gone")) == new_user


async def test_films_that_were_rated_never_step_back(trained_url: str, home: Path) -> None:
    """With rated films wanted, one that was shown often and rated keeps its place."""
    body = {"user_id": USER, "top_n": 40, "include_seen": True}
    async with running(trained_url, home, step_back=0.0) as service:
        rows = (await service.client.get(f"/users/{USER}/ratings")).json()["ratings"]
        rated = [row["movie"]["movie_id"] for row in rows]
        before = movie_ids((await service.client.post("/predict/", json=body)).json())
    visited(trained_url, rated, 2, 4, 6, 8, 10)
    async with running(trained_url, home, step_back=0.9) as service:
        assert movie_ids((await service.client.post("/predict/", json=body)).json()) == before


def reads_of(service: Service, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the users whose shown films are read from now on."""
    reads: list[str] = []
    read = service.parts.histories.shown_to

    async def counted(user_id: str) -> ShownMovies:
        reads.append(user_id)
        return await read(user_id)

    monkeypatch.setattr(service.parts.histories, "shown_to", counted)
    return reads


class TestFresh:
    """Lists with a share of the trend."""

    async def test_a_share_off_the_scale_is_refused(self, service: Service) -> None:
        """The message names the valid shares."""
        response = await service.client.post("/predict/", json={"user_id": USER, "fresh": 1.5})
        assert response.status_code == 422
        assert "fresh must be a number from 0 to 1" in error_of(response)["message"]

    async def test_0_is_the_list_as_it_is_and_1_is_popular(self, service: Service) -> None:
        """The films of the trend, which have likes of the last days counted, carry the reason, and the others none."""
        plain, zero, whole = [
            (await service.client.post("/predict/", json={"user_id": USER, **fresh})).json()
            for fresh in ({}, {"fresh": 0}, {"fresh": 1})
        ]
        assert zero["recommendations"] == plain["recommendations"]
        assert (plain["strategy"], whole["strategy"]) == ("model", "popular")
        assert {movie["crowd_weight"] for movie in plain["recommendations"]} == {None}
        scores = [movie["score"] for movie in whole["recommendations"]]
        assert [movie["crowd_weight"] for movie in whole["recommendations"]] == scores
        assert movie_ids(whole) != movie_ids(plain)

    async def test_a_batch_is_as_fresh_as_its_requests(self, service: Service) -> None:
        """The same share gives the same list single by single and together."""
        single = (await service.client.post("/predict/", json={"user_id": USER, "fresh": 0.5})).json()
        [batch] = (await service.client.post("/predict/batch", json={"user_ids": [USER], "fresh": 0.5})).json()[
            "answers"
        ]
        assert batch["recommendations"] == single["recommendations"]
