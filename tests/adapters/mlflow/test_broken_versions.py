"""A broken version is never promoted, whoever asks for it, and the reason is on record."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from cineclub.adapters.artifacts import adopt_artifact, read_artifact, verify_artifact, write_artifact
from cineclub.adapters.mlflow.client import store_uri
from cineclub.adapters.mlflow.registry import MlflowRegistry
from cineclub.domain.errors import BrokenArtifact
from cineclub.domain.ratings import Movie, SnapshotIdentity
from cineclub.domain.recommender import FittedModel
from registry_bench import Bench, assert_serves

Damage = Callable[[Path], None]


def truncate(folder: Path) -> None:
    """Cut an array off, as a full disk does."""
    path = folder / "popularity.npy"
    path.write_bytes(path.read_bytes()[:-4])


def put_nan_inside(folder: Path) -> None:
    """Let one weight of the model be no number, under a hash that fits."""
    path = folder / "model.weights.npy"
    values = np.load(path)
    values.flat[0] = np.nan
    np.save(path, values, allow_pickle=False)
    fit_hashes(folder)


def lose_a_film(folder: Path) -> None:
    """Let popularity be of one film fewer than the model, under hashes that fit."""
    path = folder / "popularity.npy"
    np.save(path, np.load(path)[:-1], allow_pickle=False)
    fit_hashes(folder)


def fit_hashes(folder: Path) -> None:
    """Write the facts of the files as they are now into the manifest, as a faulty writer would."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, facts in manifest["files"].items():
        content = (folder / name).read_bytes()
        facts |= {"sha256": hashlib.sha256(content).hexdigest(), "n_bytes": len(content)}
        if name.endswith(".npy"):
            facts["shape"] = list(np.load(folder / name).shape)
    (folder / "manifest.json").write_text(json.dumps(manifest))


class FaultyFormat:
    """The format of artifacts with a writer that damages what it has written."""

    adopt_artifact = staticmethod(adopt_artifact)
    read_artifact = staticmethod(read_artifact)
    verify_artifact = staticmethod(verify_artifact)

    def __init__(self, damage: Damage) -> None:
        """Damage each artifact like this."""
        self._damage = damage

    def write_artifact(
        self, folder: Path, fitted: FittedModel, movies: Sequence[Movie], snapshot_identity: SnapshotIdentity
    ) -> str:
        """Write a folder, damage it, and return the hash of the manifest that it has now."""
        write_artifact(folder, fitted, movies, snapshot_identity)
        self._damage(folder)
        return hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (truncate, "popularity.npy has"),
        (put_nan_inside, "holds values that are not finite"),
        (lose_a_film, "not usable"),
    ],
    ids=["truncated", "NaN inside", "wrong film count"],
)
@pytest.mark.parametrize("asked_by", ["gate", "person", "outside"])
def test_a_broken_version_is_refused_whoever_asks(asked_by: str, damage: Damage, reason: str, bench: Bench) -> None:
    """The gate, a person, and an alias moved outside: production stays, and the refusal says why."""
    served = bench.promoted()
    faulty = MlflowRegistry(store_uri(bench.database_url), bench.home, FaultyFormat(damage), bench.promotions)
    broken = Bench(bench.database_url, bench.home, faulty, bench.client, bench.promotions, bench.lease).registered(
        seed=1
    )
    if asked_by == "gate":
        with pytest.raises(BrokenArtifact, match=reason):
            bench.registry.promote(bench.training_id, broken, "PROMOTE", "it is better", bench.registry.production())
    elif asked_by == "person":
        with pytest.raises(BrokenArtifact, match=reason):
            bench.registry.put_into_production(broken.version, "to try", "person")
    else:
        bench.client.set_registered_model_alias("cineclub", "production", str(broken.version))
        assert reason in (bench.registry.reconcile() or "")
    assert_serves(bench, served)
    assert [one.version for one in bench.promotions.recent(5)] == [served.version]
    (refusal,) = bench.promotions.versions.refusals(5)
    assert (refusal.version, refusal.asked_by) == (broken.version, asked_by)
    assert reason in refusal.reason
