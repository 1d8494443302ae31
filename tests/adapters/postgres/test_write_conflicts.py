"""Writes of one user at the same time: an outcome or a clear refusal, never an unexpected error, nothing lost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from cineclub.adapters.postgres import importing, people, rating_writes
from cineclub.adapters.postgres.people import PostgresPeople
from cineclub.adapters.postgres.rating_writes import PostgresRatingWriter
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.bootstrap import data_files
from cineclub.domain.errors import CineclubError, Conflict, NotFound
from cineclub.domain.ratings.snapshot_records import ErasedUser
from cineclub.domain.recommend.history_cache import HistoryCache
from cineclub.domain.recommend.records import NewRating
from cineclub.settings import Settings
from waiting import eventually

pytestmark = pytest.mark.anyio

START = """
INSERT INTO cineclub.catalogue VALUES (true, 0.5, 5, true, false);
INSERT INTO cineclub.movies (external_id, title) SELECT i, 'Film ' || i FROM generate_series(1, 40) AS i;
INSERT INTO cineclub.users (external_id) VALUES ('ann');
INSERT INTO cineclub.ratings SELECT 1, id, 3, now() FROM cineclub.movies WHERE id <= 2;
"""
RATED = """
SELECT m.external_id FROM cineclub.ratings r JOIN cineclub.users u ON u.id = r.user_id
JOIN cineclub.movies m ON m.id = r.movie_id WHERE u.external_id = 'ann' ORDER BY m.id
"""
LOCK_USER = "SELECT FROM cineclub.users WHERE external_id = 'ann' FOR UPDATE"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


@pytest.fixture
def url(database_url: str) -> str:
    """A database in which Ann has rated two of forty films."""
    with psycopg.connect(database_url) as connection:
        connection.execute(START)
    return database_url


@pytest.fixture
async def writer(url: str) -> AsyncIterator[PostgresRatingWriter]:
    """The writer of single ratings."""
    pool = ServingPool(url)
    await pool.start()
    yield PostgresRatingWriter(pool, HistoryCache())
    await pool.stop()


def rating_of(movie_id: int, user_id: str = "ann") -> NewRating:
    """Return a rating of a film by Ann."""
    return NewRating(user_id, str(movie_id), 4.0, None, "movie_id")


def rated(url: str) -> list[str]:
    """Return the films that Ann has rated."""
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute(RATED)]


def is_waiting(url: str) -> bool:
    """Return whether a transaction waits for another."""
    with psycopg.connect(url) as connection:
        return connection.execute(WAITING).fetchall() != [(0,)]


async def test_a_rating_that_waits_for_the_erasure_of_its_user_is_written(
    url: str, writer: PostgresRatingWriter
) -> None:
    """The user is new afterwards, with the rating that was acknowledged and no other."""
    with psycopg.connect(url) as erasing:
        erasing.execute(LOCK_USER)
        writing = asyncio.create_task(writer.write([rating_of(5)]))
        await asyncio.to_thread(eventually, lambda: is_waiting(url), 10)
        erasing.execute("DELETE FROM cineclub.users WHERE external_id = 'ann'")
    await writing
    assert rated(url) == ["5"]


async def test_a_deletion_that_waits_for_the_erasure_of_its_user_finds_nothing(
    url: str, writer: PostgresRatingWriter
) -> None:
    """The rating is gone with its user: there is none to delete."""
    with psycopg.connect(url) as erasing:
        erasing.execute(LOCK_USER)
        erasing.execute("DELETE FROM cineclub.ratings")
        deleting = asyncio.create_task(writer.delete("ann", "1"))
        await asyncio.to_thread(eventually, lambda: is_waiting(url), 10)
        erasing.execute("DELETE FROM cineclub.users WHERE external_id = 'ann'")
    with pytest.raises(NotFound, match="has not rated film 1"):
        await deleting


async def test_of_two_erasures_of_one_user_one_finds_the_user(url: str) -> None:
    """The second one is told that there is no such user."""
    with psycopg.connect(url) as holding, ThreadPoolExecutor(2) as pool:
        holding.execute(LOCK_USER)
        erasing = [pool.submit(PostgresPeople(url).erase, "ann") for _ in range(2)]
        await asyncio.to_thread(eventually, lambda: is_waiting(url), 10)
        holding.commit()
        errors = [future.exception(30) for future in erasing]
    assert sorted(type(error).__name__ for error in errors) == ["NoneType", "NotFound"]


def test_an_import_and_an_erasure_of_its_user_wait_for_each_other(url: str, home: Path, tmp_path: Path) -> None:
    """The erasure waits for the whole import and deletes what it brought; neither fails."""
    file = tmp_path / "ratings.csv"
    rows = [f"{user},{movie},4,1700000000" for user in ("ann", "bob") for movie in range(1, 30)]
    file.write_text("\n".join(["userId,movieId,rating,timestamp", *rows]))
    settings = Settings(home=home, database_url=url)

    def erase_meanwhile(fraction: float, _: str) -> None:
        if fraction >= 0.5 and not erasing:
            erasing.append(pool.submit(PostgresPeople(url).erase, "ann"))
            eventually(lambda: is_waiting(url), 10)

    with ThreadPoolExecutor(1) as pool:
        erasing: list[Future[ErasedUser]] = []
        source = data_files.rating_source(file, None, None)
        data_files.import_ratings(settings, source, home / "rejects.csv", strict=True, progress=erase_meanwhile)
        assert erasing[0].result(30).n_ratings == 29
    assert rated(url) == []


async def test_ratings_wait_for_an_import_and_neither_fails(url: str, writer: PostgresRatingWriter) -> None:
    """A rating that begins during an import is written after it; no deadlock ends either of them."""
    import_at = psycopg.connect(url)
    with import_at:
        import_at.execute(importing.SQL["lock"])
        writing = asyncio.create_task(writer.write([rating_of(5)]))
        await asyncio.to_thread(eventually, lambda: is_waiting(url), 10)
        import_at.execute("UPDATE cineclub.catalogue SET user_ids_are_integers = false")
    await writing
    assert rated(url) == ["1", "2", "5"]


async def test_a_rating_during_a_long_import_is_refused(
    url: str, writer: PostgresRatingWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rating that waits too long for an import is a conflict, and can be sent again."""
    monkeypatch.setitem(rating_writes.SQL, "begin", rating_writes.SQL["begin"].replace("4s", "50ms"))
    with psycopg.connect(url) as holding:
        holding.execute(importing.SQL["lock"])
        with pytest.raises(Conflict, match="send the request again when it has ended"):
            await writer.write([rating_of(5)])
        with pytest.raises(Conflict, match="send the request again when it has ended"):
            await writer.delete("ann", "1")
    await writer.write([rating_of(6)])
    assert rated(url) == ["1", "2", "6"]


