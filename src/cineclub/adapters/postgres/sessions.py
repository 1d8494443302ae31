"""Single connections that raise the errors of the domain, and the named queries of the SQL files of this package."""

import contextlib
import enum
import functools
import re
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

import psycopg
from psycopg.rows import dict_row

from cineclub.adapters.postgres.failures import storage_error
from cineclub.domain.errors import StorageUnavailable

CONNECT_TIMEOUT_SECONDS = 5
ADVISORY_FAMILY = 1_667_853_921
"""The first half of every advisory lock of cineclub, so that none collides with those of other applications."""

Row = dict[str, Any]


@enum.unique
class AdvisoryLock(enum.IntEnum):
    """The second half of the advisory locks: work that one process at a time does, and the presence of workers."""

    MIGRATIONS = 1
    PRESENCE = 2
    PROMOTIONS = 3
    ALIAS = 4
    TRIGGERS = 5
    DRIFT = 6
    CROWD = 7


@functools.cache
def named_queries(file_name: str) -> Mapping[str, str]:
    """Return the queries of a SQL file of this package by the names in their ``-- name:`` lines."""
    text = resources.files(__package__).joinpath(file_name).read_text("utf-8")
    parts = re.split(r"^-- name: (\w+)$", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], (query.strip() for query in parts[1::2]), strict=True))


def connect(database_url: str) -> psycopg.Connection[Row]:
    """Return a connection that commits each statement by itself outside of transactions."""
    return psycopg.connect(database_url, autocommit=True, row_factory=dict_row, connect_timeout=CONNECT_TIMEOUT_SECONDS)


@contextlib.contextmanager
def storage_errors() -> Iterator[None]:
    """Raise the errors of the domain for those of psycopg; see ``failures``."""
    try:
        yield
    except psycopg.Error as error:
        if error.sqlstate is None and isinstance(error, psycopg.ProgrammingError):
            message = "CINECLUB_DATABASE_URL is no address of a database: correct it"
            raise StorageUnavailable(message) from None  # the error may repeat the password
        if (failure := storage_error(error)) is None:
            raise
        raise failure from error


@contextlib.contextmanager
def session(database_url: str) -> Iterator[psycopg.Connection[Row]]:
    """Yield a connection for a few statements.

    Raises:
        StorageUnavailable: PostgreSQL does not answer.
    """
    with storage_errors(), connect(database_url) as connection:
        yield connection
