"""The catalogue in memory: read at the start, and again when movies change."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic

from cineclub.domain.errors import StorageUnavailable
from cineclub.domain.movies.catalogue import Catalogue, Popularity
from cineclub.domain.ratings.log import Movie, next_known_at
from cineclub.runtime.periodic_tasks import Intervals, PeriodicTask

FRESH_SECONDS = 60.0
"""The age up to which a catalogue is used without a look at PostgreSQL."""

RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class CatalogueReads:
    """Queries on the movies; each raises ``StorageUnavailable`` while PostgreSQL is away.

    Attributes:
        all_movies: returns all movies by rising internal id.
        movies_of: returns movies by internal id.
        popularity: returns the popularity of all time, counted at most a minute ago.
    """

    all_movies: Callable[[], Awaitable[Sequence[Movie]]]
    movies_of: Callable[[Sequence[int]], Awaitable[Mapping[int, Movie]]]
    popularity: Callable[[], Awaitable[Popularity]]


class CatalogueKeeper:
    """The catalogue, and its receiver, which gets one with other movies.

    Changes are noticed within a moment where PostgreSQL sends notices, else within a minute.
    """

    def __init__(
        self,
        reads: CatalogueReads,
        receive: Callable[[Catalogue], Awaitable[None]],
        has_notices: Callable[[], bool],
        now: Callable[[], datetime],
        seconds: Callable[[], float] = monotonic,
    ) -> None:
        """Take the queries, the receiver of a catalogue with other movies, and whether every change is noticed.

        Labels that are dated after ``now`` do not count.
        """
        self._reads = reads
        self._receive = receive
        self._has_notices = has_notices
        self._now = now
        self._seconds = seconds
        self._catalogue: Catalogue | None = None
        self._received: Sequence[Movie] | None = None
        self._read_at = 0.0
        self._changed_ids: set[int] = set()
        self._is_unknown = True
        self._next_known_at: datetime | None = None
        self._has_changed = asyncio.Event()
        self._reading = asyncio.Lock()
        self._watching = PeriodicTask("catalogue", self._follow, Intervals(0.0, after_failure=RETRY_SECONDS))

    async def start(self) -> None:
        """Read the catalogue, unless PostgreSQL is away, and follow its changes in the background."""
        with contextlib.suppress(StorageUnavailable):
            await self.get()
        await self._pass_on()
        await self._watching.start()

    async def stop(self) -> None:
        """Stop to follow changes; the catalogue stays usable."""
        await self._watching.stop()

    def last(self) -> Catalogue | None:
        """Return the catalogue that was read last, however old; None before the first."""
        return self._catalogue

    async def get(self) -> Catalogue:
        """Return the catalogue with all changes that were noticed, its popularity at most a minute old.

        Raises:
            StorageUnavailable: it has to be read and PostgreSQL does not answer.
        """
        async with self._reading:
            is_old = self._seconds() - self._read_at > FRESH_SECONDS
            if self._catalogue is None or self._is_unknown or (is_old and not self._has_notices()):
                await self._read_all()
            else:
                if self._changed_ids:
                    await self._read_changes(self._catalogue)
                if is_old:
                    await self._read_popularity(self._catalogue)
            assert self._catalogue is not None  # noqa: S101 - both reads set it
            if self._catalogue.movies is not self._received:
                self._has_changed.set()
            return self._catalogue

    def note_changes(self, movie_ids: Sequence[int] | None) -> None:
        """Note that movies changed, by internal id; None for any."""
        if movie_ids is None:
            self._is_unknown = True
        else:
            self._changed_ids.update(movie_ids)
        if self._is_behind:
            self._has_changed.set()

    async def _follow(self) -> None:
        """Wait for a change, at most a minute, read it, and pass other movies on."""
        if not self._is_behind:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._has_changed.wait(), FRESH_SECONDS)
        self._has_changed.clear()
        is_due = self._next_known_at is not None and self._now() >= self._next_known_at
        if is_due or not self._has_notices():
            self._is_unknown = True
        if self._is_behind:
            await self.get()
        await self._pass_on()

    @property
    def _is_behind(self) -> bool:
        """Whether there is something to read."""
        return self._catalogue is None or self._is_unknown or bool(self._changed_ids)

    async def _pass_on(self) -> None:
        """Pass the catalogue on, unless its movies were passed on before."""
        catalogue = self._catalogue
        if catalogue is not None and catalogue.movies is not self._received:
            await self._receive(catalogue)
            self._received = catalogue.movies

    async def _read_all(self) -> None:
        """Read every movie, and index them in a thread; the indexes stay where no movie has changed."""
        noted, was_unknown = self._changed_ids, self._is_unknown
        self._changed_ids, self._is_unknown = set(), False
        try:
            movies, moment = await self._reads.all_movies(), self._now()
            popularity = dict(await self._reads.popularity())
            scores = [popularity.get(movie.movie_id, 0.0) for movie in movies]
            self._catalogue = await asyncio.to_thread(_indexed, self._catalogue, movies, scores, moment)
        except BaseException:
            self._changed_ids |= noted
            self._is_unknown |= was_unknown
            raise
        self._read_at = self._seconds()
        self._next_known_at = next_known_at(movies, moment)

    async def _read_changes(self, catalogue: Catalogue) -> None:
        """Read the movies that changed, and index all in a thread, unless they are the same as before."""
        noted, self._changed_ids = self._changed_ids, set()
        try:
            movies, moment = await self._reads.movies_of(sorted(noted)), self._now()
            changes = {movie_id: _as_in_lists(movies.get(movie_id), moment) for movie_id in noted}
            changes = {
                movie_id: movie for movie_id, movie in changes.items() if movie != _movie_in(catalogue, movie_id)
            }
            if changes:
                self._catalogue = await asyncio.to_thread(catalogue.with_changes, changes)
        except BaseException:
            self._changed_ids |= noted
            raise
        pending = (self._next_known_at, next_known_at(movies.values(), moment))
        self._next_known_at = min((moment for moment in pending if moment is not None), default=None)

    async def _read_popularity(self, catalogue: Catalogue) -> None:
        """Read the popularity of the movies alone."""
        popularity = dict(await self._reads.popularity())
        current = self._catalogue or catalogue
        self._catalogue = current.with_popularity([popularity.get(movie.movie_id, 0.0) for movie in current.movies])
        self._read_at = self._seconds()


def _indexed(
    former: Catalogue | None, movies: Sequence[Movie], popularity: Sequence[float], moment: datetime
) -> Catalogue:
    """Return the catalogue of movies; that of before with another popularity if they are the same."""
    known = [movie.known_at(moment) for movie in movies]
    if former is not None and list(former.movies) == known:
        return former.with_popularity(popularity)
    return Catalogue.of(known, popularity)


def _as_in_lists(movie: Movie | None, moment: datetime) -> Movie | None:
    """Return a movie as a catalogue has it: with the labels that are known, without its overview."""
    return None if movie is None else replace(movie.known_at(moment), overview=None)


def _movie_in(catalogue: Catalogue, movie_id: int) -> Movie | None:
    """Return a movie of a catalogue by internal id."""
    position = catalogue.positions.get(movie_id)
    return None if position is None else catalogue.movies[position]
