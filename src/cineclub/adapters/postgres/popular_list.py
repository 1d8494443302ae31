"""The popular list in memory: counted again every minute in the background, never while a request waits."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic

from cineclub.domain.errors import CineclubError, StorageUnavailable
from cineclub.domain.ratings import Movie
from cineclub.ports import PopularMovie

log = logging.getLogger(__name__)

FRESH_SECONDS = 60.0
EMPTY_FRESH_SECONDS = 1.0
N_TEXTS_KEPT = 1000

CountRatings = Callable[[], Awaitable[tuple[list[int], list[float]]]]
TextsOf = Callable[[Sequence[int]], Awaitable[dict[int, Movie]]]


class PopularList:
    """Films by popularity; the first request waits for the count, later ones get what is in memory."""

    def __init__(self, count_ratings: CountRatings, texts_of: TextsOf) -> None:
        """Take how ratings are counted and films' texts are read; nothing is counted yet."""
        self._count_ratings = count_ratings
        self._texts_of = texts_of
        self._movie_ids: list[int] = []
        self._scores: list[float] = []
        self._texts: dict[int, Movie] = {}
        self._counted_at = float("-inf")
        self._counting: asyncio.Task[None] | None = None

    @property
    def is_filled(self) -> bool:
        """Say whether there is a list in memory."""
        return bool(self._movie_ids)

    async def best(self, limit: int) -> list[PopularMovie]:
        """Return the most popular films; an empty list if nobody has rated anything."""
        age_seconds = monotonic() - self._counted_at
        if age_seconds > (FRESH_SECONDS if self._movie_ids else EMPTY_FRESH_SECONDS):
            counting = self._count_in_background()
            if not self._movie_ids:
                await asyncio.shield(counting)
        wanted = list(zip(self._movie_ids[:limit], self._scores[:limit], strict=True))
        texts = self._texts
        if limit > N_TEXTS_KEPT:
            with contextlib.suppress(StorageUnavailable):
                texts = await self._texts_of([movie_id for movie_id, _ in wanted])
        return [PopularMovie(texts[movie_id], score) for movie_id, score in wanted if movie_id in texts]

    def _count_in_background(self) -> asyncio.Task[None]:
        """Return the count under way, begun now if there is none."""
        if self._counting is None or self._counting.done():
            self._counting = asyncio.create_task(self._count(), name="popular list")
            self._counting.add_done_callback(_note_failure)
        return self._counting

    async def _count(self) -> None:
        """Count, and put the new list in the place of the old one."""
        movie_ids, scores = await self._count_ratings()
        self._texts = await self._texts_of(movie_ids[:N_TEXTS_KEPT])
        self._movie_ids, self._scores = movie_ids, scores
        self._counted_at = monotonic()


def _note_failure(counting: asyncio.Task[None]) -> None:
    """Log why the list could not be renewed; the old one keeps answering."""
    error = None if counting.cancelled() else counting.exception()
    if error is None:
        return
    cause = error if isinstance(error, CineclubError) else repr(error)
    log.warning("popular_list_not_counted cause=%s", cause)
