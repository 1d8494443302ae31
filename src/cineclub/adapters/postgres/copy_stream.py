"""Ratings out of a binary COPY straight into arrays, at about the rate of psql.

Asking libpq for one row at a time costs more than the server needs to send it. All rows of this COPY have the same
width, so over an unencrypted connection its messages are read from the socket in large blocks, and a block is one
structured array. Over an encrypted connection only libpq can read: it is asked row by row, for the same arrays.
"""

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import pq

from cineclub.adapters.postgres.sessions import Row
from cineclub.domain.errors import InvalidInput, StorageUnavailable
from cineclub.domain.recommender import Progress

BLOCK_BYTES = 1 << 20
ROWS_AT_A_TIME = 20_000
EPOCH_2000_MICROSECONDS = 946_684_800_000_000
HEADER_BYTES = 19
FRAME_BYTES = 5
COPY_DATA, READY, ERROR = b"dZE"
READY_MESSAGE = b"Z\0\0\0\5"
"""How the last message of an answer begins; one byte follows."""
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
        movie_ids: (n,) internal film ids.
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
    """Return the rows of a binary COPY of user (bigint), film (bigint), rating (real) and time (timestamptz).

    This is the last thing a connection does: close it afterwards.

    Raises:
        InvalidInput: a value is null.
        StorageUnavailable: the connection broke, or the server refused.
    """
    columns = RatingColumns.empty(n_rows)
    read = _through_libpq if _is_encrypted(connection) else _from_the_socket
    n_read = 0
    for rows in read(connection.pgconn, copy_statement):
        if n_read + len(rows) > n_rows:
            break
        columns.fill(n_read, rows)
        n_read += len(rows)
        progress(n_read / n_rows)
    if n_read != n_rows:
        message = f"{n_rows:,} ratings were counted and {n_read:,} came: try again, and run `cineclub doctor`"
        raise StorageUnavailable(message)
    return columns


def _is_encrypted(connection: psycopg.Connection[Row]) -> bool:
    """Say whether the bytes of the socket are readable for libpq alone."""
    if connection.pgconn.ssl_in_use:
        return True
    query = "SELECT coalesce(bool_or(encrypted), false) AS found FROM pg_stat_gssapi WHERE pid = pg_backend_pid()"
    return bool(connection.execute(query).fetchall()[0]["found"])


def _through_libpq(pgconn: pq.abc.PGconn, copy_statement: bytes) -> Iterator[Rows]:
    """Yield the rows as libpq hands them out."""
    result = pgconn.exec_(copy_statement)
    _refuse_errors(result)
    waiting: list[bytes] = []
    while (received := pgconn.get_copy_data(0))[0] > 0:
        waiting.append(bytes(received[1]))
        if len(waiting) == ROWS_AT_A_TIME:
            yield _unframed_rows(waiting)
            waiting = []
    yield _unframed_rows(waiting)
    while (last := pgconn.get_result()) is not None:
        _refuse_errors(last)


def _refuse_errors(result: pq.abc.PGresult) -> None:
    """Raise what the server refused."""
    if result.status == pq.ExecStatus.FATAL_ERROR:
        raise _refusal(result.error_message.decode("utf-8", "replace"))


def _unframed_rows(payloads: list[bytes]) -> Rows:
    """Return the rows of some messages' payloads."""
    if payloads and payloads[0].startswith(b"PGCOPY\n"):
        payloads[0] = payloads[0][HEADER_BYTES:]
    kept = [payload for payload in payloads if len(payload) > np.dtype(">i2").itemsize]  # the trailer, or a bare header
    if any(len(payload) != ROW.itemsize for payload in kept):
        raise _null_value()
    return np.frombuffer(b"".join(kept), ROW)


def _from_the_socket(pgconn: pq.abc.PGconn, copy_statement: bytes) -> Iterator[Rows]:
    """Yield the rows as they arrive, a block at a time."""
    pgconn.send_query(copy_statement)
    while pgconn.flush():
        pass
    with socket.socket(fileno=os.dup(pgconn.socket)) as server:
        server.setblocking(True)  # noqa: FBT003 - the signature of the standard library
        yield from _Messages(server.recv_into).rows()


class _Messages:
    """A server's messages, taken apart: long runs of rows of one width at once, anything else one by one."""

    def __init__(self, receive: Callable[[memoryview], int]) -> None:
        """Read with ``receive``, which fills a buffer and returns how much came."""
        self._receive = receive
        self._buffer = bytearray(BLOCK_BYTES)
        self._n_filled = 0
        self._is_finished = False

    def rows(self) -> Iterator[Rows]:
        """Yield the rows until the server is ready for the next statement."""
        while not self._is_finished:
            self._fill()
            start = 0
            while not self._is_finished and (found := self._next(start)) is not None:
                rows, start = found
                if len(rows):
                    yield rows
            rest = self._buffer[start : self._n_filled]
            self._buffer[: len(rest)] = rest
            self._n_filled = len(rest)

    def _fill(self) -> None:
        """Receive until the buffer is full or the server has said all it has to say."""
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
        """Return the rows from a position on and where they end; None when more must be received first."""
        n_whole = (self._n_filled - start) // FRAMED_ROW.itemsize
        framed = np.frombuffer(self._buffer, FRAMED_ROW, n_whole, start)
        is_row = (framed["kind"] == COPY_DATA) & (framed["length"] == ROW_LENGTH)
        n_rows = n_whole if is_row.all() else int(np.argmin(is_row))
        if n_rows:
            return framed["row"][:n_rows].copy(), start + n_rows * FRAMED_ROW.itemsize
        return self._odd_message(start)

    def _odd_message(self, start: int) -> tuple[Rows, int] | None:
        """Return the rows in one message of another length, if any, and where it ends."""
        length = int.from_bytes(self._buffer[start + 1 : start + FRAME_BYTES], "big")
        end = start + 1 + length
        if self._n_filled < max(end, start + FRAME_BYTES):
            return None
        kind, payload = self._buffer[start], bytes(self._buffer[start + FRAME_BYTES : end])
        if kind == ERROR:
            raise _refusal(_error_text(payload))
        self._is_finished = kind == READY
        return _unframed_rows([payload] if kind == COPY_DATA else []), end


def _error_text(payload: bytes) -> str:
    """Return the words of an error message of the server."""
    fields = {field[:1]: field[1:].decode("utf-8", "replace") for field in payload.split(b"\0") if field}
    return fields.get(b"M", "no reason given")


def _refusal(words: str) -> StorageUnavailable:
    """Return what to raise when the server refuses."""
    return StorageUnavailable(f"PostgreSQL refused to send the ratings ({words.strip()}): run `cineclub doctor`")


def _null_value() -> InvalidInput:
    """Return what to raise for a row without all four values."""
    return InvalidInput(
        "a rating lacks its user, film, value or time: run `cineclub doctor` to see which view is at fault"
    )
