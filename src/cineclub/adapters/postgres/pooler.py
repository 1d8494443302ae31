"""Poolers between cineclub and PostgreSQL: found out at the start, as some of them keep no session for a client."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator

import psycopg

from cineclub.adapters.postgres.sessions import Row, session
from cineclub.domain.errors import Conflict, StorageUnavailable

N_TRIES = 5
SECONDS_FOR_A_SERVER = 2.0
POOLED = (
    "{variable} is the address of a pooler in transaction mode, such as PgBouncer, which passes on no LISTEN, session "
    "locks, migrations and backups: set CINECLUB_DIRECT_DATABASE_URL to the address of PostgreSQL itself"
)
ANOTHER = (
    "CINECLUB_DATABASE_URL and CINECLUB_DIRECT_DATABASE_URL lead to different databases: both must lead to one, the "
    "first through the pooler"
)
STATEMENTS_ONLY = "CINECLUB_DATABASE_URL is a pooler that passes on single statements: set its pool_mode to transaction"
IDENTITY = "SELECT pg_postmaster_start_time() AS started_at, current_database() AS name"


def refuse_transaction_pooler(database_url: str, variable: str) -> None:
    """Refuse an address at which a client keeps no session of its own.

    PostgreSQL tells a client the number of its session when it connects; a pooler tells another. It keeps no session if
    a second client gets the session of the first, or the first another one meanwhile.

    Args:
        database_url: the address to check.
        variable: the setting that holds it.

    Raises:
        Conflict: it is a pooler in transaction mode.
        StorageUnavailable: it does not answer.
    """
    with session(database_url) as first:
        server = _server_of(first)
        if server == first.info.backend_pid:
            return
        for _ in range(N_TRIES):
            with contextlib.suppress(StorageUnavailable), session(database_url) as second, _given_up_later(second):
                second.execute("BEGIN")
                if _server_of(second) == server or _server_of(first) != server:
                    raise Conflict(POOLED.format(variable=variable))


def refuse_other_database(pooled_url: str, direct_url: str) -> None:
    """Refuse a pooler that leads to another database than the direct address, or that takes no transactions.

    Raises:
        Conflict: it does.
        StorageUnavailable: one of them does not answer.
    """
    with session(direct_url) as direct:
        own = direct.execute(IDENTITY).fetchone()
    with session(pooled_url) as pooled:
        try:
            with pooled.transaction():
                other = pooled.execute(IDENTITY).fetchone()
        except psycopg.Error as error:
            if "statement pooling mode" in str(error):
                raise Conflict(STATEMENTS_ONLY) from error
            raise
    if own != other:
        raise Conflict(ANOTHER)


def _server_of(connection: psycopg.Connection[Row]) -> int:
    """Return the number of the session that runs a statement of this connection."""
    return int(connection.execute("SELECT pg_backend_pid() AS pid", prepare=False).fetchall()[0]["pid"])


@contextlib.contextmanager
def _given_up_later(connection: psycopg.Connection[Row]) -> Iterator[None]:
    """Cut a connection that waits too long for a session: a pooler in session mode may have none left."""

    def cut() -> None:
        with contextlib.suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(SECONDS_FOR_A_SERVER, cut)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
