"""A large request is served in pieces: other requests are answered between them."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from small_service import Service, error_of, running
from starlette.types import Message

pytestmark = pytest.mark.anyio

USERS = list(range(1, 1001))


@dataclass
class Heartbeat:
    """A task that takes every turn of the event loop, and the processor time between two of its turns.

    Processor time of this thread: a busy machine does not count.
    """

    gaps: list[float] = field(default_factory=list)

    async def beat(self) -> None:
        """Beat until it is cancelled."""
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.gaps.append(now - last)
            last = now

    async def during(self, work: Awaitable[Any]) -> Any:
        """Return the result of some work, with beats beside it."""
        beating = asyncio.create_task(self.beat())
        await asyncio.sleep(0)
        try:
            return await work
        finally:
            await asyncio.sleep(0)  # it notes the last piece
            beating.cancel()

    @property
    def largest_share(self) -> float:
        """The largest piece of the time of all."""
        return max(self.gaps) / sum(self.gaps)


async def post(service: Service, path: str, body: Any) -> tuple[int, list[bytes]]:
    """Return the status and the pieces of a response, without the work of a client."""
    text = json.dumps(body).encode()
    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json"), (b"content-length", b"%d" % len(text))]
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    messages: list[Message] = [{"type": "http.request", "body": text, "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop()

    async def send(message: Message) -> None:
        sent.append(message)

    app: Callable[..., Awaitable[None]] = service.client._transport.app  # type: ignore[attr-defined]
    await app(scope, receive, send)
    return sent[0]["status"], [message["body"] for message in sent[1:]]


async def test_a_batch_is_made_in_pieces(service: Service) -> None:
    """1,000 lists of 40 films: no piece is a tenth of the work, no part of the response more than a list beyond 32 KB.

    The lists are those of single requests.
    """
    batch = {"user_ids": USERS, "top_n": 100}
    await post(service, "/predict/batch", batch)  # the first compiles what is not yet compiled on this machine
    heartbeat = Heartbeat()
    status, pieces = await heartbeat.during(post(service, "/predict/batch", batch))
    assert status == 200
    assert heartbeat.largest_share < 0.1
    assert len(heartbeat.gaps) > len(USERS)
    assert max(map(len, pieces)) < 64_000
    answers = json.loads(b"".join(pieces))["answers"]
    assert [response["user_id"] for response in answers] == USERS
    for user_id in (1, 60, 61, 1000):
        alone = await service.predict(user_id, top_n=100)
        assert answers[user_id - 1]["recommendations"] == alone["recommendations"]


async def test_an_error_of_a_batch_is_a_response_of_its_own(service: Service) -> None:
    """An error that the request causes is found before the first piece is sent."""
    response = await service.client.post("/predict/batch", json={"user_ids": USERS, "genres": ["No such genre"]})
    assert (response.status_code, error_of(response)["code"]) == (422, "invalid_input")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict/", {"user_id": 1, **{f"field{number}": 1 for number in range(100_000)}}),
        ("/predict/", {"user_id": 1, "genres": [{f"field{number}": 1 for number in range(100_000)}]}),
        ("/predict/", {"ratings": [{f"field{number}": 1 for number in range(100)} for _ in range(1000)]}),
        ("/ratings/", [{f"field{number}": 1 for number in range(100)} for _ in range(1000)]),
        ("/training/", {f"field{number}": 1 for number in range(100_000)}),
        ("/ratings/", [{}] * 400_000),
        ("/predict/", {"user_id": 1, "genres": [[]] * 400_000}),
        ("/predict/", {"user_id": 1, "genres": [1] * 400_000}),
        ("/predict/", {"user_id": "{[,:" * 10_000, "genres": ['\\\\"'] * 100_000}),
    ],
    ids=["unknown", "nested", "ratings", "list", "training", "objects", "lists", "values", "strings"],
)
async def test_many_unknown_fields_are_not_named_each(service: Service, path: str, body: Any) -> None:
    """A body with more fields, objects, lists or values than any valid one is refused as a whole."""
    response = await service.client.post(path, json=body)
    assert response.status_code == 422
    assert "has too many fields: 100 at most in one object, 6100 in all" in error_of(response)["message"]


async def test_a_refusal_names_a_bounded_number_of_fields(service: Service) -> None:
    """A hundred invalid fields are named, with the number of the others, and long names are cut."""
    ratings = [{"user_id": 1, "movie_id": 1001, "rating": "x"} for _ in range(500)]
    error = error_of(await service.client.post("/ratings/", json=ratings))
    assert len(error["fields"]) == 100
    assert error["message"].endswith("; and 400 more")
    error = error_of(await service.client.post("/predict/", json={"user_id": 1, "x" * 1_000_000: 1}))
    assert len(error["message"]) < 1000


async def test_a_list_of_invalid_ids_is_refused_at_the_first(service: Service) -> None:
    """20,000 invalid ids cost no more than as many valid ones; the first of each list is named."""
    body = {"user_id": 1, "exclude_movie_ids": [1, None] * 5000, "candidate_movie_ids": [None] * 10_000}
    error = error_of(await service.client.post("/predict/", json=body))
    assert [field["field"] for field in error["fields"]] == ["exclude_movie_ids[1]", "candidate_movie_ids[0]"]
    error = error_of(await service.client.post("/predict/batch", json={"user_ids": [None] * 1000}))
    assert [field["field"] for field in error["fields"]] == ["user_ids[0]"]


async def test_the_largest_valid_bodies_are_taken(service: Service) -> None:
    """1,000 ratings with every field, and 20,000 ids, are no more than a body may have."""
    ratings = [
        {
            "user_id": 1,
            "movie_id": 1001 + number % 40,
            "imdb_id": None,
            "tmdb_id": None,
            "rating": 4,
            "rated_at": "2026-05-01T20:15:00Z",
        }
        for number in range(1000)
    ]
    assert (await service.client.post("/ratings/", json=ratings)).json() == {"written": 1000}
    body = {"user_id": 1, "exclude_movie_ids": USERS * 10, "candidate_movie_ids": [*USERS * 9, *range(1001, 1041)]}
    assert (await service.client.post("/predict/", json=body)).status_code == 200


async def test_honest_requests_are_answered_during_large_ones(trained_url: str, home: Any) -> None:
    """While batches, refusals and searches run, a small request never waits for a whole one of them."""
    async with running(trained_url, home) as service:
        large = [
            asyncio.create_task(post(service, "/predict/batch", {"user_ids": USERS, "top_n": 100})) for _ in range(3)
        ]
        large += [
            asyncio.create_task(service.client.get("/movies/", params={"search": "\ufdfa" * 200})) for _ in range(3)
        ]
        n_answered = 0
        while not all(request.done() for request in large):
            assert (await service.predict(1 + n_answered % 60))["strategy"] == "model"
            n_answered += 1
        assert n_answered > 20
        for request in large:
            await request
