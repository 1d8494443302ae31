"""The blocking client, and the client for programs with an event loop."""

import asyncio
import time
from typing import Any, Self

import httpx

from cineclub.client.methods import Methods


class Client(Methods[httpx.BaseTransport]):
    """Every route of the API as a method; use it in a ``with``, or close it.

    Every method raises ``ServiceError`` when the service refuses or does not answer. A request that may be repeated
    is sent again if the service asks for that (503 with ``Retry-After``).
    """

    blocks = True

    def __enter__(self) -> Self:
        """Return this client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the client."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _open(self, transport: httpx.BaseTransport | None) -> None:
        self._http = httpx.Client(**self._connection.options(), transport=transport)

    async def _request(self, arguments: dict[str, Any]) -> httpx.Response:
        return self._http.request(**arguments)

    async def _wait(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - no event loop runs it, see BaseClient


class AsyncClient(Methods[httpx.AsyncBaseTransport]):
    """Every route of the API as a method to await; use it in an ``async with``, or close it.

    Every method raises ``ServiceError`` when the service refuses or does not answer. A request that may be repeated
    is sent again if the service asks for that (503 with ``Retry-After``).
    """

    blocks = False

    async def __aenter__(self) -> Self:
        """Return this client."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the client."""
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def _open(self, transport: httpx.AsyncBaseTransport | None) -> None:
        self._http = httpx.AsyncClient(**self._connection.options(), transport=transport)

    async def _request(self, arguments: dict[str, Any]) -> httpx.Response:
        return await self._http.request(**arguments)

    async def _wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
