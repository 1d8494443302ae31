"""Single ratings written while serving: all of a request or none."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import psycopg

from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.postgres.sessions import Row, named_queries
from cineclub.domain.errors import InvalidInput, NotFound, ReadOnlySource
from cineclub.domain.films import imdb_number
from cineclub.domain.questions import Naming
from cineclub.domain.ratings import RatingScale
from cineclub.ports import NewRating

SQL = named_queries("rating_writes.sql")
MAX_NAMED = 10
Named = tuple[Naming, str]
WRITE_THEM_THERE = "ratings come from your own views (CINECLUB_SOURCE=external), change them in your own system"


class PostgresRatingWriter:
    """Implements the port ``RatingWriter`` on our own tables."""

    def __init__(self, pool: ServingPool, forget: Callable[[str], None]) -> None:
        """Use the pool of the request path; ``forget`` is told whose ratings may have changed, before we return."""
        self._pool = pool
        self._forget = forget

    async def write(self, ratings: Sequence[NewRating]) -> None:
        """Write all the ratings or none; of two ratings of one film by one user the last counts.

        Raises:
            InvalidInput: a rating is off the catalogue's scale.
            NotFound: a film is not in the catalogue.
            StorageUnavailable: PostgreSQL does not answer.
        """
        user_ids = sorted({one.user_id for one in ratings})
        try:
            await self._write(ratings, user_ids)
        finally:  # after an error too: a line that breaks at the commit does not say whether it took place
            for user_id in user_ids:
                self._forget(user_id)

    async def _write(self, ratings: Sequence[NewRating], user_ids: Sequence[str]) -> None:
        """Write in one transaction."""
        async with self._pool.connection(limit_seconds=10.0) as connection, connection.transaction():
            if not all(map(_is_integer, user_ids)):
                await connection.execute(SQL["note_text_user_ids"])
            catalogue = await (await connection.execute(SQL["catalogue"])).fetchone()
            if catalogue is None:
                message = "there are no films yet: import some with `cineclub import`"
                raise NotFound(message)
            _check_scale(ratings, RatingScale(catalogue["lowest"], catalogue["highest"]))
            movie_ids = await _movie_ids_of(connection, ratings)
            await connection.execute(SQL["add_users"], {"external_ids": user_ids})
            await connection.execute(SQL["upsert"], _columns(ratings, movie_ids))

    async def delete(self, user_id: str, movie_id: str) -> None:
        """Take one rating back.

        Raises:
            NotFound: there is no such rating.
            StorageUnavailable: PostgreSQL does not answer.
        """
        try:
            async with self._pool.connection() as connection:
                cursor = await connection.execute(SQL["delete"], {"user_id": user_id, "movie_id": movie_id})
                is_deleted = await cursor.fetchone() is not None
        finally:
            self._forget(user_id)
        if not is_deleted:
            message = f"user {user_id} has not rated film {movie_id}"
            raise NotFound(message)


class ReadOnlyRatings:
    """Implements the port ``RatingWriter`` where ratings come from the owner's views: refuses everything."""

    async def write(self, ratings: Sequence[NewRating]) -> None:
        """Refuse.

        Raises:
            ReadOnlySource: always.
        """
        message = f"{len(ratings)} ratings were not written: {WRITE_THEM_THERE}"
        raise ReadOnlySource(message)

    async def delete(self, user_id: str, movie_id: str) -> None:
        """Refuse.

        Raises:
            ReadOnlySource: always.
        """
        message = f"the rating of film {movie_id} by user {user_id} was not deleted: {WRITE_THEM_THERE}"
        raise ReadOnlySource(message)


def _check_scale(ratings: Sequence[NewRating], scale: RatingScale) -> None:
    """Refuse ratings off the scale, naming the first."""
    on_scale = scale.holds(np.array([one.rating for one in ratings], np.float32))
    if not on_scale.all():
        first = int(np.argmin(on_scale))
        message = (
            f"rating {ratings[first].rating:g} of film {ratings[first].movie_id} is off the scale: "
            f"this catalogue's ratings go from {scale.lowest:g} to {scale.highest:g}"
        )
        raise InvalidInput(message)


async def _movie_ids_of(connection: psycopg.AsyncConnection[Row], ratings: Sequence[NewRating]) -> dict[Named, int]:
    """Return the internal ids of the rated films by how they are named; refuse unknown films by name."""
    wanted = sorted({_name_of(one) for one in ratings})
    found: dict[Named, int] = {}
    for naming in sorted({naming for naming, _ in wanted}):
        given = {"ids": [film_id for other, film_id in wanted if other == naming]}
        cursor = await connection.execute(SQL[f"by_{naming}"], given)
        found |= {(naming, row["given"]): row["id"] for row in await cursor.fetchall()}
    unknown = [
        f"{'' if naming == 'movie_id' else naming + ' '}{film}"
        for naming, film in wanted
        if (naming, film) not in found
    ]
    if unknown:
        more = f" and {len(unknown) - MAX_NAMED} more" if len(unknown) > MAX_NAMED else ""
        message = f"not in the catalogue: film {', '.join(unknown[:MAX_NAMED])}{more}; nothing was written"
        raise NotFound(message)
    return found


def _name_of(one: NewRating) -> Named:
    """Return how a film is named; IMDb's numbers in one way of writing."""
    return one.naming, imdb_number(one.movie_id) if one.naming == "imdb_id" else one.movie_id


def _columns(ratings: Sequence[NewRating], movie_ids: dict[Named, int]) -> dict[str, list[Any]]:
    """Return the ratings as one array for each column, the last of each user and film only."""
    last = {(one.user_id, movie_ids[_name_of(one)]): one for one in ratings}
    return {
        "user_ids": [user_id for user_id, _ in last],
        "movie_ids": [movie_id for _, movie_id in last],
        "ratings": [one.rating for one in last.values()],
        "rated_at": [one.rated_at for one in last.values()],
    }


def _is_integer(text: str) -> bool:
    """Say whether a text is an integer as JSON would write it."""
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdecimal() and (digits == "0" or not digits.startswith("0"))
