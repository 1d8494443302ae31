"""Access control: keys and scopes, host names and origins, bodies, and rate limits."""

import contextlib
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from httpx import Response
from small_service import Artifact, Service, error_of, eventually, fill, promote, running

from cineclub.adapters.postgres.api_keys import PostgresApiKeys
from cineclub.adapters.postgres.embedded import embedded_postgres
from cineclub.adapters.postgres.migrate import migrate
from cineclub.domain.access import Scope

pytestmark = pytest.mark.anyio

BODY = {"user_id": 1, "top_n": 3}
MakeKey = Callable[..., str]


@pytest.fixture
def make_key(trained_url: str) -> MakeKey:
    """Create a key with scopes, and return its secret."""

    def make(*scopes: Scope, expires_at: datetime | None = None) -> str:
        return PostgresApiKeys(trained_url).create("test", scopes, expires_at)[1]

    return make


@pytest.fixture
async def guarded(trained_url: str, home: Path) -> AsyncIterator[Service]:
    """The application as configured for an address that others reach."""
    async with running(trained_url, home, require_keys=True, requests_per_minute=600) as service:
        yield service


def bearer(secret: str) -> dict[str, str]:
    """Return the header that carries a key."""
    return {"Authorization": f"Bearer {secret}"}


async def known(service: Service, secret: str) -> None:
    """Wait until the service accepts a key."""

    async def is_known() -> bool:
        response = await service.client.get("/models/", headers=bearer(secret))
        return response.status_code != 401

    await eventually(is_known)


async def predict_with(service: Service, secret: str) -> Response:
    """Return the response to a prediction request with a key."""
    return await service.client.post("/predict/", json=BODY, headers=bearer(secret))


async def test_without_a_key_nothing_but_the_state_is_open(guarded: Service) -> None:
    """Without a key every documented operation but two is 401 before the request is read."""
    document = (await guarded.client.get("/openapi.json")).json()
    statuses = {
        f"{method} {path}": (await guarded.client.request(method, re.sub("{[a-z_]+}", "1", path))).status_code
        for path, operations in document["paths"].items()
        for method in operations
    }
    open_ones = {"get /health", "get /ready"}
    assert open_ones < set(statuses)
    assert {operation for operation, status in statuses.items() if status != 401} == open_ones
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["x-scope"] in {"open", "read", "write", "admin", "metrics"}
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


async def test_a_key_opens_its_scopes(guarded: Service, make_key: MakeKey) -> None:
    """A key opens only its scopes; admin opens everything, metrics only /metrics."""
    secrets = {scope: make_key(scope) for scope in ("read", "write", "admin", "metrics")}
    await known(guarded, secrets["metrics"])
    requests: dict[str, tuple[str, str, Any]] = {
        "read": ("POST", "/predict/", BODY),
        "write": ("POST", "/ratings/", {"user_id": 1, "movie_id": 1001, "rating": 4}),
        "admin": ("POST", "/models/rollback", {"reason": "to try"}),
        "metrics": ("GET", "/metrics", None),
    }
    for needed, (method, path, body) in requests.items():
        for scope, secret in secrets.items():
            response = await guarded.client.request(method, path, json=body, headers=bearer(secret))
            is_let_in = scope in {needed, "admin"}
            assert (response.status_code not in {401, 403}) == is_let_in, (needed, scope, response.text)
            if not is_let_in:
                assert f"needs a key with the scope {needed}" in error_of(response)["message"]


