"""Whether the version in production may have learned from an erased user."""

import uuid
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from cineclub.adapters.postgres.erasures import erased_after_learning

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(minute: int) -> datetime:
    """Return a time, minutes after noon."""
    return NOON + timedelta(minutes=minute)


def serve(url: str, started: int | None, registered: int | None, promoted: int, version: int = 1) -> None:
    """Let a version serve, whose training began, was registered and promoted at these minutes."""
    training_id = uuid.uuid4()
    with psycopg.connect(url) as connection:
        if started is not None:
            connection.execute(
                "INSERT INTO cineclub.trainings (id, status, requested_at, started_at)"
                " VALUES (%s, 'succeeded', %s, %s)",
                [training_id, at(0), at(started)],
            )
        if registered is not None:
            connection.execute(
                "INSERT INTO cineclub.versions VALUES (%s, 'm', %s, %s, 'candidate', '{}', 'PROMOTE', 'why', '{}',"
                " '{}', 's', 1, NULL, '0', NULL)",
                [version, at(registered), training_id if started is not None else None],
            )
        connection.execute(
            "INSERT INTO cineclub.promotions (promoted_at, version, verdict, reason, promoted_by, recipe,"
            " manifest_sha256, artifact_folder) VALUES (%s, %s, 'PROMOTE', 'why', 'gate', '{}', 'm', 'f')",
            [at(promoted), version],
        )


def erase(url: str, minute: int) -> None:
    """Record an erasure."""
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO cineclub.erasures (user_id, erased_at) VALUES (7, %s)", [at(minute)])


@pytest.mark.parametrize(
    ("started", "registered", "promoted", "erased", "counts_at"),
    [
        (10, 20, 30, 5, None),  # the ratings were read without the user
        (10, 20, 30, 15, 15),  # the erasure came during the training
        (10, 20, 30, 40, 40),
        (50, 20, 30, 15, 15),  # an earlier attempt, begun at an unknown time, registered the version
        (None, 20, 30, 15, None),  # a version of an earlier release
        (None, 20, 30, 25, 25),
        (None, None, 30, 25, None),  # a version without a record
        (None, None, 30, 35, 35),
    ],
)
def test_a_version_has_learned_from_who_was_erased_after_it_read(
    database_url: str, started: int | None, registered: int | None, promoted: int, erased: int, counts_at: int | None
) -> None:
    """What counts is the time when the training read the ratings, or the earliest that may be it."""
    erase(database_url, erased)
    assert erased_after_learning(database_url) is None
    serve(database_url, started, registered, promoted)
    assert erased_after_learning(database_url) == (at(counts_at) if counts_at else None)


def test_a_rollback_brings_an_erased_user_back(database_url: str) -> None:
    """The version that serves counts, not the newest training."""
    serve(database_url, 10, 20, 30)
    erase(database_url, 40)
    serve(database_url, 50, 60, 70, version=2)
    assert erased_after_learning(database_url) is None
    serve(database_url, None, None, 80, version=1)
    assert erased_after_learning(database_url) == at(40)
