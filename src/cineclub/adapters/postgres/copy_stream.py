"""Ratings of a binary COPY read straight into arrays, at about the speed of psql.

Fetching a row through libpq takes longer than the server needs to send it. All rows of this COPY have the same width,
so over an unencrypted connection the messages are read from the socket in large blocks, and a block becomes one
structured array. Over an encrypted connection only libpq can read: it fetches row by row, into the same arrays.
"""

import os
import selectors
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import pq

from cineclub.adapters.postgres.failures import error_of_sqlstate
from cineclub.adapters.postgres.sessions import Row
from cineclub.domain.errors import InvalidInput, StatementFailed, StorageUnavailable
from cineclub.domain.recommend.recommender import Progress

BLOCK_BYTES = 1 << 20
ROWS_AT_A_TIME = 20_000
EPOCH_2000_MICROSECONDS = 946_684_800_000_000
HEADER_BYTES = 19
FRAME_BYTES = 5
TRAILER_BYTES = 2
COPY_DATA, READY, ERROR = b"dZE"
READY_MESSAGE = b"Z\0\0\0\5"
"""The head of the last message of a response; one byte follows."""
ROW = np.dtype(
    [
        ("n_fields", ">i2"),
        ("user_bytes", ">i4"),
        ("user_id", ">i8"),
        ("movie_bytes", ">i4"),
        ("movie_id", ">i8"),
        ("rating_bytes", ">i4"),
        ("rating", ">f4"),
        ("time_bytes", ">i4"),
        ("rated_at", ">i8"),
    ]
)
FRAMED_ROW = np.dtype([("kind", "u1"), ("length", ">i4"), ("row", ROW)])
ROW_LENGTH = ROW.itemsize + 4
Rows = NDArray[np.void]


@dataclass(frozen=True, slots=True)
class RatingColumns:
    """Ratings as they come from the database, in any order.

    Attributes:
        user_ids: (n,) internal user ids.
        movie_ids: (n,) internal movie ids.
        ratings: (n,).
        rated_at: (n,) microseconds since 1970-01-01 UTC.
    """

    user_ids: NDArray[np.int64]
    movie_ids: NDArray[np.int64]
    ratings: NDArray[np.float32]
    rated_at: NDArray[np.int64]

    @classmethod
    def empty(cls, n_rows: int) -> "RatingColumns":
        """Return columns with room for this many ratings."""
        return cls(
            np.empty(n_rows, np.int64),
            np.empty(n_rows, np.int64),
            np.empty(n_rows, np.float32),
            np.empty(n_rows, np.int64),
        )

    def fill(self, start: int, rows: Rows) -> None:
        """Put rows of the stream at a position."""
        end = start + len(rows)
        self.user_ids[start:end] = rows["user_id"]
        self.movie_ids[start:end] = rows["movie_id"]
        self.ratings[start:end] = rows["rating"]
        self.rated_at[start:end] = rows["rated_at"]
        self.rated_at[start:end] += EPOCH_2000_MICROSECONDS


def read_ratings(
    connection: psycopg.Connection[Row], copy_statement: bytes, n_rows: int, progress: Progress
) -> RatingColumns:
    """Return the rows of a binary COPY of user (bigint), movie (bigint), rating (real) and time (timestamptz).

    This is the last thing a connection does: close it afterwards.

    Raises:
        InvalidInput: a value is null.
        StorageUnavailable: the connection broke, or the server refused.
    """
    columns = RatingColumns.empty(n_rows)
    n_read = 0
    for rows in stream_rows(connection, copy_statement):
        if n_read + len(rows) > n_rows:
            break
        columns.fill(n_read, rows)
        n_read += len(rows)
        progress(n_read / n_rows)
    if n_read != n_rows:
        message = f"{n_rows:,} ratings were counted and {n_read:,} came: try again, and run `cineclub doctor`"
        raise StorageUnavailable(message)
    return columns


def stream_rows(
    connection: psycopg.Connection[Row], copy_statement: bytes, silence_seconds: float | None = None
) -> Iterator[Rows]:
    """Yield the rows of the same binary COPY as they arrive, in blocks.

    This is the last thing a connection does: close it afterwards.

    Raises:
        InvalidInput: a value is null.
        StorageUnavailable: the connection broke, or the server refused.
        OSError: the socket broke, or nothing came for ``silence_seconds``.
    """
    read = _through_libpq if _is_encrypted(connection) else _from_the_socket
    return read(connection.pgconn, copy_statement, silence_seconds)


def _is_encrypted(connection: psycopg.Connection[Row]) -> bool:
    """Return whether only libpq can read the bytes of the socket."""
    if connection.pgconn.ssl_in_use:
        return True
    query = (
        "SELECT coalesce(bool_or(encrypted), false) AS is_encrypted FROM pg_stat_gssapi WHERE pid = pg_backend_pid()"
    )
    return bool(connection.execute(query).fetchall()[0]["is_encrypted"])


def _through_libpq(pgconn: pq.abc.PGconn, copy_statement: bytes, silence_seconds: float | None) -> Iterator[Rows]:
    """Yield the rows that libpq returns; waits outside of libpq, which would block all threads meanwhile."""
    _raise_refusal(pgconn.exec_(copy_statement))
    waiting: list[bytes] = []
    while (received := pgconn.get_copy_data(1))[0] >= 0:
        if received[0]:
            waiting.append(bytes(received[1]))
        else:
            _await_data(pgconn, silence_seconds)
        if len(waiting) == ROWS_AT_A_TIME:
            yield _unframed_rows(waiting)
            waiting = []
    yield _unframed_rows(waiting)
    while (last := pgconn.get_result()) is not None:
        _raise_refusal(last)


