"""A promoted version is served without a restart, and a broken one never is."""

import asyncio
import hashlib
import json
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_service import Artifact, Service, eventually, promote, running

from cineclub.adapters.artifacts import read_artifact
from cineclub.adapters.prometheus.metrics import PrometheusMetrics
from cineclub.domain.errors import StorageUnavailable
from cineclub.flows.live_model import LiveModelHolder
from cineclub.ports import Production

pytestmark = pytest.mark.anyio

Artifacts = Callable[[str], Artifact]


async def served_version(service: Service) -> int | None:
    """Return the version in memory."""
    live = service.parts.live.current()
    return live.version if live else None


async def answers_until(service: Service, version: int) -> AsyncIterator[tuple[int, int]]:
    """Yield status and model version of answer after answer until a version answers."""
    async with asyncio.timeout(5):
        served = None
        while served != version:
            response = await service.client.post("/predict/", json={"user_id": 2})
            served = response.json()["model"]["version"]
            yield response.status_code, served


async def test_a_promotion_is_served_without_a_failed_request(
    service: Service, trained_url: str, artifacts: Artifacts
) -> None:
    """While requests go on, the new version takes over within seconds and every answer is whole."""
    assert (await service.predict(2))["model"] == {"name": "ease", "version": 1}
    await asyncio.to_thread(promote, trained_url, 2, artifacts("bias"))
    seen = [one async for one in answers_until(service, 2)]
    assert {status for status, _ in seen} == {200}
    assert sorted(version for _, version in seen) == [version for _, version in seen]
    answer = await service.predict(2)
    assert answer["model"] == {"name": "bias", "version": 2}
    assert all(0.5 <= one["predicted_stars"] <= 5 for one in answer["recommendations"])
    await asyncio.to_thread(promote, trained_url, 1, artifacts("ease"))
    assert [one async for one in answers_until(service, 1)][-1] == (200, 1)


async def test_popular_in_production_answers_as_popular(
    untrained: Service, filled_url: str, artifacts: Artifacts
) -> None:
    """Where Popular itself won, everybody is told so."""
    await asyncio.to_thread(promote, filled_url, 1, artifacts("popular"))
    await eventually(lambda: served_version(untrained))
    answer = await untrained.predict(2)
    assert (answer["strategy"], answer["model"]) == ("popular", {"name": "popular", "version": 1})


@pytest.mark.parametrize("damage", ["missing", "changed array", "changed manifest"])
async def test_a_broken_version_is_refused(
    service: Service, trained_url: str, artifacts: Artifacts, home: Path, damage: str
) -> None:
    """A version whose files are not what was promoted never answers; the old one goes on and the refusal counts."""

    async def has_refused() -> bool:
        return "cineclub_model_refusals_total 0.0" not in (await service.client.get("/metrics")).text

    sound = artifacts("bias")
    folder = home / "damaged"
    if damage != "missing":
        shutil.copytree(sound.folder, folder)
        victim = folder / ("manifest.json" if "manifest" in damage else "popularity.npy")
        content = bytearray(victim.read_bytes())
        content[-5] ^= 1
        victim.write_bytes(content)
    await asyncio.to_thread(promote, trained_url, 2, replace(sound, folder=folder))
    await eventually(has_refused)
    assert (await service.predict(2))["model"] == {"name": "ease", "version": 1}
    await asyncio.to_thread(promote, trained_url, 3, sound)
    assert [one async for one in answers_until(service, 3)][-1] == (200, 3)


def with_fitting_hashes(sound: Artifact, folder: Path, name: str, values: np.ndarray) -> Artifact:
    """Return a copy with one array replaced, under a manifest and a promotion that vouch for it."""
    shutil.copytree(sound.folder, folder)
    np.save(folder / name, values, allow_pickle=False)
    manifest = json.loads((folder / "manifest.json").read_text())
    content = (folder / name).read_bytes()
    manifest["files"][name] |= {
        "sha256": hashlib.sha256(content).hexdigest(),
        "n_bytes": len(content),
        "shape": list(values.shape),
    }
    text = json.dumps(manifest).encode()
    (folder / "manifest.json").write_bytes(text)
    return replace(sound, folder=folder, manifest_sha256=hashlib.sha256(text).hexdigest())


