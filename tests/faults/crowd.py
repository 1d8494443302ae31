"""Users who send requests to an API process continuously, and their responses."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

N_CONNECTIONS = 4
PAUSE_SECONDS = 0.005
TOP_N = 10


@dataclass(frozen=True, slots=True)
class TimedResponse:
    """One response: time of the request, user, duration and contents."""

    requested_at: float
    seconds: float
    is_known_user: bool
    status: int
    document: dict[str, Any]

    @property
    def is_degraded(self) -> bool:
        """Whether the response was made without the database."""
        return bool(self.document.get("degraded"))

    @property
    def is_valid(self) -> bool:
        """Whether the response is a complete list of different films from a model, by rank."""
        movies = self.document.get("recommendations", [])
        return (
            self.status == 200
            and len({movie["movie_id"] for movie in movies}) == TOP_N
            and [movie["rank"] for movie in movies] == list(range(1, TOP_N + 1))
            and self.document["model"] is not None
        )


@dataclass
class Crowd:
    """The responses so far, and the times of events (``time.monotonic``)."""

    url: str
    responses: list[TimedResponse] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def request_until_over(self, nth: int) -> None:
        """Send requests over one connection, for known, unknown and anonymous users in turn."""
        with httpx.Client(base_url=self.url, timeout=30) as client:
            turn = nth
            while not self.is_over.is_set():
                turn += 1
                self.responses.append(timed_request(client, turn))
                time.sleep(PAUSE_SECONDS)

    def between(self, begun: float, ended: float) -> list[TimedResponse]:
        """Return the responses to the requests of a period."""
        return [response for response in self.responses if begun <= response.requested_at < ended]


@contextmanager
def crowd(url: str) -> Iterator[Crowd]:
    """Send requests over several connections while the block runs; a broken request fails the test."""
    asking = Crowd(url)
    with ThreadPoolExecutor(N_CONNECTIONS) as pool:
        futures: list[Future[None]] = [pool.submit(asking.request_until_over, nth) for nth in range(N_CONNECTIONS)]
        try:
            yield asking
        finally:
            asking.is_over.set()
    for future in futures:
        future.result()


def timed_request(client: httpx.Client, turn: int) -> TimedResponse:
    """Send one request."""
    body: dict[str, Any] = {"top_n": TOP_N}
    match turn % 3:
        case 0:
            body["user_id"] = turn % 60 + 1
        case 1:
            body["user_id"] = f"stranger {turn}"
        case _:
            body["ratings"] = [{"movie_id": 1001 + turn % 40, "rating": 4.5}]
    requested_at = time.monotonic()
    response = client.post("/predict/", json=body)
    seconds = time.monotonic() - requested_at
    return TimedResponse(requested_at, seconds, turn % 3 == 0, response.status_code, response.json())


def share_within(responses: list[TimedResponse], share: float) -> float:
    """Return the seconds within which this share of the responses came."""
    return sorted(response.seconds for response in responses)[int(share * (len(responses) - 1))]


def figure_of(url: str, name: str) -> float:
    """Return the sum over the labels of a metric of /metrics."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))
