"""Periodic drift checks of the service: one message and one training per alert, and metrics."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alert_receiver import alert_receiver
from drifting_ratings import fill_weeks, promote_with_baseline
from small_service import Service, eventually, running

pytestmark = pytest.mark.anyio
OFTEN: dict[str, Any] = {"drift_check_hours": 0.1 / 3600}


async def checks_of(service: Service) -> list[dict[str, Any]]:
    """Return the recorded checks."""
    checks: list[dict[str, Any]] = (await service.client.get("/monitoring/drift/history")).json()["checks"]
    return checks


async def after_checks(service: Service, n_checks: int) -> list[dict[str, Any]]:
    """Return the recorded checks once the service has made a number of them."""

    async def are_there() -> bool:
        return len(await checks_of(service)) >= n_checks

    await eventually(are_there)
    return await checks_of(service)


def trainings(database_url: str) -> list[tuple[str, str, str]]:
    """Return trigger, status and reason of every training."""
    with psycopg.connect(database_url) as connection:
        return connection.execute("SELECT trigger, status, reason FROM cineclub.trainings").fetchall()


async def test_an_alert_starts_one_training_and_is_told_once(database_url: str, home: Path) -> None:
    """An alert starts one training with the trigger drift; within the cool-down no second one starts."""
    promote_with_baseline(database_url, fill_weeks(database_url, datetime.now(UTC), hated="Horror"))
    with alert_receiver() as receiver:
        settings = OFTEN | {"drift_action": "retrain", "alert_webhook": receiver.url}
        async with running(database_url, home, **settings) as service:

            async def is_trained() -> bool:
                return bool((await service.client.get("/training/")).json()["trainings"])

            await eventually(is_trained)
            queued = (await service.client.get("/training/")).json()["trainings"]
            await service.client.delete(f"/training/{queued[0]['training_id']}")
            checks = await after_checks(service, 4)
            page = (await service.client.get("/metrics")).text
    first = checks[-1]
    [training] = await asyncio.to_thread(trainings, database_url)
    assert (first["verdict"], first["asked_by"], first["training_id"]) == ("ALERT", "watch", queued[0]["training_id"])
    assert (training[0], training[1], queued[0]["trigger"]) == ("drift", "cancelled", "drift")
    assert first["summary"] in training[2]
    assert [check["training_id"] for check in checks[:-1]] == [None] * (len(checks) - 1)
    [message] = receiver.messages
    assert message["check_id"] == first["check_id"]
    assert (message["verdict"], message["summary"]) == ("ALERT", first["summary"])
    assert "\ncineclub_drift_verdict 1.0\n" in page
    assert 'cineclub_drift_distance{statistic="rating_distribution"}' in page


async def test_an_alert_alone_trains_nothing_and_a_lost_message_is_sent_with_the_next(
    database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `alert` nothing is trained; a failed message is sent again within the cool-down."""
    monkeypatch.setattr("cineclub.bootstrap.drift.RETRY_SECONDS", (0.0, 0.0))
    promote_with_baseline(database_url, fill_weeks(database_url, datetime.now(UTC), hated="Horror"))
    with alert_receiver(500, 500, 500) as receiver:
        async with running(database_url, home, **OFTEN, alert_webhook=receiver.url) as service:
            checks = await after_checks(service, 4)
            page = (await service.client.get("/metrics")).text
    assert [check["verdict"] for check in checks] == ["ALERT"] * len(checks)
    assert len(receiver.messages) == 4
    assert len({message["check_id"] for message in receiver.messages}) == 2
    assert "\ncineclub_lost_alerts_total 1.0\n" in page
    assert await asyncio.to_thread(trainings, database_url) == []


async def test_a_training_under_way_is_left_alone(database_url: str, home: Path) -> None:
    """An alert during a requested training starts none, and the checks go on."""
    promote_with_baseline(database_url, fill_weeks(database_url, datetime.now(UTC), hated="Horror"))
    async with running(
        database_url, home, **OFTEN | {"drift_check_hours": 2 / 3600, "drift_action": "retrain"}
    ) as started:
        assert (await started.client.post("/training/", json={})).status_code == 202
        checks = await after_checks(started, 2)
    assert {check["training_id"] for check in checks} == {None}
    assert [row[0] for row in await asyncio.to_thread(trainings, database_url)] == ["request"]


async def test_a_check_that_fails_does_not_hide_the_one_before(
    database_url: str, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After a restart the newest recorded check is shown, though the due one fails."""
    promote_with_baseline(database_url, fill_weeks(database_url, datetime.now(UTC), hated="Horror"))
    async with running(database_url, home, **OFTEN) as service:
        await after_checks(service, 1)
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER TABLE cineclub.ratings RENAME COLUMN rating TO stars")
    async with running(database_url, home, **OFTEN) as service:

        async def is_logged() -> bool:
            return "drift_not_watched" in caplog.text

        await eventually(is_logged)
        page = (await service.client.get("/metrics")).text
    assert "\ncineclub_drift_verdict 1.0\n" in page
    assert "\ncineclub_drift_alerts_total 0.0\n" in page


async def test_a_check_that_fails_is_no_verdict(
    database_url: str, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the ratings table the failure is logged and no verdict is shown, in the route and in /metrics."""
    promote_with_baseline(database_url, fill_weeks(database_url, datetime.now(UTC)))
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER TABLE cineclub.ratings RENAME COLUMN rating TO stars")
    async with running(database_url, home, **OFTEN) as service:

        async def is_logged() -> bool:
            return "drift_not_watched" in caplog.text

        await eventually(is_logged)
        response = await service.client.get("/monitoring/drift")
        page = (await service.client.get("/metrics")).text
        assert await checks_of(service) == []
    assert response.status_code == 503
    assert "\ncineclub_drift_verdict -1.0\n" in page
