"""What a response says of an outage: never a host, a port or a password; the log has the host, without the password."""

import logging
from pathlib import Path

import psycopg
import pytest
from api_processes import free_ports
from small_service import error_of, running

from cineclub.adapters.postgres.jobs import PostgresTrainingJobs, TrainingQueue
from cineclub.domain.errors import StorageUnavailable
from cineclub.runtime.redaction import RedactedRecord, hide

pytestmark = pytest.mark.anyio

PASSWORD = "planted-S3cret"  # noqa: S105 - planted


@pytest.fixture
def redacted_log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log as a process of the service writes it."""
    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(RedactedRecord)
    caplog.set_level(logging.INFO)
    yield caplog  # type: ignore[misc]
    logging.setLogRecordFactory(before)


async def test_a_503_of_the_database_names_no_host(home: Path, redacted_log: pytest.LogCaptureFixture) -> None:
    """Every route that needs PostgreSQL says what to do alone; the log says where it tried."""
    [port] = free_ports(1)
    async with running(f"postgresql://ann:{PASSWORD}@127.0.0.1:{port}/films", home) as service:
        for path in ("/training/", "/models/", "/movies/popular", "/monitoring/drift", "/users/1/ratings"):
            response = await service.client.get(path)
            assert response.status_code in {404, 503}, path
            for private in (PASSWORD, str(port), "127.0.0.1", "ann"):
                assert private not in response.text, path
    assert str(port) in redacted_log.text
    assert PASSWORD not in redacted_log.text


async def test_a_503_of_mlflow_names_no_host(
    trained_url: str, home: Path, monkeypatch: pytest.MonkeyPatch, redacted_log: pytest.LogCaptureFixture
) -> None:
    """A decision while MLflow's server is away is refused without its address, which the log has."""
    [port] = free_ports(1)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ann:{PASSWORD}@127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    async with running(trained_url, home) as service:
        response = await service.client.post("/models/2/promote", json={"reason": "a test"})
    assert (response.status_code, error_of(response)["code"]) == (503, "registry_unavailable")
    for private in (PASSWORD, str(port), "127.0.0.1", "ann"):
        assert private not in response.text
    assert str(port) in redacted_log.text
    assert PASSWORD not in redacted_log.text


async def test_a_stored_error_of_a_training_has_no_secret(database_url: str, home: Path) -> None:
    """The error is redacted before it is stored, and those that were stored before are when they are read."""
    hide(PASSWORD)
    jobs = PostgresTrainingJobs(database_url)
    training_id = jobs.start({}, None).training_id
    lease = TrainingQueue(database_url, "a worker", 30, 1).claim()
    assert lease is not None
    lease.fail(f"cannot reach http://ann:{PASSWORD}@mlflow")
    with psycopg.connect(database_url) as connection:
        [[stored]] = connection.execute("SELECT error FROM cineclub.trainings").fetchall()
        assert stored == "cannot reach http://ann:********@mlflow"
        connection.execute("UPDATE cineclub.trainings SET error = %s", (f"cannot reach http://ann:{PASSWORD}@mlflow",))
    async with running(database_url, home) as service:
        response = await service.client.get(f"/training/{training_id}")
    assert response.json()["error"] == "cannot reach http://ann:********@mlflow"


def test_an_error_of_storage_is_for_everyone() -> None:
    """The text of the error itself has no detail, so that no response can have it by mistake."""
    assert str(StorageUnavailable("PostgreSQL does not answer", "at db:5432")) == "PostgreSQL does not answer"
