"""What PostgreSQL tells about changed ratings, and when it is believed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from cineclub import bootstrap
from cineclub.adapters.postgres import rating_notices
from cineclub.adapters.postgres.rating_notices import RatingNotices
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.postgres.snapshots import PostgresPeople
from cineclub.settings import Settings
from waiting import until

MOVE = "UPDATE cineclub.ratings SET user_id = (SELECT id FROM cineclub.users WHERE external_id = 'u8')"
RATE = "INSERT INTO cineclub.ratings SELECT id, 1, 4, now() FROM cineclub.users WHERE external_id = 'u{}'"


class Told:
    """Remembers what a memory of histories is told."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.is_trusted = False
        self.n_distrusted = 0
        self.forgotten: list[str] = []
        self.erased: list[str] = []

    def trust(self) -> None:
        """Note it."""
        self.is_trusted = True

    def distrust(self) -> None:
        """Note it."""
        self.is_trusted = False
        self.n_distrusted += 1

    def forget(self, user_id: str) -> None:
        """Note whom."""
        self.forgotten.append(user_id)

    def forget_all(self) -> None:
        """Note it."""
        self.forgotten.append("everybody")


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    """Two films, 120 users and no rating."""
    with psycopg.connect(database_url, autocommit=True) as one:
        one.execute("INSERT INTO cineclub.movies (external_id, title) VALUES ('1', 'One'), ('2', 'Two')")
        one.execute("INSERT INTO cineclub.users (external_id) SELECT 'u' || i FROM generate_series(1, 120) AS i")
        yield one


def told_of(database_url: str, act: Callable[[], object]) -> list[str]:
    """Return the payloads that an action sends, in order; a marker behind them shows that none is on its way."""
    with psycopg.connect(database_url, autocommit=True) as listener, psycopg.connect(database_url) as other:
        listener.execute("LISTEN cineclub_ratings")
        act()
        other.execute("SELECT pg_notify('cineclub_ratings', '# the end')")
        other.commit()
        payloads = []
        for notice in listener.notifies(timeout=10):
            if notice.payload == "# the end":
                return payloads
            payloads.append(notice.payload)
    pytest.fail("the marker did not come")


def test_each_kind_of_change_names_the_user_once(database_url: str, connection: psycopg.Connection) -> None:
    """Rating, rating anew, taking back and moving a rating tell of those whose history is another now."""
    assert told_of(database_url, lambda: connection.execute(RATE.format(7).encode())) == ["u7"]
    assert told_of(database_url, lambda: connection.execute("UPDATE cineclub.ratings SET rating = 1")) == ["u7"]
    assert sorted(told_of(database_url, lambda: connection.execute(MOVE.encode()))) == ["u7", "u8"]
    assert told_of(database_url, lambda: connection.execute("DELETE FROM cineclub.ratings")) == ["u8"]
    assert told_of(database_url, lambda: connection.execute("DELETE FROM cineclub.ratings")) == []


def test_what_concerns_many_or_somebody_without_a_name_is_told_as_everybody(
    database_url: str, connection: psycopg.Connection
) -> None:
    """More than 100 users, a deleted user, another name for one, and an emptied table."""
    all_rate = "INSERT INTO cineclub.ratings SELECT id, 1, 4, now() FROM cineclub.users"
    assert told_of(database_url, lambda: connection.execute(all_rate.encode())) == [""]
    delete = "DELETE FROM cineclub.users WHERE external_id = 'u9'"
    assert told_of(database_url, lambda: connection.execute(delete.encode())) == [""]
    rename = "UPDATE cineclub.users SET external_id = 'other' WHERE external_id = 'u8'"
    assert told_of(database_url, lambda: connection.execute(rename.encode())) == [""]
    assert told_of(database_url, lambda: connection.execute("TRUNCATE cineclub.ratings")) == [""]


def test_an_import_is_told_once(database_url: str, home: Path, tmp_path: Path) -> None:
    """The first import and a later one tell of everybody once, and single ratings are told of again afterwards."""
    file = tmp_path / "ratings.csv"
    settings = Settings(home=home, database_url=database_url)
    for rating in (3, 4):
        rows = [f"{user},{film},{rating},1600000000" for user in range(1, 30) for film in range(1, 9)]
        file.write_text("\n".join(["userId,movieId,rating,timestamp", *rows]))

        def bring_in() -> None:
            source = bootstrap.rating_source(file, None, None)
            bootstrap.import_ratings(settings, source, home / "rejects.csv", strict=True, progress=lambda *_: None)

        assert told_of(database_url, bring_in) == [""]
    with psycopg.connect(database_url, autocommit=True) as connection:
        single = "DELETE FROM cineclub.ratings WHERE user_id = (SELECT id FROM cineclub.users WHERE external_id = '3')"
        assert told_of(database_url, lambda: connection.execute(single.encode())) == ["3"]


@asynccontextmanager
async def listening(listen_at: str, send_at: str, told: Told) -> AsyncIterator[None]:
    """Listen at one address and send pulses to another."""
    pool = ServingPool(send_at)
    notices = RatingNotices(listen_at, pool, told, told.erased.append)
    await pool.start()
    await notices.start()
    try:
        yield
    finally:
        await notices.stop()
        await pool.stop()


@pytest.mark.anyio
async def test_a_lost_line_is_not_trusted_until_it_is_back(database_url: str, connection: psycopg.Connection) -> None:
    """When the listening connection ends, nothing is kept; a new one is trusted after its pulse."""
    told = Told()
    async with listening(database_url, database_url, told):
        await until(lambda: told.is_trusted)
        connection.execute(RATE.format(3).encode())
        await until(lambda: told.forgotten == ["u3"])
        await asyncio.to_thread(PostgresPeople(database_url, is_writable=True).erase, "u4")
        await until(lambda: told.erased == ["u4"])
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s AND datname = %s"
        connection.execute(cut.encode(), [rating_notices.NAME, connection.info.dbname])
        await until(lambda: told.n_distrusted == 1)
        await until(lambda: told.is_trusted)
        connection.execute("DELETE FROM cineclub.ratings")
        await until(lambda: told.forgotten == ["u3", "u3"])


@pytest.mark.anyio
async def test_a_line_that_swallows_notices_is_never_trusted(
    database_url: str, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where pulses do not come back, as behind some connection pools, histories are read each time."""
    monkeypatch.setattr(rating_notices, "PULSE_SECONDS", 0.05)
    monkeypatch.setattr(rating_notices, "PAUSE_SECONDS", 0.0)
    told = Told()
    async with listening(database_url, server_url, told):  # notices stay within a database
        await until(lambda: told.n_distrusted >= 3)
        assert not told.is_trusted
