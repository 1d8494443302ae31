"""SIGTERM to a real API process: requests in flight are completed, and every response is logged."""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
from api_processes import free_ports, start_api, wait_until_alive

from waiting import eventually

BODY = json.dumps({"user_id": 2, "top_n": 5}).encode()
HEAD = b"POST /predict/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
LONGEST_STOP_SECONDS = 12.0
"""Five for requests, five for the log, two for connections; the supervisor kills after fifteen."""


@dataclass(frozen=True)
class Running:
    """A real API process with its address."""

    process: "subprocess.Popen[bytes]"
    port: int

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def half_requested(self) -> socket.socket:
        """Return a connection on which the head and half of a request were sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        connection.sendall(HEAD % len(BODY) + BODY[:10])
        return connection

    def takes_connections(self) -> bool:
        """Return whether a new connection is accepted."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except ConnectionRefusedError:
            return False
        return True

    def ask_until_refused(self) -> list[str]:
        """Return the ids of responses to requests sent until the service refuses them."""
        ids = []
        with httpx.Client(base_url=self.url, timeout=20) as client:
            while True:
                try:
                    response = client.post("/predict/", json={"user_id": len(ids) % 60 + 1})
                except httpx.TransportError:
                    return ids
                assert response.status_code == 200, response.text
                ids.append(response.json()["recommendation_id"])


@pytest.fixture
def service(trained_url: str, home: Path) -> Iterator[Running]:
    """The API with EASE in production."""
    [port] = free_ports(1)
    started = Running(start_api(trained_url, home, port), port)
    try:
        wait_until_alive(started.url)
        yield started
    finally:
        started.process.kill()
        started.process.wait()


def logged_ids(database_url: str) -> set[str]:
    """Return the ids of the logged responses."""
    with psycopg.connect(database_url) as connection:
        return {row[0] for row in connection.execute("SELECT recommendation_id::text FROM cineclub.predictions")}


def test_a_request_in_the_middle_is_completed_and_no_new_one_accepted(service: Running, trained_url: str) -> None:
    """A slow client that completes its request after the signal gets a logged response; exit status 0."""
    connection = service.half_requested()
    time.sleep(0.2)
    service.process.send_signal(signal.SIGTERM)
    eventually(lambda: not service.takes_connections(), 2)
    connection.sendall(BODY[10:])
    head, _, body = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert service.process.wait(LONGEST_STOP_SECONDS) == 0
    assert logged_ids(trained_url) == {json.loads(body)["recommendation_id"]}


def test_every_response_given_before_the_end_is_logged(service: Running, trained_url: str) -> None:
    """After a stop under load from three clients every response is logged, and the end is quick."""
    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(service.ask_until_refused) for _ in range(3)]
        time.sleep(1.0)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(5) == 0
    received_ids = {recommendation_id for ids in asking for recommendation_id in ids.result()}
    assert len(received_ids) > 50
    assert received_ids <= logged_ids(trained_url)


def test_a_client_that_never_finishes_does_not_hold_the_end_up(service: Running) -> None:
    """An incomplete request is refused with 503 after a few seconds; exit status 0."""
    connection = service.half_requested()
    time.sleep(0.2)
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(LONGEST_STOP_SECONDS) == 0
    head, _, body = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    error = json.loads(body)["error"]
    assert error["code"] == "stopping"
    assert "send the request again" in error["message"]
