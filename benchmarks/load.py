"""A load generator over persistent connections, at full or at a steady rate."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service import PORT

N_CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Latencies:
    """Latencies of responses in milliseconds."""

    p50: float
    p99: float
    n_answers: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Latencies":
        """Return the latencies of some responses."""
        p50, p99 = np.percentile(np.array(seconds) * 1000, [50, 99])
        return cls(float(p50), float(p99), len(seconds))


def predict_request(user_id: str, top_n: int = 10) -> bytes:
    """Return the bytes of one POST /predict/."""
    body = json.dumps({"user_id": user_id, "top_n": top_n}).encode()
    lines = ["POST /predict/ HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def fastest_rate(requests: Sequence[bytes], seconds: float, port: int = PORT) -> float:
    """Return the highest rate of responses a second."""
    return len(asyncio.run(hammer(requests, seconds, port=port))) / seconds


def latencies_at(requests: Sequence[bytes], seconds: float, rate: float) -> Latencies:
    """Return the latencies at a steady rate."""
    return Latencies.of(asyncio.run(hammer(requests, seconds, rate)))


async def hammer(requests: Sequence[bytes], seconds: float, rate: float | None = None, port: int = PORT) -> list[float]:
    """Return the seconds of each response within the time.

    With a rate, requests are due at even times, and latency counts from the due time, not from sending.
    """
    latencies: list[float] = []
    begun = time.perf_counter()
    wait_seconds = N_CONNECTIONS / rate if rate else 0.0

    async def one_connection(offset: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        number, due = offset, begun + offset / rate if rate else begun
        while (now := time.perf_counter()) < begun + seconds:
            if rate:
                await asyncio.sleep(max(0.0, due - now))
            sent_at = due if rate else time.perf_counter()
            writer.write(requests[number % len(requests)])
            await read_response(reader)
            latencies.append(time.perf_counter() - sent_at)
            number += N_CONNECTIONS
            due += wait_seconds
        writer.close()

    await asyncio.gather(*(one_connection(offset) for offset in range(N_CONNECTIONS)))
    return latencies


async def read_response(reader: asyncio.StreamReader) -> bytes:
    """Return the body of a response."""
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise RuntimeError(head.decode())
    return await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))


def body_of(request: bytes) -> bytes:
    """Return the body of the response to a request."""

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        writer.write(request)
        body = await read_response(reader)
        writer.close()
        return body

    return asyncio.run(ask())
