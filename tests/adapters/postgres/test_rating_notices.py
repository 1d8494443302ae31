"""Notices of PostgreSQL about changed ratings, and when they are trusted."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from cineclub.adapters.postgres import rating_notices
from cineclub.adapters.postgres.people import PostgresPeople
from cineclub.adapters.postgres.rating_notices import RatingNotices
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.bootstrap import data_files
from cineclub.settings import Settings
from waiting import until

MOVE = "UPDATE cineclub.ratings SET user_id = (SELECT id FROM cineclub.users WHERE external_id = 'u8')"
RATE = "INSERT INTO cineclub.ratings SELECT id, 1, 4, now() FROM cineclub.users WHERE external_id = 'u{}'"


class RecordedCalls:
    """Records the calls that a cache of histories gets."""

    def __init__(self) -> None:
        """Start without calls."""
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

    def invalidate(self, user_id: str) -> None:
        """Record the user."""
        self.forgotten.append(user_id)

    def invalidate_all(self) -> None:
        """Note it."""
        self.forgotten.append("everybody")


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection to a database with two films, 120 users and no rating."""
    with psycopg.connect(database_url, autocommit=True) as opened:
        opened.execute("INSERT INTO cineclub.movies (external_id, title) VALUES ('1', 'One'), ('2', 'Two')")
        opened.execute("INSERT INTO cineclub.users (external_id) SELECT 'u' || i FROM generate_series(1, 120) AS i")
        yield opened


def payloads_of(database_url: str, act: Callable[[], object]) -> list[str]:
    """Return the payloads that an action sends, in order; a marker ends them."""
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
    """Inserting, updating, deleting and moving a rating each name the users whose history changed."""
    assert payloads_of(database_url, lambda: connection.execute(RATE.format(7).encode())) == ["u7"]
    assert payloads_of(database_url, lambda: connection.execute("UPDATE cineclub.ratings SET rating = 1")) == ["u7"]
    assert sorted(payloads_of(database_url, lambda: connection.execute(MOVE.encode()))) == ["u7", "u8"]
    assert payloads_of(database_url, lambda: connection.execute("DELETE FROM cineclub.ratings")) == ["u8"]
    assert payloads_of(database_url, lambda: connection.execute("DELETE FROM cineclub.ratings")) == []


def test_changes_of_many_or_unnamed_users_are_sent_as_everybody(
    database_url: str, connection: psycopg.Connection
) -> None:
    """More than 100 users, a deleted or renamed user, and an emptied table are sent as everybody."""
    all_rate = "INSERT INTO cineclub.ratings SELECT id, 1, 4, now() FROM cineclub.users"
    assert payloads_of(database_url, lambda: connection.execute(all_rate.encode())) == [""]
    delete = "DELETE FROM cineclub.users WHERE external_id = 'u9'"
    assert payloads_of(database_url, lambda: connection.execute(delete.encode())) == [""]
    rename = "UPDATE cineclub.users SET external_id = 'other' WHERE external_id = 'u8'"
    assert payloads_of(database_url, lambda: connection.execute(rename.encode())) == [""]
    assert payloads_of(database_url, lambda: connection.execute("TRUNCATE cineclub.ratings")) == [""]


def test_an_import_sends_one_notice(database_url: str, home: Path, tmp_path: Path) -> None:
    """Imports send one notice for everybody; single ratings are sent again afterwards."""
    file = tmp_path / "ratings.csv"
    settings = Settings(home=home, database_url=database_url)
    for rating in (3, 4):
        rows = [f"{user},{movie},{rating},1600000000" for user in range(1, 30) for movie in range(1, 9)]
        file.write_text("\n".join(["userId,movieId,rating,timestamp", *rows]))

        def bring_in() -> None:
            source = data_files.rating_source(file, None, None)
            data_files.import_ratings(settings, source, home / "rejects.csv", strict=True, progress=lambda *_: None)

        assert payloads_of(database_url, bring_in) == [""]
    with psycopg.connect(database_url, autocommit=True) as connection:
        single = "DELETE FROM cineclub.ratings WHERE user_id = (SELECT id FROM cineclub.users WHERE external_id = '3')"
        assert payloads_of(database_url, lambda: connection.execute(single.encode())) == ["3"]


@asynccontextmanager
async def listening(listen_at: str, send_at: str, receiver: RecordedCalls) -> AsyncIterator[None]:
    """Listen at one address and send pulses to another."""
    pool = ServingPool(send_at)
    notices = RatingNotices(listen_at, pool, receiver, receiver.erased.append)
    await pool.start()
    await notices.start()
    try:
        yield
    finally:
        await notices.stop()
        await pool.stop()


@pytest.mark.anyio
async def test_a_lost_line_is_not_trusted_until_it_is_back(database_url: str, connection: psycopg.Connection) -> None:
    """While the listening connection is down nothing is cached; a new one is trusted after its pulse."""
    receiver = RecordedCalls()
    async with listening(database_url, database_url, receiver):
        await until(lambda: receiver.is_trusted)
        connection.execute(RATE.format(3).encode())
        await until(lambda: receiver.forgotten == ["u3"])
        await asyncio.to_thread(PostgresPeople(database_url).erase, "u4")
        await until(lambda: receiver.erased == ["u4"])
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s AND datname = %s"
        connection.execute(cut.encode(), [rating_notices.NAME, connection.info.dbname])
        await until(lambda: receiver.n_distrusted == 1)
        await until(lambda: receiver.is_trusted)
        connection.execute("DELETE FROM cineclub.ratings")
        await until(lambda: receiver.forgotten == ["u3", "u3"])


@pytest.mark.anyio
async def test_a_line_that_swallows_notices_is_never_trusted(
    database_url: str, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where pulses do not come back, as behind some connection pools, histories are not cached."""
    monkeypatch.setattr(rating_notices, "PULSE_SECONDS", 0.05)
    monkeypatch.setattr(rating_notices, "RECONNECT_SECONDS", 0.0)
    receiver = RecordedCalls()
    async with listening(database_url, server_url, receiver):  # notices stay within a database
        await until(lambda: receiver.n_distrusted >= 3)
        assert not receiver.is_trusted
