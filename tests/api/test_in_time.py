"""Popular of one day in production, over the crowd's live counts: what it recommends, also where the input is bad."""

import asyncio
import contextlib
import json
import math
import shutil
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.csv
import pytest
from small_service import Artifact, Service, eventually, fill, movie_ids, promote, running, small_artifact

from cineclub.adapters.postgres.embedded import embedded_postgres
from cineclub.adapters.postgres.migrate import migrate
from cineclub.adapters.postgres.people import PostgresPeople
from cineclub.bootstrap.serving import recommend_all
from cineclub.domain.recommend.request import RecommendationRequest
from cineclub.flows import crowd as crowd_flow
from cineclub.models.catalogue import TRENDS
from cineclub.settings import Settings
from read_only_database import set_read_only

pytestmark = pytest.mark.anyio

LIKE = """
INSERT INTO cineclub.ratings
SELECT user_id, %(movie)s, %(rating)s, %(rated_at)s::timestamptz - make_interval(mins => %(minutes)s)
FROM generate_series(%(first)s::bigint, %(last)s) AS user_id
ON CONFLICT (user_id, movie_id) DO UPDATE SET rating = excluded.rating, rated_at = excluded.rated_at
"""


@pytest.fixture(autouse=True)
def _read_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let counts be read as soon as a change is told of."""
    monkeypatch.setattr(crowd_flow, "WAKE_SECONDS", 0.05)


@pytest.fixture(scope="session")
def trend(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Popular of one day, fitted on ratings of long ago."""
    return small_artifact(tmp_path_factory.mktemp("trend") / "popular", "popular", TRENDS[0])


@pytest.fixture
def trend_url(filled_url: str, trend: Artifact) -> str:
    """A database with the small catalogue and popular of one day in production."""
    promote(filled_url, 1, trend)
    return filled_url


def like(database_url: str, movie: int, users: tuple[int, int], rated_at: str = "now", minutes: int = 60) -> None:
    """Let users, from the first up to the last number, like a film of the number."""
    what = {"movie": movie, "rating": 5, "rated_at": rated_at, "minutes": minutes, "first": users[0], "last": users[1]}
    with psycopg.connect(database_url) as connection:
        connection.execute(LIKE, what)


def execute(database_url: str, statement: str) -> None:
    """Execute a statement."""
    with psycopg.connect(database_url) as connection:
        connection.execute(statement.encode())


async def sound_list(service: Service, user_id: Any = "somebody", top_n: int = 40) -> list[int]:
    """Return the numbers of the recommended films, after a look at the scores: finite, and falling."""
    document = await service.predict(user_id, top_n)
    scores = [recommendation["score"] for recommendation in document["recommendations"]]
    assert all(math.isfinite(score) for score in scores)
    assert scores == sorted(scores, reverse=True)
    numbers = [movie_id - 1000 for movie_id in movie_ids(document)]
    assert len(set(numbers)) == len(numbers) > 0
    return numbers


async def frozen_list(trend: Artifact, home: Path) -> list[int]:
    """Return the list of the artifact without PostgreSQL: that of the context which is frozen with it."""
    models = home / "models"
    folder = models / f"7-{trend.manifest_sha256[:12]}"
    shutil.copytree(trend.folder, folder)
    noted = {
        "version": 7,
        "promoted_at": "2026-01-01T00:00:00+00:00",
        "manifest_sha256": trend.manifest_sha256,
        "artifact_folder": str(folder),
        "movie_ids_are_integers": True,
    }
    (models / "serving.json").write_text(json.dumps(noted))
    async with running("postgresql://nobody@127.0.0.1:1/none", home) as service:
        assert service.parts.crowd.current() is None
        return await sound_list(service)


async def test_a_start_without_postgresql_serves_the_frozen_context(trend: Artifact, home: Path) -> None:
    """Without counts the list is that of the ratings that the version learned from: the most liked film first."""
    assert len(await frozen_list(trend, home)) == 40