def test_an_erasure_during_a_long_import_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An erasure that waits too long for an import is a conflict, and erases nothing."""
    monkeypatch.setitem(people.SQL, "begin", people.SQL["begin"].replace("10s", "50ms"))
    with psycopg.connect(url) as holding:
        holding.execute(importing.SQL["lock"])
        with pytest.raises(Conflict, match="send the request again when it has ended"):
            PostgresPeople(url).erase("ann")
    assert rated(url) == ["1", "2"]


async def outcome(action: Callable[[], object]) -> str:
    """Return the class of the error of a blocking action, or an empty text."""
    try:
        await asyncio.to_thread(action)
    except CineclubError as error:
        return type(error).__name__
    return ""


async def test_many_writes_and_erasures_of_one_user_lose_nothing(url: str, writer: PostgresRatingWriter) -> None:
    """Beside erasures every rating is acknowledged; after the last erasure every later rating is stored."""
    outcomes: list[str] = []
    is_over = False

    async def erase_again_and_again() -> None:
        while not is_over:
            outcomes.append(await outcome(lambda: PostgresPeople(url).erase("ann")))

    erasing = [asyncio.create_task(erase_again_and_again()) for _ in range(2)]
    for _ in range(30):
        await asyncio.gather(*(writer.write([rating_of(movie)]) for movie in range(1, 6)))
    is_over = True
    await asyncio.gather(*erasing)
    assert set(outcomes) <= {"", "NotFound"}
    assert outcomes.count("") > 1
    await asyncio.gather(*(writer.write([rating_of(movie)]) for movie in range(1, 41)))
    assert len(rated(url)) == 40