async def test_unknown_expired_and_revoked_keys_open_nothing(
    guarded: Service, make_key: MakeKey, trained_url: str
) -> None:
    """Unknown, expired and revoked keys are 401 with the next step; a revoked key stops within seconds."""
    assert (await predict_with(guarded, "guessed")).status_code == 401
    expired = make_key("read", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    revoked = make_key("read")
    await known(guarded, revoked)
    response = await predict_with(guarded, expired)
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "cineclub keys create" in error_of(response)["message"]
    assert (await predict_with(guarded, revoked)).status_code == 200
    PostgresApiKeys(trained_url).revoke(2)

    async def is_shut() -> bool:
        return (await predict_with(guarded, revoked)).status_code == 401

    await eventually(is_shut)


async def test_a_key_that_is_sent_is_checked_on_this_machine_too(
    trained_url: str, home: Path, make_key: MakeKey
) -> None:
    """Without the need of a key an unknown, expired or revoked one is 401 all the same, and a valid one counts."""
    expired = make_key("read", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    revoked, valid = make_key("read"), make_key("read")
    PostgresApiKeys(trained_url).revoke(2)
    async with running(trained_url, home) as service:
        assert (await service.client.post("/predict/", json=BODY)).status_code == 200
        for secret in ("guessed", expired, revoked, ""):
            assert (await predict_with(service, secret)).status_code == 401, secret
        assert (await predict_with(service, valid)).status_code == 200
        denied = await service.client.post("/models/rollback", json={"reason": "a test"}, headers=bearer(valid))
        assert denied.status_code == 403
        basic = await service.client.post("/predict/", json=BODY, headers={"Authorization": "Basic YTpi"})
        assert basic.status_code == 200  # of a proxy in front, which has no keys of ours
        bare = await service.client.post("/predict/", json=BODY, headers={"Authorization": valid})
        assert bare.status_code == 401  # a key without the word before it, which would count for nothing in silence
    used = {key.key_id: key.last_used_at for key in PostgresApiKeys(trained_url).everything()}
    assert used[1] is None
    assert used[2] is None
    assert used[3] is not None


async def test_a_key_above_its_rate_gets_the_time_to_wait(guarded: Service, make_key: MakeKey) -> None:
    """At 600 requests a minute a burst of a hundred passes, then 429 with a wait; other keys are not affected."""
    busy, calm = make_key("read"), make_key("read")
    await known(guarded, calm)
    responses = [await guarded.client.get("/movies/popular", headers=bearer(busy)) for _ in range(130)]
    refused = [response for response in responses if response.status_code == 429]
    assert 0 < len(refused) <= 30
    assert int(refused[0].headers["Retry-After"]) >= 1
    assert (await predict_with(guarded, calm)).status_code == 200


async def is_degraded(service: Service, secret: str) -> bool:
    """Return whether a response was made without the database."""
    return bool((await predict_with(service, secret)).json()["degraded"])


async def test_known_keys_outlive_the_database(home: Path, artifacts: Callable[[str], Artifact]) -> None:
    """Cached keys stay valid during an outage; without PostgreSQL at the start the response is 503, not 401."""
    with contextlib.ExitStack() as server:
        url = server.enter_context(embedded_postgres(home))
        migrate(url)
        fill(url)
        promote(url, 1, artifacts("ease"))
        _, secret = PostgresApiKeys(url).create("test", ["read"], None)
        async with running(url, home, require_keys=True) as service:
            assert not (await predict_with(service, secret)).json()["degraded"]
            server.close()
            await eventually(lambda: is_degraded(service, secret))
            assert (await predict_with(service, secret)).status_code == 200
            assert (await predict_with(service, "guessed")).status_code == 401
        async with running(url, home, require_keys=True) as service:
            refused = await predict_with(service, secret)
            assert (refused.status_code, error_of(refused)["code"]) == (503, "storage_unavailable")
            assert (await service.client.post("/predict/", json=BODY)).status_code == 401


async def test_keys_are_kept_as_hashes_only(make_key: MakeKey, trained_url: str) -> None:
    """The database holds no secret in plain text."""
    secret = make_key("read")
    with psycopg.connect(trained_url) as connection:
        rows = connection.execute("SELECT k::text FROM cineclub.api_keys k").fetchall()
    assert len(rows) == 1
    assert secret not in str(rows)
    assert secret.removeprefix("cineclub_") not in str(rows)


async def test_the_last_use_of_a_key_is_noted_beside_the_requests(
    trained_url: str, home: Path, make_key: MakeKey
) -> None:
    """The last use of a key is recorded at the latest when the service ends; an unused key has none."""
    began = datetime.now(UTC)
    shown = make_key("read")
    make_key("read")
    async with running(trained_url, home, require_keys=True) as service:
        await known(service, shown)
        assert (await predict_with(service, shown)).status_code == 200
    used, unused = PostgresApiKeys(trained_url).everything()
    assert used.last_used_at is not None
    assert began < used.last_used_at < datetime.now(UTC)
    assert unused.last_used_at is None


async def test_uses_of_keys_are_written_while_serving(
    trained_url: str, home: Path, make_key: MakeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uses are written after a number of reads of the keys."""
    monkeypatch.setattr("cineclub.adapters.postgres.api_keys.SECONDS_BETWEEN_READS", 0.05)
    monkeypatch.setattr("cineclub.adapters.postgres.api_keys.READS_BETWEEN_WRITES", 2)
    shown = make_key("read")
    async with running(trained_url, home, require_keys=True) as service:
        await known(service, shown)

        async def is_noted() -> bool:
            return PostgresApiKeys(trained_url).everything()[0].last_used_at is not None

        await eventually(is_noted)


async def test_a_name_that_leads_here_is_not_enough(service: Service) -> None:
    """An unknown host name is refused, with or without a port, against DNS rebinding."""
    for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example"):
        response = await service.client.get("/models/", headers={"Host": host})
        assert (response.status_code, error_of(response)["code"]) == (421, "wrong_host")
    for host in ("localhost:8000", "127.0.0.1", "[::1]:8000", "LOCALHOST"):
        assert (await service.client.get("/models/", headers={"Host": host})).status_code == 200


async def test_pages_of_other_sites_are_refused(service: Service) -> None:
    """Requests with a foreign Origin are refused for every method; those of our own page pass."""
    for origin in ("https://evil.example", "null", "http://127.0.0.1:9000", "", "http://[::1", "ftp://127.0.0.1:8000"):
        response = await service.client.post("/training/", json={}, headers={"Origin": origin})
        assert (response.status_code, error_of(response)["code"]) == (403, "foreign_page")
        assert "access-control-allow-origin" not in response.headers
    own = await service.client.get("/models/", headers={"Origin": "http://127.0.0.1:8000"})
    assert own.status_code == 200


async def test_a_form_of_a_page_is_no_json(service: Service) -> None:
    """A content type that browsers send without a preflight request is refused."""
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        response = await service.client.post(
            "/predict/", content=b'{"user_id": 1}', headers={"Content-Type": media_type}
        )
        assert response.status_code == 422
        assert "Content-Type: application/json" in error_of(response)["message"]


async def test_a_body_without_measure_is_refused(service: Service) -> None:
    """A body is limited by its declared length, and without one by the bytes received."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b" " * 10_000

    json_type = {"Content-Type": "application/json"}
    declared = await service.client.post("/predict/", content=b" " * 2_000_001, headers=json_type)
    undeclared = await service.client.post("/predict/", content=endless(), headers=json_type)
    absurd = await service.client.post("/predict/", headers={**json_type, "Content-Length": "9" * 5000})
    for response in (declared, undeclared, absurd):
        assert (response.status_code, error_of(response)["code"]) == (413, "too_large")


async def test_every_response_has_the_security_headers(service: Service) -> None:
    """Every response has the security headers, errors and the documentation too, which still renders."""
    for path in ("/predict/", "/docs", "/nowhere", "/health"):
        headers = (await service.client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"]
