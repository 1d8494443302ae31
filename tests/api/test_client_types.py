"""Both clients share their methods; mypy holds that each has its own types, and this test that they are true."""

import asyncio
from collections.abc import Coroutine
from typing import Any, assert_type

import httpx
import pytest

from cineclub.api.schemas import HealthOut
from cineclub.client import AsyncClient, Client


def network(*, n_busy: int = 0) -> httpx.MockTransport:
    """Return a transport to a service that lives, but is busy for the first few requests."""
    alive = httpx.Response(200, json={"status": "alive"})
    coming = iter([*(httpx.Response(503, headers={"Retry-After": "3"}) for _ in range(n_busy)), alive])
    return httpx.MockTransport(lambda _: next(coming))


def test_the_blocking_client_returns_values() -> None:
    """The synchronous client needs no event loop."""
    with Client("http://test", transport=network()) as client:
        health = client.health()
        assert_type(health, HealthOut)
        assert health == HealthOut(status="alive")


@pytest.mark.anyio
async def test_the_asynchronous_client_returns_coroutines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coroutines are awaited, also while the service is busy, without blocking the event loop."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("asyncio.sleep", sleep)
    async with AsyncClient("http://test", transport=network(n_busy=1)) as client:
        coming: Coroutine[Any, Any, HealthOut] = client.health()
        assert await coming == HealthOut(status="alive")
    assert waited == [3.0]


def test_a_blocking_client_that_awaits_an_event_loop_says_so() -> None:
    """A missing await inside the client raises instead of looking like a response."""

    class Suspending(Client):
        async def _wait(self, seconds: float) -> None:
            await asyncio.sleep(seconds)

    with (
        Suspending("http://test", transport=network(n_busy=1)) as client,
        pytest.raises(RuntimeError, match="event loop"),
    ):
        client.health()
