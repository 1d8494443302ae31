"""People who go on asking an API process over HTTP, and what each of them was answered."""

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
class Answered:
    """One answer: when it was asked for, by whom, how long it took and what it was."""

    asked_at: float
    seconds: float
    is_known_user: bool
    status: int
    document: dict[str, Any]

    @property
    def is_degraded(self) -> bool:
        """Whether the answer says that it was made without the database."""
        return bool(self.document.get("degraded"))

    @property
    def is_valid(self) -> bool:
        """Whether it is a whole list of different films from a model, by rank."""
        films = self.document.get("recommendations", [])
        return (
            self.status == 200
            and len({film["movie_id"] for film in films}) == TOP_N
            and [film["rank"] for film in films] == list(range(1, TOP_N + 1))
            and self.document["model"] is not None
        )


@dataclass
class Crowd:
    """Everything that was answered so far, and the time (``time.monotonic``) by which things happened."""

    url: str
    answers: list[Answered] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def ask_until_over(self, nth: int) -> None:
        """Ask over one connection: known users, unknown ones and people without an account in turn."""
        with httpx.Client(base_url=self.url, timeout=30) as client:
            turn = nth
            while not self.is_over.is_set():
                turn += 1
                self.answers.append(asked(client, turn))
                time.sleep(PAUSE_SECONDS)

    def between(self, begun: float, ended: float) -> list[Answered]:
        """Return the answers to what was asked in a period."""
        return [one for one in self.answers if begun <= one.asked_at < ended]


@contextmanager
def crowd(url: str) -> Iterator[Crowd]:
    """Let people ask over several connections for as long as the block runs; a request that breaks fails the test."""
    asking = Crowd(url)
    with ThreadPoolExecutor(N_CONNECTIONS) as pool:
        futures: list[Future[None]] = [pool.submit(asking.ask_until_over, nth) for nth in range(N_CONNECTIONS)]
        try:
            yield asking
        finally:
            asking.is_over.set()
    for one in futures:
        one.result()


def asked(client: httpx.Client, turn: int) -> Answered:
    """Ask one question."""
    question: dict[str, Any] = {"top_n": TOP_N}
    match turn % 3:
        case 0:
            question["user_id"] = turn % 60 + 1
        case 1:
            question["user_id"] = f"stranger {turn}"
        case _:
            question["ratings"] = [{"movie_id": 1001 + turn % 40, "rating": 4.5}]
    asked_at = time.monotonic()
    response = client.post("/predict/", json=question)
    seconds = time.monotonic() - asked_at
    return Answered(asked_at, seconds, turn % 3 == 0, response.status_code, response.json())


def share_within(answers: list[Answered], share: float) -> float:
    """Return within how many seconds this share of the answers came."""
    return sorted(one.seconds for one in answers)[int(share * (len(answers) - 1))]


def figure_of(url: str, name: str) -> float:
    """Return the sum over the labels of one of the figures of /metrics."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))
