"""The commands `cineclub promote` and `rollback`."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from command_line import cineclub

from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.postgres.training_facts import read_training_facts
from cineclub.bootstrap import storage
from cineclub.domain.promotion.versions import RegisteredVersion
from cineclub.settings import Settings
from registry_bench import write_ratings


@pytest.fixture(scope="module")
def versions(connected: Settings) -> list[int]:
    """Two versions, promoted one after the other."""
    write_ratings(storage.database_url(connected))
    trained = [cineclub(connected.home, "train", "--models", "ease", "--json") for _ in range(2)]
    assert [completed.returncode for completed in trained] == [0, 0], trained[-1].stderr
    return [json.loads(completed.stdout)["version"] for completed in trained]


def test_a_person_goes_back_and_forth_and_the_history_says_why(connected: Settings, versions: list[int]) -> None:
    """Rollback and promotion change production with a reason; an impossible one is refused with a sentence."""
    old, new = versions
    history = storage.promotions(connected)
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
    assert (further.returncode, "no version served before" in further.stderr) == (1, True)
    forth = cineclub(connected.home, "promote", str(new), "--reason", "it was not the model")
    assert forth.returncode == 0, forth.stderr
    assert (history.newest().version, history.newest().reason) == (new, "it was not the model")
    assert cineclub(connected.home, "promote", str(new)).returncode == 2
    unknown = cineclub(connected.home, "promote", "99", "--reason", "to try")
    assert (unknown.returncode, "version 99" in unknown.stderr, "Traceback" in unknown.stderr) == (1, True, False)
    assert history.newest().version == new
    assert "erased" not in back.stderr + forth.stderr


@pytest.mark.usefixtures("versions")
def test_a_version_that_the_gate_rejected_may_serve_but_not_in_silence(connected: Settings) -> None:
    """Command, doctor and /metrics warn while a rejected version serves, with the next step."""
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
    storage.promotions(connected).withdraw(twin)
    assert cineclub(connected.home, "rollback").stderr == ""
    assert not _is_served_rejected(connected)
    assert "rejected" not in cineclub(connected.home, "doctor").stdout


def note_twin(settings: Settings, version: int) -> RegisteredVersion:
    """Record a version of the same number from another MLflow server, which the gate did not reject."""
    promotions = storage.promotions(settings)
    known = promotions.version(version)
    registered = replace(known.registered, manifest_sha256="ab" * 32, created_at=datetime.now(UTC))
    promotions.note_version(replace(known, registered=registered, training_id=None, verdict="HOLD"))
    assert promotions.version(version).registered == registered
    return registered


def _is_served_rejected(settings: Settings) -> bool:
    """Return the API's value for /metrics."""

    async def read() -> bool:
        pool = ServingPool(storage.database_url(settings))
        await pool.start()
        try:
            return (await read_training_facts(pool)).is_served_rejected
        finally:
            await pool.stop()

    return asyncio.run(read())


def test_a_version_that_learned_from_an_erased_user_may_serve_but_not_in_silence(
    connected: Settings, versions: list[int]
) -> None:
    """Whoever promotes it, or goes back to it, is told how to serve one without them; the last test of its versions."""
    erased = cineclub(connected.home, "erase", "1", "--yes")
    assert (erased.returncode, "queued: training" in erased.stdout) == (0, True), erased.stdout + erased.stderr
    learned = cineclub(connected.home, "promote", str(versions[0]), "--reason", "to try")
    assert learned.returncode == 0, learned.stderr
    assert "learned from a user who was erased" in learned.stderr
    assert "cineclub train" in learned.stderr
