"""Single connections with the project's errors, and named queries out of the SQL files beside this one."""

import contextlib
import enum
import functools
import re
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

import psycopg
from psycopg.rows import dict_row

from cineclub.domain.errors import StorageUnavailable

CONNECT_TIMEOUT_SECONDS = 5
ADVISORY_FAMILY = 1_667_853_921
"""The first half of every advisory lock of cineclub, so that they do not meet those of others in the database."""

LACKING = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.InsufficientPrivilege,
)
Row = dict[str, Any]


@enum.unique
class AdvisoryLock(enum.IntEnum):
    """The second half of the advisory locks: what one process at a time does, and who is there."""

    MIGRATIONS = 1
    PRESENCE = 2
    PROMOTIONS = 3
    ALIAS = 4
    TRIGGERS = 5
    DRIFT = 6


@functools.cache
def named_queries(file_name: str) -> Mapping[str, str]:
    """Return the queries of a SQL file of this package by the names in their ``-- name:`` lines."""
    text = resources.files(__package__).joinpath(file_name).read_text("utf-8")
    parts = re.split(r"^-- name: (\w+)$", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], (query.strip() for query in parts[1::2]), strict=True))


def connect(database_url: str) -> psycopg.Connection[Row]:
    """Return a connection that commits each statement by itself unless told otherwise."""
    return psycopg.connect(database_url, autocommit=True, row_factory=dict_row, connect_timeout=CONNECT_TIMEOUT_SECONDS)


@contextlib.contextmanager
def storage_errors() -> Iterator[None]:
    """Raise StorageUnavailable where PostgreSQL does not answer, or lacks what cineclub needs."""
    try:
        yield
    except LACKING as error:
        first_line = str(error).splitlines()[0]
        message = f"the database lacks what cineclub needs ({first_line}): run `cineclub doctor`"
        raise StorageUnavailable(message) from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        message = f"PostgreSQL does not answer ({str(error).strip()}): run `cineclub doctor`, then try again"
        raise StorageUnavailable(message) from error
    except psycopg.ProgrammingError as error:
        if error.sqlstate is not None:
            raise
        message = f"CINECLUB_DATABASE_URL is no address of a database ({str(error).splitlines()[0]}): mend it"
        raise StorageUnavailable(message) from None  # the cause may repeat the password


@contextlib.contextmanager
def session(database_url: str) -> Iterator[psycopg.Connection[Row]]:
    """Give a connection for a few statements.

    Raises:
        StorageUnavailable: PostgreSQL does not answer.
    """
    with storage_errors(), connect(database_url) as connection:
        yield connection
