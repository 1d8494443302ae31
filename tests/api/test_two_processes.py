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
