"""The people of a simulated day: each asks what to watch over HTTP, then says what they thought of a film."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from cineclub.client import Client, ServiceError
from cineclub.client.calls import Id
from cineclub.domain.replay.scores import TOP_K

N_LANES = 3
REQUEST_SECONDS = 30.0
AGAIN_SECONDS = 0.25
GIVE_UP_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Visit:
    """One rating that is to be given: by whom, of what, when (``time.time``)."""

    day: int
    user_code: int
    movie_code: int
    user_id: Id
    movie_id: Id
    rating: float
    due_at: float


@dataclass(frozen=True, slots=True)
class Encounter:
    """What came of a visit.

    Attributes:
        visit: what was to be done.
        asked_at: when they asked (``time.time``).
        version: which version answered; 0 where nobody did.
        rank: the place of their film in the list, from 1; 0 where it was not there.
        is_degraded: whether the answer was made without the database.
        predict_seconds: how long the answer took; NaN without one.
        rate_seconds: how long it took to take the rating, the time of the attempt that succeeded.
        n_failed: requests that failed.
        is_rated: whether the rating was taken in the end.
        errors: what the failures said.
    """

    visit: Visit
    asked_at: float
    version: int
    rank: int
    is_degraded: bool
    predict_seconds: float
    rate_seconds: float
    n_failed: int
    is_rated: bool
    errors: tuple[str, ...] = ()


class Visitors:
    """Plays days: each person keeps to one of a few lanes, so that what they do stays in order."""

    def __init__(self, address: str, stopping: threading.Event) -> None:
        """Open the lanes."""
        self._clients = [Client(address, timeout=REQUEST_SECONDS, retries=0) for _ in range(N_LANES)]
        self._pool = ThreadPoolExecutor(N_LANES, "lane")
        self._stopping = stopping

    def close(self) -> None:
        """Close the lanes."""
        self._pool.shutdown(cancel_futures=True)
        for client in self._clients:
            client.close()

    def play(self, visits: Sequence[Visit]) -> list[Encounter]:
        """Return what came of the visits, in their order, once all of them are over."""
        lanes = [[visit for visit in visits if visit.user_code % N_LANES == nth] for nth in range(N_LANES)]
        futures = [self._pool.submit(self._lane, *one) for one in zip(self._clients, lanes, strict=True)]
        found = [encounter for future in futures for encounter in future.result()]
        return sorted(found, key=lambda one: one.visit.due_at)

    def _lane(self, client: Client, visits: Sequence[Visit]) -> list[Encounter]:
        """Play the visits of one lane, none before it is due."""
        found = []
        for visit in visits:
            if self._stopping.wait(max(0.0, visit.due_at - time.time())):
                break
            found.append(self._encounter(client, visit))
        return found

    def _encounter(self, client: Client, visit: Visit) -> Encounter:
        """Ask once, then rate until it is taken."""
        errors: list[str] = []
        asked_at, begun = time.time(), time.perf_counter()
        version, rank, is_degraded, predict_seconds = 0, 0, False, float("nan")
        try:
            answer = client.predict(visit.user_id, top_n=TOP_K)
            predict_seconds = time.perf_counter() - begun
            version = answer.model.version if answer.model else 0
            is_degraded = answer.degraded
            listed = [str(one.movie_id) for one in answer.recommendations]
            rank = listed.index(str(visit.movie_id)) + 1 if str(visit.movie_id) in listed else 0
        except ServiceError as error:
            errors.append(str(error))
        rate_seconds = self._rate(client, visit, errors)
        return Encounter(
            visit, asked_at, version, rank, is_degraded, predict_seconds, rate_seconds or float("nan"), len(errors),
            rate_seconds is not None, tuple(errors[:1]),
        )  # fmt: skip

    def _rate(self, client: Client, visit: Visit, errors: list[str]) -> float | None:
        """Give the rating again and again until it is taken; return how long that took, None if it never was."""
        give_up_at = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < give_up_at and not self._stopping.is_set():
            begun = time.perf_counter()
            try:
                client.rate(visit.user_id, visit.movie_id, visit.rating)
            except ServiceError as error:
                errors.append(str(error))
                self._stopping.wait(AGAIN_SECONDS)
            else:
                return time.perf_counter() - begun
        return None
