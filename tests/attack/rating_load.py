"""Writers of ratings who remember what was acknowledged to them, and over which connection."""

import http.client
import json
import random
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, Final, Self

N_WRITERS: Final = 8
USERS_OF_A_WRITER: Final = 500
RATED_MOVIES: Final = range(1001, 1021)
TOP_N: Final = 10
PREDICTION_EVERY: Final = 4
DELETED_SHARE: Final = 0.05
TIMEOUT_SECONDS: Final = 30.0
PAUSE_SECONDS: Final = 0.05
CONNECTION_CHANGED_SHARE: Final = 0.005
NO_RESPONSE, NOT_SENT = 0, -1
EXPECTED: Final = {200, 204, 502, 503}
Pair = tuple[str, int]


@dataclass
class Writer:
    """One user of the API with a connection, which one API process accepted: all it answers comes from that process.

    A pair of user and movie whose write was not acknowledged is never written again: it may have either value.

    Attributes:
        acknowledged: the last acknowledged rating of each pair; None after an acknowledged deletion.
        uncertain: the ratings that were sent and not acknowledged, by pair.
        returned: lists with a movie whose rating the same connection had acknowledged before.
        statuses: responses by status.
        unexpected: responses that nothing excuses.
        n_broken: connections that ended without a response.
        n_refused: connections that were refused, so that nothing was sent.
    """

    number: int
    port: int
    rng: random.Random
    acknowledged: dict[Pair, float | None] = field(default_factory=dict)
    uncertain: dict[Pair, float | None] = field(default_factory=dict)
    returned: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)
    n_writes: int = 0
    n_broken: int = 0
    n_refused: int = 0
    n_predictions: int = 0
    n_degraded: int = 0
    _connection: http.client.HTTPConnection | None = None
    _known: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    def write_until(self, is_over: threading.Event, writes_per_second: float) -> None:
        """Write at a steady rate, with a prediction after every few writes, until it is over."""
        due = time.monotonic()
        while not is_over.is_set():
            due = max(due + 1 / writes_per_second, time.monotonic() - 1)
            time.sleep(max(0.0, due - time.monotonic()))
            user = f"w{self.number}-{self.rng.randrange(USERS_OF_A_WRITER)}"
            self.write(user, self.rng.choice(RATED_MOVIES))
            if self.rng.randrange(PREDICTION_EVERY) == 0:
                self.predict(user)
            if self.rng.random() < CONNECTION_CHANGED_SHARE:
                self.close()

    def write(self, user: str, movie: int) -> None:
        """Rate a movie or delete its rating, and note whether that was acknowledged."""
        pair = (user, movie)
        if pair in self.uncertain:
            return
        if self.acknowledged.get(pair) is not None and self.rng.random() < DELETED_SHARE:
            rating = None
            status, _ = self._sent("DELETE", f"/ratings/{user}/{movie}")
        else:
            rating = self.rng.randrange(1, 11) / 2
            status, _ = self._sent("POST", "/ratings/", {"user_id": user, "movie_id": movie, "rating": rating})
        if rating is None:
            self._known[user].discard(movie)
        if status not in (200, 204):
            if status != NOT_SENT:
                self.uncertain[pair] = rating
            return
        self.n_writes += 1
        self.acknowledged[pair] = rating
        if rating is not None:
            self._known[user].add(movie)

    def predict(self, user: str) -> None:
        """Request recommendations, and compare them with what this connection has acknowledged before."""
        known = frozenset(self._known[user])
        status, document = self._sent("POST", "/predict/", {"user_id": user, "top_n": TOP_N})
        if status != 200:
            return
        self.n_predictions += 1
        self.n_degraded += bool(document["degraded"])
        if back := known & {movie["movie_id"] for movie in document["recommendations"]}:
            how = "degraded" if document["degraded"] else "not degraded"
            self.returned.append(f"{user}: {sorted(back)} ({how})")

    def close(self) -> None:
        """Close the connection; the next one may be to another process."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._known.clear()

    def _sent(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return status and document of a response; a status of its own where there was none."""
        text = None if body is None else json.dumps(body)
        try:
            connection = self._connected()
        except OSError:
            self.n_refused += 1
            self.close()
            time.sleep(PAUSE_SECONDS)
            return NOT_SENT, None
        try:
            connection.request(method, path, text, {"Content-Type": "application/json"} if text else {})
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            self.n_broken += 1
            self.close()
            time.sleep(PAUSE_SECONDS)
            return NO_RESPONSE, None
        self.statuses[response.status] += 1
        if response.status not in EXPECTED:
            self.unexpected.append(f"{response.status} {method} {path} {content[:300]!r}")
        if response.status >= 500:
            time.sleep(PAUSE_SECONDS)
        return response.status, json.loads(content) if content else None

    def _connected(self) -> http.client.HTTPConnection:
        """Return the connection, a new one if the last was closed."""
        if self._connection is not None and self._connection.sock is None:
            self.close()
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
            self._connection.connect()
            self._connection.auto_open = 0
        return self._connection


@dataclass
class Load:
    """All writers, each in a thread.

    Attributes:
        port: the port of the API.
        writes_per_second: the intended rate of all together.
        seed: the seed of what they write.
    """

    port: int
    writes_per_second: float
    seed: int
    writers: list[Writer] = field(default_factory=list)
    seconds: float = 0.0
    _is_over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Start to write."""
        self.writers = [Writer(number, self.port, random.Random(self.seed + number)) for number in range(N_WRITERS)]
        rate = self.writes_per_second / N_WRITERS
        self._threads = [
            threading.Thread(target=writer.write_until, args=(self._is_over, rate)) for writer in self.writers
        ]
        self.seconds = -time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop to write, and wait for the last responses."""
        self._is_over.set()
        for thread in self._threads:
            thread.join()
        self.seconds += time.monotonic()
        for writer in self.writers:
            writer.close()

    def lost(self, stored: dict[Pair, float]) -> list[str]:
        """Return every acknowledged write that the table does not show."""
        return [
            f"{pair}: {rating} acknowledged, {stored.get(pair)} stored"
            for writer in self.writers
            for pair, rating in writer.acknowledged.items()
            if stored.get(pair) != rating
            and not (pair in writer.uncertain and stored.get(pair) == writer.uncertain[pair])
        ]

    def returned(self) -> list[str]:
        """Return the lists with a movie whose rating had been acknowledged before by the same process."""
        return [text for writer in self.writers for text in writer.returned]

    def unexpected(self) -> list[str]:
        """Return the responses that nothing excuses, each 500 among them."""
        return [text for writer in self.writers for text in writer.unexpected]

    @property
    def n_writes(self) -> int:
        """The number of acknowledged writes."""
        return sum(writer.n_writes for writer in self.writers)

    @property
    def n_predictions(self) -> int:
        """The number of lists."""
        return sum(writer.n_predictions for writer in self.writers)

    def summary(self) -> str:
        """Return the counts in one line."""
        statuses = sum((writer.statuses for writer in self.writers), Counter[int]())
        n_degraded = sum(writer.n_degraded for writer in self.writers)
        return (
            f"{self.n_writes:,} writes acknowledged in {self.seconds:.0f} s, "
            f"{self.n_predictions:,} lists ({n_degraded:,} degraded), "
            f"{statuses[503] + statuses[502]:,} times 503, {statuses[500]} times 500, "
            f"{sum(writer.n_broken for writer in self.writers):,} connections cut, "
            f"{sum(writer.n_refused for writer in self.writers):,} refused"
        )