async def test_the_first_answer_follows_the_counts(trend_url: str, home: Path) -> None:
    """What was liked an hour ago comes first, in the first answer, and unchanged ratings bring the same list again."""
    like(trend_url, 33, (1, 9))
    like(trend_url, 34, (1, 6))
    async with running(trend_url, home) as service:
        first = await sound_list(service)
        assert first[:2] == [33, 34]
        assert await sound_list(service) == first
        page = (await service.client.get("/metrics")).text
    [shown] = [line for line in page.splitlines() if line.startswith("cineclub_crowd_counts_timestamp_seconds ")]
    assert float(shown.split()[1]) % 300 == 0 < float(shown.split()[1])


async def test_lists_for_all_follow_the_counts(trend_url: str, home: Path) -> None:
    """`cineclub recommend --all` uses the counts too."""
    like(trend_url, 33, (1, 9))
    settings = Settings(home=home, database_url=trend_url)
    assert await recommend_all(settings, home / "lists.csv", RecommendationRequest(1), lambda _: None) == 60
    first_films = pyarrow.csv.read_csv(home / "lists.csv").column("movie_id").to_pylist()
    assert first_films.count(1033) > 10  # of all who have not rated it


async def test_likes_of_the_owners_views_are_counted(trend_url: str, home: Path) -> None:
    """With the owner's views the counts are theirs."""
    like(trend_url, 33, (1, 9))
    execute(
        trend_url,
        "CREATE SCHEMA cineclub_source;"
        "CREATE VIEW cineclub_source.movies AS"
        " SELECT external_id::int AS movie_id, title, year, genres, imdb_id, tmdb_id FROM cineclub.movies;"
        "CREATE VIEW cineclub_source.ratings AS SELECT user_id, movie_id + 1000 AS movie_id, rating, rated_at"
        " FROM cineclub.ratings;"
        "CREATE VIEW cineclub_source.rating_scale AS SELECT 0.5 AS lowest, 5 AS highest",
    )
    async with running(trend_url, home, source="external") as service:
        assert (await sound_list(service))[0] == 33


async def test_an_erased_persons_likes_are_not_counted(trend_url: str, home: Path) -> None:
    """The list of everybody else changes as soon as somebody is erased, without a new grid line."""
    like(trend_url, 33, (1, 1))
    like(trend_url, 34, (2, 2), minutes=180)
    async with running(trend_url, home) as service:
        assert (await sound_list(service))[:2] == [33, 34]
        await asyncio.to_thread(PostgresPeople(trend_url).erase, "1")

        async def is_counted_no_more() -> bool:
            return (await sound_list(service))[0] == 34

        await eventually(is_counted_no_more)


async def test_imported_likes_are_counted_soon(trend_url: str, home: Path) -> None:
    """Ratings of many people at once, older ones too, are counted without a new grid line."""
    execute(trend_url, "INSERT INTO cineclub.users (external_id) SELECT 'm' || i FROM generate_series(1, 300) AS i")
    like(trend_url, 33, (1, 1))
    async with running(trend_url, home) as service:
        assert (await sound_list(service))[0] == 33
        await asyncio.sleep(0.1)

        async def is_first() -> bool:
            return (await sound_list(service))[0] == 34

        await asyncio.to_thread(like, trend_url, 34, (61, 360), "now", 4 * 24 * 60)
        await eventually(is_first)


async def test_a_clock_in_the_future_is_no_trend_of_its_own(trend_url: str, home: Path) -> None:
    """A like of 2099 weighs as one of now, less than three of today; windows of days and of drift are not empty."""
    execute(trend_url, "UPDATE cineclub.ratings SET rating = 1, rated_at = now() - interval '1 day'")
    like(trend_url, 34, (11, 13), minutes=10)
    like(trend_url, 33, (1, 1), "2099-01-01Z")
    async with running(trend_url, home) as service:
        assert (await sound_list(service))[:2] == [34, 33]
        window = (await service.client.get("/movies/popular", params={"window_days": 7, "limit": 100})).json()
        drift = (await service.client.get("/monitoring/drift", params={"until": "newest"})).json()
    assert [movie["movie_id"] for movie in window["movies"]] == [1034, 1033]
    assert drift["window"]["n_ratings"] > 100
    assert drift["window"]["ends_at"] < "2090"


