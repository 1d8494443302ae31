"""`cineclub promote` and `rollback`, as a person uses them."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from command_line import cineclub

from cineclub import bootstrap
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.postgres.watching import PostgresTrainingFacts
from cineclub.ports import RegisteredVersion
from cineclub.settings import Settings
from registry_bench import write_ratings


@pytest.fixture(scope="module")
def versions(connected: Settings) -> list[int]:
    """Two versions that were promoted one after the other."""
    write_ratings(bootstrap.database_url(connected))
    trained = [cineclub(connected.home, "train", "--models", "ease", "--json") for _ in range(2)]
    assert [one.returncode for one in trained] == [0, 0], trained[-1].stderr
    return [json.loads(one.stdout)["version"] for one in trained]


def test_a_person_goes_back_and_forth_and_the_history_says_why(connected: Settings, versions: list[int]) -> None:
    """Back to what served before, forth to a version of their choice, and what cannot be done is a sentence."""
    old, new = versions
    history = bootstrap.promotions(connected)
    back = cineclub(connected.home, "rollback", "--reason", "complaints")
    assert back.returncode == 0, back.stderr
    assert f"version {old} is in production" in back.stdout
    newest = history.newest()
    assert (newest.version, newest.verdict, newest.reason, newest.promoted_by) == (
        old,
        "ROLLBACK",
        "complaints",
        "person",
    )
    further = cineclub(connected.home, "rollback")
    assert (further.returncode, "nothing served before" in further.stderr) == (1, True)
    forth = cineclub(connected.home, "promote", str(new), "--reason", "it was not the model")
    assert forth.returncode == 0, forth.stderr
    assert (history.newest().version, history.newest().reason) == (new, "it was not the model")
    assert cineclub(connected.home, "promote", str(new)).returncode == 2
    unknown = cineclub(connected.home, "promote", "99", "--reason", "to try")
    assert (unknown.returncode, "version 99" in unknown.stderr, "Traceback" in unknown.stderr) == (1, True, False)
    assert history.newest().version == new


@pytest.mark.usefixtures("versions")
def test_a_version_that_the_gate_rejected_may_serve_but_not_in_silence(connected: Settings) -> None:
    """The command, the doctor and /metrics say so for as long as it serves, with what to do."""
    trained = json.loads(cineclub(connected.home, "train", "--models", "random", "--json").stdout)
    assert trained["decision"]["verdict"] == "REJECT"
    promoted = cineclub(connected.home, "promote", str(trained["version"]), "--reason", "the newest")
    assert promoted.returncode == 0, promoted.stderr
    assert "the gate had rejected it" in promoted.stderr
    assert "cineclub rollback" in promoted.stderr
    assert _is_served_rejected(connected)
    doctor = cineclub(connected.home, "doctor").stdout
    assert "but the gate rejected it" in " ".join(doctor.split())
    twin = note_twin(connected, trained["version"])
    assert "but the gate rejected it" in " ".join(cineclub(connected.home, "doctor").stdout.split())
    bootstrap.promotions(connected).versions.withdraw(twin)
    assert cineclub(connected.home, "rollback").stderr == ""
    assert not _is_served_rejected(connected)
    assert "rejected" not in cineclub(connected.home, "doctor").stdout


def note_twin(settings: Settings, version: int) -> RegisteredVersion:
    """Register another version of the same number, as another MLflow server would, which the gate did not reject."""
    versions = bootstrap.promotions(settings).versions
    known = versions.get(version)
    registered = replace(known.registered, manifest_sha256="ab" * 32, created_at=datetime.now(UTC))
    versions.note(replace(known, registered=registered, training_id=None, verdict="HOLD"))
    assert versions.get(version).registered == registered
    return registered


def _is_served_rejected(settings: Settings) -> bool:
    """What the API reads for /metrics."""

    async def read() -> bool:
        pool = ServingPool(bootstrap.database_url(settings))
        await pool.start()
        try:
            return (await PostgresTrainingFacts(pool).read()).is_served_rejected
        finally:
            await pool.stop()

    return asyncio.run(read())