def _await_data(pgconn: pq.abc.PGconn, silence_seconds: float | None) -> None:
    """Wait for data, and pass them to libpq; TimeoutError if none arrive for ``silence_seconds``."""
    with selectors.DefaultSelector() as selector:
        selector.register(pgconn.socket, selectors.EVENT_READ)
        if not selector.select(silence_seconds):
            message = f"nothing came for {silence_seconds:.0f} s"
            raise TimeoutError(message)
    pgconn.consume_input()


def _raise_refusal(result: pq.abc.PGresult) -> None:
    """Raise the error of a result, if it is one."""
    if result.status == pq.ExecStatus.FATAL_ERROR:
        sqlstate = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode("ascii", "replace")
        raise _refusal(sqlstate, result.error_message.decode("utf-8", "replace"))


def _unframed_rows(payloads: list[bytes]) -> Rows:
    """Return the rows of some messages' payloads."""
    if payloads and payloads[0].startswith(b"PGCOPY\n"):
        payloads[0] = payloads[0][HEADER_BYTES:]
    rows = [payload for payload in payloads if len(payload) > TRAILER_BYTES]
    if any(len(row) != ROW.itemsize for row in rows):
        message = "a rating lacks its user, film, value or time: run `cineclub doctor` to see which view is at fault"
        raise InvalidInput(message)
    return np.frombuffer(b"".join(rows), ROW)


def _from_the_socket(pgconn: pq.abc.PGconn, copy_statement: bytes, silence_seconds: float | None) -> Iterator[Rows]:
    """Yield the rows as they arrive, a block at a time."""
    pgconn.send_query(copy_statement)
    while pgconn.flush():
        pass
    with socket.socket(fileno=os.dup(pgconn.socket)) as server:
        server.settimeout(silence_seconds)
        yield from _Messages(server.recv_into).rows()


class _Messages:
    """The messages of a server: long runs of rows of one width are split at once, other messages one by one."""

    def __init__(self, receive: Callable[[memoryview], int]) -> None:
        """Read with ``receive``, which fills a buffer and returns the number of bytes."""
        self._receive = receive
        self._buffer = bytearray(BLOCK_BYTES)
        self._n_filled = 0
        self._is_finished = False

    def rows(self) -> Iterator[Rows]:
        """Yield the rows until the server is ready for the next statement."""
        while not self._is_finished:
            self._fill()
            start = 0
            while not self._is_finished and (block := self._next(start)) is not None:
                rows, start = block
                if len(rows):
                    yield rows
            rest = self._buffer[start : self._n_filled]
            self._buffer[: len(rest)] = rest
            self._n_filled = len(rest)

    def _fill(self) -> None:
        """Receive until the buffer is full or the response is complete."""
        if self._n_filled == len(self._buffer):
            self._buffer.extend(bytes(len(self._buffer)))
        view = memoryview(self._buffer)
        while self._n_filled < len(view):
            n_received = self._receive(view[self._n_filled :])
            if n_received == 0:
                message = "PostgreSQL closed the connection while ratings were read: run `cineclub doctor`, then again"
                raise StorageUnavailable(message)
            self._n_filled += n_received
            if view[: self._n_filled - 1][-len(READY_MESSAGE) :] == READY_MESSAGE:
                break

    def _next(self, start: int) -> tuple[Rows, int] | None:
        """Return the rows from a position on and their end; None when more must be received first."""
        n_whole = (self._n_filled - start) // FRAMED_ROW.itemsize
        framed = np.frombuffer(self._buffer, FRAMED_ROW, n_whole, start)
        is_row = (framed["kind"] == COPY_DATA) & (framed["length"] == ROW_LENGTH)
        n_rows = n_whole if is_row.all() else int(np.argmin(is_row))
        if n_rows:
            return framed["row"][:n_rows].copy(), start + n_rows * FRAMED_ROW.itemsize
        return self._odd_message(start)

    def _odd_message(self, start: int) -> tuple[Rows, int] | None:
        """Return the rows in one message of another length, if any, and its end."""
        length = int.from_bytes(self._buffer[start + 1 : start + FRAME_BYTES], "big")
        end = start + 1 + length
        if self._n_filled < max(end, start + FRAME_BYTES):
            return None
        kind, payload = self._buffer[start], bytes(self._buffer[start + FRAME_BYTES : end])
        if kind == ERROR:
            fields = {field[:1]: field[1:].decode("utf-8", "replace") for field in payload.split(b"\0") if field}
            raise _refusal(fields.get(b"C", ""), fields.get(b"M", "no reason given"))
        self._is_finished = kind == READY
        return _unframed_rows([payload] if kind == COPY_DATA else []), end


def _refusal(sqlstate: str, text: str) -> StorageUnavailable:
    """Return the error of a server that refuses."""
    return error_of_sqlstate(sqlstate, text.strip()) or StatementFailed(
        f"PostgreSQL refused to send the ratings ({text.strip()}): run `cineclub doctor`"
    )
