"""Writes of single ratings while serving: all of a request or none."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import psycopg

from cineclub.adapters.postgres.serving_pool import MAX_CONNECTIONS, ServingPool
from cineclub.adapters.postgres.sessions import Row, named_queries
from cineclub.adapters.postgres.write_conflicts import MANY_WAIT, Interfered, retried_async
from cineclub.domain.errors import Conflict, InvalidInput, NotFound, ReadOnlySource
from cineclub.domain.ratings.log import RatingScale
from cineclub.domain.ratings.vocabulary import imdb_number
from cineclub.domain.recommend.history_cache import HistoryCache
from cineclub.domain.recommend.rating_changes import RatingChange
from cineclub.domain.recommend.records import NewRating
from cineclub.domain.recommend.request import Naming

SQL = named_queries("rating_writes.sql")
MAX_NAMED = 10
WRITE_LIMIT_SECONDS, WAIT_FOR_TURN_SECONDS = 10.0, 5.0
Named = tuple[Naming, str]
WRITE_THEM_THERE = "ratings come from your own views (CINECLUB_SOURCE=external), change them in your own system"


class PostgresRatingWriter:
    """Writes single ratings into cineclub's own tables.

    Its methods raise StorageUnavailable while PostgreSQL does not answer, and Conflict while others lock the ratings.
    """

    def __init__(self, pool: ServingPool, cache: HistoryCache) -> None:
        """Use the pool of the request path; the cache knows every write when it returns."""
        self._pool = pool
        self._cache = cache
        self._turns = asyncio.Semaphore(MAX_CONNECTIONS // 2)

    async def write(self, ratings: Sequence[NewRating]) -> None:
        """Write all the ratings or none; of two ratings of one movie by one user the last counts.

        A user who is erased at the same time is a new user afterwards, with these ratings, or is erased with them.

        Raises:
            InvalidInput: a rating is off the catalogue's scale.
            NotFound: a movie is not in the catalogue.
        """
        user_ids = sorted({rating.user_id for rating in ratings})
        with self._cache.writing(user_ids) as written:
            written.changes = await self._pool.retried(partial(self._write_all, ratings, user_ids))

    async def _write_all(self, ratings: Sequence[NewRating], user_ids: Sequence[str]) -> list[RatingChange]:
        """Write ratings in one transaction, and return the changes."""
        async with self._connection() as connection:
            return await retried_async(connection, partial(_write, connection, ratings, user_ids))

    async def delete(self, user_id: str, movie_id: str) -> None:
        """Delete one rating.

        Raises:
            NotFound: there is no such rating.
        """
        params = {"user_id": user_id, "movie_id": movie_id}
        with self._cache.writing((user_id,)) as written:
            async with self._connection() as connection:
                rows = await retried_async(connection, partial(_delete, connection, params))
            written.changes = [RatingChange(user_id, row["movie_id"], None) for row in rows]
        if not rows:
            message = f"user {user_id} has not rated film {movie_id}"
            raise NotFound(message)

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[Row]]:
        """Yield a connection; writes that wait for an import leave half of the connections to predictions."""
        try:
            async with asyncio.timeout(WAIT_FOR_TURN_SECONDS):
                await self._turns.acquire()
        except TimeoutError as error:
            raise Conflict(MANY_WAIT) from error
        try:
            async with self._pool.connection(limit_seconds=WRITE_LIMIT_SECONDS) as connection:
                yield connection
        finally:
            self._turns.release()


class ReadOnlyRatings:
    """Refuses every write, where ratings come from the owner's views."""

    async def write(self, ratings: Sequence[NewRating]) -> None:
        """Raise ReadOnlySource."""
        message = f"{len(ratings)} ratings were not written: {WRITE_THEM_THERE}"
        raise ReadOnlySource(message)

    async def delete(self, user_id: str, movie_id: str) -> None:
        """Raise ReadOnlySource."""
        message = f"the rating of film {movie_id} by user {user_id} was not deleted: {WRITE_THEM_THERE}"
        raise ReadOnlySource(message)


