"""Two real API processes on one database start one training."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from cineclub.adapters.postgres.jobs import PostgresTrainingJobs

START_SECONDS = 60


@pytest.fixture
def addresses(database_url: str, home: Path) -> Iterator[list[str]]:
    """Where two API processes answer."""
    ports = free_ports(2)
    processes = [start_api(database_url, home, port) for port in ports]
    try:
        found = [f"http://127.0.0.1:{port}" for port in ports]
        for address in found:
            wait_until_alive(address)
        yield found
    finally:
        for process in processes:
            process.terminate()
            process.wait(15)


def start_api(database_url: str, home: Path, port: int) -> "subprocess.Popen[bytes]":
    """Return an API process that listens on a port."""
    ours = {"CINECLUB_DATABASE_URL": database_url, "CINECLUB_HOME": str(home), "CINECLUB_PORT": str(port)}
    return subprocess.Popen([sys.executable, "-m", "cineclub.api"], env={**os.environ, **ours})


def free_ports(n_ports: int) -> list[int]:
    """Return ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(n_ports)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_until_alive(address: str) -> None:
    """Wait for the first answer."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if httpx.get(f"{address}/health").status_code == 200:
                return
        except httpx.TransportError:
            assert time.monotonic() < deadline, f"{address} does not answer"
            time.sleep(0.05)


def test_ten_simultaneous_requests_to_two_processes_start_one_training(addresses: list[str], database_url: str) -> None:
    """One is accepted, nine are refused with its id, and the table holds it alone."""
    with ThreadPoolExecutor(10) as pool:
        asked = [pool.submit(httpx.post, f"{addresses[nth % 2]}/training/", json={}, timeout=30) for nth in range(10)]
        answers = [one.result() for one in asked]
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 9
    [started] = [answer.json() for answer in answers if answer.status_code == 202]
    assert started["trigger"] == "request"
    refused = {answer.json()["error"]["training_id"] for answer in answers if answer.status_code == 409}
    assert refused == {started["training_id"]}
    assert [one.training_id for one in PostgresTrainingJobs(database_url).recent(5)] == [started["training_id"]]
