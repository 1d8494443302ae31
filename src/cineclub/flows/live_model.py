"""The model that serves: loaded when a new version is promoted, swapped between two requests."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from cineclub.domain.errors import BrokenArtifact, StorageUnavailable
from cineclub.domain.movies.catalogue import Catalogue
from cineclub.domain.promotion.records import ProductionState, Promotion, RequestedBy
from cineclub.domain.promotion.versions import VersionKey
from cineclub.domain.recommend.live_model import LiveModel
from cineclub.ports import ModelStore
from cineclub.runtime.periodic_tasks import Intervals, PeriodicTask

log = logging.getLogger(__name__)

MAX_RETRY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class LiveModelMetrics:
    """Receivers of the version that serves from now on, of each failed load, and of the refusals by requester."""

    served: Callable[[Promotion], None]
    load_failed: Callable[[], None]
    refusals: Callable[[Mapping[RequestedBy, int]], None]


class LiveModelHolder:
    """The promoted model in memory; a broken or missing version never replaces a model that serves."""

    def __init__(
        self,
        read_production: Callable[[], Awaitable[ProductionState]],
        store: ModelStore,
        metrics: LiveModelMetrics,
        poll_seconds: float,
        after_swap: Callable[[], None] = lambda: None,
    ) -> None:
        """Read the newest promotion every ``poll_seconds``, and load its version from the store.

        ``after_swap`` is called in a thread once a model has been replaced by another.
        """
        self._read_production = read_production
        self._store = store
        self._metrics = metrics
        self._poll_seconds = poll_seconds
        self._after_swap = after_swap
        self._live: LiveModel | None = None
        self._catalogue: Catalogue | None = None
        self._polling = PeriodicTask("live_model", self.refresh, Intervals(poll_seconds, poll_seconds))
        self._refused: VersionKey | None = None
        self._retry_seconds = 0.0
        self._retry_at = 0.0
        self.promotion: Promotion | None = None
        self.movie_ids_are_integers: bool | None = None

    def current(self) -> LiveModel | None:
        """Return the model that serves now; None before the first one was loaded."""
        return self._live

    async def take_catalogue(self, catalogue: Catalogue) -> None:
        """Serve the movies of a catalogue from the next request on, with this model and later ones."""
        self._catalogue = catalogue
        await self._keep_up()

    async def start(self) -> None:
        """Load the promoted model, or the last good local copy while PostgreSQL is away, then keep polling."""
        try:
            await self.refresh()
        except StorageUnavailable:
            log.warning("database_away_at_start")
        if self._live is None:
            await self._serve_last_good()
        await self._polling.start()

    async def stop(self) -> None:
        """Stop polling; the loaded model stays usable."""
        await self._polling.stop()

    async def refresh(self) -> None:
        """Read the newest promotion, and load its version if another one serves now.

        Raises:
            StorageUnavailable: PostgreSQL does not answer; the loaded model keeps serving.
        """
        state = await self._read_production()
        self.movie_ids_are_integers = state.movie_ids_are_integers
        self._metrics.refusals(state.n_refusals)
        if state.promotion is not None and self._is_due(state.promotion):
            await self._serve(state.promotion, state)

    def _is_due(self, promotion: Promotion) -> bool:
        """Return whether this promotion is not served yet, and was not refused a moment ago."""
        if self.promotion is not None and promotion.key == self.promotion.key:
            self.promotion = promotion
            return False
        return promotion.key != self._refused or asyncio.get_running_loop().time() >= self._retry_at

    async def _serve(self, promotion: Promotion, state: ProductionState) -> None:
        """Load a promoted version and serve it; keep the present one where it is broken."""
        try:
            live = await asyncio.to_thread(self._loaded, promotion)
        except BrokenArtifact as error:
            self._refuse(promotion, error)
            return
        self._swap(promotion, live)
        await self._keep_up()
        await asyncio.to_thread(self._store.note_served, promotion, movie_ids_are_integers=state.movie_ids_are_integers)
        await asyncio.to_thread(self._after_swap)

    def _loaded(self, promotion: Promotion) -> LiveModel:
        """Return the checked model of a promotion's local copy."""
        live = LiveModel.of(promotion.version, *self._store.read(*promotion.key, promotion.artifact_folder))
        return live if self._catalogue is None else live.within(self._catalogue)

    async def _keep_up(self) -> None:
        """Give the model that serves the movies of the newest catalogue, which may change meanwhile, as the model may.

        The model serves with the movies of before until it is ready.
        """
        while (live := self._live) is not None and (catalogue := self._catalogue) is not None:
            if live.has_movies_of(catalogue):
                return
            extended = await asyncio.to_thread(live.within, catalogue)
            if self._live is live:
                self._live = extended

    def _swap(self, promotion: Promotion, live: LiveModel) -> None:
        """Serve a loaded model from the next request on."""
        self._live, self.promotion = live, promotion
        self._refused, self._retry_seconds = None, 0.0
        self._metrics.served(promotion)
        log.info("model_served version=%s recipe=%s", promotion.version, promotion.recipe)

    def _refuse(self, promotion: Promotion, error: BrokenArtifact) -> None:
        """Count and log a broken version; try again later, in case its files were still being copied."""
        if promotion.key != self._refused:
            log.error("model_refused version=%s cause=%s", promotion.version, error)
            self._retry_seconds = 0.0
        self._metrics.load_failed()
        self._refused = promotion.key
        self._retry_seconds = min(MAX_RETRY_SECONDS, max(self._poll_seconds, 2 * self._retry_seconds))
        self._retry_at = asyncio.get_running_loop().time() + self._retry_seconds

    async def _serve_last_good(self) -> None:
        """Serve the first local copy that is sound, beginning with the one that served last."""
        for copy in await asyncio.to_thread(self._store.servable_copies):
            try:
                live = await asyncio.to_thread(self._loaded, copy.promotion)
            except BrokenArtifact as error:
                self._refuse(copy.promotion, error)
                continue
            self._swap(replace(copy.promotion, recipe=live.fitted.recipe), live)
            await self._keep_up()
            if self.movie_ids_are_integers is None:
                self.movie_ids_are_integers = copy.movie_ids_are_integers
            return
