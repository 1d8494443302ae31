"""Two real API processes on one database start one training."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from api_processes import free_ports, start_api, wait_until_alive

from cineclub.adapters.postgres.jobs import PostgresTrainingJobs


@pytest.fixture
def addresses(database_url: str, home: Path) -> Iterator[list[str]]:
    """The addresses of two API processes."""
    ports = free_ports(2)
    processes = [start_api(database_url, home, port) for port in ports]
    try:
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        for address in urls:
            wait_until_alive(address)
        yield urls
    finally:
        for process in processes:
            process.terminate()
            process.wait(15)


def test_ten_simultaneous_requests_to_two_processes_start_one_training(addresses: list[str], database_url: str) -> None:
    """One of ten requests is accepted, nine are refused with its id, and the table holds one row."""
    with ThreadPoolExecutor(10) as pool:
        submitted = [
            pool.submit(httpx.post, f"{addresses[nth % 2]}/training/", json={}, timeout=30) for nth in range(10)
        ]
        responses = [future.result() for future in submitted]
    assert sorted(response.status_code for response in responses) == [202] + [409] * 9
    [started] = [response.json() for response in responses if response.status_code == 202]
    assert started["trigger"] == "request"
    refused = {response.json()["error"]["training_id"] for response in responses if response.status_code == 409}
    assert refused == {started["training_id"]}
    assert [training.training_id for training in PostgresTrainingJobs(database_url).recent(5)] == [
        started["training_id"]
    ]
