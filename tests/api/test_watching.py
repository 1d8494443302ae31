"""Metrics of the worker, its trainings and the connections, read from PostgreSQL."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import psycopg
import pytest
from small_service import Artifact, Service, eventually, promote

from cineclub.adapters.postgres.jobs import TrainingQueue, WorkerPresence
from cineclub.adapters.postgres.promotions import PostgresPromotions
from cineclub.adapters.postgres.training_rows import worker_name
from cineclub.domain.promotion.versions import KnownVersion, RegisteredVersion
from cineclub.domain.ratings.log import SnapshotIdentity

pytestmark = pytest.mark.anyio


async def until_shown(service: Service, *lines: str) -> str:
    """Wait until /metrics has all these lines, and return the page."""
    page = ""

    async def are_there() -> bool:
        nonlocal page
        page = "\n" + (await service.client.get("/metrics")).text
        return all(f"\n{line}\n" in page for line in lines)

    await eventually(are_there)
    return page


async def test_trainings_are_followed_from_the_queue_to_their_end(untrained: Service, filled_url: str) -> None:
    """/metrics shows a training of another process: waiting, running with a heartbeat, failed."""
    await until_shown(untrained, "cineclub_worker_up 0.0", "cineclub_trainings_queued 0.0")
    await untrained.client.post("/training/", json={})
    page = await until_shown(untrained, "cineclub_trainings_queued 1.0")
    assert '\ncineclub_trainings_total{outcome="failed",trigger="request"} 0.0\n' in page
    presence = WorkerPresence(filled_url)
    await asyncio.to_thread(presence.wait_for_work, 0)
    lease = await asyncio.to_thread(TrainingQueue(filled_url, worker_name(), 30, 3).claim)
    assert lease is not None
    page = await until_shown(untrained, "cineclub_trainings_running 1.0", "cineclub_worker_up 1.0")
    [age] = [line.split()[1] for line in page.splitlines() if line.startswith("cineclub_training_heartbeat_age")]
    assert 0 < float(age) < 5
    await asyncio.to_thread(lease.fail, "no memory")
    await asyncio.to_thread(lease.close)
    presence.close()
    page = await until_shown(
        untrained,
        'cineclub_trainings_total{outcome="failed",trigger="request"} 1.0',
        "cineclub_trainings_running 0.0",
        "cineclub_training_heartbeat_age_seconds 0.0",
        "cineclub_worker_up 0.0",
    )
    [seconds] = [line.split()[1] for line in page.splitlines() if line.startswith(f'{DURATION}{{outcome="failed"}}')]
    assert float(seconds) > 0


DURATION = "cineclub_training_duration_seconds_total"


async def test_a_silent_worker_shows_in_the_age_of_its_heartbeat(untrained: Service, filled_url: str) -> None:
    """The age of the heartbeat shows a silent worker long before the training is run again."""
    with psycopg.connect(filled_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO cineclub.trainings (id, status, started_at, heartbeat_at, worker)"
            " VALUES (gen_random_uuid(), 'running', now() - interval '1 hour', now() - interval '10 minutes', 'gone')"
        )

    async def is_old() -> bool:
        lines = (await untrained.client.get("/metrics")).text.splitlines()
        return any(
            line.startswith("cineclub_training_heartbeat_age_seconds ") and float(line.split()[1]) > 599
            for line in lines
        )

    await eventually(is_old)


async def test_steps_of_the_newest_successful_training_are_shown(untrained: Service, filled_url: str) -> None:
    """Durations of steps come from the training's report; versions are counted by verdict."""
    with psycopg.connect(filled_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO cineclub.trainings (id, status, trigger, started_at, finished_at, report)"
            " SELECT gen_random_uuid(), 'succeeded', 'schedule', now() - interval '9 s', now() - age * interval '1 s',"
            " jsonb_build_object('step_seconds', jsonb_build_object('load_ratings', age))"
            " FROM unnest('{2, 1}'::int[]) AS age"
        )
    page = await until_shown(
        untrained,
        'cineclub_trainings_total{outcome="succeeded",trigger="schedule"} 2.0',
        'cineclub_training_step_duration_seconds{step="load_ratings"} 1.0',
        'cineclub_training_duration_seconds_total{outcome="succeeded"} 15.0',
        'cineclub_versions{verdict="PROMOTE"} 0.0',
        "cineclub_served_version_rejected 0.0",
    )
    assert '\ncineclub_training_ended_timestamp_seconds{outcome="failed"} 0.0\n' in page


async def test_a_version_that_the_gate_rejected_shows_while_it_serves(
    service: Service, trained_url: str, artifacts: Callable[[str], Artifact]
) -> None:
    """A served rejected version is shown until another serves; one that is only registered is not."""
    note(trained_url, 1, artifacts("ease"), "PROMOTE")
    note(trained_url, 2, artifacts("bias"), "REJECT")
    await until_shown(service, 'cineclub_versions{verdict="REJECT"} 1.0', "cineclub_served_version_rejected 0.0")
    promote(trained_url, 2, artifacts("bias"))
    await until_shown(service, "cineclub_served_version_rejected 1.0")
    promote(trained_url, 1, artifacts("ease"))
    await until_shown(service, "cineclub_served_version_rejected 0.0")


def note(database_url: str, version: int, artifact: Artifact, verdict: str) -> None:
    """Register a version with the verdict of the gate."""
    learned = SnapshotIdentity(1, None, "0" * 64)
    registered = RegisteredVersion(version, artifact.recipe, datetime.now(UTC), artifact.manifest_sha256, learned)
    known = KnownVersion(registered, None, "candidate", verdict, "why", {}, {}, "1")
    PostgresPromotions(database_url).note_version(known)


async def test_connections_are_counted(service: Service) -> None:
    """The pool's size, its requests, and the state of PostgreSQL are shown."""
    page = await until_shown(service, "cineclub_database_up 1.0", "cineclub_database_pool_limit 8.0")
    before = next(line for line in page.splitlines() if line.startswith("cineclub_database_pool_requests_total"))
    await service.predict(2)

    async def has_risen() -> bool:
        lines = (await service.client.get("/metrics")).text.splitlines()
        return any(
            line.startswith(before.split()[0]) and float(line.split()[1]) > float(before.split()[1]) for line in lines
        )

    await eventually(has_risen)
    assert "\ncineclub_database_pool_waiting 0.0\n" in page
