"""Promotions and rollbacks under load: no request fails, each response names its version."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
import psycopg
import pytest

from registry_bench import Bench, write_ratings

pytestmark = pytest.mark.faults

N_RESPONSES, N_ASKING = 2000, 3
FOLLOWS_SECONDS = 5.0


@dataclass
class Load:
    """The responses by status and version, while requests go on."""

    url: str
    statuses: list[int] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def ask(self) -> None:
        """Send requests until all decisions are made and enough responses came."""
        with httpx.Client(base_url=self.url, timeout=30) as client:
            while not self.is_over.is_set() or len(self.statuses) < N_RESPONSES:
                response = client.post("/predict/", json={"user_id": len(self.statuses) % 160 + 1})
                self.statuses.append(response.status_code)
                self.versions.append(response.json()["model"]["version"])
                time.sleep(0.005)


@pytest.fixture
def service(bench: Bench) -> Iterator[str]:
    """A real API process over the registry's database, with two versions of which the second serves."""
    write_ratings(bench.database_url)
    with psycopg.connect(bench.database_url) as connection:  # the small models' films have names for ids
        connection.execute("UPDATE cineclub.catalogue SET movie_ids_are_integers = false")
    bench.promoted(0)
    bench.promoted(1)
    port = free_port()
    ours = {"CINECLUB_DATABASE_URL": bench.database_url, "CINECLUB_HOME": str(bench.home), "CINECLUB_PORT": str(port)}
    process = subprocess.Popen([sys.executable, "-m", "cineclub.processes.api"], env={**os.environ, **ours})
    url = f"http://127.0.0.1:{port}"
    wait_for(lambda: is_ready(url))
    yield url
    process.send_signal(signal.SIGTERM)
    process.wait(20)


def free_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def is_ready(url: str) -> bool:
    """Return whether a model serves at the address."""
    try:
        return httpx.get(f"{url}/models/production").status_code == 200
    except httpx.TransportError:
        return False


def wait_for(is_so: Callable[[], bool], seconds: float = 30.0) -> float:
    """Wait until a condition holds, and return the seconds it took."""
    started = time.monotonic()
    while not is_so():
        assert time.monotonic() - started < seconds
        time.sleep(0.02)
    return time.monotonic() - started


def test_two_thousand_responses_during_five_promotions_and_rollbacks(service: str, bench: Bench) -> None:
    """Over five promotions and rollbacks none of 2,000 requests fails, and the service follows within 5 s."""
    first, second = (promotion.version for promotion in bench.promotions.recent(2)[::-1])
    load = Load(service)
    decisions = [("/models/rollback", first), (f"/models/{second}/promote", second)] * 2 + [("/models/rollback", first)]
    with ThreadPoolExecutor(N_ASKING) as pool:
        asking = [pool.submit(load.ask) for _ in range(N_ASKING)]
        for path, version in decisions:
            decided = httpx.post(f"{service}{path}", json={"reason": "a test"}, timeout=120)
            assert (decided.status_code, decided.json()["version"]) == (200, version), decided.text
            n_before = len(load.versions)
            took = wait_for(lambda v=version, n=n_before: v in load.versions[n:])
            assert took < FOLLOWS_SECONDS
        load.is_over.set()
        for future in asking:
            future.result()
    assert len(load.statuses) >= N_RESPONSES
    assert set(load.statuses) == {200}
    assert set(load.versions) == {first, second}
    kinds = [(record.verdict, record.promoted_by) for record in bench.promotions.recent(5)[::-1]]
    assert kinds == [("ROLLBACK", "person"), ("PROMOTE", "person")] * 2 + [("ROLLBACK", "person")]


def test_what_cannot_be_decided_is_refused_with_what_to_do(service: str, bench: Bench) -> None:
    """Unknown, serving and damaged versions, a rollback without a target and a missing reason are refused."""
    serving = bench.promotions.newest().version
    damaged = bench.registered(2)
    (bench.files_of(damaged) / "popularity.npy").write_bytes(b"")
    for path, body, status in [
        ("/models/99/promote", {"reason": "to try"}, 404),
        (f"/models/{serving}/promote", {"reason": "to try"}, 409),
        (f"/models/{damaged.version}/promote", {"reason": "to try"}, 409),
        (f"/models/{serving}/promote", {}, 422),
        ("/models/rollback", {"reason": " "}, 422),
    ]:
        response = httpx.post(f"{service}{path}", json=body, timeout=120)
        assert response.status_code == status, (path, response.text)
        assert bench.promotions.newest().version == serving
    assert httpx.post(f"{service}/models/rollback", json={"reason": "back"}, timeout=120).status_code == 200
    assert httpx.post(f"{service}/models/rollback", json={"reason": "further"}, timeout=120).status_code == 409
    history = httpx.get(f"{service}/models/?limit=2").json()["promotions"]
    assert [promotion["reason"] for promotion in history] == ["back", "it is better"]
