"""Generated requests to every operation of /openapi.json: no 5xx and no undocumented response."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from api_processes import free_ports, start_api, wait_until_alive
from small_service import fill, promote, small_artifact

from cineclub.adapters.postgres.api_keys import PostgresApiKeys

N_EXAMPLES, MIN_REQUESTS, MAX_SECONDS = 20, 1000, 170
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
]
CONFIGURATION = """
headers = { Authorization = "Bearer ${CINECLUB_TEST_KEY}" }
warnings = false

[[operations]] # each starts a process that imports MLflow
include-path-regex = "^/models/.*(rollback|promote)$"
generation.max-examples = 2
phases.coverage.enabled = false
"""


@pytest.fixture
def secret(bench_database: str, home: Path) -> str:
    """A key with all scopes, to a service with the small catalogue and a model in production."""
    fill(bench_database)
    promote(bench_database, 1, small_artifact(home / "ease", "ease"))
    return PostgresApiKeys(bench_database).create("test", ["admin"], None)[1]


@pytest.fixture
def service(bench_database: str, home: Path, secret: str) -> Iterator[str]:
    """A real API process that needs a key."""
    assert secret
    [port] = free_ports(1)
    more = {"CINECLUB_REQUIRE_KEYS": "true", "CINECLUB_REQUESTS_PER_MINUTE": "1000000"}
    process = start_api(bench_database, home, port, **more)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_alive(url)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def responses_by_status(service: str, secret: str) -> Counter[str]:
    """Return the number of responses by status, from the service's metrics."""
    counts: Counter[str] = Counter()
    for line in httpx.get(f"{service}/metrics", headers={"Authorization": f"Bearer {secret}"}).text.splitlines():
        if line.startswith("cineclub_http_requests_total{"):
            counts[line.partition('status="')[2][:3]] += int(float(line.rsplit(" ", 1)[1]))
    return counts


def test_no_response_is_a_failure_or_undocumented(service: str, secret: str, tmp_path: Path) -> None:
    """Reproducible generated requests, destructive ones too, get no 5xx and no undocumented response."""
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(CONFIGURATION)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration)),
        *("run", f"{service}/openapi.json", "--no-color", "--phases", "coverage,fuzzing", "--checks", ",".join(CHECKS)),
        *("--generation-deterministic", "--max-examples", str(N_EXAMPLES)),
        *("--continue-on-failure", "--no-shrink"),
    ]
    environment = {**os.environ, "CINECLUB_TEST_KEY": secret}
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=MAX_SECONDS, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    counts = responses_by_status(service, secret)
    assert sum(counts.values()) > MIN_REQUESTS
    assert counts["200"] > MIN_REQUESTS / 10  # valid and authorized requests too
