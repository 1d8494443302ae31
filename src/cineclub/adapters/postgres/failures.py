"""The one place that tells errors of PostgreSQL apart: which error of the domain stands for an error of psycopg."""

import re
from collections.abc import Mapping

import psycopg

from cineclub.domain import errors

Kind = type[errors.StatementFailed]

LOST: tuple[str, ...] = ("08", "57P01", "57P02", "57P03", "57P04", "57P05")
"""SQLSTATEs, or their classes, with which PostgreSQL ends a connection or refuses a new one."""

MISMATCHES = frozenset(
    {
        "08001",  # a server behind a foreign table of the owner's is away
        "0A000",  # cached plan must not change result type: a view was replaced under a prepared statement
        "26000",  # a prepared statement is gone, as a pooler passed another server connection
        "3F000",
        "42501",
        "42703",
        "42704",
        "42725",
        "42804",
        "42809",
        "42846",
        "42883",
        "42P01",
        "42P05",  # a prepared statement is there already, as a pooler passed another server connection
        "42P18",
    }
)
"""SQLSTATEs of a missing or changed table, view, column, type, function or privilege."""

KINDS: Mapping[str, Kind] = {
    "25006": errors.StorageReadOnly,
    "25P03": errors.StorageTooSlow,
    "25P04": errors.StorageTooSlow,
    "40": errors.StorageContended,
    "53": errors.StorageOverloaded,
    "53100": errors.StorageFull,
    "54": errors.StatementFailed,
    "55": errors.StatementFailed,
    "55P03": errors.StorageTooSlow,
    "57": errors.StatementFailed,
    "57014": errors.StorageTooSlow,
    "58": errors.StatementFailed,
    "F0": errors.StatementFailed,
    "HV": errors.StorageMismatch,  # a server behind a foreign table of the owner's
    "P0": errors.StorageMismatch,  # raised by a function in the owner's views: none that a read of ours calls raises
    "XX": errors.StatementFailed,
}
"""Errors of statements by SQLSTATE, or by its class, which is its first two characters."""

MESSAGES: Mapping[Kind, str] = {
    errors.StatementFailed: "PostgreSQL could not run a statement ({cause}): try again; its log says more",
    errors.StorageTooSlow: "PostgreSQL ended a statement that took too long ({cause}): try again, or raise its limit",
    errors.StorageContended: "several writes met in PostgreSQL and this one gave way ({cause}): try again",
    errors.StorageFull: "the disk of PostgreSQL is full ({cause}): make room there, then try again",
    errors.StorageReadOnly: "PostgreSQL takes no writes now ({cause}): connect to the primary, or make it writable",
    errors.StorageOverloaded: "PostgreSQL lacks memory or connections ({cause}): try again, or raise its limits",
    errors.StorageMismatch: "the database lacks what cineclub needs ({cause}): run `cineclub doctor`",
}
UNREACHABLE = "PostgreSQL does not answer: run `cineclub doctor`, then try again"
NO_CONNECTION_LEFT = "no connection is left"
TOO_MANY = re.compile(r"too many (clients|connections)|remaining connection slots|no more connections allowed")
"""A refused connection has no SQLSTATE in libpq, only this text."""

FULL = re.compile(r"No space left on device|Disk quota exceeded")


def storage_error(error: Exception) -> errors.StorageUnavailable | None:
    """Return the error of the domain for an error of psycopg; None for one that only a fault of ours can cause."""
    text = str(error).strip()
    if isinstance(error, psycopg.Error) and error.sqlstate is not None:
        return error_of_sqlstate(error.sqlstate, text)
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | TimeoutError):
        return None
    if TOO_MANY.search(text):
        return statement_failed(errors.StorageOverloaded, NO_CONNECTION_LEFT, text)
    return errors.StorageUnavailable(UNREACHABLE, text)  # the text of a client has the host and the port


def error_of_sqlstate(sqlstate: str, text: str) -> errors.StorageUnavailable | None:
    """Return the error for a SQLSTATE, of its own entry, else of its class; None if only a fault of ours causes it.

    Args:
        sqlstate: the code.
        text: what the server says; its first line becomes part of the message.
    """
    if sqlstate.startswith(LOST) and sqlstate not in MISMATCHES:
        return errors.StorageUnavailable(UNREACHABLE, text)
    kind = errors.StorageMismatch if sqlstate in MISMATCHES else KINDS.get(sqlstate) or KINDS.get(sqlstate[:2])
    if kind is errors.StatementFailed and FULL.search(text):
        kind = errors.StorageFull  # written by PostgreSQL as an error of input and output
    return None if kind is None else statement_failed(kind, text.partition("\n")[0])


def is_lost(error: errors.StorageUnavailable) -> bool:
    """Return whether the connection is lost, rather than one statement refused by a server that answers."""
    return not isinstance(error, errors.StatementFailed)


def statement_failed(kind: Kind, cause: str, detail: str = "") -> errors.StatementFailed:
    """Return an error of one statement with the message of its kind."""
    return kind(MESSAGES[kind].format(cause=cause), detail)
