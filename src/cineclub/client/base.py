"""The base of both clients: sending requests, and methods that are written once for both."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, TypeVar, overload

import httpx

from cineclub.client.answers import LONGEST_WAIT, RETRIES, TIMEOUT, TRANSPORT_ERRORS, Connection, value_of
from cineclub.client.calls import Call

P = ParamSpec("P")
T = TypeVar("T")
Transport = TypeVar("Transport")


class BaseClient(ABC, Generic[Transport]):
    """A client over blocking or asynchronous transports of httpx.

    Its methods are coroutines. Those of a blocking client never suspend, because its ``_request`` and ``_wait`` block;
    therefore a ``Method`` can run them without an event loop.
    """

    blocks: ClassVar[bool]

    def __init__(
        self,
        address: str,
        *,
        api_key: str | None = None,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        longest_wait: float = LONGEST_WAIT,
        transport: Transport | None = None,
    ) -> None:
        """Open a client of the service at an address, for example ``http://127.0.0.1:8000``.

        Args:
            address: the URL of the service.
            api_key: sent as ``Authorization: Bearer``.
            timeout: seconds for each step of a request: to connect, to send, to wait for the response.
            retries: the number of repetitions of a request that may be repeated.
            longest_wait: seconds; a request is not repeated if the service asks for a longer wait.
            transport: a transport of httpx; the network unless given.
        """
        self._connection = Connection(address, api_key, timeout, retries, longest_wait)
        self._open(transport)

    async def _send(self, call: Call[T]) -> T:
        """Send a request, repeat it as long as the service asks for that, and return the value of the response."""
        n_sent = 0
        while True:
            try:
                response = await self._request(self._connection.request(call))
            except TRANSPORT_ERRORS as error:
                raise self._connection.failure(error) from None
            n_sent += 1
            wait = self._connection.wait_before_retry(call, response, n_sent)
            if wait is None:
                return value_of(call, response)
            await self._wait(wait)

    @abstractmethod
    def _open(self, transport: Transport | None) -> None:
        """Create the client of httpx."""

    @abstractmethod
    async def _request(self, arguments: dict[str, Any]) -> httpx.Response:
        """Send one request."""

    @abstractmethod
    async def _wait(self, seconds: float) -> None:
        """Wait."""


class Method(Generic[P, T]):
    """A method of both clients, declared once as a coroutine; ``Client`` blocks until it has returned.

    Type checkers choose the signature by the client's transport, and Python chooses the function by the client's class.
    """

    def __init__(self, method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> None:
        """Decorate a coroutine of the base class."""

        @wraps(method)
        def blocking(client: Any, *args: P.args, **kwargs: P.kwargs) -> T:
            return _finished(method(client, *args, **kwargs))

        self._functions: dict[bool, Any] = {True: blocking, False: method}

    @overload
    def __get__(self, client: BaseClient[httpx.BaseTransport], kind: type) -> Callable[P, T]: ...

    @overload
    def __get__(
        self, client: BaseClient[httpx.AsyncBaseTransport], kind: type
    ) -> Callable[P, Coroutine[Any, Any, T]]: ...

    def __get__(self, client: Any, kind: Any) -> Any:
        """Return the method bound to a client; the plain function for access through the class."""
        return self._functions[kind.blocks].__get__(client, kind)


def _finished(work: Coroutine[Any, Any, T]) -> T:
    """Return the value of a coroutine that never suspends.

    Raises:
        RuntimeError: the coroutine suspended.
    """
    try:
        work.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    work.close()
    message = "a blocking client awaited a coroutine that needs an event loop"
    raise RuntimeError(message)