async def _write(
    connection: psycopg.AsyncConnection[Row], ratings: Sequence[NewRating], user_ids: Sequence[str]
) -> list[RatingChange]:
    """Write ratings within a transaction, and return the changes."""
    await connection.execute(SQL["begin"])
    if not all(map(_is_integer, user_ids)):
        await connection.execute(SQL["note_text_user_ids"])
    catalogue = await (await connection.execute(SQL["catalogue"])).fetchone()
    if catalogue is None:
        message = "there are no films yet: import some with `cineclub import`"
        raise NotFound(message)
    _check_scale(ratings, RatingScale(catalogue["lowest"], catalogue["highest"]))
    movie_ids = await _movie_ids_of(connection, ratings)
    names = await _locked_users(connection, user_ids)
    cursor = await connection.execute(SQL["upsert"], _columns(ratings, movie_ids, names))
    return [RatingChange(names[row.pop("user_id")], **row) for row in await cursor.fetchall()]


async def _delete(connection: psycopg.AsyncConnection[Row], params: dict[str, str]) -> list[Row]:
    """Delete a rating within a transaction, and return the deleted rows."""
    await connection.execute(SQL["begin"])
    return await (await connection.execute(SQL["delete"], params)).fetchall()


async def _locked_users(connection: psycopg.AsyncConnection[Row], user_ids: Sequence[str]) -> dict[int, str]:
    """Return the external ids of users by internal id, new ones added; they cannot be erased until the commit.

    Raises:
        Interfered: a user was erased between the two statements.
    """
    params = {"external_ids": user_ids}
    await connection.execute(SQL["add_users"], params)
    rows = await (await connection.execute(SQL["lock_users"], params)).fetchall()
    if len(rows) < len(user_ids):
        raise Interfered
    return {row["id"]: row["external_id"] for row in rows}


def _check_scale(ratings: Sequence[NewRating], scale: RatingScale) -> None:
    """Raise ``InvalidInput`` for ratings off the scale, naming the first."""
    on_scale = scale.holds(np.array([rating.rating for rating in ratings], np.float32))
    if not on_scale.all():
        first = int(np.argmin(on_scale))
        span = f"this catalogue's ratings go from {scale.lowest:g} to {scale.highest:g}"
        message = f"rating {ratings[first].rating:g} of film {ratings[first].movie_id} is off the scale: {span}"
        raise InvalidInput(message)


async def _movie_ids_of(connection: psycopg.AsyncConnection[Row], ratings: Sequence[NewRating]) -> dict[Named, int]:
    """Return the internal ids of the rated movies by naming and id; raise ``NotFound`` for unknown ones."""
    wanted = sorted({_name_of(rating) for rating in ratings})
    movie_ids: dict[Named, int] = {}
    for naming in sorted({naming for naming, _ in wanted}):
        given = {"ids": [movie_id for other, movie_id in wanted if other == naming]}
        cursor = await connection.execute(SQL[f"by_{naming}"], given)
        movie_ids |= {(naming, row["given"]): row["id"] for row in await cursor.fetchall()}
    missing = [name for name in wanted if name not in movie_ids]
    if unknown := [movie if naming == "movie_id" else f"{naming} {movie}" for naming, movie in missing]:
        more = f" and {len(unknown) - MAX_NAMED} more" if len(unknown) > MAX_NAMED else ""
        message = f"not in the catalogue: film {', '.join(unknown[:MAX_NAMED])}{more}; nothing was written"
        raise NotFound(message)
    return movie_ids


def _name_of(rating: NewRating) -> Named:
    """Return the naming and id of a movie; IMDb's numbers in their shortest form."""
    return rating.naming, imdb_number(rating.movie_id) if rating.naming == "imdb_id" else rating.movie_id


def _columns(
    ratings: Sequence[NewRating], movie_ids: dict[Named, int], names: Mapping[int, str]
) -> dict[str, list[Any]]:
    """Return the ratings as one array for each column, the last of each user and movie only."""
    user_ids = {name: user_id for user_id, name in names.items()}
    last = {(user_ids[rating.user_id], movie_ids[_name_of(rating)]): rating for rating in ratings}
    return {
        "user_ids": [user_id for user_id, _ in last],
        "movie_ids": [movie_id for _, movie_id in last],
        "ratings": [rating.rating for rating in last.values()],
        "rated_at": [rating.rated_at for rating in last.values()],
    }


def _is_integer(text: str) -> bool:
    """Return whether a text is an integer as JSON would write it."""
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdecimal() and (digits == "0" or not digits.startswith("0"))
