"""The crowd's live counts in the popular list, in fresh lists and without a model."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from small_service import FIRST_EXTERNAL_ID, Service, movie_ids, running

from cineclub.domain.errors import StorageUnavailable
from cineclub.domain.ratings.crowd import HALF_LIVES_DAYS
from cineclub.domain.recommend.context import Context
from cineclub.domain.recommend.recommender import History
from cineclub.domain.recommend.trends import FRESH_HALF_LIFE_DAYS
from cineclub.models.popular import Popular

pytestmark = pytest.mark.anyio

NO_HISTORY = History(np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.int64))
WEEK_OLD, NEW = 3, 7
"""Films of the small catalogue that were liked a week ago by many, and today by a few."""


def liked(database_url: str, movie: int, n_users: int, days_ago: float) -> None:
    """Let the first users like a film at a time before now."""
    rated_at = datetime.now(UTC) - timedelta(days=days_ago)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO cineclub.ratings SELECT id, %s, 5, %s FROM cineclub.users ORDER BY id LIMIT %s"
            " ON CONFLICT (user_id, movie_id) DO UPDATE SET rating = 5, rated_at = excluded.rated_at",
            (movie, rated_at, n_users),
        )


@pytest.fixture
def trending_url(trained_url: str) -> str:
    """A database with likes of the last days."""
    liked(trained_url, WEEK_OLD, 40, 7.0)
    liked(trained_url, NEW, 20, 0.1)
    return trained_url


async def popular(service: Service, **params: Any) -> list[dict[str, Any]]:
    """Return the popular list."""
    response = await service.client.get("/movies/popular", params=params)
    assert response.status_code == 200, response.text
    movies: list[dict[str, Any]] = response.json()["movies"]
    return movies


async def test_the_list_of_some_days_is_that_of_the_model_with_this_half_life(trending_url: str, home: Path) -> None:
    """Route, model and counts agree, film by film and score by score."""
    async with running(trending_url, home) as service:
        crowd = service.parts.crowd.current()
        assert crowd is not None
        live = service.parts.live.current()
        assert live is not None
        for days in HALF_LIVES_DAYS:
            context = Context.of(crowd, live.fitted.movie_ids)
            model = Popular(live.fitted.popularity, days, context)
            scores = model.predict_in_context(NO_HISTORY, context).scores
            recommended = await popular(service, window_days=int(days), limit=3)
            best = np.argsort(-scores, kind="stable")[:2]
            assert [movie["movie_id"] - FIRST_EXTERNAL_ID for movie in recommended[:2]] == best.tolist()
            assert [movie["score"] for movie in recommended[:2]] == pytest.approx(scores[best].tolist(), rel=1e-3)


async def test_few_days_follow_today_and_many_the_week(trending_url: str, home: Path) -> None:
    """The film of today leads the list of a day, and the film that more people liked that of a month."""
    async with running(trending_url, home) as service:
        first = {days: (await popular(service, window_days=days))[0]["movie_id"] for days in (1, 30)}

    assert first == {1: NEW + FIRST_EXTERNAL_ID - 1, 30: WEEK_OLD + FIRST_EXTERNAL_ID - 1}


async def test_one_rating_of_the_future_empties_no_window(trending_url: str, home: Path) -> None:
    """A clock that is years ahead neither moves the window of more than 90 days nor the counts."""
    liked(trending_url, 20, 1, -2000.0)
    async with running(trending_url, home) as service:
        for days in (1, 91):
            movies = await popular(service, window_days=days)
            assert {NEW, WEEK_OLD} <= {movie["movie_id"] - FIRST_EXTERNAL_ID + 1 for movie in movies}


async def test_before_the_counts_are_known_the_ratings_of_the_window_are_counted(
    trending_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of three days holds the film of today alone, whose ratings PostgreSQL counts."""
    async with running(trending_url, home) as service:
        monkeypatch.setattr(service.parts.browser, "_crowd", lambda: None)
        assert [movie["movie_id"] for movie in await popular(service, window_days=3)] == [NEW + FIRST_EXTERNAL_ID - 1]


async def test_a_fresh_list_follows_the_counts(trending_url: str, home: Path) -> None:
    """At 1 it is the popular list of some days without what was rated; its films say so."""
    async with running(trending_url, home) as service:
        body = {"user_id": "nobody", "top_n": 2, "fresh": 1}
        fresh = (await service.client.post("/predict/", json=body)).json()
        trend = await popular(service, window_days=int(FRESH_HALF_LIFE_DAYS), limit=2)
        seen = (await service.client.post("/predict/", json={**body, "user_id": 1})).json()

    assert movie_ids(fresh) == [movie["movie_id"] for movie in trend]
    weights = [movie["crowd_weight"] for movie in fresh["recommendations"]]
    assert weights == pytest.approx([movie["score"] for movie in trend], rel=1e-3)
    assert not {NEW + FIRST_EXTERNAL_ID - 1, WEEK_OLD + FIRST_EXTERNAL_ID - 1} & set(movie_ids(seen))


async def test_a_remembered_fresh_list_ends_with_its_counts(
    trending_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fresh list is made anew when the counts change, also where the model itself ignores them."""
    async with running(trending_url, home) as service:
        predictor, body = service.parts.predictor, {"user_id": "nobody", "top_n": 1, "fresh": 1}
        first = movie_ids((await service.client.post("/predict/", json=body)).json())
        monkeypatch.setattr(predictor, "_crowd", lambda: None)
        assert movie_ids((await service.client.post("/predict/", json=body)).json()) != first


async def test_without_a_model_a_fresh_list_holds_the_trend(filled_url: str, home: Path) -> None:
    """Films of the trend come first, and without the share the popular films of all time do."""
    liked(filled_url, 39, 3, 0.1)
    async with running(filled_url, home) as service:
        body = {"user_id": "nobody", "top_n": 3}
        fresh = (await service.client.post("/predict/", json={**body, "fresh": 1})).json()
        plain = (await service.client.post("/predict/", json=body)).json()

    assert movie_ids(fresh)[0] == 39 + FIRST_EXTERNAL_ID - 1
    assert (fresh["strategy"], fresh["model"]) == ("popular", None)
    assert movie_ids(plain)[0] != movie_ids(fresh)[0]


async def test_while_postgresql_is_away_the_list_comes_from_memory(
    trending_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counts and the movies of the model are in memory."""

    async def is_away() -> None:
        raise StorageUnavailable

    async with running(trending_url, home) as service:
        monkeypatch.setattr(service.parts.catalogue, "_read_all", is_away)
        monkeypatch.setattr(service.parts.catalogue, "_catalogue", None)
        assert (await popular(service, window_days=1))[0]["movie_id"] == NEW + FIRST_EXTERNAL_ID - 1
