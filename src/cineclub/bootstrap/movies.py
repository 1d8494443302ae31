"""Settings -> single movies of the database, read and written without the API."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cineclub.adapters.postgres.movie_writes import PostgresMovieWriter, ReadOnlyMovies
from cineclub.adapters.postgres.movies import PostgresMovies
from cineclub.bootstrap.connections import serving_pool
from cineclub.bootstrap.storage import external_schema
from cineclub.domain.errors import Conflict, NotFound
from cineclub.domain.ratings.imported import NewMovie
from cineclub.domain.recommend.records import KnownMovie, WrittenMovies
from cineclub.settings import Settings

Change = Callable[[KnownMovie | None], NewMovie]
"""Returns a movie as it is to be stored, from how it is stored; None for a new one."""


@dataclass(frozen=True, slots=True)
class _Movies:
    """The reader and the writer of movies."""

    reader: PostgresMovies
    writer: PostgresMovieWriter | ReadOnlyMovies

    async def known(self, movie_id: str) -> KnownMovie:
        """Return a movie by the caller's id, or raise NotFound."""
        known = await self.reader.known(movie_id)
        if known is None:
            message = f"there is no film {movie_id[:100]}: cineclub movies add {movie_id[:100]} --title TITLE adds it"
            raise NotFound(message)
        return known


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[_Movies]:
    """Give the reader and the writer of movies, with open connections."""
    pool, schema = serving_pool(settings), external_schema(settings)
    await pool.start()
    try:
        yield _Movies(PostgresMovies(pool, schema), ReadOnlyMovies() if schema else PostgresMovieWriter(pool))
    finally:
        await pool.stop()


async def known_movie(settings: Settings, movie_id: str) -> KnownMovie:
    """Return a movie by the caller's id.

    Raises:
        NotFound: there is no such movie.
    """
    async with _opened(settings) as movies:
        return await movies.known(movie_id)


async def change_movie(
    settings: Settings, movie_id: str, change: Change, *, ids_become_text: bool = False
) -> WrittenMovies:
    """Add a movie or change it, and return the counts.

    Raises:
        ReadOnlySource: movies come from the owner's views.
        Conflict: its id would be the first one that is no integer, and that is not stated.
    """
    async with _opened(settings) as movies:
        new = change(await movies.reader.known(movie_id))
        return await movies.writer.write([new], ids_become_text=ids_become_text)


async def withdraw_movie(settings: Settings, movie_id: str) -> None:
    """Withdraw a movie from all lists.

    Raises:
        ReadOnlySource: movies come from the owner's views.
        NotFound: there is no such movie.
    """
    async with _opened(settings) as movies:
        await movies.known(movie_id)
        await movies.writer.withdraw(movie_id)


async def delete_movie(settings: Settings, movie_id: str) -> None:
    """Delete a movie that nobody has rated.

    Raises:
        ReadOnlySource: movies come from the owner's views.
        NotFound: there is no such movie.
        Conflict: somebody has rated it.
    """
    async with _opened(settings) as movies:
        known = await movies.known(movie_id)
        if known.n_ratings and isinstance(movies.writer, PostgresMovieWriter):
            message = (
                f"{known.n_ratings:,} ratings are of film {movie_id[:100]}, and they would be lost: "
                f"cineclub movies remove {movie_id[:100]} --withdraw keeps them, and nobody is recommended it"
            )
            raise Conflict(message)
        await movies.writer.delete(movie_id)
