"""An outage of PostgreSQL under load: no request fails, and the service recovers by itself."""

import signal
import time
from collections.abc import Iterator

import httpx
import psycopg
import pytest
from api_processes import free_ports, start_api, wait_until_alive
from crowd import N_CONNECTIONS, Crowd, crowd, figure_of, share_within
from own_server import OwnServer

from waiting import eventually

pytestmark = pytest.mark.faults

CALM_SECONDS, AWAY_SECONDS, HEALING_SECONDS = 2.0, 4.0, 5.0
NOTICING_SECONDS = 1.0
LOG_SIZE = 300
READ_LIMIT_SECONDS = 2.0
RATING = {"user_id": 2, "movie_id": 1003, "rating": 4}


@pytest.fixture
def service(server: OwnServer) -> Iterator[str]:
    """A real API process over that server, with a short queue of the log."""
    [port] = free_ports(1)
    process = start_api(server.url, server.home, port, CINECLUB_PREDICTION_LOG_SIZE=str(LOG_SIZE))
    url = f"http://127.0.0.1:{port}"
    wait_until_alive(url)
    yield url
    process.terminate()
    process.wait(20)


def logged_since(database_url: str, seconds_ago: float) -> int:
    """Return the number of responses logged in the last seconds."""
    query = (
        "SELECT count(*) FROM cineclub.predictions WHERE answered_at > clock_timestamp() - make_interval(secs => %s)"
    )
    with psycopg.connect(database_url) as connection:
        return int(connection.execute(query, (seconds_ago,)).fetchall()[0][0])


def is_healthy(url: str) -> bool:
    """Return whether a known user is served from their present ratings."""
    return not httpx.post(f"{url}/predict/", json={"user_id": 2}).json()["degraded"]


def is_refused(url: str) -> bool:
    """Return whether a rating is refused because of the outage."""
    response = httpx.post(f"{url}/ratings/", json=RATING)
    return response.status_code == 503 and response.json()["error"]["code"] == "storage_unavailable"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL])
def test_nobody_notices_that_the_database_was_away(how: signal.Signals, server: OwnServer, service: str) -> None:
    """Responses stay complete and fast, are degraded during the outage, and the log counts its losses."""
    with crowd(service) as people:
        time.sleep(CALM_SECONDS)
        stopped_at = time.monotonic()
        server.stop(how)
        eventually(lambda: is_refused(service), NOTICING_SECONDS)
        time.sleep(NOTICING_SECONDS)  # children of a killed server respond until they detect it
        gone_at = time.monotonic()
        time.sleep(AWAY_SECONDS)
        started_at = time.monotonic()
        server.start()
        eventually(lambda: is_healthy(service), HEALING_SECONDS)
        assert httpx.post(f"{service}/ratings/", json=RATING).status_code == 200
        time.sleep(CALM_SECONDS)
        ended_at = time.monotonic()
    before = people.between(0, stopped_at)
    away = people.between(gone_at, started_at)
    assert min(len(before), len(away)) > LOG_SIZE
    assert [response for response in people.responses if not response.is_valid] == []
    assert {response.is_degraded for response in away if response.is_known_user} == {True}
    assert not any(response.is_degraded for response in [*before, *people.between(ended_at - 1, ended_at)])
    assert_in_time(people, stopped_at)
    assert_all_counted(people, server.url, service)


def assert_in_time(people: Crowd, stopped_at: float) -> None:
    """Check the latencies: the first request after the outage begins may wait a second, later ones none."""
    before, after = people.between(0, stopped_at), people.between(stopped_at, time.monotonic())
    assert share_within(after, 0.95) < max(0.1, 3 * share_within(before, 0.95))
    assert max(response.seconds for response in after) < 1.5


def assert_all_counted(people: Crowd, database_url: str, service: str) -> None:
    """Check that every response is logged, or counted as dropped in /metrics."""
    eventually(lambda: figure_of(service, "cineclub_prediction_log_waiting_rows") == 0, 10)
    n_counted = figure_of(service, "cineclub_predictions_total")
    n_dropped = figure_of(service, "cineclub_prediction_log_dropped_rows_total")
    assert n_counted >= len(people.responses)
    assert n_dropped > 0
    assert logged_since(database_url, 3600) + n_dropped == n_counted
    assert logged_since(database_url, CALM_SECONDS) > 0


def test_a_database_that_hangs_holds_nobody_up_but_who_notices_first(server: OwnServer, service: str) -> None:
    """A hanging server is detected within the limit of a read, and the service recovers."""
    with crowd(service) as people:
        time.sleep(CALM_SECONDS)
        stopped_at = time.monotonic()
        server.send(signal.SIGSTOP)
        time.sleep(AWAY_SECONDS + READ_LIMIT_SECONDS)
        server.send(signal.SIGCONT)
        eventually(lambda: is_healthy(service), HEALING_SECONDS)
        time.sleep(CALM_SECONDS)
    after = people.between(stopped_at, time.monotonic())
    assert [response for response in people.responses if not response.is_valid] == []
    assert max(response.seconds for response in after) < READ_LIMIT_SECONDS + 0.5
    assert sum(response.seconds > 0.5 for response in after) <= N_CONNECTIONS
    assert sum(response.is_degraded for response in after) > LOG_SIZE