async def test_a_like_of_the_future_stays_one_like(trend_url: str, home: Path) -> None:
    """Years of silence, and one person whose clock is wrong on all films: every list is sound."""
    execute(trend_url, "DELETE FROM cineclub.ratings WHERE user_id = 1")
    with psycopg.connect(trend_url) as connection:
        connection.execute(
            "INSERT INTO cineclub.ratings SELECT 1, id, 5, '2099-01-01Z'::timestamptz + make_interval(days => id::int)"
            " FROM cineclub.movies"
        )
    async with running(trend_url, home) as service:
        counts = service.parts.crowd.current()
        assert counts is not None
        assert counts.newest_liked_at is not None
        assert counts.newest_liked_at < 1_700_000_000_000_000
        assert len(await sound_list(service)) == 40


async def test_an_empty_last_month_keeps_the_last_trend(trend_url: str, home: Path) -> None:
    """Nobody has rated since 2020: the list is that of the last likes then, not an order of zeros."""
    like(trend_url, 33, (1, 30), "2020-10-01Z")
    async with running(trend_url, home) as service:
        document = await service.predict("somebody", 5)
        assert (await sound_list(service))[0] == 33
    assert document["recommendations"][0]["score"] > 0.01


async def test_everything_rated_on_one_day_is_a_sound_list(trend_url: str, home: Path) -> None:
    """All ratings carry one instant of today, as after an import without times: the most liked film comes first."""
    execute(trend_url, "UPDATE cineclub.ratings SET rated_at = now() - interval '1 hour'")
    like(trend_url, 33, (1, 60))
    async with running(trend_url, home) as service:
        assert (await sound_list(service))[0] == 33


async def test_a_burst_of_one_person_is_no_trend(trend_url: str, home: Path) -> None:
    """One person likes 39 films in an instant: none of them is ahead of the film that another likes."""
    execute(trend_url, "UPDATE cineclub.ratings SET rating = 1")
    with psycopg.connect(trend_url) as connection:
        connection.execute("DELETE FROM cineclub.ratings WHERE user_id = 1")
        connection.execute(
            "INSERT INTO cineclub.ratings"
            " SELECT 1, id, 5, now() - interval '1 hour' FROM cineclub.movies WHERE id <> 33"
        )
    like(trend_url, 33, (2, 2))
    async with running(trend_url, home) as service:
        assert (await sound_list(service))[0] == 33


async def test_counts_are_read_anew_after_an_outage(home: Path, trend: Artifact) -> None:
    """The last counts serve while PostgreSQL is away; they are read at once when it is back."""
    with contextlib.ExitStack() as server:
        url = server.enter_context(embedded_postgres(home))
        migrate(url)
        fill(url)
        promote(url, 1, trend)
        like(url, 33, (1, 9))
        async with running(url, home) as service:
            before = await sound_list(service)
            like(url, 34, (1, 20))
            server.close()
            service.parts.crowd.renew_soon()  # as a grid line that passes

            async def is_degraded() -> bool:
                return bool((await service.predict("somebody"))["degraded"])

            await eventually(is_degraded)
            assert await sound_list(service) == before
            server.enter_context(embedded_postgres(home))

            async def is_counted() -> bool:
                return (await sound_list(service))[0] == 34

            await eventually(is_counted)


async def test_counts_are_read_from_a_database_that_takes_no_writes(trend_url: str, home: Path) -> None:
    """Where the sums cannot be kept for others, they serve all the same."""
    like(trend_url, 33, (1, 9))
    set_read_only(trend_url, is_on=True)
    async with running(trend_url, home) as service:
        assert (await sound_list(service))[0] == 33
