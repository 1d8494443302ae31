"""Asks another version the questions that the served one has answered, beside the requests, and keeps both lists.

An answer is offered after it was made and before nobody waits for it: the queue is bounded, one question at a time is
asked in a thread, and whatever goes wrong is counted and disturbs nothing.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cineclub.domain.errors import BrokenArtifact, StorageUnavailable
from cineclub.domain.live_comparison import (
    Composer,
    Purpose,
    overlap,
    probation_of,
    rank_overlap,
    served_alone,
)
from cineclub.domain.questions import Question
from cineclub.domain.ratings import UserRatings
from cineclub.domain.recommendations import PredictionResponse
from cineclub.ports import ComparedAnswer, ComparisonMetrics, ComparisonStore, LiveModel, Standing

log = logging.getLogger(__name__)

MAX_WAITING = 200
BATCH_SIZE = 50
RETRY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Rival:
    """A version to be asked beside the served one, and where its local copy is.

    ``artifact_folder`` is the name that a promotion gave to the copy, empty where there was none.
    """

    purpose: Purpose
    served_version: int
    version: int
    manifest_sha256: str
    artifact_folder: str = ""


LoadRival = Callable[[Rival], LiveModel]
"""Returns the checked model of a rival, or raises ``BrokenArtifact``."""

ListFilms = Callable[[LiveModel, Question, UserRatings, datetime], Sequence[int]]
"""Returns the films that a model answers a question with, by internal id, best first."""


@dataclass(frozen=True, slots=True)
class ShadowRules:
    """What is compared: a challenger or none, for how many days after a promotion (0: never), which share of answers.

    ``look_seconds`` says how often it is looked which versions there are to compare.
    """

    has_challenger: bool
    probation_days: float
    share: float
    look_seconds: float


@dataclass(frozen=True, slots=True)
class Offered:
    """An answer with what it was made from."""

    question: Question
    known: UserRatings
    response: PredictionResponse
    answered_at: datetime


class Shadow:
    """Implements the port ``AnswerObserver``, and runs beside the requests."""

    def __init__(
        self,
        store: ComparisonStore,
        load: LoadRival,
        list_films: ListFilms,
        metrics: ComparisonMetrics,
        rules: ShadowRules,
        now: Callable[[], datetime],
        chance: Callable[[], float],
    ) -> None:
        """Take where versions and comparisons are, how a version is loaded and asked; ``chance`` gives 0 up to 1."""
        self._store = store
        self._load = load
        self._list_films = list_films
        self._metrics = metrics
        self._rules = rules
        self._now = now
        self._chance = chance
        self._compose: Composer = served_alone
        self._rivals: dict[Rival, LiveModel] = {}
        self._refused_until: dict[Rival, float] = {}
        self._waiting: deque[Offered] = deque()
        self._in_hand: Offered | None = None
        self._unwritten: list[ComparedAnswer] = []
        self._has_arrived = asyncio.Event()
        self._failed: set[Rival] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_stopping = False

    def offer(self, question: Question, known: UserRatings, response: PredictionResponse) -> None:
        """Put a share of the answers that a rival could have given into the queue; never waits."""
        is_comparable = not response.degraded and any(
            one.served_version == response.model_version for one in self._rivals
        )
        if not is_comparable or self._chance() >= self._rules.share:
            return
        if len(self._waiting) >= MAX_WAITING:
            self._metrics.comparison_lost("dropped")
            return
        self._waiting.append(Offered(question, known, response, self._now()))
        self._has_arrived.set()

    def forget(self, user_id: str) -> None:
        """Keep nothing of a user who is erased."""
        self._waiting = deque(one for one in self._waiting if one.question.user_id != user_id)
        self._unwritten = [one for one in self._unwritten if one.user_id != user_id]
        if self._in_hand is not None and self._in_hand.question.user_id == user_id:
            self._in_hand = None

    async def start(self) -> None:
        """Begin to look for versions to compare, and to compare."""
        self._is_stopping = False
        self._tasks = [
            asyncio.create_task(self._repeat(self._look), name="rival versions"),
            asyncio.create_task(self._repeat(self._compare_waiting), name="compared answers"),
        ]

    async def stop(self) -> None:
        """Stop; what was compared is kept, what is still waiting is not compared."""
        self._is_stopping = True  # a query that is cancelled may end as a database error instead
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._unwritten:
            await self._write()

    async def _repeat(self, step: Callable[[], Awaitable[None]]) -> None:
        """Do something again and again for as long as the service lives, whatever goes wrong."""
        while not self._is_stopping:
            try:
                await step()
                continue
            except StorageUnavailable as error:
                log.debug("comparing_waits cause=%s", error)
            except Exception:
                log.exception("comparing_failed")
            if not self._is_stopping:
                await asyncio.sleep(self._rules.look_seconds)

    async def _look(self) -> None:
        """Load the versions that are to be compared now, and let the others go."""
        wanted = self._wanted(await self._store.standing())
        self._rivals = {one: live for one, live in self._rivals.items() if one in wanted}
        for rival in wanted:
            if rival not in self._rivals and asyncio.get_running_loop().time() >= self._refused_until.get(rival, 0.0):
                await self._bring_in(rival)
        await asyncio.sleep(self._rules.look_seconds)

    def _wanted(self, standing: Standing) -> list[Rival]:
        """Return the versions to compare with the one that serves."""
        if not standing.promotions:
            return []
        served = standing.promotions[0].version
        wanted = []
        days = self._rules.probation_days
        probation = probation_of(standing.promotions, days) if days else None
        if probation is not None and not probation.is_over(self._now()):
            former = next(one for one in standing.promotions if one.version == probation.former_version)
            wanted.append(Rival("probation", served, former.version, former.manifest_sha256, former.artifact_folder))
        if self._rules.has_challenger and standing.challenger is not None:
            known = standing.challenger.registered
            wanted.append(Rival("shadow", served, known.version, known.manifest_sha256))
        return wanted

    async def _bring_in(self, rival: Rival) -> None:
        """Load a version, or note that it cannot be loaded and try again later."""
        try:
            self._rivals[rival] = await asyncio.to_thread(self._load, rival)
        except BrokenArtifact as error:
            if rival not in self._refused_until:
                log.warning("rival_refused version=%s purpose=%s cause=%s", rival.version, rival.purpose, error)
            self._metrics.comparison_lost("broken_version")
            self._refused_until[rival] = asyncio.get_running_loop().time() + RETRY_SECONDS
            return
        self._refused_until.pop(rival, None)
        log.info("rival_loaded version=%s purpose=%s", rival.version, rival.purpose)

    async def _compare_waiting(self) -> None:
        """Compare what waits, one after the other, and keep it in batches."""
        await self._has_arrived.wait()
        self._has_arrived.clear()
        while self._waiting:
            await self._compare(self._waiting.popleft())
            if len(self._unwritten) >= BATCH_SIZE or not self._waiting:
                await self._write()

    async def _compare(self, offered: Offered) -> None:
        """Ask every rival the question that was answered, in a thread."""
        self._in_hand = offered
        for rival, live in tuple(self._rivals.items()):
            if rival.served_version != offered.response.model_version:
                continue
            try:
                compared = await asyncio.to_thread(self._compared, offered, rival, live)
            except Exception as error:  # noqa: BLE001 - a rival may fail in any way: it must not end the comparing
                self._note_failure(rival, error)
                continue
            if self._in_hand is not None:
                self._unwritten.append(compared)
                self._metrics.answer_compared(rival.purpose)
        self._in_hand = None

    def _compared(self, offered: Offered, rival: Rival, live: LiveModel) -> ComparedAnswer:
        """Return both lists; blocks."""
        response = offered.response
        served = [one.movie.movie_id for one in response.recommendations]
        other = self._list_films(live, offered.question, offered.known, offered.answered_at)
        composed = self._compose(served, other)
        return ComparedAnswer(
            recommendation_id=response.recommendation_id,
            purpose=rival.purpose,
            compared_at=offered.answered_at,
            user_id=response.user_id,
            served_version=rival.served_version,
            other_version=rival.version,
            served_movie_ids=composed.served_films,
            other_movie_ids=composed.other_films,
            overlap=overlap(served, other),
            rank_overlap=rank_overlap(served, other),
        )

    def _note_failure(self, rival: Rival, error: Exception) -> None:
        """Count a question that a rival could not answer, and log the first."""
        self._metrics.comparison_lost("failed")
        if rival not in self._failed:
            self._failed.add(rival)
            log.warning("rival_failed version=%s purpose=%s cause=%r", rival.version, rival.purpose, error)

    async def _write(self) -> None:
        """Keep what was compared; what PostgreSQL does not take now is lost and counted."""
        batch, self._unwritten = self._unwritten, []
        try:
            await self._store.write(batch)
        except BaseException as error:
            for _ in batch:
                self._metrics.comparison_lost("not_written")
            if not isinstance(error, StorageUnavailable):
                raise


class NobodyWatches:
    """Implements the port ``AnswerObserver`` where nothing is compared."""

    def offer(self, question: Question, known: UserRatings, response: PredictionResponse) -> None:
        """Do nothing."""

    def forget(self, user_id: str) -> None:
        """Do nothing."""
