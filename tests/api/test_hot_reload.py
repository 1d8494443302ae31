"""A promoted version is loaded without a restart; a broken one is refused."""

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

from cineclub.adapters.model_store import LocalModelStore
from cineclub.adapters.prometheus.metrics import PrometheusMetrics
from cineclub.domain.errors import StorageUnavailable
from cineclub.domain.promotion.records import ProductionState
from cineclub.flows.live_model import LiveModelHolder, LiveModelMetrics

pytestmark = pytest.mark.anyio

Artifacts = Callable[[str], Artifact]


async def served_version(service: Service) -> int | None:
    """Return the loaded version."""
    live = service.parts.live.current()
    return live.version if live else None


async def responses_until(service: Service, version: int) -> AsyncIterator[tuple[int, int]]:
    """Yield status and model version of each response until a version serves."""
    async with asyncio.timeout(5):
        served = None
        while served != version:
            response = await service.client.post("/predict/", json={"user_id": 2})
            served = response.json()["model"]["version"]
            yield response.status_code, served


async def test_a_promotion_is_served_without_a_failed_request(
    service: Service, trained_url: str, artifacts: Artifacts
) -> None:
    """During requests the new version takes over within seconds, and every response is complete."""
    assert (await service.predict(2))["model"] == {"name": "ease", "version": 1}
    await asyncio.to_thread(promote, trained_url, 2, artifacts("bias"))
    seen = [response async for response in responses_until(service, 2)]
    assert {status for status, _ in seen} == {200}
    assert sorted(version for _, version in seen) == [version for _, version in seen]
    response = await service.predict(2)
    assert response["model"] == {"name": "bias", "version": 2}
    assert len(response["recommendations"]) > 0
    assert all(0.5 <= recommendation["predicted_stars"] <= 5 for recommendation in response["recommendations"])
    await asyncio.to_thread(promote, trained_url, 1, artifacts("ease"))
    assert [response async for response in responses_until(service, 1)][-1] == (200, 1)


async def test_popular_in_production_serves_as_popular(
    untrained: Service, filled_url: str, artifacts: Artifacts
) -> None:
    """With Popular in production the strategy of every response is popular."""
    await asyncio.to_thread(promote, filled_url, 1, artifacts("popular"))
    await eventually(lambda: served_version(untrained))
    response = await untrained.predict(2)
    assert (response["strategy"], response["model"]) == ("popular", {"name": "popular", "version": 1})


@pytest.mark.parametrize("damage", ["missing", "changed array", "changed manifest"])
async def test_a_broken_version_is_refused(
    service: Service, trained_url: str, artifacts: Artifacts, home: Path, damage: str
) -> None:
    """A version with changed files is not loaded; the old one serves on and the refusal is counted."""

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
    assert [response async for response in responses_until(service, 3)][-1] == (200, 3)


def with_fitting_hashes(sound: Artifact, folder: Path, name: str, values: np.ndarray) -> Artifact:
    """Return a copy with one array replaced, with matching hashes in manifest and promotion."""
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
    """A refit with NaN or another number of films is not loaded; the previous model serves on."""

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
    """After a load the serving file names version, hash and folder."""

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
    """A promotion made on another machine is loaded from the local copy."""
    sound = artifacts("ease")
    shutil.copytree(sound.folder, home / "models" / f"1-{sound.manifest_sha256[:12]}")
    await asyncio.to_thread(promote, filled_url, 1, replace(sound, folder=Path("/nowhere/1-abc")))
    async with running(filled_url, home) as service:
        assert (await service.predict(2))["model"] == {"name": "ease", "version": 1}


@pytest.mark.parametrize("leftover", ["serving file", "folder alone", "broken serving file"])
async def test_a_start_without_a_database_serves_the_last_good_copy(
    home: Path, artifacts: Artifacts, leftover: str
) -> None:
    """Without PostgreSQL at the start, the last good copy on disk serves, degraded."""
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
        response = await service.predict(2)
        ready = await service.client.get("/ready")
    assert (response["strategy"], response["degraded"], response["model"]["version"]) == ("popular", True, 7)
    assert (ready.status_code, ready.json()["database"], ready.json()["degraded"]) == (200, "away", True)


class AwayWhenCancelled:
    """A database whose driver turns a cancelled query into its own error, as psycopg may."""

    def __init__(self) -> None:
        """Start before the first read."""
        self.read_again = asyncio.Event()
        self._n_reads = 0

    async def read(self) -> ProductionState:
        """Return nothing at first, then hang until cancelled."""
        self._n_reads += 1
        if self._n_reads == 1:
            return ProductionState(None, movie_ids_are_integers=True)
        self.read_again.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as error:
            message = "the query was cancelled"
            raise StorageUnavailable(message) from error
        return ProductionState(None, movie_ids_are_integers=True)


async def test_a_stop_in_the_middle_of_a_check_ends_it(home: Path) -> None:
    """The service stops even if the cancelled query ends as a database error."""
    production = AwayWhenCancelled()
    metrics = PrometheusMetrics()
    receivers = LiveModelMetrics(metrics.model_served, metrics.model_refused, metrics.refusals_known)
    holder = LiveModelHolder(production.read, LocalModelStore(home), receivers, 0.01)
    await holder.start()
    async with asyncio.timeout(5):
        await production.read_again.wait()
        await holder.stop()
