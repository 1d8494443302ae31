"""The simulated users of a day: each requests recommendations over HTTP, then rates a movie."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks.month.scores import TOP_K
from cineclub.client import Client, ServiceError
from cineclub.client.calls import Id

N_LANES = 3
REQUEST_SECONDS = 30.0
RETRY_SECONDS = 0.25
GIVE_UP_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Visit:
    """One rating to give: user, movie, value, and the time it is due (``time.time``)."""

    day: int
    user_code: int
    movie_code: int
    user_id: Id
    movie_id: Id
    rating: float
    due_at: float


@dataclass(frozen=True, slots=True)
class VisitResult:
    """The requests of one visit.

    Attributes:
        visit: the rating to give.
        requested_at: time of the request for recommendations (``time.time``).
        version: the version that answered; 0 without an answer.
        rank: the rank of the visit's movie in the list, from 1; 0 where the list does not hold it.
        is_degraded: whether the list was made without the database.
        predict_seconds: latency of the list; NaN without one.
        rate_seconds: latency of the rating, that of the attempt that succeeded; NaN if none did.
        n_failed: number of failed requests.
        is_rated: whether the service accepted the rating in the end.
    """

    visit: Visit
    requested_at: float
    version: int
    rank: int
    is_degraded: bool
    predict_seconds: float
    rate_seconds: float
    n_failed: int
    is_rated: bool


class Visitors:
    """Plays days: each user keeps to one of a few lanes, so that their requests stay in order."""

    def __init__(self, address: str, stopping: threading.Event) -> None:
        """Open one client per lane."""
        self._clients = [Client(address, timeout=REQUEST_SECONDS, retries=0) for _ in range(N_LANES)]
        self._pool = ThreadPoolExecutor(N_LANES, "lane")
        self._stopping = stopping

    def close(self) -> None:
        """Stop the lanes and close their clients."""
        self._pool.shutdown(cancel_futures=True)
        for client in self._clients:
            client.close()

    def play(self, visits: Sequence[Visit]) -> list[VisitResult]:
        """Return the results of the visits, in order of their due times, once all of them are over."""
        lanes = [[visit for visit in visits if visit.user_code % N_LANES == nth] for nth in range(N_LANES)]
        futures = [self._pool.submit(self._play_lane, *lane) for lane in zip(self._clients, lanes, strict=True)]
        results = [result for future in futures for result in future.result()]
        return sorted(results, key=lambda result: result.visit.due_at)

    def _play_lane(self, client: Client, visits: Sequence[Visit]) -> list[VisitResult]:
        """Play the visits of one lane, none before it is due."""
        results = []
        for visit in visits:
            if self._stopping.wait(max(0.0, visit.due_at - time.time())):
                break
            results.append(self._play_visit(client, visit))
        return results

    def _play_visit(self, client: Client, visit: Visit) -> VisitResult:
        """Request a list once, then send the rating until the service accepts it."""
        requested_at, started = time.time(), time.perf_counter()
        version, rank, is_degraded, predict_seconds, n_failed = 0, 0, False, float("nan"), 0
        try:
            response = client.predict(visit.user_id, top_n=TOP_K)
            predict_seconds = time.perf_counter() - started
            version = response.model.version if response.model else 0
            is_degraded = response.degraded
            movie_ids = [str(recommendation.movie_id) for recommendation in response.recommendations]
            rank = movie_ids.index(str(visit.movie_id)) + 1 if str(visit.movie_id) in movie_ids else 0
        except ServiceError:
            n_failed = 1
        rate_seconds, n_failed_ratings = self._rate(client, visit)
        return VisitResult(
            visit=visit,
            requested_at=requested_at,
            version=version,
            rank=rank,
            is_degraded=is_degraded,
            predict_seconds=predict_seconds,
            rate_seconds=float("nan") if rate_seconds is None else rate_seconds,
            n_failed=n_failed + n_failed_ratings,
            is_rated=rate_seconds is not None,
        )

    def _rate(self, client: Client, visit: Visit) -> tuple[float | None, int]:
        """Send the rating until it is accepted; return its latency, None if it never was, and the failed attempts."""
        give_up_at = time.monotonic() + GIVE_UP_SECONDS
        n_failed = 0
        while time.monotonic() < give_up_at and not self._stopping.is_set():
            started = time.perf_counter()
            try:
                client.rate(visit.user_id, visit.movie_id, visit.rating)
            except ServiceError:
                n_failed += 1
                self._stopping.wait(RETRY_SECONDS)
            else:
                return time.perf_counter() - started, n_failed
        return None, n_failed
