"""The shadow: other versions recommend for the requests of the serving one, and both lists are stored.

Responses are observed after they were made, and no request waits: the queue is bounded, one response at a time is
compared in a thread, and failures are counted and disturb nothing.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cineclub.domain.errors import BrokenArtifact, StorageUnavailable
from cineclub.domain.movies.catalogue import Catalogue
from cineclub.domain.promotion.online_comparison import (
    Compose,
    Purpose,
    overlap,
    probation_of,
    rank_overlap,
    served_alone,
)
from cineclub.domain.promotion.online_records import ComparedResponse, Standing
from cineclub.domain.recommend.live_model import LiveModel
from cineclub.domain.recommend.recommend import history_for, recommend
from cineclub.domain.recommend.recommendations import ServedResponse
from cineclub.runtime.periodic_tasks import Intervals, PeriodicTask

log = logging.getLogger(__name__)

MAX_WAITING = 200
BATCH_SIZE = 50
RETRY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Opponent:
    """A version to compare with the serving one, and its local copy.

    ``artifact_folder`` is the name that a promotion gave to the copy, empty where there was none.
    """

    purpose: Purpose
    served_version: int
    version: int
    manifest_sha256: str
    artifact_folder: str = ""


LoadOpponent = Callable[[Opponent], LiveModel]
"""Returns the verified model of an opponent; raises ``BrokenArtifact``."""


@dataclass(frozen=True, slots=True)
class ShadowRules:
    """The opponents and the share of responses to compare.

    Attributes:
        has_challenger: the challenger is an opponent.
        probation_days: the former version is an opponent for so long after a promotion; 0: never.
        share: the share of responses, 0 to 1.
        interval_seconds: the time between two reads of the versions to compare.
    """

    has_challenger: bool
    probation_days: float
    share: float
    interval_seconds: float


@dataclass(frozen=True, slots=True)
class ShadowMetrics:
    """Counters of compared responses by purpose, and of lost ones by cause.

    The causes are dropped, failed, broken_version and not_written.
    """

    compared: Callable[[Purpose], None]
    lost: Callable[[str], None]


class Shadow:
    """Compares responses in the background; implements the port ``ResponseObserver``."""

    def __init__(
        self,
        read_standing: Callable[[], Awaitable[Standing]],
        write: Callable[[Sequence[ComparedResponse]], Awaitable[None]],
        load: LoadOpponent,
        metrics: ShadowMetrics,
        rules: ShadowRules,
        now: Callable[[], datetime],
        random: Callable[[], float],
        last_catalogue: Callable[[], Catalogue | None] = lambda: None,
    ) -> None:
        """Take the queries, which raise ``StorageUnavailable``, and the loader; ``random`` returns 0 up to 1.

        Opponents have the movies of the catalogue that ``last_catalogue`` returns, as the serving version has.
        """
        self._read_standing = read_standing
        self._write_comparisons = write
        self._load = load
        self._metrics = metrics
        self._rules = rules
        self._now = now
        self._random = random
        self._last_catalogue = last_catalogue
        self._recommend = recommend
        self._compose: Compose = served_alone
        self._opponents: dict[Opponent, LiveModel] = {}
        self._retry_at: dict[Opponent, float] = {}
        self._waiting: deque[ServedResponse] = deque()
        self._in_progress: ServedResponse | None = None
        self._unwritten: list[ComparedResponse] = []
        self._has_arrived = asyncio.Event()
        self._failed: set[Opponent] = set()
        interval = rules.interval_seconds
        self._tasks = (
            PeriodicTask("opponents", self._load_opponents, Intervals(interval)),
            PeriodicTask("comparisons", self._compare_waiting, Intervals(0.0, after_failure=interval)),
        )

    def observe(self, served: ServedResponse) -> None:
        """Queue a share of the responses of the version that opponents are compared with; never waits."""
        is_comparable = not served.response.degraded and any(
            opponent.served_version == served.response.model_version for opponent in self._opponents
        )
        if not is_comparable or self._random() >= self._rules.share:
            return
        if len(self._waiting) >= MAX_WAITING:
            self._metrics.lost("dropped")
            return
        self._waiting.append(served)
        self._has_arrived.set()

    def forget(self, user_id: str) -> None:
        """Drop everything about a user who is erased."""
        self._waiting = deque(served for served in self._waiting if served.request.user_id != user_id)
        self._unwritten = [compared for compared in self._unwritten if compared.user_id != user_id]
        if self._in_progress is not None and self._in_progress.request.user_id == user_id:
            self._in_progress = None

    async def start(self) -> None:
        """Start to load opponents, and to compare."""
        for task in self._tasks:
            await task.start()

    async def stop(self) -> None:
        """Stop; compared responses are stored, waiting ones are not compared."""
        for task in self._tasks:
            await task.stop()
        if self._unwritten:
            await self._write()

    async def _load_opponents(self) -> None:
        """Load the versions that are to be compared now, and release the others."""
        wanted = self._wanted(await self._read_standing())
        self._opponents = {opponent: model for opponent, model in self._opponents.items() if opponent in wanted}
        now = asyncio.get_running_loop().time()
        for opponent in wanted:
            if opponent not in self._opponents and now >= self._retry_at.get(opponent, 0.0):
                await self._load_opponent(opponent)

    def _wanted(self, standing: Standing) -> list[Opponent]:
        """Return the versions to compare with the serving one."""
        if not standing.promotions:
            return []
        served = standing.promotions[0].version
        wanted = []
        days = self._rules.probation_days
        probation = probation_of(standing.promotions, days) if days else None
        if probation is not None and not probation.is_over(self._now()):
            former = next(row for row in standing.promotions if row.version == probation.former_version)
            wanted.append(Opponent("probation", served, former.version, former.manifest_sha256, former.artifact_folder))
        if self._rules.has_challenger and standing.challenger is not None:
            challenger = standing.challenger.registered
            wanted.append(Opponent("shadow", served, challenger.version, challenger.manifest_sha256))
        return wanted

    async def _load_opponent(self, opponent: Opponent) -> None:
        """Load a version, or note that it cannot be loaded and try again later."""
        try:
            self._opponents[opponent] = await asyncio.to_thread(self._load, opponent)
        except BrokenArtifact as error:
            if opponent not in self._retry_at:
                log.warning(
                    "opponent_refused version=%s purpose=%s cause=%s", opponent.version, opponent.purpose, error
                )
            self._metrics.lost("broken_version")
            self._retry_at[opponent] = asyncio.get_running_loop().time() + RETRY_SECONDS
            return
        self._retry_at.pop(opponent, None)
        log.info("opponent_loaded version=%s purpose=%s", opponent.version, opponent.purpose)

    async def _compare_waiting(self) -> None:
        """Wait for a response, compare all that wait, one after the other, and store them in batches."""
        await self._has_arrived.wait()
        self._has_arrived.clear()
        while self._waiting:
            await self._compare(self._waiting.popleft())
            if len(self._unwritten) >= BATCH_SIZE or not self._waiting:
                await self._write()

    async def _compare(self, served: ServedResponse) -> None:
        """Compute the recommendations of every opponent, in a thread."""
        self._in_progress = served
        for opponent, loaded in tuple(self._opponents.items()):
            if opponent.served_version != served.response.model_version:
                continue
            try:
                model = await asyncio.to_thread(self._of_newest_catalogue, loaded)
                if opponent in self._opponents:
                    self._opponents[opponent] = model
                compared = await asyncio.to_thread(self._compared, served, opponent, model)
            except Exception as error:  # noqa: BLE001 - an opponent may fail in any way: the others are still compared
                self._metrics.lost("failed")
                if opponent not in self._failed:  # the first failure is logged
                    self._failed.add(opponent)
                    log.warning(
                        "opponent_failed version=%s purpose=%s cause=%r", opponent.version, opponent.purpose, error
                    )
                continue
            if self._in_progress is not None:
                self._unwritten.append(compared)
                self._metrics.compared(opponent.purpose)
        self._in_progress = None

    def _of_newest_catalogue(self, model: LiveModel) -> LiveModel:
        """Return a model with the movies of the newest catalogue; blocks."""
        catalogue = self._last_catalogue()
        return model if catalogue is None or model.has_movies_of(catalogue) else model.within(catalogue)

    def _compared(self, served: ServedResponse, opponent: Opponent, model: LiveModel) -> ComparedResponse:
        """Return a response with the list of an opponent; blocks."""
        history = history_for(model, served.request, served.user_ratings, served.served_at)
        other = self._recommend(model, served.request, history, served.crowd, served.impressions)
        served_movie_ids, other_movie_ids = served.response.recommendation_list.movie_ids, other.movie_ids
        composition = self._compose(served_movie_ids, other_movie_ids)
        return ComparedResponse(
            recommendation_id=served.response.recommendation_id,
            purpose=opponent.purpose,
            compared_at=served.served_at,
            user_id=served.response.user_id,
            served_version=opponent.served_version,
            other_version=opponent.version,
            served_movie_ids=composition.served_movies,
            other_movie_ids=composition.other_movies,
            overlap=overlap(served_movie_ids, other_movie_ids),
            rank_overlap=rank_overlap(served_movie_ids, other_movie_ids),
        )

    async def _write(self) -> None:
        """Store the compared responses; they are lost and counted where PostgreSQL does not take them."""
        batch, self._unwritten = self._unwritten, []
        try:
            await self._write_comparisons(batch)
        except BaseException as error:
            for _ in batch:
                self._metrics.lost("not_written")
            if not isinstance(error, StorageUnavailable):
                raise
