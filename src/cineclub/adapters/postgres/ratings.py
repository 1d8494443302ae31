"""All ratings and movies of one moment, read for a training."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Literal

import psycopg
from psycopg import sql

from cineclub.adapters.postgres.copy_stream import RatingColumns, read_ratings
from cineclub.adapters.postgres.external_source import ExternalSource
from cineclub.adapters.postgres.movies import movie_of
from cineclub.adapters.postgres.sessions import Row, connect, named_queries, session, storage_errors
from cineclub.domain.errors import InvalidInput, NotEnoughData, StorageUnavailable
from cineclub.domain.ratings.canonical_order import canonical_order
from cineclub.domain.ratings.import_counts import FutureRatings, SourceFacts
from cineclub.domain.ratings.log import Movie, RatingLog, RatingScale, Snapshot, SnapshotIdentity
from cineclub.domain.recommend.recommender import Progress

SQL = named_queries("ratings.sql")


class PostgresRatingStore:
    """The store of all ratings: cineclub's own tables, or the owner's views mapped to internal ids.

    Its methods raise StorageUnavailable while PostgreSQL does not answer.
    """

    def __init__(self, database_url: str, source: Literal["internal", "external"], external_schema: str) -> None:
        """Take the address; ``external_schema`` is used only where the source is external."""
        self._database_url = database_url
        self._external_schema = external_schema if source == "external" else None

    def load_snapshot(self, progress: Progress) -> Snapshot:
        """Return all ratings and movies of one moment, read in one transaction.

        Users and movies of the owner's views get our ids just before; ratings of users who come later are left out.

        Raises:
            NotEnoughData: nothing was imported yet.
            InvalidInput: the owner's views break the contract.
        """
        with _socket_errors(), storage_errors(), closing(connect(self._database_url)) as connection:
            if self._external_schema:
                ExternalSource(connection, self._external_schema).map_ids()
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            scale, n_ratings = self._extent(connection)
            movies = tuple(map(movie_of, connection.execute(self._query("movies"))))
            statement = self._query("copy").as_bytes(connection)
            columns = read_ratings(connection, statement, n_ratings, progress)
        return _snapshot_of(columns, scale, movies)

    def facts(self) -> SourceFacts:
        """Return exact counts of the source now; zeros where the owner's views do not exist yet."""
        is_writable = self._external_schema is None
        with session(self._database_url) as connection:
            if self._external_schema and not ExternalSource(connection, self._external_schema).has_views():
                return SourceFacts(0, 0, 0, None, is_writable)
            counts = connection.execute(self._query("facts")).fetchall()[0]
            return SourceFacts(**counts, scale=self._scale(connection), is_writable=is_writable)

    def future(self) -> FutureRatings:
        """Return the ratings that are dated after now."""
        with session(self._database_url) as connection:
            return FutureRatings(**connection.execute(self._query("future")).fetchall()[0])

    def count(self) -> int:
        """Return the number of ratings now; StorageUnavailable also where the owner's views do not exist yet."""
        with session(self._database_url) as connection:
            return int(connection.execute(self._query("n_ratings")).fetchall()[0]["n_ratings"])

    def contract_findings(self) -> list[str]:
        """Return the faults of the owner's views with their corrections; our own tables have none."""
        if self._external_schema is None:
            return []
        with session(self._database_url) as connection:
            return ExternalSource(connection, self._external_schema).findings()

    def _extent(self, connection: psycopg.Connection[Row]) -> tuple[RatingScale, int]:
        """Return the scale and the number of ratings, or raise NotEnoughData."""
        scale = self._scale(connection)
        n_ratings: int = connection.execute(self._query("n_ratings")).fetchall()[0]["n_ratings"]
        if scale is None or n_ratings == 0:
            message = "there are no ratings to learn from: run `cineclub import PATH`, or `cineclub demo` for real ones"
            if self._external_schema:
                message = f"the view {self._external_schema}.ratings is empty: let it show ratings, then train again"
            raise NotEnoughData(message)
        return scale, n_ratings

    def _scale(self, connection: psycopg.Connection[Row]) -> RatingScale | None:
        """Return the rating scale of the source."""
        if self._external_schema:
            return ExternalSource(connection, self._external_schema).scale()
        rows = connection.execute(SQL["scale"]).fetchall()
        return RatingScale(**rows[0]) if rows else None

    def _query(self, name: str) -> sql.Composed:
        """Return the query of this name for the source."""
        if self._external_schema:
            return sql.SQL(SQL[f"{name}_external"]).format(schema=sql.Identifier(self._external_schema))
        return sql.Composed([sql.SQL(SQL[name])])


@contextmanager
def _socket_errors() -> Iterator[None]:
    """Raise StorageUnavailable where the socket breaks while it is read directly."""
    try:
        yield
    except OSError as error:
        message = "PostgreSQL went away while ratings were read: run `cineclub doctor`, then try again"
        raise StorageUnavailable(message, str(error)) from error


def _snapshot_of(columns: RatingColumns, scale: RatingScale, movies: tuple[Movie, ...]) -> Snapshot:
    """Return the snapshot of ratings in any order; sorted in place, to need less memory."""
    if not scale.holds(columns.ratings).all():
        message = f"some ratings are not between {scale.lowest:g} and {scale.highest:g}: `cineclub doctor` counts them"
        raise InvalidInput(message)
    arrays = (columns.user_ids, columns.movie_ids, columns.ratings, columns.rated_at)
    order = canonical_order(columns.user_ids, columns.movie_ids, columns.rated_at)
    if order is not None:
        for array in arrays:
            array[:] = array[order]
    log = RatingLog(*arrays, scale)
    return Snapshot(log, movies, SnapshotIdentity.of(log, movies))