@pytest.mark.parametrize("damage", ["NaN inside", "wrong film count"])
async def test_what_every_hash_vouches_for_is_refused_where_its_values_cannot_serve(
    service: Service, trained_url: str, artifacts: Artifacts, home: Path, damage: str
) -> None:
    """A refit with NaN, or of another number of films, never answers: the model before it goes on."""

    async def has_refused() -> bool:
        return "cineclub_model_refusals_total 0.0" not in (await service.client.get("/metrics")).text

    sound = artifacts("ease")
    name = "model.weights.npy" if damage == "NaN inside" else "popularity.npy"
    values = np.load(sound.folder / name)
    if damage == "NaN inside":
        values.flat[0] = np.nan
    else:
        values = values[:-1]
    broken = await asyncio.to_thread(with_fitting_hashes, sound, home / "broken", name, values)
    await asyncio.to_thread(promote, trained_url, 2, broken)
    await eventually(has_refused)
    assert (await service.predict(2))["model"] == {"name": "ease", "version": 1}
    ready = (await service.client.get("/ready")).json()
    assert (ready["ready"], ready["model"]["version"]) == (True, 1)


@pytest.mark.usefixtures("service")
async def test_what_is_served_is_noted_for_a_start_without_a_database(home: Path, artifacts: Artifacts) -> None:
    """After a load the serving file names the version, its hash and its folder."""

    async def has_noted() -> bool:
        return (home / "models" / "serving.json").is_file()

    await eventually(has_noted)
    noted = json.loads((home / "models" / "serving.json").read_text())
    assert noted["version"] == 1
    assert noted["manifest_sha256"] == artifacts("ease").manifest_sha256
    assert noted["artifact_folder"] == str(artifacts("ease").folder)


async def test_the_local_copy_serves_where_the_named_folder_is_of_another_machine(
    filled_url: str, home: Path, artifacts: Artifacts
) -> None:
    """A promotion made on another machine is served from the copy under our own models folder."""
    sound = artifacts("ease")
    shutil.copytree(sound.folder, home / "models" / f"1-{sound.manifest_sha256[:12]}")
    await asyncio.to_thread(promote, filled_url, 1, replace(sound, folder=Path("/nowhere/1-abc")))
    async with running(filled_url, home) as service:
        assert (await service.predict(2))["model"] == {"name": "ease", "version": 1}


@pytest.mark.parametrize("leftover", ["serving file", "folder alone", "broken serving file"])
async def test_a_start_without_a_database_serves_the_last_good_copy(
    home: Path, artifacts: Artifacts, leftover: str
) -> None:
    """With PostgreSQL away from the start, the last good copy on disk answers, degraded."""
    sound = artifacts("ease")
    models = home / "models"
    shutil.copytree(sound.folder, models / f"7-{sound.manifest_sha256[:12]}")
    (models / "9-000000000000").mkdir()
    noted = {
        "version": 7,
        "promoted_at": "2026-01-01T00:00:00+00:00",
        "manifest_sha256": sound.manifest_sha256,
        "artifact_folder": str(models / f"7-{sound.manifest_sha256[:12]}"),
        "movie_ids_are_integers": True,
    }
    if leftover != "folder alone":
        (models / "serving.json").write_text(json.dumps(noted) if leftover == "serving file" else "{")
    async with running("postgresql://nobody@127.0.0.1:1/none", home) as service:
        answer = await service.predict(2)
        ready = await service.client.get("/ready")
    assert (answer["strategy"], answer["degraded"], answer["model"]["version"]) == ("popular", True, 7)
    assert (ready.status_code, ready.json()["database"], ready.json()["degraded"]) == (200, "away", True)


class AwayWhenCancelled:
    """A database whose driver turns a cancelled query into an error of its own, as psycopg may."""

    def __init__(self) -> None:
        """Answer the first look only."""
        self.asked_again = asyncio.Event()
        self._n_reads = 0

    async def read(self) -> Production:
        """Return nothing at first, then hang until cancelled."""
        self._n_reads += 1
        if self._n_reads == 1:
            return Production(None, movie_ids_are_integers=True)
        self.asked_again.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as error:
            message = "the query was cancelled"
            raise StorageUnavailable(message) from error
        return Production(None, movie_ids_are_integers=True)


async def test_a_stop_in_the_middle_of_a_look_ends_it(home: Path) -> None:
    """The service stops even where the cancelled look ends as a database error."""
    production = AwayWhenCancelled()
    holder = LiveModelHolder(production, read_artifact, home / "models", PrometheusMetrics(), 0.01)
    await holder.start()
    async with asyncio.timeout(5):
        await production.asked_again.wait()
        await holder.stop()
